//! `/console/webhooks/{id}`: an endpoint and its last deliveries.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use uuid::Uuid;

use super::webhooks::Webhook;
use crate::console::client::with_query;
use crate::console::extract::Query;
use crate::console::page::{Layout, Section, Visit, page, page_with};
use crate::console::problem::ApiProblem;
use crate::console::state::Console;
use crate::console::view::List;
use crate::http::PathParam;
use crate::webhooks::ATTEMPTED_WITHIN;

/// The deliveries of a part of the list. Each is shown with its attempts.
const LIMIT: &str = "25";
/// How far back failed deliveries are sent again, in hours. The API keeps them for 30 days.
const SPANS: [(i64, &str); 4] =
    [(1, "The last hour"), (24, "The last 24 hours"), (7 * 24, "The last 7 days"), (30 * 24, "All that are kept")];

/// The routes of the page.
pub fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/console/webhooks/{id}", get(show))
        .route("/console/fragments/webhooks/{id}/state", get(state_fragment))
        .route("/console/fragments/webhooks/{id}/deliveries", get(deliveries_fragment))
}

/// The address of the page.
pub fn path_of(id: Uuid) -> String {
    format!("/console/webhooks/{id}")
}

/// The members of a delivery that the page shows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivery {
    id: Uuid,
    #[serde(rename = "type")]
    event: String,
    status: String,
    next_attempt_at: Option<Timestamp>,
    created_at: Timestamp,
    /// Oldest first.
    attempts: Vec<Attempt>,
    /// Whether the next attempt is so far away that the API sends the delivery again.
    #[serde(skip)]
    is_far_away: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attempt {
    at: Timestamp,
    duration_ms: i64,
    /// None: there was no answer.
    status: Option<u16>,
    error: Option<String>,
    /// The beginning of the body of the answer.
    answer: Option<String>,
}

impl Delivery {
    /// A delivery whose next attempt is soon is sent without that.
    fn can_be_sent_again(&self) -> bool {
        self.status != "pending" || self.is_far_away
    }
}

/// Which deliveries are shown.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Filter {
    status: String,
    cursor: String,
}

impl Filter {
    fn address(&self, path: &str, cursor: &str) -> String {
        with_query(path, [("status", self.status.as_str()), ("cursor", cursor)])
    }
}

/// A part of the list of deliveries.
struct Deliveries {
    data: Vec<Delivery>,
    /// Whether these are the newest.
    is_first: bool,
    /// The addresses of the first part and of the next.
    first: String,
    next: Option<String>,
    /// Where the script reads this part again.
    source: String,
    status: String,
}

impl Deliveries {
    async fn read(visit: &Visit, id: Uuid, filter: &Filter) -> Result<Self, ApiProblem> {
        let parameters = [("limit", LIMIT), ("status", filter.status.as_str()), ("cursor", filter.cursor.as_str())];
        let path = with_query(&format!("/v1/webhooks/{id}/deliveries"), parameters);
        let List { mut data, next_cursor } = visit.api.get::<List<Delivery>>(&path).await?;
        let soon = visit.now() + ATTEMPTED_WITHIN;
        for delivery in &mut data {
            delivery.is_far_away = delivery.next_attempt_at.is_some_and(|at| at > soon);
        }
        let page = path_of(id);
        Ok(Self {
            data,
            is_first: filter.cursor.is_empty(),
            first: filter.address(&page, ""),
            next: next_cursor.map(|cursor| filter.address(&page, &cursor)),
            source: filter.address(&format!("/console/fragments/webhooks/{id}/deliveries"), &filter.cursor),
            status: filter.status.clone(),
        })
    }

    /// The filters of the list: the status, its word, and whether it is the current one.
    fn filters(&self) -> [(&'static str, &'static str, bool); 4] {
        [("", "All"), ("dead", "Failed"), ("pending", "Pending"), ("succeeded", "Delivered")]
            .map(|(status, text)| (status, text, self.status == status))
    }
}

/// From when on failed deliveries are sent again. A form that is sent twice has the same moment.
struct Since {
    at: Timestamp,
    text: &'static str,
}

fn spans(now: Timestamp) -> Vec<Since> {
    SPANS.iter().map(|(hours, text)| Since { at: now - SignedDuration::from_hours(*hours), text }).collect()
}

#[derive(Template)]
#[template(path = "console/webhook.html")]
struct WebhookPage {
    layout: Layout,
    webhook: Webhook,
    deliveries: Deliveries,
    spans: Vec<Since>,
    /// Why a form was not carried out.
    problem: Option<ApiProblem>,
}

#[derive(Template)]
#[template(path = "console/webhook.html", block = "state")]
struct StateFragment {
    layout: Layout,
    webhook: Webhook,
    spans: Vec<Since>,
}

#[derive(Template)]
#[template(path = "console/webhook.html", block = "deliveries")]
struct DeliveriesFragment {
    layout: Layout,
    webhook: Webhook,
    deliveries: Deliveries,
}

async fn show(
    visit: Visit,
    PathParam(id): PathParam<Uuid>,
    Query(filter): Query<Filter>,
) -> Result<Response, ApiProblem> {
    page(&read(&visit, id, &filter).await?)
}

/// The page, with the problem of a form on it.
///
/// # Errors
/// If the endpoint cannot be read.
pub async fn show_with(visit: &Visit, id: Uuid, problem: ApiProblem) -> Result<Response, ApiProblem> {
    let status: StatusCode = problem.status();
    let shown = read(visit, id, &Filter::default()).await?;
    page_with(status, &WebhookPage { problem: Some(problem), ..shown })
}

async fn read(visit: &Visit, id: Uuid, filter: &Filter) -> Result<WebhookPage, ApiProblem> {
    let (webhook, deliveries) = tokio::try_join!(endpoint(visit, id), Deliveries::read(visit, id, filter))?;
    let (layout, spans) = (visit.layout(Section::Webhooks), spans(visit.now()));
    Ok(WebhookPage { layout, webhook, deliveries, spans, problem: None })
}

async fn endpoint(visit: &Visit, id: Uuid) -> Result<Webhook, ApiProblem> {
    visit.api.get(&format!("/v1/webhooks/{id}")).await
}

async fn state_fragment(visit: Visit, PathParam(id): PathParam<Uuid>) -> Result<Response, ApiProblem> {
    let (layout, spans) = (visit.layout(Section::Webhooks), spans(visit.now()));
    page(&StateFragment { layout, webhook: endpoint(&visit, id).await?, spans })
}

async fn deliveries_fragment(
    visit: Visit,
    PathParam(id): PathParam<Uuid>,
    Query(filter): Query<Filter>,
) -> Result<Response, ApiProblem> {
    let WebhookPage { layout, webhook, deliveries, .. } = read(&visit, id, &filter).await?;
    page(&DeliveriesFragment { layout, webhook, deliveries })
}
