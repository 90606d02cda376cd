//! A callback, and the only ways in which it changes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::audit::{Action, Actor, Entry, Outcome};
use crate::trace::Traceparent;
use crate::types::{CampaignId, Language, PhoneNumber, TimeWindow, Zone};
use crate::webhooks::{CallbackEvent, Event, EventFailure};

/// A dispatch time has passed in CXone as well so long after it: the clocks may differ.
pub const PASSED_AFTER: SignedDuration = SignedDuration::from_secs(5);

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
    /// There is nobody who could read it; the reason says why.
    Skipped,
}

impl Confirmation {
    /// All, as they are written.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Pending, "pending"),
        (Self::Sent, "sent"),
        (Self::Failed, "failed"),
        (Self::Unknown, "unknown"),
        (Self::Skipped, "skipped"),
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
        }
    }
}

/// Why no confirmation is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// The number is certainly a fixed line.
    Landline,
}

impl SkipReason {
    /// All, as they are written.
    pub const ALL: [(Self, &'static str); 1] = [(Self::Landline, "landline")];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Landline => "landline",
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

/// The times under which CXone may have a contact, as they were before an attempt.
#[derive(Clone, Copy, Debug)]
pub struct PossibleContact {
    dispatch_time: Option<Timestamp>,
    earlier_dispatch_time: Option<Timestamp>,
}

impl PossibleContact {
    /// There is such a time.
    pub fn exists(self) -> bool {
        self.dispatch_time.is_some()
    }

    /// The time, where there is no more than one.
    pub fn only_time(self) -> Option<Timestamp> {
        self.dispatch_time.filter(|_| self.earlier_dispatch_time.is_none())
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
    /// While accepted: the time under which the contact was last sent, so that CXone may have it.
    pub dispatch_time: Option<Timestamp>,
    /// The first such time, where there were several: it passed while nobody knew whether CXone had the contact, and CXone
    /// then refused it.
    pub earlier_dispatch_time: Option<Timestamp>,
    /// CXone's contact, once it is known to be there. It has the callback's own id.
    pub contact_id: Option<Uuid>,
    pub confirmation: Confirmation,
    /// Why no text is sent, where none is.
    pub skip_reason: Option<SkipReason>,
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

    /// Whether CXone may have the contact without having said so.
    pub fn may_have_contact(&self) -> bool {
        self.status == Status::Accepted && self.dispatch_time.is_some()
    }

    /// The window leaves no moment to call any more. Where CXone may have the contact, it is asked until the very end.
    pub fn window_has_passed(&self, now: Timestamp, notice: SignedDuration) -> bool {
        if self.may_have_contact() { now >= self.window.end() } else { now + notice > self.window.end() }
    }

    /// The time that callers are shown: while nobody knows, the first one under which CXone may have the contact.
    pub fn shown_dispatch_time(&self) -> Option<Timestamp> {
        match self.status {
            Status::Accepted | Status::Expired => self.earlier_dispatch_time.or(self.dispatch_time),
            Status::Scheduled | Status::Failed | Status::Cancelled => self.dispatch_time,
        }
    }

    /// An attempt starts on it, or goes on, and has it until `lease_end`.
    pub fn leased(&mut self, lease_end: Timestamp) {
        self.due_at = Some(lease_end);
    }

    /// It has its place: from here on CXone may have the contact, until it is known not to.
    pub fn placed(&mut self, at: Timestamp) {
        self.earlier_dispatch_time = self.earlier_dispatch_time.or(self.dispatch_time);
        self.dispatch_time = Some(at);
    }

    /// The times under which CXone may have the contact.
    pub fn possible_contact(&self) -> PossibleContact {
        PossibleContact { dispatch_time: self.dispatch_time, earlier_dispatch_time: self.earlier_dispatch_time }
    }

    /// CXone certainly did not make the contact this time: what was possible before still is, and no more. Where nothing
    /// was, the place is free again and the callback can be cancelled.
    pub fn unplaced(&mut self, before: PossibleContact) {
        self.dispatch_time = before.dispatch_time;
        self.earlier_dispatch_time = before.earlier_dispatch_time;
    }

    /// CXone has the contact, made at `at`. The text, which is to go out at once, counts as started; with a reason to
    /// skip it, nothing is left to do.
    pub fn scheduled(&mut self, at: Timestamp, skip: Option<SkipReason>, now: Timestamp) {
        self.status = Status::Scheduled;
        self.dispatch_time = Some(at);
        self.earlier_dispatch_time = None;
        self.contact_id = Some(self.id);
        self.failure = None;
        if skip.is_some() {
            self.confirmation = Confirmation::Skipped;
            self.skip_reason = skip;
            self.due_at = None;
        } else {
            self.confirmation_started_at = Some(now);
        }
    }

    /// To be tried again at `due_at`, but no later than at the moments at which the answer changes: the window's end, for
    /// the text the time of the call, and around a dispatch time that CXone may have. `notice` before it there is a last
    /// chance to hear of it in time; once it has passed, CXone says whether it has the contact.
    pub fn deferred(&mut self, failure: Failure, due_at: Timestamp, now: Timestamp, notice: SignedDuration) {
        self.failure = Some(failure);
        let at = self.dispatch_time;
        let moments = match self.status {
            Status::Scheduled => [at, None, None],
            _ => [
                at.map(|at| at - notice),
                at.map(|at| at + PASSED_AFTER + SignedDuration::from_secs(1)),
                Some(self.window.end()),
            ],
        };
        let next = moments.into_iter().flatten().filter(|moment| *moment > now).min();
        let due_at = next.map_or(due_at, |next| due_at.min(next));
        self.due_at = Some(Timestamp::from_millisecond(due_at.as_millisecond()).unwrap_or(due_at));
    }

    /// Nothing is to be learned about it before its window ends.
    pub fn deferred_to_the_end(&mut self, failure: Failure) {
        self.failure = Some(failure);
        self.due_at = Some(self.window.end());
    }

    /// It cannot be done.
    pub fn failed(&mut self, failure: Failure) {
        self.status = Status::Failed;
        self.failure = Some(failure);
        self.dispatch_time = None;
        self.earlier_dispatch_time = None;
        self.due_at = None;
    }

    /// Its window passed. What kept it from being scheduled stays as the reason.
    pub fn expired(&mut self) {
        let detail = match (&self.failure, self.dispatch_time) {
            (_, Some(_)) => {
                "the window has passed, and CXone never said whether it has the contact: it may have it, and \
                             may still call"
                    .to_owned()
            }
            (Some(last), None) => format!("the window has passed; the last attempt: {}", last.detail),
            (None, None) => "the window has passed before the contact could be made".to_owned(),
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
    pub fn entry(&self, id: Uuid, now: Timestamp, action: Action, outcome: Outcome, previous: Status) -> Entry {
        Entry {
            campaign_id: Some(self.campaign_id.to_string()),
            callback_id: Some(self.id),
            previous_state: Some(previous.as_str().into()),
            new_state: Some(self.status.as_str().into()),
            latency_ms: Some(milliseconds(now.duration_since(self.created_at))),
            request_id: Some(self.request_id.clone()),
            ..Entry::new(id, now, action, Actor::system("callbacks"), outcome)
        }
        .with_detail(&self.audit_detail())
    }

    /// The webhook event of a change of it.
    pub fn event(&self) -> Event {
        let failure = self.failure.clone();
        Event::Callback(CallbackEvent {
            dispatch_time: self.shown_dispatch_time(),
            contact_id: self.contact_id,
            failure: failure.map(|Failure { code, detail }| EventFailure { code, detail }),
        })
    }

    fn audit_detail(&self) -> AuditDetail<'_> {
        AuditDetail {
            phone_number: self.phone_number.masked(),
            requested_start: self.window.start(),
            requested_end: self.window.end(),
            attempts: self.attempts,
            dispatch_time: self.shown_dispatch_time(),
            confirmation_skipped: self.skip_reason,
            contact_id: self.contact_id,
            sms_session_id: self.sms_session_id.as_deref(),
            failure: self.failure.as_ref(),
        }
    }
}

/// The detail of an audit entry about a callback.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuditDetail<'a> {
    /// Masked.
    phone_number: String,
    requested_start: Timestamp,
    requested_end: Timestamp,
    attempts: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    dispatch_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmation_skipped: Option<SkipReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sms_session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
}

/// Whole milliseconds, never negative.
fn milliseconds(duration: SignedDuration) -> i64 {
    i64::try_from(Duration::try_from(duration).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
