//! `/console/callbacks/{id}`

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use uuid::Uuid;

use super::model::Callback;
use super::placement::Placement;
use super::timeline::Timeline;
use crate::console::page::{Layout, Section, Visit, page};
use crate::console::problem::ApiProblem;
use crate::console::state::Console;
use crate::http::{PathParam, Scope};
use crate::types::PhoneNumber;

/// The routes of the page.
pub fn routes() -> Router<Arc<Console>> {
    Router::new().route("/console/callbacks/{id}", get(show)).route("/console/fragments/callbacks/{id}", get(fragment))
}

/// What changes while somebody looks.
struct CallbackDetail {
    callback: Callback,
    placement: Result<Option<Placement>, ApiProblem>,
    /// None without the scope.
    timeline: Option<Result<Timeline, ApiProblem>>,
}

#[derive(Template)]
#[template(path = "console/callback.html")]
struct CallbackPage {
    layout: Layout,
    detail: CallbackDetail,
    /// The whole number, where somebody has asked to see it.
    revealed: Option<PhoneNumber>,
}

#[derive(Template)]
#[template(path = "console/callback.html", block = "live")]
struct CallbackPart {
    layout: Layout,
    detail: CallbackDetail,
}

async fn show(visit: Visit, PathParam(id): PathParam<Uuid>) -> Result<Response, ApiProblem> {
    callback_page(&visit, id, None).await
}

async fn fragment(visit: Visit, PathParam(id): PathParam<Uuid>) -> Result<Response, ApiProblem> {
    let detail = CallbackDetail::read(&visit, id).await?;
    page(&CallbackPart { layout: visit.layout(Section::Callbacks), detail })
}

/// The page of a callback.
///
/// # Errors
/// The problem that the API answers.
pub async fn callback_page(visit: &Visit, id: Uuid, revealed: Option<PhoneNumber>) -> Result<Response, ApiProblem> {
    let detail = CallbackDetail::read(visit, id).await?;
    page(&CallbackPage { layout: visit.layout(Section::Callbacks), detail, revealed })
}

impl CallbackDetail {
    async fn read(visit: &Visit, id: Uuid) -> Result<Self, ApiProblem> {
        let timeline = async { if visit.may(Scope::AuditRead) { Some(Timeline::read(visit, id).await) } else { None } };
        let (callback, placement, timeline) =
            tokio::join!(Callback::read(visit, id), Placement::read(visit, id), timeline);
        Ok(Self { callback: callback?, placement, timeline })
    }
}
