//! `POST /v1/campaigns/{campaignId}/pause`.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::{Validate, ValidateArgs as _, ValidationError};

use super::command::{Arrival, CommandRules, CommandView, campaign_of_path, incomplete};
use super::request_parts::{CarrierLimitRequest, RegulatoryWindowRequest, within_carrier_limit};
use super::state::Campaigns;
use crate::audit::{Action, Actor};
use crate::campaigns::model::{
    CarrierLimit, CommandKind, Counts, Hold, PauseReason, RegulatoryWindowView, Trigger, first_open,
};
use crate::campaigns::store::CommandContext;
use crate::http::validation::{Member, Unknown, fault_at, typed};
use crate::http::{AuthorizedForCampaigns, JsonBody, PathParam, PreferredWait, Problem, RequestContext, required};
use crate::types::{Fault, parse_instant};

/// Pause a campaign: places a hold
#[expect(clippy::duplicated_attributes, reason = "each rule of the whole object has its own options")]
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Pause)]
#[validate(context = CommandRules)]
#[validate(schema(function = "a_compliance_hold_has_an_end", skip_on_field_errors = false))]
#[validate(schema(function = "agents_within_limit", use_context, skip_on_field_errors = false))]
pub struct PauseRequest {
    /// If present, the campaign of the path.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    #[validate(custom(function = "campaign_of_path", use_context))]
    campaign_id: Member<String>,
    #[serde(default)]
    #[schema(value_type = PauseReason, required)]
    #[validate(required, custom(function = "pause_reason"))]
    pause_reason: Member<String, PauseReason>,
    /// A compliance hold is only lifted before its end with the scope `campaigns:override`. It requires a
    /// `scheduledResumeTime`. Implied by the pause reason `COMPLIANCE_HOLD`.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    #[validate(custom(function = "typed"))]
    compliance_hold: Member<bool>,
    /// When the hold ends; never if absent. If the regulatory window is closed then, the hold ends at its next opening.
    #[serde(default)]
    #[schema(value_type = Option<Timestamp>)]
    #[validate(custom(function = "future_instant", use_context))]
    scheduled_resume_time: Member<String, Timestamp>,
    /// At most `carrierLimit.maxAgents`. Required unless the settings of the campaign have it.
    #[serde(default)]
    #[schema(value_type = Option<u32>, example = 25)]
    #[validate(custom(function = "max_agents_or_setting", use_context))]
    max_agents: Member<u32>,
    /// Required unless the settings of the campaign have it.
    #[serde(default)]
    #[schema(value_type = Option<RegulatoryWindowView>)]
    #[validate(custom(function = "window_or_setting", use_context), nested)]
    regulatory_window: Member<RegulatoryWindowRequest>,
    /// Required unless the settings of the campaign have it.
    #[serde(default)]
    #[schema(value_type = Option<CarrierLimit>)]
    #[validate(custom(function = "limit_or_setting", use_context), nested)]
    carrier_limit: Member<CarrierLimitRequest>,
    #[serde(flatten)]
    #[schema(ignore)]
    #[validate(nested)]
    unknown: Unknown,
}

fn pause_reason(member: &Member<String, PauseReason>) -> Result<(), ValidationError> {
    member.parse(|text| PauseReason::parse(text))
}

fn future_instant(member: &Member<String, Timestamp>, rules: &CommandRules) -> Result<(), ValidationError> {
    member.parse(|text| match parse_instant(text)? {
        at if at > rules.now => Ok(at),
        _ => Err(Fault::new("in-the-past", "must lie in the future")),
    })
}

fn max_agents_or_setting(member: &Member<u32>, rules: &CommandRules) -> Result<(), ValidationError> {
    required_unless(rules.settings.max_agents.is_some(), member)?;
    typed(member)
}

fn window_or_setting(member: &Member<RegulatoryWindowRequest>, rules: &CommandRules) -> Result<(), ValidationError> {
    required_unless(rules.settings.regulatory_window.is_some(), member)
}

fn limit_or_setting(member: &Member<CarrierLimitRequest>, rules: &CommandRules) -> Result<(), ValidationError> {
    required_unless(rules.settings.carrier_limit.is_some(), member)
}

fn required_unless<T>(has_setting: bool, member: &Member<T>) -> Result<(), ValidationError> {
    if has_setting || !member.is_absent() {
        return Ok(());
    }
    Err(Fault::new("required", "is required because the settings of the campaign do not have it").into())
}

fn a_compliance_hold_has_an_end(request: &PauseRequest) -> Result<(), ValidationError> {
    if request.is_compliance_hold() && request.scheduled_resume_time.is_absent() {
        return Err(fault_at("scheduledResumeTime", Fault::new("required", "is required for a compliance hold")));
    }
    Ok(())
}

