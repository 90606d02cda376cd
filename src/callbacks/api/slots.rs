//! The windows that an IVR can offer.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::span::campaign_span;
use crate::callbacks::intake::Callbacks;
use crate::callbacks::slots::{LONGEST_SPAN, OfferedSlot, SlotsError};
use crate::cxone::CxoneError;
use crate::http::{AuthorizedForCampaigns, Problem, ProblemKind, Query, required};
use crate::placement::Availability;
use crate::types::Fault;

/// When to ask again after a failure of CXone.
const RETRY_AFTER_SECONDS: u64 = 5;

/// The windows that can be offered
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallbackSlots)]
pub(super) struct SlotsView {
    /// In order of time. Windows without a forecast are left out.
    #[schema(max_items = 336)]
    data: Vec<SlotView>,
}

/// A window that can be offered
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CallbackSlot, example = json!({
    "requestedStart": "2026-11-20T15:00:00Z", "requestedEnd": "2026-11-20T17:00:00Z", "availability": "good",
    "expectedWaitSeconds": 4.2, "remaining": 61}))]
struct SlotView {
    requested_start: Timestamp,
    requested_end: Timestamp,
    availability: Availability,
    /// How long a call in the best hour of the window waits on average, with the callbacks that are placed and expected.
    expected_wait_seconds: f64,
    /// How many more callbacks the window can take.
    remaining: u32,
}

impl From<OfferedSlot> for SlotView {
    fn from(OfferedSlot { window, slot }: OfferedSlot) -> Self {
        Self {
            requested_start: window.start(),
            requested_end: window.end(),
            availability: slot.availability,
            expected_wait_seconds: (slot.expected_wait_seconds * 10.0).round() / 10.0,
            remaining: slot.remaining,
        }
    }
}

/// List the windows that an IVR can offer
///
/// Windows of one length that begin at whole hours, in the campaign's business hours and, where it is enforced, in its regulatory
/// window, without those that reach into a compliance hold. What is placed and what is expected is counted. The answer is at most
/// five seconds old, and the forecast five minutes.
#[utoipa::path(get, path = "/v1/callback-slots", operation_id = "listCallbackSlots", tag = "Callbacks",
    security(("key" = ["callbacks:read"])),
    params(
        ("campaignId" = String, Query, example = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8"),
        ("from" = String, Query, format = DateTime, example = "2026-11-20T00:00:00Z", description = "Begin at this time or later"),
        ("to" = String, Query, format = DateTime, example = "2026-11-21T00:00:00Z", description = "End at this time or earlier: at most 14 days after `from`"),
        ("durationMinutes" = Option<u16>, Query, minimum = 60, maximum = 240, description = "60 by default"),
    ),
    responses((status = 200, body = SlotsView), (status = 404), (status = 422), (status = 503)))]
pub(super) async fn slots(
    State(callbacks): State<Arc<Callbacks>>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::CallbacksRead>,
    mut query: Query,
) -> Result<Json<SlotsView>, Problem> {
    let span = campaign_span(&mut query, LONGEST_SPAN, "14 days");
    let length = query.take("durationMinutes", parse_length);
    query.finish()?;
    let Some((campaign, span)) = span else { return Err(Problem::invalid(Vec::new())) };
    context.require_campaign(&campaign)?;
    let length = length.unwrap_or(SignedDuration::from_hours(1));
    let offered = callbacks.slots.offered(&campaign, span, length, &context.traceparent).await.map_err(problem)?;
    Ok(Json(SlotsView { data: offered.into_iter().map(SlotView::from).collect() }))
}

fn parse_length(text: &str) -> Result<SignedDuration, Fault> {
    let minutes = text.parse().ok().filter(|minutes| (60..=240).contains(minutes));
    let minutes = minutes.ok_or_else(|| Fault::new("out-of-range", "must be a whole number from 60 to 240"))?;
    Ok(SignedDuration::from_mins(minutes))
}

fn problem(error: SlotsError) -> Problem {
    match error {
        SlotsError::Database(error) => error.into(),
        SlotsError::Cxone(CxoneError::NotFound { .. }) => Problem::not_found("campaign"),
        SlotsError::Cxone(error) => Problem::new(ProblemKind::Unavailable, format!("there is no forecast: {error}"))
            .retry_after(RETRY_AFTER_SECONDS),
    }
}
