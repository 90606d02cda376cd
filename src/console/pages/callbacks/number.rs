//! `POST /console/callbacks/{id}/number`: shows the whole phone number of a callback, and records that somebody has seen it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::show::callback_page;
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::console::page::Visit;
use crate::console::problem::ApiProblem;
use crate::console::state::Console;
use crate::http::{Cause, PathParam, Problem, ProblemKind, Scope};
use crate::types::PhoneNumber;

/// The route. A GET, such as after a reload, shows the page with the masked number.
pub fn routes() -> Router<Arc<Console>> {
    Router::new().route("/console/callbacks/{id}/number", get(masked).post(reveal))
}

/// The members of the callback that are needed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Callback {
    phone_number: Option<String>,
    campaign_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RevealedDetail {
    /// Masked.
    phone_number: String,
}

async fn masked(visit: Visit, PathParam(id): PathParam<Uuid>) -> Result<Response, ApiProblem> {
    callback_page(&visit, id, None).await
}

async fn reveal(
    State(console): State<Arc<Console>>,
    visit: Visit,
    PathParam(id): PathParam<Uuid>,
    parts: Parts,
) -> Result<Response, ApiProblem> {
    visit.require(Scope::PrivacyRead)?;
    let callback: Callback = visit.api.get(&format!("/v1/callbacks/{id}")).await?;
    let number = callback.phone_number.ok_or_else(|| Problem::not_found("phone number: it is erased"))?;
    let unreadable = |_| Problem::new(ProblemKind::Internal, "the phone number cannot be read");
    let number = PhoneNumber::from_stored(number).map_err(unreadable)?;
    let actor = Actor::caller(&visit.session.credentials.caller());
    let (entry_id, now) = (console.clock.new_id(), console.clock.now());
    let entry = Entry {
        campaign_id: Some(callback.campaign_id),
        callback_id: Some(id),
        request_id: Cause::of(&parts.extensions).map(|cause| cause.request_id().to_owned()),
        ..Entry::new(entry_id, now, Action::CallbackNumberRevealed, actor, Outcome::Succeeded)
            .with_detail(&RevealedDetail { phone_number: number.masked() })
    };
    // Nobody sees a number without an entry.
    console.sessions.record(entry).await?;
    callback_page(&visit, id, Some(number)).await
}