fn agents_within_limit(request: &PauseRequest, rules: &CommandRules) -> Result<(), ValidationError> {
    let max_agents = request.max_agents.value().copied().or(rules.settings.max_agents);
    let limit = request.carrier_limit.value().and_then(CarrierLimitRequest::limit);
    within_carrier_limit(max_agents, limit.or(rules.settings.carrier_limit))
}

/// The hold of a pause, and the requested resume time if it had to be moved.
#[derive(Debug)]
struct Pause {
    hold: Hold,
    resume_deferred_from: Option<Timestamp>,
}

impl PauseRequest {
    fn is_compliance_hold(&self) -> bool {
        self.compliance_hold.value().copied().unwrap_or_default()
            || self.pause_reason.parsed() == Some(&PauseReason::ComplianceHold)
    }

    /// The hold to place; `None` unless the request was validated.
    fn into_pause(self, known: &CommandContext, context: &RequestContext) -> Option<Pause> {
        let compliance = self.is_compliance_hold();
        let requested_end = self.scheduled_resume_time.parsed().copied();
        let window = self.regulatory_window.value().and_then(RegulatoryWindowRequest::window);
        let ends_at = requested_end.map(|end| {
            let is_overridden = known.override_until.is_some_and(|until| end < until);
            let of_settings = known.settings.regulatory_window.as_ref().filter(|_| !is_overridden);
            first_open(&window.iter().chain(of_settings).collect::<Vec<_>>(), end)
        });
        let hold = Hold {
            id: context.resource.id,
            reason: self.pause_reason.into_parsed()?,
            compliance,
            triggered_by: Trigger::ManualPause,
            placed_by: Actor::caller(&context.caller),
            placed_at: context.arrived_at,
            ends_at,
            max_agents: self.max_agents.into_value().or(known.settings.max_agents),
            regulatory_window: window,
            request_id: Some(context.request_id.clone()),
            affected_callbacks: None,
            counts: Counts::default(),
            revision: 0,
        };
        Some(Pause { hold, resume_deferred_from: requested_end.filter(|end| ends_at != Some(*end)) })
    }
}

/// Pause a campaign
///
/// Places a hold. The same pause from the same API key refreshes its hold. The campaign does not dial while a hold is left.
/// When the last hold ends, the campaign is started if Ringback paused it.
#[utoipa::path(post, path = "/v1/campaigns/{campaignId}/pause", operation_id = "pauseCampaign", tag = "Campaigns",
    security(("key" = ["campaigns:write"])), 
    request_body(content = PauseRequest, examples(
        ("throttle" = (summary = "With an end", value = json!({
            "pauseReason": "CARRIER_THROTTLE", "complianceHold": false,
            "scheduledResumeTime": "2026-11-20T18:00:00-05:00", "maxAgents": 25,
            "regulatoryWindow": {"startTime": "09:00", "endTime": "21:00", "timezone": "America/New_York"},
            "carrierLimit": {"maxConcurrentCalls": 100, "maxAgents": 30}}))),
        ("compliance" = (summary = "A compliance hold", value = json!({
            "pauseReason": "COMPLIANCE_HOLD", "scheduledResumeTime": "2026-11-20T18:00:00-05:00", "maxAgents": 25,
            "regulatoryWindow": {"startTime": "09:00", "endTime": "21:00", "timezone": "America/New_York"},
            "carrierLimit": {"maxConcurrentCalls": 100, "maxAgents": 30}}))))),
    params(("campaignId" = uuid::Uuid, Path), ("Idempotency-Key" = Option<String>, Header),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: do not wait. `wait=N`: wait N seconds for CXone, 0 to 30; 5 if absent")),
    responses((status = 200, description = "CXone has confirmed the change, or was paused already", body = CommandView),
        (status = 202, description = "The hold is stored; CXone has not confirmed the change yet", body = CommandView,
            headers(("Location" = String), ("Retry-After" = u32))),
        (status = 404, description = "CXone does not know the campaign; no hold is stored"),
        (status = 409, description = "`campaign-not-running`; no hold is stored"), (status = 422)))]
pub async fn pause(
    State(campaigns): State<Campaigns>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::CampaignsWrite>,
    PathParam(path): PathParam<String>,
    wait: PreferredWait,
    JsonBody(request): JsonBody<PauseRequest>,
) -> Result<Response, Problem> {
    let arrival = Arrival::new(&campaigns, path, context).await?;
    let validated = request.validate_with_args(&arrival.rules());
    let id = arrival.check(&campaigns, Action::CampaignPauseRefused, validated).await?;
    let pause = request.into_pause(&arrival.known, &arrival.context).ok_or_else(incomplete)?;
    let command = CommandKind::Pause(Box::new(pause.hold));
    arrival.execute(&campaigns, &id, command, wait, pause.resume_deferred_from).await
}

#[cfg(test)]
#[path = "pause_test.rs"]
mod tests;
