//! Why a callback is called when it is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use strum::EnumMessage as _;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::callbacks::intake::Callbacks;
use crate::callbacks::store::Placed;
use crate::http::{AuthorizedForCampaigns, PathParam, Problem, required};
use crate::placement::{Candidate, Choice};

/// How the dispatch time of a callback was last chosen
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Placement, example = json!({
    "callbackId": "01a1fcff-84aa-720d-83ca-60abacb44d8c", "decidedAt": "2026-11-20T14:00:00Z",
    "dispatchTime": "2026-11-20T16:22:00Z", "forecastVersion": "5f2c9a4be1d07763", "planVersion": 412,
    "plannedAt": "2026-11-20T13:58:11Z", "averageHandleTimeSeconds": 360.0,
    "reason": "The plan keeps the most places for windows like this one in this hour.",
    "hours": [
        {"hour": "2026-11-20T15:00:00Z", "availableAgents": 40.0, "expectedCalls": 180.0, "placed": 61, "planned": 112.5,
         "plannedForWindow": 0.0, "marginalCostSeconds": 21.4, "chosen": false},
        {"hour": "2026-11-20T16:00:00Z", "availableAgents": 44.0, "expectedCalls": 175.0, "placed": 80, "planned": 131.0,
         "plannedForWindow": 17.5, "marginalCostSeconds": 20.9, "chosen": true}]}))]
pub struct PlacementView {
    callback_id: Uuid,
    decided_at: Timestamp,
    /// As it was chosen then. A change that CXone refused later does not show here.
    dispatch_time: Timestamp,
    /// Names the forecast: equal forecasts have the same version. Null if CXone had none.
    #[schema(required)]
    forecast_version: Option<String>,
    /// Counts the plans of the campaign. Null if it had no current plan.
    #[schema(required)]
    plan_version: Option<i64>,
    #[schema(required)]
    planned_at: Option<Timestamp>,
    /// What a call was expected to take.
    average_handle_time_seconds: f64,
    /// One sentence.
    reason: String,
    /// The hours of the window, in order of time.
    #[schema(max_items = 8)]
    hours: Vec<PlacementHourView>,
}

/// An hour in which the callback could have been placed
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PlacementHour)]
struct PlacementHourView {
    hour: Timestamp,
    available_agents: f64,
    /// Besides callbacks.
    expected_calls: f64,
    /// The other callbacks that were placed in it.
    placed: u32,
    /// The places that the plan kept in it for expected requests.
    planned: f64,
    /// Those of them for windows that overlap the same hours.
    planned_for_window: f64,
    /// The seconds that a call more makes all calls of the hour wait, with those placed and planned counted. Null without agents.
    #[schema(required)]
    marginal_cost_seconds: Option<f64>,
    chosen: bool,
}

impl PlacementView {
    fn new(callback_id: Uuid, placed: Placed) -> Self {
        let Placed { decided_at, decision } = placed;
        let (inputs, choice) = (decision.inputs, decision.choice);
        let hours = inputs.hours.iter().map(|hour| PlacementHourView::new(hour, choice, inputs.handle_seconds));
        Self {
            callback_id,
            decided_at,
            dispatch_time: choice.dispatch_time,
            hours: hours.collect(),
            forecast_version: inputs.forecast,
            plan_version: inputs.plan.map(|plan| plan.version),
            planned_at: inputs.plan.map(|plan| plan.planned_at),
            average_handle_time_seconds: inputs.handle_seconds,
            reason: choice.reason.get_message().unwrap_or_default().to_owned(),
        }
    }
}

impl PlacementHourView {
    fn new(candidate: &Candidate, choice: Choice, handle_seconds: f64) -> Self {
        Self {
            hour: candidate.hour,
            available_agents: candidate.available_agents,
            expected_calls: candidate.expected_calls,
            placed: candidate.placed,
            planned: candidate.planned,
            planned_for_window: candidate.own,
            marginal_cost_seconds: candidate.marginal_cost(handle_seconds),
            chosen: candidate.hour == choice.hour,
        }
    }
}

/// Explain the dispatch time of a callback
///
/// What was known when it was chosen: the forecast, the callbacks placed before, and the places that the plan kept for expected
/// requests. 404 until the callback is placed. See `docs/dispatch.md`.
#[utoipa::path(get, path = "/v1/callbacks/{id}/placement", operation_id = "getPlacement", tag = "Callbacks",
    security(("key" = ["callbacks:read"])),
    params(("id" = Uuid, Path)),
    responses((status = 200, body = PlacementView), (status = 404)))]
pub(super) async fn placement(
    State(callbacks): State<Arc<Callbacks>>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::CallbacksRead>,
    PathParam(id): PathParam<Uuid>,
) -> Result<Json<PlacementView>, Problem> {
    let callback = callbacks.store.find(id).await?.ok_or_else(|| Problem::not_found("callback"))?;
    context.require_campaign(&callback.campaign_id)?;
    let placed = callbacks.store.placement(id).await?.ok_or_else(|| Problem::not_found("placement"))?;
    Ok(Json(PlacementView::new(id, placed)))
}
