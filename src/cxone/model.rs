//! The parameters and results of operations, independent of the format on the wire.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use uuid::Uuid;

use super::budget::Class;
use crate::trace::Traceparent;
use crate::types::{CampaignId, Language, PhoneNumber, TimeWindow};

/// On whose behalf a request is sent.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// Its priority.
    pub class: Class,
    /// The trace that it belongs to.
    pub trace: &'a Traceparent,
}

/// The state of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE")]
pub enum CampaignState {
    /// It dials.
    Active,
    /// It holds still, and can be started.
    Paused,
    /// It is over. Ringback leaves it alone.
    Inactive,
    /// Somebody at CXone stopped it. Ringback leaves it alone.
    Suspended,
}

impl CampaignState {
    /// Its name in CXone and in the audit log.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A campaign as CXone shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialerCampaign {
    /// Its state.
    pub state: CampaignState,
    /// Why it is paused, where that is given.
    pub pause_reason: Option<String>,
    /// When it resumes, where that is given.
    pub resume_at: Option<Timestamp>,
    /// How many agents it may use.
    pub max_agents: Option<u32>,
    /// How it dials. Sent back as it was read.
    pub dialing_mode: Option<String>,
}

/// One hour of a campaign's forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForecastHour {
    /// The instant at which the hour begins.
    pub hour: Timestamp,
    /// Agents that will be available: finite and not negative. A fraction means that some are available for part of the hour.
    pub available_agents: f64,
    /// Calls that are expected besides callbacks: finite and not negative.
    pub expected_calls: f64,
}

/// A contact that is to be created: who is called, and when.
#[derive(Clone, Debug)]
pub struct NewContact<'a> {
    /// Chosen by Ringback, so that a repeated request creates no second contact.
    pub contact_id: Uuid,
    /// The campaign that makes the call.
    pub campaign_id: &'a CampaignId,
    /// Who is called.
    pub phone_number: &'a PhoneNumber,
    /// When. Must be in the future.
    pub at: Timestamp,
    /// The caller's language.
    pub language: &'a Language,
    /// When the caller asked to be called.
    pub window: TimeWindow,
    /// The request is not sent after this.
    pub send_by: Option<Timestamp>,
}

/// How a contact came to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactAnswer {
    /// This request created it.
    Created,
    /// An earlier request, which was not answered, created it.
    Exists {
        /// When it will be called, where CXone shows that.
        at: Option<Timestamp>,
    },
}

/// An SMS.
#[derive(Clone, Debug)]
pub struct Sms<'a> {
    /// The recipient.
    pub to: &'a PhoneNumber,
    /// The verified sender.
    pub from: &'a PhoneNumber,
    /// The text.
    pub message: &'a str,
    /// The request is not sent after this.
    pub send_by: Option<Timestamp>,
}
