use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::call_outcome::CallOutcome;
use super::change::Change;
use super::status::{Confirmation, Failure, SkipReason, Status, TimezoneSource};
use crate::cxone::ContactId;
use crate::trace::Traceparent;
use crate::types::{CampaignId, ExternalId, Language, Metadata, PhoneNumber, TimeWindow, TimeZone, zone_of_number};

/// A callback request that has passed validation.
#[derive(Clone, Debug)]
pub struct NewCallback {
    pub phone_number: PhoneNumber,
    pub campaign_id: CampaignId,
    pub window: TimeWindow,
    pub language: Language,
    pub timezone: Option<TimeZone>,
    pub external_id: Option<ExternalId>,
    pub metadata: Option<Metadata>,
}

/// A callback as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Callback {
    pub id: Uuid,
    pub status: Status,
    pub phone_number: PhoneNumber,
    pub campaign_id: CampaignId,
    /// The requested window.
    pub window: TimeWindow,
    pub language: Language,
    pub timezone: Option<TimeZone>,
    /// The client's own id of it.
    pub external_id: Option<ExternalId>,
    pub metadata: Option<Metadata>,
    /// The API key that requested it. None for callbacks of older versions.
    pub created_by: Option<Uuid>,
    /// Whether a batch requested it.
    pub in_batch: bool,
    /// The start of the contact. While `accepted`: the start with which the contact was last sent, so that CXone may have
    /// it.
    pub dispatch_time: Option<Timestamp>,
    /// The first such start, if there were several: it passed before CXone answered, and CXone then refused it.
    pub earlier_dispatch_time: Option<Timestamp>,
    /// CXone's contact, once CXone has confirmed it.
    pub contact_id: Option<ContactId>,
    pub confirmation: Confirmation,
    /// Set if and only if the confirmation is skipped.
    pub skip_reason: Option<SkipReason>,
    /// Committed before the SMS is sent.
    pub confirmation_started_at: Option<Timestamp>,
    /// CXone's messaging session of the SMS.
    pub sms_session_id: Option<String>,
    /// What became of the call. None where CXone does not report it, or has no contact yet.
    pub outcome: Option<CallOutcome>,
    /// The skill of CXone that makes the call, once it is known.
    pub skill: Option<i64>,
    /// What CXone is to do with the contact.
    pub change: Option<Box<Change>>,
    /// How often its time has changed since CXone first had the contact.
    pub moves: i32,
    /// A hold of the campaign covers the dispatch time.
    pub at_risk: bool,
    /// Why it failed, or the failure of the last attempt.
    pub failure: Option<Failure>,
    /// The number of claims so far. Each write names the claim it belongs to, and changes nothing after a newer claim.
    pub attempts: i32,
    /// When the next attempt is due; while an attempt runs, when its lease ends. None if nothing is left to do.
    pub due_at: Option<Timestamp>,
    pub request_id: String,
    pub trace: Traceparent,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When its phone number and all its texts were erased. Nothing is done for it any more.
    pub erased_at: Option<Timestamp>,
}

/// The starts with which CXone may have a contact, as they were before an attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PossibleContact {
    pub(super) dispatch_time: Option<Timestamp>,
    pub(super) earlier_dispatch_time: Option<Timestamp>,
}

impl PossibleContact {
    /// CXone certainly has no contact.
    pub const NONE: Self = Self { dispatch_time: None, earlier_dispatch_time: None };

    /// Whether there is such a start.
    pub fn exists(self) -> bool {
        self.dispatch_time.is_some()
    }

    /// The start, if there is exactly one.
    pub fn only_start(self) -> Option<Timestamp> {
        self.dispatch_time.filter(|_| self.earlier_dispatch_time.is_none())
    }
}

impl Callback {
    /// Whether CXone may have the contact without having confirmed it.
    pub fn may_have_contact(&self) -> bool {
        self.status == Status::Accepted && self.dispatch_time.is_some()
    }

    /// Whether CXone has the contact, or may have it.
    pub fn is_known_to_cxone(&self) -> bool {
        self.contact_id.is_some() || self.dispatch_time.is_some()
    }

    /// Whether it has neither ended nor been cancelled.
    pub fn is_open(&self) -> bool {
        matches!(self.status, Status::Accepted | Status::Scheduled)
    }

    /// Whether it is open, and CXone certainly does not have the contact.
    pub fn can_be_cancelled(&self) -> bool {
        self.status == Status::Accepted && self.dispatch_time.is_none()
    }

    /// Whether nothing is left to do for it, by Ringback or by CXone.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.due_at.is_none() && (self.status != Status::Scheduled || self.window.end() < now)
    }

    /// Whether the window leaves no time to call: it ends within `notice`. While CXone may have the contact, the window
    /// is open to its very end, because CXone can still confirm it.
    pub fn window_has_passed(&self, now: Timestamp, notice: SignedDuration) -> bool {
        if self.may_have_contact() { now >= self.window.end() } else { now + notice > self.window.end() }
    }

    /// The dispatch time in the API: of several possible ones, the first.
    pub fn shown_dispatch_time(&self) -> Option<Timestamp> {
        match self.status {
            Status::Accepted | Status::Expired => self.earlier_dispatch_time.or(self.dispatch_time),
            Status::Scheduled | Status::Failed | Status::Cancelled => self.dispatch_time,
        }
    }

    /// The time zone of its texts, and where it comes from. None for that of the service.
    pub fn text_zone(&self) -> (Option<TimeZone>, TimezoneSource) {
        if let Some(zone) = &self.timezone {
            return (Some(zone.clone()), TimezoneSource::Request);
        }
        match zone_of_number(&self.phone_number) {
            Some(zone) => (Some(zone), TimezoneSource::PhoneNumber),
            None => (None, TimezoneSource::Default),
        }
    }

    /// The starts with which CXone may have the contact.
    pub fn possible_contact(&self) -> PossibleContact {
        PossibleContact { dispatch_time: self.dispatch_time, earlier_dispatch_time: self.earlier_dispatch_time }
    }
}
