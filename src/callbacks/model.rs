//! A callback, and the only ways in which it changes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::audit::{Actor, Entry, Outcome};
use crate::trace::Traceparent;
use crate::types::{CampaignId, Language, PhoneNumber, TimeWindow, Zone};

/// Where a callback stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Ringback has it and is at work on it.
    Accepted,
    /// CXone has the contact and will call.
    Scheduled,
    /// It cannot be done; the failure says why.
    Failed,
    /// The window passed before CXone had the contact.
    Expired,
    /// It was called off in time.
    Cancelled,
}

impl Status {
    /// All, as they are written.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Accepted, "accepted"),
        (Self::Scheduled, "scheduled"),
        (Self::Failed, "failed"),
        (Self::Expired, "expired"),
        (Self::Cancelled, "cancelled"),
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Scheduled => "scheduled",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Where the text that confirms a callback stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confirmation {
    /// Not sent (yet); never sent where the callback ended before its contact was there.
    Pending,
    /// CXone took it.
    Sent,
    /// It was certainly not sent, and will not be.
    Failed,
    /// CXone never answered: it may have been sent. It is not sent again.
    Unknown,
}

impl Confirmation {
    /// All, as they are written.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Pending, "pending"), (Self::Sent, "sent"), (Self::Failed, "failed"), (Self::Unknown, "unknown")];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a callback, or its text, did not come about, or has not yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Failure {
    /// For programs.
    #[schema(example = "cxone-rejected")]
    pub code: String,
    /// For people; CXone's own words where it gave any.
    pub detail: String,
}

impl Failure {
    /// With this code and these words.
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.into(), detail: detail.into() }
    }
}

/// The times under which CXone may have a contact, as they were at some point.
#[derive(Clone, Copy, Debug)]
pub struct Doubt {
    dispatch_time: Option<Timestamp>,
    earlier_dispatch_time: Option<Timestamp>,
}

impl Doubt {
    /// CXone may have the contact.
    pub fn exists(self) -> bool {
        self.dispatch_time.is_some()
    }
}

