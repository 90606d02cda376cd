//! The forms below `/console/webhooks/{id}`.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::post;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use uuid::Uuid;

use super::webhook::{path_of, show_with};
use crate::console::extract::Form;
use crate::console::page::{Layout, Section, Visit, done, page};
use crate::console::problem::ApiProblem;
use crate::console::state::Console;
use crate::console::words::Done;
use crate::http::PathParam;

/// The routes of the forms.
pub fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/console/webhooks/{id}/test", post(send_test))
        .route("/console/webhooks/{id}/enable", post(enable))
        .route("/console/webhooks/{id}/rotate-secret", post(rotate_secret))
        .route("/console/webhooks/{id}/redeliver-failed", post(redeliver_failed))
        .route("/console/webhooks/{id}/deliveries/{delivery}/redeliver", post(redeliver))
}

/// A form with a button only.
#[derive(Deserialize)]
struct Button {
    once: String,
}

#[derive(Deserialize)]
struct SinceForm {
    once: String,
    since: String,
}

#[derive(Deserialize)]
struct Redelivered {
    redelivered: i64,
}

/// The members of the answer to a rotation.
#[derive(Deserialize)]
struct Rotated {
    url: String,
    /// None if the form was sent before.
    secret: Option<String>,
}

#[derive(Template)]
#[template(path = "console/webhook_secret.html")]
struct SecretPage {
    layout: Layout,
    id: Uuid,
    rotated: Rotated,
}

async fn send_test(
    visit: Visit,
    PathParam(id): PathParam<Uuid>,
    Form(form): Form<Button>,
) -> Result<Response, ApiProblem> {
    press(&visit, id, &format!("/v1/webhooks/{id}/test"), &form, Done::TestSent).await
}

async fn enable(
    visit: Visit,
    PathParam(id): PathParam<Uuid>,
    Form(form): Form<Button>,
) -> Result<Response, ApiProblem> {
    press(&visit, id, &format!("/v1/webhooks/{id}/enable"), &form, Done::WebhookEnabled).await
}

async fn redeliver(
    visit: Visit,
    PathParam((id, delivery)): PathParam<(Uuid, Uuid)>,
    Form(form): Form<Button>,
) -> Result<Response, ApiProblem> {
    press(&visit, id, &format!("/v1/webhooks/deliveries/{delivery}/redeliver"), &form, Done::Redelivered).await
}

async fn redeliver_failed(
    visit: Visit,
    PathParam(id): PathParam<Uuid>,
    Form(form): Form<SinceForm>,
) -> Result<Response, ApiProblem> {
    let path = format!("/v1/webhooks/{id}/redeliver-failed");
    match visit.api.post::<Redelivered>(&path, &json!({"since": form.since}), Some(&form.once)).await {
        Ok(Redelivered { redelivered: 0 }) => Ok(done(&path_of(id), Done::NothingToRedeliver)),
        Ok(_) => Ok(done(&path_of(id), Done::Redelivered)),
        Err(problem) => refused(&visit, id, problem).await,
    }
}

/// The secret is in this answer only, so that no redirect follows. A form that is sent twice shows none.
async fn rotate_secret(
    visit: Visit,
    PathParam(id): PathParam<Uuid>,
    Form(form): Form<Button>,
) -> Result<Response, ApiProblem> {
    let path = format!("/v1/webhooks/{id}/rotate-secret");
    match visit.api.post::<Rotated>(&path, &json!({}), Some(&form.once)).await {
        Ok(rotated) => page(&SecretPage { layout: visit.layout(Section::Webhooks), id, rotated }),
        Err(problem) => refused(&visit, id, problem).await,
    }
}

/// Sends a command without a body.
async fn press(visit: &Visit, id: Uuid, path: &str, form: &Button, message: Done) -> Result<Response, ApiProblem> {
    match visit.api.post::<IgnoredAny>(path, &json!({}), Some(&form.once)).await {
        Ok(_) => Ok(done(&path_of(id), message)),
        Err(problem) => refused(visit, id, problem).await,
    }
}

async fn refused(visit: &Visit, id: Uuid, problem: ApiProblem) -> Result<Response, ApiProblem> {
    if problem.is_of_form() { show_with(visit, id, problem).await } else { Err(problem) }
}
