//! `POST /v1/campaigns/{campaignId}/resume`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use validator::{Validate, ValidateArgs as _, ValidationError};

use super::command::{Arrival, CommandRules, CommandView, campaign_of_path};
use super::request_parts::within_carrier_limit;
use super::state::Campaigns;
use crate::audit::Action;
use crate::campaigns::model::{CommandKind, PauseReason};
use crate::http::validation::{Member, Unknown, typed};
use crate::http::{AuthorizedForCampaigns, OptionalJsonBody, PathParam, PreferredWait, Problem, required};
use crate::types::Fault;

/// Lift holds of a campaign, and start it if none is left
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Resume)]
#[validate(context = CommandRules)]
#[validate(schema(function = "agents_within_limit", use_context, skip_on_field_errors = false))]
pub struct ResumeRequest {
    /// If present, the campaign of the path.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    #[validate(custom(function = "campaign_of_path", use_context))]
    campaign_id: Member<String>,
    /// Lift only the holds of this reason; all if absent.
    #[serde(default)]
    #[schema(value_type = Option<PauseReason>)]
    #[validate(custom(function = "pause_reason"))]
    pause_reason: Member<String, PauseReason>,
    /// Lift only this hold; all if absent.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    #[validate(custom(function = "hold_id"))]
    hold_id: Member<String, Uuid>,
    /// At most `carrierLimit.maxAgents` of the settings. If absent, `maxAgents` of the settings, or else the number before
    /// the pause.
    #[serde(default)]
    #[schema(value_type = Option<u32>, example = 25)]
    #[validate(custom(function = "typed"))]
    max_agents: Member<u32>,
    /// Resume in spite of a compliance hold or a closed regulatory window. Requires the scope `campaigns:override`.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    #[validate(custom(function = "typed"))]
    force: Member<bool>,
    #[serde(flatten)]
    #[schema(ignore)]
    #[validate(nested)]
    unknown: Unknown,
}

fn agents_within_limit(request: &ResumeRequest, rules: &CommandRules) -> Result<(), ValidationError> {
    within_carrier_limit(request.max_agents.value().copied(), rules.settings.carrier_limit)
}

fn pause_reason(member: &Member<String, PauseReason>) -> Result<(), ValidationError> {
    member.parse(|text| PauseReason::parse(text))
}

fn hold_id(member: &Member<String, Uuid>) -> Result<(), ValidationError> {
    member.parse(|text| Uuid::try_parse(text).map_err(|_| Fault::new("not-a-uuid", "must be the id of a hold")))
}

impl ResumeRequest {
    /// The command; call it after the validation.
    fn into_command(self) -> CommandKind {
        CommandKind::Resume {
            reason: self.pause_reason.into_parsed(),
            hold_id: self.hold_id.into_parsed(),
            max_agents: self.max_agents.into_value(),
            force: self.force.into_value().unwrap_or_default(),
        }
    }
}

/// Resume a campaign
///
/// Lifts the holds of the given reason, the hold of the given id, or all holds. If none is left the campaign is started,
/// whoever paused it.
#[utoipa::path(post, path = "/v1/campaigns/{campaignId}/resume", operation_id = "resumeCampaign", tag = "Campaigns",
    security(("key" = ["campaigns:write"])), 
    request_body(content = Option<ResumeRequest>, examples(
        ("all" = (summary = "Lift all holds", value = json!({}))),
        ("reason" = (summary = "Lift the holds of a reason", value = json!({"pauseReason": "CARRIER_THROTTLE"}))),
        ("hold" = (summary = "Lift one hold", value = json!({"holdId": "01a1fcff-84aa-720d-83ca-60abacb44d8c"}))),
        ("force" = (summary = "Resume at once", value = json!({"maxAgents": 25, "force": true}))))),
    params(("campaignId" = uuid::Uuid, Path), ("Idempotency-Key" = Option<String>, Header),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: do not wait. `wait=N`: wait N seconds for CXone, 0 to 30; 5 if absent")),
    responses((status = 200, description = "CXone has confirmed the change, or no change was necessary", body = CommandView),
        (status = 202, description = "The holds are lifted; CXone has not confirmed the change yet", body = CommandView,
            headers(("Location" = String), ("Retry-After" = u32))),
        (status = 404),
        (status = 409, description = "`hold-in-force` or `outside-regulatory-window`, with `nextOpening`; or `campaign-not-running`"),
        (status = 422)))]
pub async fn resume(
    State(campaigns): State<Campaigns>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::CampaignsWrite>,
    PathParam(path): PathParam<String>,
    wait: PreferredWait,
    OptionalJsonBody(request): OptionalJsonBody<ResumeRequest>,
) -> Result<Response, Problem> {
    let arrival = Arrival::new(&campaigns, path, context).await?;
    let validated = request.validate_with_args(&arrival.rules());
    let id = arrival.check(&campaigns, Action::CampaignResumeRefused, validated).await?;
    arrival.execute(&campaigns, &id, request.into_command(), wait, None).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::command::test_support::{fault_codes, rules};
    use super::*;
    use crate::campaigns::model::{CampaignSettings, CarrierLimit};

    #[test]
    fn every_fault_of_a_resume_is_found_at_once() {
        let request = json!({
            "campaignId": 7, "pauseReason": "TIRED", "holdId": "first", "maxAgents": 31, "force": "yes", "when": "now",
        });
        let request: ResumeRequest = serde_json::from_value(request).unwrap();
        let limit = CarrierLimit { max_concurrent_calls: 100, max_agents: 30 };
        let settings = CampaignSettings { carrier_limit: Some(limit), ..CampaignSettings::default() };
        assert_eq!(
            fault_codes(request.validate_with_args(&rules(settings))),
            [
                "/campaignId wrong-type",
                "/force wrong-type",
                "/holdId not-a-uuid",
                "/maxAgents over-carrier-limit",
                "/pauseReason not-a-pause-reason",
                "/when unknown-member",
            ]
        );
    }
}
