//! `GET` and `PUT /v1/campaigns/{campaignId}/settings`.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use validator::{Validate, ValidateArgs as _, ValidationError};

use super::business_hours::BusinessHoursRequest;
use super::request_parts::{CarrierLimitRequest, RegulatoryWindowRequest, within_carrier_limit};
use super::settings_view::SettingsView;
use super::skills::{SkillMappingRequest, verify_at_cxone};
use super::state::Campaigns;
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::campaigns::model::{
    AnswerRateGuard, AnswerRateSource, BusinessHoursView, CampaignSettings, CarrierLimit, RegulatoryWindowView,
};
use crate::campaigns::store::Saved;
use crate::http::validation::{JsonType, Member, Unknown, fault_at, typed, valid};
use crate::http::{
    AuthorizedForCampaigns, JsonBody, PathParam, Preconditions, Problem, ProblemKind, RequestContext, not_modified,
    required, tagged,
};
use crate::types::{CampaignId, Fault, PhoneNumber, Region};

const DAY_MS: u32 = 24 * 3600 * 1000;

/// New settings of a campaign. They replace all settings; a member that is left out is unset
#[expect(clippy::duplicated_attributes, reason = "each rule of the whole object has its own options")]
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewCampaignSettings)]
#[validate(context = Region)]
#[validate(schema(function = "agents_within_limit", skip_on_field_errors = false))]
#[validate(schema(function = "an_enforced_window_is_given", skip_on_field_errors = false))]
pub struct SettingsRequest {
    /// At most `carrierLimit.maxAgents`.
    #[serde(default)]
    #[schema(value_type = Option<u32>, example = 25)]
    #[validate(custom(function = "typed"))]
    max_agents: Member<u32>,
    #[serde(default)]
    #[schema(value_type = Option<CarrierLimit>)]
    #[validate(nested)]
    carrier_limit: Member<CarrierLimitRequest>,
    #[serde(default)]
    #[schema(value_type = Option<RegulatoryWindowView>)]
    #[validate(nested)]
    regulatory_window: Member<RegulatoryWindowRequest>,
    /// Requires a `regulatoryWindow`.
    #[serde(default)]
    #[schema(value_type = Option<bool>, example = false)]
    #[validate(custom(function = "typed"))]
    enforce_regulatory_window: Member<bool>,
    #[serde(default)]
    #[schema(value_type = Option<AnswerRateRequest>)]
    #[validate(nested)]
    answer_rate: Member<AnswerRateRequest>,
    #[serde(default)]
    #[schema(value_type = Option<BusinessHoursView>)]
    #[validate(nested)]
    business_hours: Member<BusinessHoursRequest>,
    /// 1 to 14400.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 14400, example = 300)]
    #[validate(range(min = 1, max = 14_400))]
    average_handle_time_seconds: Member<u32>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "+18005551234")]
    #[validate(custom(function = "phone_number", use_context))]
    sms_from: Member<String, PhoneNumber>,
    /// 1 to 100 printable characters.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, example = "sms_1")]
    #[validate(custom(function = "channel"))]
    sms_channel_id: Member<String>,
    #[serde(default)]
    #[schema(value_type = Option<bool>, example = false)]
    #[validate(custom(function = "typed"))]
    check_do_not_call: Member<bool>,
    #[serde(default)]
    #[schema(value_type = Option<SkillMappingRequest>)]
    #[validate(nested)]
    nice: Member<SkillMappingRequest>,
    #[serde(flatten)]
    #[schema(ignore)]
    #[validate(nested)]
    unknown: Unknown,
}

/// The answer rate guard, as it is sent. Replicas share their counts a few times a second, hence the shortest window.
#[derive(Clone, Debug, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewAnswerRateGuard)]
struct AnswerRateRequest {
    /// Whether a low answer rate pauses the campaign; it does by default.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    #[validate(custom(function = "typed"))]
    enabled: Member<bool>,
    /// The length of the sliding window, in milliseconds.
    #[serde(default)]
    #[schema(value_type = u32, required, minimum = 1_000, maximum = 86_400_000, example = 300_000)]
    #[validate(required, range(min = 1_000, max = DAY_MS))]
    window_ms: Member<u32>,
    /// Answers / attempts; a lower rate pauses the campaign.
    #[serde(default)]
    #[schema(value_type = f64, required, minimum = 0, maximum = 1, example = 0.35)]
    #[validate(required, range(min = 0.0, max = 1.0))]
    min_answer_rate: Member<f64>,
    /// With fewer attempts in the window the campaign is never paused.
    #[serde(default)]
    #[schema(value_type = u32, required, minimum = 1, example = 100)]
    #[validate(required, range(min = 1))]
    min_attempts: Member<u32>,
    /// How long the campaign is paused, in milliseconds.
    #[serde(default)]
    #[schema(value_type = u32, required, minimum = 100, maximum = 86_400_000, example = 600_000)]
    #[validate(required, range(min = 100, max = DAY_MS))]
    pause_for_ms: Member<u32>,
    /// Where attempts and answers come from; `events` by default. `cxone`: 409 `no-answer-rates` where the API of CXone in use
    /// reports none. It reports calls by quarter hours and late: they count when they are read, minutes after they were made.
    #[serde(default)]
    #[schema(value_type = Option<AnswerRateSource>)]
    #[validate(custom(function = "source"))]
    source: Member<String>,
    #[serde(flatten)]
    #[schema(ignore)]
    #[validate(nested)]
    unknown: Unknown,
}

