//! Settings, as they are shown.

use serde::Serialize;
use utoipa::ToSchema;

use crate::campaigns::model::{
    AnswerRateGuard, BusinessHoursView, CampaignSettings, CarrierLimit, RegulatoryWindowView,
};
use crate::cxone::SkillMapping;
use crate::types::PhoneNumber;

/// The settings of a campaign
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CampaignSettings)]
pub struct SettingsView {
    /// The number of agents of the campaign; null: as set in CXone.
    #[schema(required, example = 25)]
    max_agents: Option<u32>,
    /// The limits of the carrier.
    #[schema(required)]
    carrier_limit: Option<CarrierLimit>,
    /// The hours of each day in which the campaign may dial; null: all.
    #[schema(required)]
    regulatory_window: Option<RegulatoryWindowView>,
    /// Whether Ringback pauses the campaign when the regulatory window closes, and starts it when the window opens.
    enforce_regulatory_window: bool,
    /// When a low answer rate pauses the campaign; null: never.
    #[schema(required)]
    answer_rate: Option<AnswerRateGuard>,
    /// When callers may be called back; null: at any time.
    #[schema(required)]
    business_hours: Option<BusinessHoursView>,
    /// How long an agent is busy with a call, in seconds; null: 300.
    #[schema(required, example = 300)]
    average_handle_time_seconds: Option<u32>,
    /// The verified sender of text messages; null: `SMS_FROM`.
    #[schema(required, value_type = Option<String>, example = "+18005551234")]
    sms_from: Option<PhoneNumber>,
    /// The channel of text messages, where CXone sends by channels; null: `SMS_CHANNEL_ID`.
    #[schema(required, example = "sms_1")]
    sms_channel_id: Option<String>,
    /// Whether a number is looked up in CXone's do-not-call lists before it is called.
    check_do_not_call: bool,
    /// The skills of the campaign, for `CXONE_API=nice`.
    #[schema(required)]
    nice: Option<SkillMapping>,
}

impl From<&CampaignSettings> for SettingsView {
    fn from(settings: &CampaignSettings) -> Self {
        Self {
            max_agents: settings.max_agents,
            carrier_limit: settings.carrier_limit,
            regulatory_window: settings.regulatory_window.as_ref().map(RegulatoryWindowView::from),
            enforce_regulatory_window: settings.enforce_regulatory_window,
            answer_rate: settings.answer_rate,
            business_hours: settings.business_hours.as_ref().map(BusinessHoursView::from),
            average_handle_time_seconds: settings.average_handle_time_seconds,
            sms_from: settings.sms_from.clone(),
            sms_channel_id: settings.sms_channel_id.clone(),
            check_do_not_call: settings.check_do_not_call,
            nice: settings.nice.clone(),
        }
    }
}
