//! The pages, one file for each section.

mod overview;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::problem::ApiProblem;
use super::state::Console;
use crate::http::Problem;

/// The routes of all pages. Whoever sends a request to them is signed in.
pub fn routes() -> Router<Arc<Console>> {
    Router::new().merge(overview::routes()).route("/console/{*path}", get(not_found))
}

async fn not_found() -> ApiProblem {
    Problem::not_found("page").into()
}
