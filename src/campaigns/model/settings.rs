//! What operations have set for a campaign.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use utoipa::ToSchema;

use super::answer_rate::AnswerRateGuard;
use super::business_hours::BusinessHours;
use super::regulatory_window;
use crate::cxone::SkillMapping;
use crate::types::{DailyWindow, PhoneNumber};

/// How long a call takes where operations have not said: five minutes.
const DEFAULT_HANDLE_TIME_SECONDS: u32 = 300;

/// What the carrier takes
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CarrierLimit {
    /// At least 1.
    #[schema(minimum = 1, example = 100)]
    pub max_concurrent_calls: u32,
    /// At least 1.
    #[schema(minimum = 1, example = 30)]
    pub max_agents: u32,
}

/// A campaign's settings, as they are kept. Each may be absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CampaignSettings {
    /// How many agents it may use.
    pub max_agents: Option<u32>,
    /// What the carrier takes.
    pub carrier_limit: Option<CarrierLimit>,
    /// The hours of every day in which it may dial.
    #[serde(with = "regulatory_window::kept")]
    pub regulatory_window: Option<DailyWindow>,
    /// Whether Ringback pauses it by itself when the window closes, and starts it when the window opens.
    pub enforce_regulatory_window: bool,
    /// When the answer rate pauses it.
    pub answer_rate: Option<AnswerRateGuard>,
    /// When callers may be called back; always, where absent.
    pub business_hours: Option<BusinessHours>,
    /// How long an agent is busy with a call, in seconds.
    pub average_handle_time_seconds: Option<u32>,
    /// The verified sender of its texts; the service's own where absent.
    pub sms_from: Option<PhoneNumber>,
    /// The channel of its texts, where CXone sends by channels; the service's own where absent.
    pub sms_channel_id: Option<String>,
    /// Whether a number is looked up in CXone's do-not-call lists before it is called.
    pub check_do_not_call: bool,
    /// Its skills, where CXone has skills.
    pub nice: Option<SkillMapping>,
}

impl CampaignSettings {
    /// How long an agent is busy with a call.
    pub fn handle_time(&self) -> Duration {
        Duration::from_secs(self.average_handle_time_seconds.unwrap_or(DEFAULT_HANDLE_TIME_SECONDS).into())
    }

    /// As the audit log keeps them.
    pub fn masked(&self) -> Value {
        let mut settings = json!(self);
        settings["smsFrom"] = json!(self.sms_from.as_ref().map(PhoneNumber::masked));
        settings
    }
}
