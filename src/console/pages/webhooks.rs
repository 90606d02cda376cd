//! `/console/webhooks`: the endpoints that receive events.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use crate::console::client::with_query;
use crate::console::extract::Query;
use crate::console::page::{Layout, Section, Visit, page};
use crate::console::problem::ApiProblem;
use crate::console::state::Console;
use crate::console::view::List;
use crate::console::words::{self, Word};

/// The routes of the page.
pub fn routes() -> Router<Arc<Console>> {
    Router::new().route("/console/webhooks", get(show)).route("/console/fragments/webhooks", get(fragment))
}

/// The members of an endpoint that the pages show.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    pub id: Uuid,
    pub url: String,
    /// None: all of campaigns and callbacks.
    pub events: Option<Vec<String>>,
    pub description: Option<String>,
    /// Whether it is the endpoint of the configuration.
    pub configured: bool,
    pub failing_since: Option<Timestamp>,
    pub disabled_at: Option<Timestamp>,
    pub disabled_reason: Option<String>,
    pub created_at: Timestamp,
}

impl Webhook {
    pub fn state(&self) -> Word<'static> {
        words::webhook_state(self.disabled_at.is_some(), self.failing_since.is_some())
    }
}

/// Which part of the list is shown.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Place {
    cursor: String,
}

/// The endpoints of one part of the list.
struct Endpoints {
    data: Vec<Webhook>,
    /// The address of the next part.
    next: Option<String>,
}

impl Endpoints {
    async fn read(visit: &Visit, place: &Place) -> Result<Self, ApiProblem> {
        let path = with_query("/v1/webhooks", [("limit", "100"), ("cursor", place.cursor.as_str())]);
        let List { data, next_cursor } = visit.api.get::<List<Webhook>>(&path).await?;
        let next = next_cursor.map(|cursor| with_query("/console/webhooks", [("cursor", cursor.as_str())]));
        Ok(Self { data, next })
    }
}

#[derive(Template)]
#[template(path = "console/webhooks.html")]
struct WebhooksPage {
    layout: Layout,
    endpoints: Endpoints,
    /// Where the script reads the list again.
    source: String,
}

#[derive(Template)]
#[template(path = "console/webhooks.html", block = "endpoints")]
struct WebhooksFragment {
    endpoints: Endpoints,
}

async fn show(visit: Visit, Query(place): Query<Place>) -> Result<Response, ApiProblem> {
    let endpoints = Endpoints::read(&visit, &place).await?;
    let source = with_query("/console/fragments/webhooks", [("cursor", place.cursor.as_str())]);
    page(&WebhooksPage { layout: visit.layout(Section::Webhooks), endpoints, source })
}

async fn fragment(visit: Visit, Query(place): Query<Place>) -> Result<Response, ApiProblem> {
    page(&WebhooksFragment { endpoints: Endpoints::read(&visit, &place).await? })
}
