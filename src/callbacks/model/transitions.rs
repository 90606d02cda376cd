//! The ways in which a callback changes.

use jiff::{SignedDuration, Timestamp};

use super::callback::{Callback, PossibleContact};
use super::status::{Confirmation, Failure, FailureCode, SkipReason, Status};
use crate::cxone::ContactId;
use crate::types::TimeWindow;

/// How long after a start CXone must agree that it has passed: clocks may differ.
pub const START_PASSED_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// A contact that CXone has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contact {
    pub id: ContactId,
    pub start: Timestamp,
}

impl Callback {
    /// An attempt starts or continues, with a lease until `lease_end`.
    pub fn extend_lease(&mut self, lease_end: Timestamp) {
        self.due_at = Some(lease_end);
    }

    /// Another window was requested. A running attempt has lost its claim, and the next one is due.
    pub fn reschedule(&mut self, window: TimeWindow, now: Timestamp) {
        self.window = window;
        self.failure = None;
        self.at_risk = false;
        self.attempts += 1;
        self.due_at = Some(now);
        self.updated_at = now;
    }

    /// The callback is placed at `start`. From here on CXone may have the contact. One with a change keeps its time until CXone
    /// has moved the contact.
    pub fn place(&mut self, start: Timestamp) {
        if let Some(change) = &mut self.change {
            change.dispatch_time = Some(start);
            return;
        }
        self.earlier_dispatch_time =
            self.earlier_dispatch_time.or(self.dispatch_time.filter(|earlier| *earlier != start));
        self.dispatch_time = Some(start);
    }

    /// CXone certainly did not create the contact in this attempt. CXone may have it with the starts of `before` only; if
    /// there are none, the place is free again and the callback can be cancelled.
    pub fn restore_placement(&mut self, before: PossibleContact) {
        self.dispatch_time = before.dispatch_time;
        self.earlier_dispatch_time = before.earlier_dispatch_time;
    }

    /// CXone has the contact. Either the SMS counts as started, because it is sent next, or it is
    /// skipped and nothing is left to do.
    pub fn schedule(&mut self, contact: Contact, skip: Option<SkipReason>, now: Timestamp) {
        self.status = Status::Scheduled;
        self.dispatch_time = Some(contact.start);
        self.earlier_dispatch_time = None;
        self.contact_id = Some(contact.id);
        self.failure = None;
        if skip.is_some() {
            self.confirmation = Confirmation::Skipped;
            self.skip_reason = skip;
            self.due_at = None;
        } else {
            self.confirmation_started_at = Some(now);
        }
    }

    /// The next attempt is due at `due_at`, or earlier at a time at which its result can change: `notice` before the
    /// dispatch time (the last chance to get CXone's answer in time), shortly after the dispatch time (CXone then answers
    /// definitely), twice `notice` before the window ends (the last chance to place it), and its end. For the SMS: the dispatch
    /// time.
    pub fn defer(&mut self, failure: Failure, due_at: Timestamp, now: Timestamp, notice: SignedDuration) {
        self.failure = Some(failure);
        let start = self.dispatch_time;
        let turning_points = match self.status {
            Status::Scheduled => [start, None, None, None],
            Status::Accepted | Status::Failed | Status::Expired | Status::Cancelled => [
                start.map(|start| start - notice),
                start.map(|start| start + START_PASSED_AFTER + SignedDuration::from_secs(1)),
                // The last chance to place it, or else the end.
                Some(self.window.end() - notice * 2).filter(|last| start.is_none() && *last > now),
                Some(self.window.end()),
            ],
        };
        let next = turning_points.into_iter().flatten().filter(|point| *point > now).min();
        let due_at = next.map_or(due_at, |next| due_at.min(next));
        // Postgres stores microseconds, the clock milliseconds: what is stored must be equal to what is in memory.
        self.due_at = Some(Timestamp::from_millisecond(due_at.as_millisecond()).unwrap_or(due_at));
    }

    /// No attempt can learn anything before the window ends.
    pub fn defer_to_window_end(&mut self, failure: Failure) {
        self.failure = Some(failure);
        self.due_at = Some(self.window.end());
    }

    /// The callback cannot be scheduled.
    pub fn fail(&mut self, failure: Failure) {
        self.status = Status::Failed;
        self.failure = Some(failure);
        self.dispatch_time = None;
        self.earlier_dispatch_time = None;
        self.due_at = None;
    }

    /// The window has passed. The detail includes the failure of the last attempt.
    pub fn expire(&mut self) {
        let detail = match (&self.failure, self.dispatch_time) {
            (_, Some(_)) => "the window has passed, and CXone did not say whether it has the contact: it may have it, \
                             and may still call"
                .to_owned(),
            (Some(last), None) => format!("the window has passed; the last attempt: {}", last.detail),
            (None, None) => "the window has passed before the contact could be created".to_owned(),
        };
        self.status = Status::Expired;
        self.failure = Some(Failure::new(FailureCode::WindowPassed, detail));
        self.due_at = None;
    }

    /// The SMS was not sent, and may be sent by another attempt.
    pub fn reset_confirmation(&mut self) {
        self.confirmation_started_at = None;
    }

    /// CXone has accepted the SMS.
    pub fn confirm(&mut self, session_id: String) {
        self.confirmation = Confirmation::Sent;
        self.sms_session_id = Some(session_id);
        self.failure = None;
        self.due_at = None;
    }

    /// The SMS was not sent ([`Confirmation::Failed`]), or may not have been sent ([`Confirmation::Unknown`]).
    pub fn fail_confirmation(&mut self, confirmation: Confirmation, failure: Failure) {
        self.confirmation = confirmation;
        self.failure = Some(failure);
        self.due_at = None;
    }
}
