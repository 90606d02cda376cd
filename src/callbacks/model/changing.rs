//! The ways in which a callback with a [`Change`](super::Change) changes.

use jiff::Timestamp;

use super::callback::Callback;
use super::status::{Confirmation, Failure, FailureCode, SkipReason, Status};
use super::transitions::Contact;
use crate::types::TimeWindow;

impl Callback {
    /// The window in which it is placed: that of a change that waits, or its own.
    pub fn window_to_place(&self) -> TimeWindow {
        self.change.as_ref().and_then(|change| change.window).unwrap_or(self.window)
    }

    /// Whether its window has passed, and that of its change.
    pub fn has_passed_with_its_change(&self, now: Timestamp) -> bool {
        self.window.end().max(self.window_to_place().end()) <= now
    }

    /// The earliest time for which CXone may have its contact.
    pub fn earliest_dispatch_time(&self) -> Option<Timestamp> {
        let sent = self.change.as_ref().filter(|change| change.sent_at.is_some());
        let moved = sent.and_then(|change| change.dispatch_time);
        moved.into_iter().chain(self.dispatch_time).min()
    }

    /// CXone has no contact any more, on request.
    pub fn complete_cancel(&mut self) {
        self.remove_contact();
        self.status = Status::Cancelled;
        self.due_at = None;
        self.failure = None;
        if self.confirmation == Confirmation::Pending && self.confirmation_started_at.is_some() {
            self.confirmation = Confirmation::Unknown;
        }
    }

    /// CXone has no contact any more, because the campaign may not call at its time. It is placed again from `due_at`.
    pub fn complete_withdrawal(&mut self, failure: Failure, due_at: Timestamp) {
        self.remove_contact();
        self.status = Status::Accepted;
        self.reset_for_another_confirmation();
        self.failure = Some(failure);
        self.due_at = Some(due_at);
    }

    /// CXone has moved the contact. Either the SMS about it counts as started, or it is skipped.
    pub fn complete_move(&mut self, contact: Contact, skip: Option<SkipReason>, now: Timestamp) {
        self.window = self.window_to_place();
        self.change = None;
        self.at_risk = false;
        self.reset_for_another_confirmation();
        self.schedule(contact, skip, now);
    }

    /// CXone did not carry out the change, and will not.
    pub fn refuse_change(&mut self, failure: Failure, now: Timestamp) {
        self.change = None;
        self.failure = Some(failure);
        self.due_at = (self.confirmation == Confirmation::Pending).then_some(now);
    }

    /// The change is not needed any more. It was not sent.
    pub fn drop_change(&mut self, now: Timestamp) {
        self.change = None;
        self.due_at = (self.confirmation == Confirmation::Pending).then_some(now);
    }

    fn remove_contact(&mut self) {
        self.change = None;
        self.contact_id = None;
        self.dispatch_time = None;
        self.outcome = None;
        self.at_risk = false;
    }

    fn reset_for_another_confirmation(&mut self) {
        self.moves += 1;
        self.confirmation = Confirmation::Pending;
        self.skip_reason = None;
        self.confirmation_started_at = None;
        self.sms_session_id = None;
    }

    /// What its SMS is found by. Each time of the call has an SMS of its own.
    pub fn reference(&self) -> String {
        if self.moves == 0 { self.id.to_string() } else { format!("{}/{}", self.id, self.moves) }
    }
}

/// The failure of a change that comes too late.
pub fn already_called() -> Failure {
    let detail =
        "CXone does not have the contact any more: it has called, or is calling, or somebody has deleted it there";
    Failure::new(FailureCode::AlreadyCalled, detail)
}