impl JsonType for AnswerRateRequest {
    const NAME: &'static str = "an object";
}

impl AnswerRateRequest {
    /// The guard; call it after the validation.
    fn guard(&self) -> Option<AnswerRateGuard> {
        Some(AnswerRateGuard {
            enabled: self.enabled.value().copied().unwrap_or(true),
            window_ms: *self.window_ms.value()?,
            min_answer_rate: *self.min_answer_rate.value()?,
            min_attempts: *self.min_attempts.value()?,
            pause_for_ms: *self.pause_for_ms.value()?,
            source: self.source.value().and_then(|text| text.parse().ok()).unwrap_or_default(),
        })
    }
}

fn source(member: &Member<String>) -> Result<(), ValidationError> {
    member.check(|text| match text.parse::<AnswerRateSource>() {
        Ok(_) => Ok(()),
        Err(_) => Err(Fault::new("unknown-source", "must be events or cxone")),
    })
}

fn agents_within_limit(request: &SettingsRequest) -> Result<(), ValidationError> {
    let limit = request.carrier_limit.value().and_then(CarrierLimitRequest::limit);
    within_carrier_limit(request.max_agents.value().copied(), limit)
}

fn an_enforced_window_is_given(request: &SettingsRequest) -> Result<(), ValidationError> {
    if request.enforce_regulatory_window.value() == Some(&true) && request.regulatory_window.is_absent() {
        let fault = Fault::new("needs-regulatory-window", "requires a regulatoryWindow");
        return Err(fault_at("enforceRegulatoryWindow", fault));
    }
    Ok(())
}

fn phone_number(member: &Member<String, PhoneNumber>, region: &Region) -> Result<(), ValidationError> {
    member.parse(|text| PhoneNumber::parse(text, region))
}

fn channel(member: &Member<String>) -> Result<(), ValidationError> {
    member.check(|text| {
        let is_printable = (1..=100).contains(&text.chars().count()) && !text.contains(char::is_control);
        if is_printable {
            Ok(())
        } else {
            Err(Fault::new("invalid-channel", "must have 1 to 100 printable characters"))
        }
    })
}

impl SettingsRequest {
    /// The settings.
    ///
    /// # Errors
    /// A 422 with every fault.
    pub(super) fn parse(self, region: &Region) -> Result<CampaignSettings, Problem> {
        valid(self.validate_with_args(region))?;
        Ok(CampaignSettings {
            max_agents: self.max_agents.into_value(),
            carrier_limit: self.carrier_limit.value().and_then(CarrierLimitRequest::limit),
            regulatory_window: self.regulatory_window.value().and_then(RegulatoryWindowRequest::window),
            enforce_regulatory_window: self.enforce_regulatory_window.into_value().unwrap_or_default(),
            answer_rate: self.answer_rate.value().and_then(AnswerRateRequest::guard),
            business_hours: self.business_hours.value().and_then(BusinessHoursRequest::hours),
            average_handle_time_seconds: self.average_handle_time_seconds.into_value(),
            sms_from: self.sms_from.into_parsed(),
            sms_channel_id: self.sms_channel_id.into_value(),
            check_do_not_call: self.check_do_not_call.into_value().unwrap_or_default(),
            nice: self.nice.value().and_then(SkillMappingRequest::mapping),
        })
    }
}

/// Get the settings of a campaign
///
/// A campaign whose settings were never set has the defaults, with the `ETag` `"0"`.
#[utoipa::path(get, path = "/v1/campaigns/{campaignId}/settings", operation_id = "getCampaignSettings",
    tag = "Campaigns", security(("key" = ["campaigns:read"])),
    params(("campaignId" = String, Path), ("If-None-Match" = Option<String>, Header, description = "`ETag`s that the client has")),
    responses((status = 200, body = SettingsView, headers(("ETag" = String))),
        (status = 304, description = "The client has the current settings", headers(("ETag" = String))), (status = 422)))]
pub async fn get_settings(
    State(campaigns): State<Campaigns>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::CampaignsRead>,
    PathParam(campaign): PathParam<String>,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    let campaign = campaign_id(&campaign)?;
    context.require_campaign(&campaign)?;
    let (settings, version) = campaigns.settings.with_version(&campaign).await?;
    if preconditions.is_known(version) {
        return Ok(not_modified(version));
    }
    Ok(tagged(SettingsView::from(&settings), version))
}