/// A caller's wish to be called back, as it is kept.
#[derive(Clone, Debug)]
pub struct Callback {
    pub id: Uuid,
    pub status: Status,
    pub phone_number: PhoneNumber,
    pub campaign_id: CampaignId,
    pub window: TimeWindow,
    pub language: Language,
    pub timezone: Option<Zone>,
    /// While accepted: the time under which CXone may already have the contact.
    pub dispatch_time: Option<Timestamp>,
    /// An earlier such time that passed without an answer.
    pub earlier_dispatch_time: Option<Timestamp>,
    /// CXone's contact, once it is known to be there. It has the callback's own id.
    pub contact_id: Option<Uuid>,
    pub confirmation: Confirmation,
    /// Set, and committed, before the text is sent.
    pub confirmation_started_at: Option<Timestamp>,
    pub sms_session_id: Option<String>,
    /// A hold of its campaign covers the time at which CXone is to call.
    pub at_risk: bool,
    pub failure: Option<Failure>,
    /// Claims so far. Each write names the claim it belongs to, and does nothing where a newer one exists.
    pub attempts: i32,
    /// When it is next worked on; while an attempt runs, when its lease is over. None when nothing is left to do.
    pub due_at: Option<Timestamp>,
    pub request_id: String,
    pub trace: Traceparent,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Callback {
    /// Nothing is left to do.
    pub fn is_settled(&self) -> bool {
        self.due_at.is_none()
    }

    /// The window leaves no moment to call any more.
    pub fn window_has_passed(&self, now: Timestamp, notice: SignedDuration) -> bool {
        now + notice > self.window.end()
    }

    /// An attempt starts on it, or goes on, and has it until `lease_end`.
    pub fn leased(&mut self, lease_end: Timestamp) {
        self.due_at = Some(lease_end);
    }

    /// It has its place: from here on CXone may have the contact, until it is known not to.
    pub fn placed(&mut self, at: Timestamp) {
        if let Some(earlier) = self.dispatch_time {
            self.earlier_dispatch_time.get_or_insert(earlier);
        }
        self.dispatch_time = Some(at);
    }

    /// The times under which CXone may have the contact.
    pub fn doubt(&self) -> Doubt {
        Doubt { dispatch_time: self.dispatch_time, earlier_dispatch_time: self.earlier_dispatch_time }
    }

    /// CXone did not make the contact this time: what was in doubt before the attempt still is, and no more. Where
    /// nothing was, the place is free again and the callback can be cancelled.
    pub fn unplaced(&mut self, before: Doubt) {
        self.dispatch_time = before.dispatch_time;
        self.earlier_dispatch_time = before.earlier_dispatch_time;
    }

    /// CXone has the contact, made at `at`. The text, which is to go out at once, counts as started.
    pub fn scheduled(&mut self, at: Timestamp, now: Timestamp) {
        self.status = Status::Scheduled;
        self.dispatch_time = Some(at);
        self.contact_id = Some(self.id);
        self.failure = None;
        self.confirmation_started_at = Some(now);
    }

    /// To be tried again at `due_at`, but no later than where the answer changes: at the window's end, or for the
    /// text at the time of the call.
    pub fn deferred(&mut self, failure: Failure, due_at: Timestamp) {
        let limit = match self.status {
            Status::Scheduled => self.dispatch_time.unwrap_or(self.window.end()),
            Status::Accepted | Status::Failed | Status::Expired | Status::Cancelled => self.window.end(),
        };
        self.failure = Some(failure);
        self.due_at = Some(due_at.min(limit));
    }

    /// It cannot be done.
    pub fn failed(&mut self, failure: Failure) {
        self.status = Status::Failed;
        self.failure = Some(failure);
        self.dispatch_time = None;
        self.due_at = None;
    }

    /// Its window passed. What kept it from being scheduled stays as the reason.
    pub fn expired(&mut self) {
        let detail = match (&self.failure, self.dispatch_time) {
            (_, Some(_)) => "the window passed while CXone had not answered whether it has the contact".to_owned(),
            (Some(last), None) => format!("the window passed; the last attempt: {}", last.detail),
            (None, None) => "the window passed before the contact could be made".to_owned(),
        };
        self.status = Status::Expired;
        self.failure = Some(Failure::new("window-passed", detail));
        self.due_at = None;
    }

    /// The text did not go out after all, and may be tried again.
    pub fn confirmation_not_started(&mut self) {
        self.confirmation_started_at = None;
    }

    /// The text's outcome.
    pub fn confirmation_ended(
        &mut self,
        confirmation: Confirmation,
        session: Option<String>,
        failure: Option<Failure>,
    ) {
        self.confirmation = confirmation;
        self.sms_session_id = session;
        self.failure = failure;
        self.due_at = None;
    }

    /// An audit entry about it, by the worker, that goes back to the request that made it.
    pub fn entry(&self, id: Uuid, now: Timestamp, action: &str, outcome: Outcome, previous: Status) -> Entry {
        Entry {
            campaign_id: Some(self.campaign_id.to_string()),
            callback_id: Some(self.id),
            previous_state: Some(previous.as_str().into()),
            new_state: Some(self.status.as_str().into()),
            latency_ms: Some(milliseconds(now.duration_since(self.created_at))),
            request_id: Some(self.request_id.clone()),
            detail: self.audit_detail(),
            ..Entry::new(id, now, action, Actor::system("callbacks"), outcome)
        }
    }

    /// What an auditor wants to see of it at this point.
    pub fn audit_detail(&self) -> Value {
        let mut detail = json!({
            "phoneNumber": self.phone_number.masked(),
            "requestedStart": self.window.start(),
            "requestedEnd": self.window.end(),
            "attempts": self.attempts,
        });
        let optional = [
            ("dispatchTime", self.dispatch_time.map(|at| json!(at))),
            ("contactId", self.contact_id.map(|id| json!(id))),
            ("smsSessionId", self.sms_session_id.as_ref().map(|id| json!(id))),
            ("failure", self.failure.as_ref().map(|failure| json!(failure))),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                detail[name] = value;
            }
        }
        detail
    }
}

/// Whole milliseconds, never negative.
fn milliseconds(duration: SignedDuration) -> i64 {
    i64::try_from(Duration::try_from(duration).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
