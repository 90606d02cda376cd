//! `/console`: what is going on.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use serde::Deserialize;

use crate::console::page::{Layout, Section, Visit, page};
use crate::console::problem::ApiProblem;
use crate::console::state::Console;
use crate::console::view::List;
use crate::http::Scope;

/// The routes of the page.
pub fn routes() -> Router<Arc<Console>> {
    Router::new().route("/console", get(show))
}

/// The members of a campaign that the page shows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Campaign {
    campaign_id: String,
    state: Option<String>,
    holds: Vec<Hold>,
    next_resume: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hold {
    pause_reason: String,
}

#[derive(Template)]
#[template(path = "console/overview.html")]
struct OverviewPage {
    layout: Layout,
    /// None without the scope.
    campaigns: Option<Vec<Campaign>>,
}

async fn show(visit: Visit) -> Result<Response, ApiProblem> {
    let campaigns = if visit.may(Scope::CampaignsRead) {
        Some(visit.api.get::<List<Campaign>>("/v1/campaigns?limit=200").await?.data)
    } else {
        None
    };
    page(&OverviewPage { layout: visit.layout(Section::Overview), campaigns })
}
