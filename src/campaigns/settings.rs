//! What operations have set for a campaign.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::business_hours::BusinessHours;
use crate::types::PhoneNumber;

/// How long a call takes where operations have not said: five minutes.
const DEFAULT_HANDLE_TIME_SECONDS: u32 = 300;

/// A campaign's settings, as they are kept. Each may be absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CampaignSettings {
    /// When callers may be called back; always, where absent.
    pub business_hours: Option<BusinessHours>,
    /// How long an agent is busy with a call, in seconds.
    pub average_handle_time_seconds: Option<u32>,
    /// The verified sender of its texts; the service's own where absent.
    pub sms_from: Option<PhoneNumber>,
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
