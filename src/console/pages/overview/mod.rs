//! `/console`: what is going on.

mod data;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use serde::Deserialize;

use self::data::{Overview, OverviewKey};
use crate::console::extract::Query;
use crate::console::page::{Layout, Section, Visit, page};
use crate::console::problem::ApiProblem;
use crate::console::shared::Shared;
use crate::console::state::Console;

type Overviews = Shared<OverviewKey, Overview>;

/// The routes of the page and of its parts.
pub fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/console", get(show))
        .route("/console/fragments/overview/status", get(show_status))
        .route("/console/fragments/overview/campaigns", get(show_campaigns))
        .route("/console/fragments/overview/callbacks", get(show_callbacks))
        .layer(Extension(Arc::<Overviews>::default()))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OverviewQuery {
    /// Whose coming hours are shown.
    campaign: String,
}

#[derive(Template)]
#[template(path = "console/overview.html")]
struct OverviewPage {
    layout: Layout,
    overview: Arc<Overview>,
}

#[derive(Template)]
#[template(path = "console/overview.html", block = "status")]
struct StatusPart {
    overview: Arc<Overview>,
}

#[derive(Template)]
#[template(path = "console/overview.html", block = "campaigns")]
struct CampaignsPart {
    overview: Arc<Overview>,
}

#[derive(Template)]
#[template(path = "console/overview.html", block = "callbacks")]
struct CallbacksPart {
    overview: Arc<Overview>,
}

type Parts = (State<Arc<Console>>, Extension<Arc<Overviews>>, Query<OverviewQuery>);

async fn show(visit: Visit, parts: Parts) -> Result<Response, ApiProblem> {
    let overview = read(&visit, parts).await;
    page(&OverviewPage { layout: visit.layout(Section::Overview), overview })
}

async fn show_status(visit: Visit, parts: Parts) -> Result<Response, ApiProblem> {
    page(&StatusPart { overview: read(&visit, parts).await })
}

async fn show_campaigns(visit: Visit, parts: Parts) -> Result<Response, ApiProblem> {
    page(&CampaignsPart { overview: read(&visit, parts).await })
}

async fn show_callbacks(visit: Visit, parts: Parts) -> Result<Response, ApiProblem> {
    page(&CallbacksPart { overview: read(&visit, parts).await })
}

/// Everybody with the same rights sees the same: it is read for all of them at once.
async fn read(visit: &Visit, (State(console), Extension(overviews), Query(query)): Parts) -> Arc<Overview> {
    let key = OverviewKey::new(visit, query.campaign);
    let version = console.live.version();
    overviews.get(key.clone(), version, || Box::pin(Overview::read(visit, &*console.source, key))).await
}
