//! `/console/callbacks/{id}/cancel`: a page that says what will happen, and the command.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::model::Callback;
use crate::console::extract::Form;
use crate::console::page::{Layout, Section, Visit, done, page_with};
use crate::console::problem::ApiProblem;
use crate::console::state::Console;
use crate::console::words::Done;
use crate::http::{PathParam, Scope};

/// The routes of the command.
pub fn routes() -> Router<Arc<Console>> {
    Router::new().route("/console/callbacks/{id}/cancel", get(show).post(cancel))
}

#[derive(Template)]
#[template(path = "console/cancel.html")]
struct CancelPage {
    layout: Layout,
    callback: Callback,
    problem: Option<ApiProblem>,
}

#[derive(Deserialize)]
struct CancelForm {
    once: String,
}

/// What the page after the command needs of its answer.
#[derive(Deserialize)]
struct Outcome {
    status: String,
}

async fn show(visit: Visit, PathParam(id): PathParam<Uuid>) -> Result<Response, ApiProblem> {
    visit.require(Scope::CallbacksWrite)?;
    cancel_page(&visit, id, None).await
}

async fn cancel(
    visit: Visit,
    PathParam(id): PathParam<Uuid>,
    Form(form): Form<CancelForm>,
) -> Result<Response, ApiProblem> {
    let path = format!("/v1/callbacks/{id}/cancel");
    match visit.api.post::<Outcome>(&path, &json!({}), Some(&form.once)).await {
        Ok(outcome) => {
            let message = if outcome.status == "cancelled" { Done::Cancelled } else { Done::CancelRequested };
            Ok(done(&format!("/console/callbacks/{id}"), message))
        }
        Err(problem) if problem.is_of_form() => cancel_page(&visit, id, Some(problem)).await,
        Err(problem) => Err(problem),
    }
}

async fn cancel_page(visit: &Visit, id: Uuid, problem: Option<ApiProblem>) -> Result<Response, ApiProblem> {
    let callback = Callback::read(visit, id).await?;
    let status = problem.as_ref().map_or(StatusCode::OK, ApiProblem::status);
    page_with(status, &CancelPage { layout: visit.layout(Section::Callbacks), callback, problem })
}
