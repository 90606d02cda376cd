//! The report on promises.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::span::campaign_span;
use crate::callbacks::intake::Callbacks;
use crate::callbacks::report::{DayReport, HourReport, PromiseReport};
use crate::http::{AuthorizedForCampaigns, Problem, Query, required};
use crate::types::CampaignId;

const LONGEST_SPAN: SignedDuration = SignedDuration::from_hours(31 * 24);

/// What became of the callbacks of a campaign
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PromiseReport, example = json!({
    "campaignId": "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8", "from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z",
    "accepted": 1200, "scheduled": 1190, "confirmed": 1150, "expired": 2, "failed": 8, "cancelled": 0,
    "medianSecondsToScheduled": 0.4, "p95SecondsToScheduled": 2.1,
    "hours": [{"hour": "2026-11-20T15:00:00Z", "placed": 80, "availableAgents": 40.0, "expectedCalls": 180.0,
        "capacity": 220.0, "overloadAgentMinutes": 0.0}],
    "days": [{"day": "2026-11-20", "expected": 1170.5, "came": 1200}]}))]
pub(super) struct PromiseReportView {
    #[schema(value_type = String)]
    campaign_id: CampaignId,
    from: Timestamp,
    to: Timestamp,
    /// Accepted in the span.
    accepted: i64,
    /// Of these: CXone had their contact.
    scheduled: i64,
    /// Of these: the SMS was sent.
    confirmed: i64,
    expired: i64,
    failed: i64,
    cancelled: i64,
    /// From the request until CXone had the contact. Null if there was none.
    #[schema(required)]
    median_seconds_to_scheduled: Option<f64>,
    #[schema(required)]
    p95_seconds_to_scheduled: Option<f64>,
    /// The hours of the span in which callbacks are placed.
    #[schema(max_items = 800)]
    hours: Vec<PromiseHourView>,
    /// The days of the span with requests, in the time zone of the service. They are counted within minutes.
    #[schema(max_items = 33)]
    days: Vec<PromiseDayView>,
}

/// An hour in which callbacks are placed
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PromiseHour)]
struct PromiseHourView {
    hour: Timestamp,
    placed: i64,
    /// By the forecast of the last placement.
    available_agents: f64,
    /// Besides callbacks.
    expected_calls: f64,
    /// The callbacks that the agents can take besides these calls.
    capacity: f64,
    /// The work of the callbacks beyond the capacity.
    overload_agent_minutes: f64,
}

/// The requests of a day
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PromiseDay)]
struct PromiseDayView {
    #[schema(value_type = String, format = Date)]
    day: Date,
    /// By the days before. Null with fewer than three days of history.
    #[schema(required)]
    expected: Option<f64>,
    /// Those whose window begins on this day.
    came: u32,
}

impl From<HourReport> for PromiseHourView {
    fn from(report: HourReport) -> Self {
        let HourReport { hour, placed, available_agents, expected_calls, capacity, overload_agent_minutes } = report;
        Self { hour, placed, available_agents, expected_calls, capacity, overload_agent_minutes }
    }
}

impl From<DayReport> for PromiseDayView {
    fn from(DayReport { day, expected, came }: DayReport) -> Self {
        Self { day, expected, came }
    }
}

/// Report what became of promises
///
/// The callbacks that a campaign accepted in a span of at most 31 days, how full its hours are, and how many requests were expected.
#[utoipa::path(get, path = "/v1/reports/promises", operation_id = "getPromiseReport", tag = "Callbacks",
    security(("key" = ["callbacks:read"])),
    params(
        ("campaignId" = String, Query, example = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8"),
        ("from" = String, Query, format = DateTime, example = "2026-11-20T00:00:00Z"),
        ("to" = String, Query, format = DateTime, example = "2026-11-21T00:00:00Z", description = "At most 31 days after `from`"),
    ),
    responses((status = 200, body = PromiseReportView), (status = 422)))]
pub(super) async fn promises(
    State(callbacks): State<Arc<Callbacks>>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::CallbacksRead>,
    mut query: Query,
) -> Result<Json<PromiseReportView>, Problem> {
    let span = campaign_span(&mut query, LONGEST_SPAN, "31 days");
    query.finish()?;
    let Some((campaign_id, span)) = span else { return Err(Problem::invalid(Vec::new())) };
    context.require_campaign(&campaign_id)?;
    let zone = callbacks.days_zone.tz();
    let PromiseReport { counts, hours, days } = PromiseReport::make(&callbacks.store, &campaign_id, span, zone).await?;
    Ok(Json(PromiseReportView {
        campaign_id,
        from: span.start,
        to: span.end,
        accepted: counts.accepted,
        scheduled: counts.scheduled,
        confirmed: counts.confirmed,
        expired: counts.expired,
        failed: counts.failed,
        cancelled: counts.cancelled,
        median_seconds_to_scheduled: counts.median_seconds,
        p95_seconds_to_scheduled: counts.p95_seconds,
        hours: hours.into_iter().map(PromiseHourView::from).collect(),
        days: days.into_iter().map(PromiseDayView::from).collect(),
    }))
}
