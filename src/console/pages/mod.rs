//! The pages, one file for each section.

mod audit;
mod audit_entry;
mod audit_filter;
mod audit_verification;
mod callbacks;
mod campaigns;
mod overview;
mod webhook;
mod webhook_actions;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::problem::ApiProblem;
use super::state::Console;
use crate::http::Problem;

/// The routes of all pages. Only requests of people who are signed in reach them.
pub fn routes() -> Router<Arc<Console>> {
    let audit = audit::routes().merge(audit_entry::routes()).merge(audit_verification::routes());
    let webhooks = webhooks::routes().merge(webhook::routes()).merge(webhook_actions::routes());
    Router::new()
        .merge(overview::routes())
        .merge(campaigns::routes())
        .merge(callbacks::routes())
        .merge(webhooks)
        .merge(audit)
        .route("/console/{*path}", get(not_found))
}

async fn not_found() -> ApiProblem {
    Problem::not_found("page").into()
}
