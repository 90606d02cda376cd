//! `/console/campaigns`

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use jiff::Timestamp;
use serde::Deserialize;

use super::model::Campaign;
use crate::console::client::with_query;
use crate::console::extract::Query;
use crate::console::page::{Layout, Section, Visit, page, page_with};
use crate::console::problem::ApiProblem;
use crate::console::state::Console;
use crate::console::view::List;
use crate::types::CampaignId;

const FRAGMENT: &str = "/console/fragments/campaigns";
const NOT_AN_ID: &str = "An id has 1 to 64 letters, digits, - and _.";

/// The routes of the list.
pub fn routes() -> Router<Arc<Console>> {
    Router::new().route(Section::Campaigns.path(), get(show)).route(FRAGMENT, get(fragment))
}

#[derive(Deserialize)]
struct ListQuery {
    #[serde(default)]
    cursor: String,
    /// A campaign to open.
    #[serde(default)]
    id: String,
}

/// What changes while somebody looks.
struct CampaignList {
    campaigns: Vec<Campaign>,
    /// The address of the next page.
    next: Option<String>,
    is_first: bool,
    now: Timestamp,
}

#[derive(Template)]
#[template(path = "console/campaigns.html")]
struct CampaignsPage {
    layout: Layout,
    list: CampaignList,
    source: String,
    id: String,
    fault: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "console/campaigns.html", block = "list")]
struct CampaignsPart {
    list: CampaignList,
}

async fn show(visit: Visit, Query(query): Query<ListQuery>) -> Result<Response, ApiProblem> {
    let wanted = query.id.trim();
    if let Ok(id) = CampaignId::parse(wanted) {
        return Ok(Redirect::to(&format!("{}/{id}", Section::Campaigns.path())).into_response());
    }
    let fault = (!wanted.is_empty()).then_some(NOT_AN_ID);
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let list = CampaignList::read(&visit, &query.cursor).await?;
    let source = with_query(FRAGMENT, [("cursor", query.cursor.as_str())]);
    let layout = visit.layout(Section::Campaigns);
    page_with(status, &CampaignsPage { layout, list, source, id: query.id, fault })
}

async fn fragment(visit: Visit, Query(query): Query<ListQuery>) -> Result<Response, ApiProblem> {
    page(&CampaignsPart { list: CampaignList::read(&visit, &query.cursor).await? })
}

impl CampaignList {
    async fn read(visit: &Visit, cursor: &str) -> Result<Self, ApiProblem> {
        let read: List<Campaign> = visit.api.get(&with_query("/v1/campaigns", [("cursor", cursor)])).await?;
        let next = read.next_cursor.map(|cursor| with_query(Section::Campaigns.path(), [("cursor", cursor.as_str())]));
        Ok(Self { campaigns: read.data, next, is_first: cursor.is_empty(), now: visit.now() })
    }
}
