//! What is asked of CXone and what it answers, in words that know nothing of its wire.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::types::{CampaignId, Language, PhoneNumber, TimeWindow};

/// What a campaign is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
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
    /// As CXone and the audit log write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Paused => "PAUSED",
            Self::Inactive => "INACTIVE",
            Self::Suspended => "SUSPENDED",
        }
    }
}

/// A campaign, as CXone shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialerCampaign {
    /// What it is doing.
    pub state: CampaignState,
    /// Why it is paused, where somebody said so.
    pub pause_reason: Option<String>,
    /// When it is to go on, where somebody said so.
    pub resume_at: Option<Timestamp>,
    /// How many agents it may use.
    pub max_agents: Option<u32>,
    /// How it dials, in CXone's word: sent back as it was read.
    pub dialing_mode: Option<String>,
}

/// One hour of a campaign's forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForecastHour {
    /// The instant at which the hour begins.
    pub hour: Timestamp,
    /// Agents who will be there: finite and not negative. A fraction is of an hour in which some come or go.
    pub available_agents: f64,
    /// Calls that will come in that hour anyway; finite and not negative.
    pub expected_calls: f64,
}

/// A contact to be made: someone to be called, and when.
#[derive(Clone, Debug)]
pub struct NewContact<'a> {
    /// Chosen here, so that the contact can be sent again and is still one.
    pub contact_id: Uuid,
    /// The campaign that will call.
    pub campaign_id: &'a CampaignId,
    /// Who is called.
    pub phone_number: &'a PhoneNumber,
    /// When; must lie in the future.
    pub at: Timestamp,
    /// The caller's language.
    pub language: &'a Language,
    /// When the caller asked to be called.
    pub window: TimeWindow,
    /// After this it is not sent any more.
    pub send_by: Option<Timestamp>,
}

/// What CXone says of a contact that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactAnswer {
    /// This request made it.
    Created,
    /// An earlier request made it, which was never answered.
    Exists {
        /// When it will be called, where CXone says so.
        at: Option<Timestamp>,
    },
}

/// A text message.
#[derive(Clone, Debug)]
pub struct Sms<'a> {
    /// Who gets it.
    pub to: &'a PhoneNumber,
    /// The verified sender.
    pub from: &'a PhoneNumber,
    /// What it says.
    pub message: &'a str,
    /// After this it is not sent any more.
    pub send_by: Option<Timestamp>,
}