/// Set the settings of a campaign
///
/// Replaces all settings. With `If-Match`, only if the current settings still have that `ETag`. A key that is restricted to campaigns
/// cannot change `nice`: the skills of CXone may be those of another campaign.
#[utoipa::path(put, path = "/v1/campaigns/{campaignId}/settings", operation_id = "putCampaignSettings",
    tag = "Campaigns", security(("key" = ["campaigns:write"])), 
    request_body(content = SettingsRequest, example = json!({
        "maxAgents": 25, "carrierLimit": {"maxConcurrentCalls": 100, "maxAgents": 30},
        "regulatoryWindow": {"startTime": "09:00", "endTime": "21:00", "timezone": "America/New_York"},
        "enforceRegulatoryWindow": false,
        "answerRate": {"enabled": true, "windowMs": 300_000, "minAnswerRate": 0.35, "minAttempts": 100,
            "pauseForMs": 600_000, "source": "events"},
        "businessHours": {"timezone": "America/New_York",
            "days": [{"day": "MONDAY", "startTime": "09:00", "endTime": "17:00"}]},
        "averageHandleTimeSeconds": 300, "smsFrom": "+18005551234", "smsChannelId": "sms_1", "checkDoNotCall": false,
        "nice": {"skillId": 4001, "campaignId": 101, "skillIds": [4001]}})),
    params(("campaignId" = String, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` of the settings to replace"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag`s of settings not to replace")),
    responses((status = 200, body = SettingsView, headers(("ETag" = String))),
        (status = 409, description = "`no-do-not-call-lists`, `no-answer-rates`"), (status = 412, description = "`settings-changed`"), (status = 422)))]
pub async fn put_settings(
    State(campaigns): State<Campaigns>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::CampaignsWrite>,
    PathParam(campaign): PathParam<String>,
    preconditions: Preconditions,
    JsonBody(request): JsonBody<SettingsRequest>,
) -> Result<Response, Problem> {
    let campaign = campaign_id(&campaign)?;
    context.require_campaign(&campaign)?;
    let settings = request.parse(&campaigns.region)?;
    campaigns.keep_skills(&campaign, &settings, &context).await?;
    verify_at_cxone(&campaigns.cxone, &settings, &context).await?;
    let (id, now, actor) = (context.clock.new_id(), context.clock.now(), Actor::caller(&context.caller));
    let entry = Entry {
        campaign_id: Some(campaign.to_string()),
        request_id: Some(context.request_id),
        ..Entry::new(id, now, Action::SettingsUpdated, actor, Outcome::Succeeded)
            .with_detail(&SettingsDetail { settings: settings.masked() })
    };
    let replaced = campaigns.replaced_version(&campaign, &preconditions).await?;
    match campaigns.settings.save(&campaign, &settings, replaced, now, entry).await? {
        Saved::As(version) => {
            campaigns.worker.wake();
            Ok(tagged(SettingsView::from(&settings), version))
        }
        Saved::Stale => Err(settings_changed()),
    }
}

impl Campaigns {
    /// Refuses other skills of CXone to a key that is restricted to campaigns: they may be those of another campaign.
    async fn keep_skills(
        &self,
        id: &CampaignId,
        settings: &CampaignSettings,
        context: &RequestContext,
    ) -> Result<(), Problem> {
        if !context.caller.campaigns.is_restricted() || self.settings.with_version(id).await?.0.nice == settings.nice {
            return Ok(());
        }
        let detail = "an API key that is restricted to campaigns cannot change nice, the skills of CXone";
        Err(Problem::new(ProblemKind::CampaignNotAllowed, detail))
    }

    /// The version that a PUT replaces; any if it has no precondition.
    async fn replaced_version(&self, id: &CampaignId, preconditions: &Preconditions) -> Result<Option<i64>, Problem> {
        if !preconditions.any() {
            return Ok(None);
        }
        let (_, version) = self.settings.with_version(id).await?;
        if preconditions.allow_replacing(version) { Ok(Some(version)) } else { Err(settings_changed()) }
    }
}

fn settings_changed() -> Problem {
    let detail = "the condition in If-Match or If-None-Match is false for the current settings; an entity tag is in double quotes";
    Problem::new(ProblemKind::SettingsChanged, detail)
}

/// The detail of updated settings in the audit log.
#[derive(Serialize)]
struct SettingsDetail {
    settings: Value,
}

fn campaign_id(text: &str) -> Result<CampaignId, Problem> {
    CampaignId::parse(text).map_err(|fault| Problem::fault("/campaignId", fault))
}

#[cfg(test)]
#[path = "settings_test.rs"]
mod tests;
