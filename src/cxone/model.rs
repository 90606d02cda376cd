//! The parameters and results of operations, independent of the format on the wire.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use strum::IntoStaticStr;
use uuid::Uuid;

use super::budget::Class;
use super::error::CxoneError;
use super::gate::StillWanted;
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
    /// It dials, except for a part that Ringback has stopped.
    pub is_partly_started: bool,
    /// Whether CXone shows the reason of a pause that had one.
    pub keeps_reasons: bool,
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

/// Whole hours. The end is not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourRange {
    pub start: Timestamp,
    pub end: Timestamp,
}

/// CXone's id of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactId {
    /// The id of the callback, which CXone has taken over.
    Own(Uuid),
    /// A number that CXone has chosen.
    Number(i64),
}

impl ContactId {
    /// The number, where CXone has chosen one.
    pub fn number(self) -> Option<i64> {
        match self {
            Self::Own(_) => None,
            Self::Number(number) => Some(number),
        }
    }
}

impl fmt::Display for ContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(id) => write!(f, "{id}"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl Serialize for ContactId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A contact that is to be created: who is called, and when.
#[derive(Clone)]
pub struct NewContact<'a> {
    /// The callback for which it is created. No callback ever has two contacts.
    pub callback_id: Uuid,
    /// Whether an earlier request may have created it, or may still do so.
    pub may_exist: bool,
    /// The campaign that makes the call.
    pub campaign_id: &'a CampaignId,
    /// The skill of CXone that makes the call, where it has been chosen. The settings of the campaign may name another by now.
    pub skill: Option<i64>,
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
    /// No request that changes something is sent where the answer is no.
    pub still_wanted: &'a dyn StillWanted,
}

/// How a contact came to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContactAnswer {
    /// This request created it.
    Created {
        /// Its id.
        contact: ContactId,
    },
    /// CXone has no contact for the callback and none was created, because the start has passed.
    Absent,
    /// An earlier request, which was not answered, created it.
    Exists {
        /// Its id.
        contact: ContactId,
        /// When it will be called, where CXone shows that.
        at: Option<Timestamp>,
        /// CXone's numbers of further contacts that were found, and deleted.
        deleted: Vec<i64>,
    },
}

/// What became of a contact that was to be withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// CXone has no contact for the callback any more, and will not call.
    Withdrawn,
    /// CXone has called, or is calling.
    Called,
}

/// The sender of an SMS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SmsSender<'a> {
    /// A verified number.
    Number(&'a PhoneNumber),
    /// A channel of CXone.
    Channel(&'a str),
}

/// The skills of CXone that belong to a campaign
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkillMapping {
    /// The outbound skill that takes the callbacks.
    #[schema(minimum = 1, example = 4001)]
    pub skill_id: i64,
    /// The campaign of CXone. Its skills are paused and resumed, unless `skillIds` names them.
    #[schema(minimum = 1, example = 100)]
    #[serde(default)]
    pub campaign_id: Option<i64>,
    /// The skills that are paused and resumed.
    #[schema(max_items = 100, example = json!([4001]))]
    #[serde(default)]
    pub skill_ids: Vec<i64>,
}

/// An SMS.
#[derive(Clone)]
pub struct Sms<'a> {
    /// The recipient.
    pub to: &'a PhoneNumber,
    /// The sender.
    pub from: SmsSender<'a>,
    /// The callback that it confirms.
    pub callback_id: Uuid,
    /// A part of the text that no other SMS has.
    pub reference: &'a str,
    /// The text.
    pub message: &'a str,
    /// The request is not sent after this.
    pub send_by: Option<Timestamp>,
    /// It is not sent where the answer is no.
    pub still_wanted: &'a dyn StillWanted,
}

/// One check of a tenant.
#[derive(Debug)]
pub struct Check {
    /// What is checked.
    pub name: &'static str,
    /// What the answer shows, without secrets and personal data; or why there is none.
    pub result: Result<String, CxoneError>,
}

/// The hours of a skill, and what is different in CXone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SkillHours {
    /// The skill.
    pub skill_id: i64,
    /// The wanted start of each day, `HH:MM` in the zone of the business unit.
    pub start_time: String,
    /// The wanted end of each day.
    pub end_time: String,
    /// The settings that differ, each with its value in CXone.
    pub differences: Vec<String>,
}

/// A call that CXone has made.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportedCall {
    /// CXone's number of the contact.
    pub contact: i64,
    /// The skill that made it, where CXone says so.
    pub skill: Option<i64>,
    /// The digits of the number that was called.
    pub to_digits: String,
    pub started_at: Timestamp,
    /// Whether an agent had it.
    pub has_agent: bool,
    /// How long.
    pub agent_seconds: Option<u32>,
    /// The agent refused it, so that nobody else was dialled.
    pub is_refused: bool,
    /// The number of its disposition.
    pub disposition: Option<i64>,
}

/// Some of the calls that CXone has completed or changed.
#[derive(Clone, Debug, PartialEq)]
pub struct CallPage {
    pub calls: Vec<ReportedCall>,
    /// How many to skip for the next page. None if this is the last one.
    pub next: Option<u32>,
    /// Later changes have a later time than this, where CXone says so.
    pub polled_at: Option<Timestamp>,
}

/// The calls that the dialer of a skill made in an interval, as far as CXone reports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialerInterval {
    /// CXone's number of the skill.
    pub skill: i64,
    pub start: Timestamp,
    /// The calls that were made.
    pub dials: u64,
    /// Those that were answered.
    pub connects: u64,
}

/// How agents or the dialer classify calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disposition {
    pub id: i64,
    pub name: String,
    /// Whether it says that the person was reached. None where that is not known.
    pub is_success: Option<bool>,
}

/// A contact that CXone has not called yet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WaitingContact {
    /// CXone's number of it.
    pub number: i64,
    /// The callback for which it was created.
    pub callback_id: Uuid,
}
