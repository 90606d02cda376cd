//! `/console/campaigns/{id}`

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;

use super::history::History;
use super::model::Campaign;
use crate::console::chart::Sparkline;
use crate::console::page::{Layout, Section, Visit, page};
use crate::console::problem::ApiProblem;
use crate::console::state::Console;
use crate::http::{PathParam, Scope};

/// The routes of the page.
pub fn routes() -> Router<Arc<Console>> {
    Router::new().route("/console/campaigns/{id}", get(show)).route("/console/fragments/campaigns/{id}", get(fragment))
}

/// What changes while somebody looks.
struct CampaignDetail {
    campaign: Campaign,
    /// None without the scope.
    history: Option<Result<History, ApiProblem>>,
    spark: Sparkline,
    now: Timestamp,
}

#[derive(Template)]
#[template(path = "console/campaign.html")]
struct CampaignPage {
    layout: Layout,
    detail: CampaignDetail,
}

#[derive(Template)]
#[template(path = "console/campaign.html", block = "live")]
struct CampaignPart {
    layout: Layout,
    detail: CampaignDetail,
}

async fn show(
    State(console): State<Arc<Console>>,
    visit: Visit,
    PathParam(id): PathParam<String>,
) -> Result<Response, ApiProblem> {
    let detail = CampaignDetail::read(&visit, &console, &id).await?;
    page(&CampaignPage { layout: visit.layout(Section::Campaigns), detail })
}

async fn fragment(
    State(console): State<Arc<Console>>,
    visit: Visit,
    PathParam(id): PathParam<String>,
) -> Result<Response, ApiProblem> {
    let detail = CampaignDetail::read(&visit, &console, &id).await?;
    page(&CampaignPart { layout: visit.layout(Section::Campaigns), detail })
}

impl CampaignDetail {
    async fn read(visit: &Visit, console: &Console, id: &str) -> Result<Self, ApiProblem> {
        let campaign = Campaign::read(visit, id).await?;
        let history =
            if visit.may(Scope::AuditRead) { Some(History::read(visit, &campaign.campaign_id).await) } else { None };
        let now = visit.now();
        let spark = campaign.sparkline(&*console.source, now).await?;
        Ok(Self { campaign, history, spark, now })
    }
}
