//! The outcome of a step: stored under the attempt's claim, with its audit entry.

use std::time::Duration;

use super::{AttemptError, Attempts, CallbackGateway, CallbackRepository, FOR_CONTACTS};
use crate::audit::{Action, Entry, Outcome};
use crate::callbacks::model::{CallOutcome, Callback, Contact, Failure, PossibleContact, SkipReason, Status};
use crate::callbacks::retry::{Verdict, backoff, verdict};
use crate::campaigns::PlacementRules;
use crate::cxone::{Class, CxoneError};
use crate::placement::NOTICE;

impl<R: CallbackRepository, G: CallbackGateway> Attempts<R, G> {
    /// CXone has the contact. The start of the SMS is committed together with that.
    pub(super) async fn scheduled(
        &self,
        callback: &mut Callback,
        class: Class,
        rules: &PlacementRules,
        contact: Contact,
    ) -> Result<(), AttemptError> {
        let skip = self.skip_reason(callback, rules);
        callback.extend_lease(self.lease_end());
        callback.schedule(contact, skip, self.clock.now());
        callback.outcome = self.gateway.reports_outcomes().then_some(CallOutcome::PENDING);
        self.record(callback, Action::CallbackScheduled, Outcome::Succeeded, Status::Accepted).await?;
        metrics::counter!("ringback_callbacks_total", "status" => "scheduled").increment(1);
        if skip.is_some() {
            return Ok(());
        }
        self.waiters.notify(callback);
        self.send_confirmation(callback, class, rules).await
    }

    /// Why no SMS is sent, if none is.
    pub(super) fn skip_reason(&self, callback: &Callback, rules: &PlacementRules) -> Option<SkipReason> {
        let is_landline = callback.phone_number.is_certainly_fixed_line();
        let no_channel = || self.sms_sender(rules).is_none().then_some(SkipReason::NoChannel);
        is_landline.then_some(SkipReason::Landline).or_else(no_channel)
    }

    /// CXone did not create the contact, or did not answer: the callback fails or is deferred. `before` is what was
    /// possible before this request.
    pub(super) async fn not_scheduled(
        &self,
        callback: &mut Callback,
        before: PossibleContact,
        error: &CxoneError,
    ) -> Result<(), AttemptError> {
        let is_up = self.gateway.is_up(&FOR_CONTACTS);
        match verdict(error, callback.attempts, is_up, &self.clock) {
            // A refusal says nothing about a contact that may exist, unless it names the contact.
            Verdict::Final if before.exists() && !self.refuses_this_contact(callback, error) => {
                callback.restore_placement(before);
                let wait = if is_up { backoff(callback.attempts, &self.clock) } else { Duration::ZERO };
                self.defer(callback, error.into(), wait).await
            }
            Verdict::Final => {
                callback.fail(error.into());
                self.conclude(callback, Action::CallbackFailed, Outcome::Failed, Status::Accepted).await
            }
            Verdict::NotDone { wait } => {
                callback.restore_placement(before);
                self.defer(callback, error.into(), wait).await
            }
            Verdict::Unknown { wait } => self.defer(callback, error.into(), wait).await,
        }
    }

    /// Whether CXone named the contact when it refused it, and its start was not the reason.
    fn refuses_this_contact(&self, callback: &Callback, error: &CxoneError) -> bool {
        let is_ahead = callback.dispatch_time.is_some_and(|start| start > self.clock.now() + NOTICE);
        is_ahead && matches!(error, CxoneError::ContactRefused { .. })
    }

    /// Another attempt is due after `wait`, or earlier, see [`Callback::defer`].
    pub(super) async fn defer(
        &self,
        callback: &mut Callback,
        failure: Failure,
        wait: Duration,
    ) -> Result<(), AttemptError> {
        let now = self.clock.now();
        callback.defer(failure, now + wait, now, NOTICE);
        self.save(callback).await
    }

    /// Stores a final result, which is logged and counted.
    pub(super) async fn conclude(
        &self,
        callback: &mut Callback,
        action: Action,
        outcome: Outcome,
        previous: Status,
    ) -> Result<(), AttemptError> {
        self.record(callback, action, outcome, previous).await?;
        let result = action.as_str().trim_start_matches("callback.");
        tracing::info!(callback.status = callback.status.as_ref(), "callback {result}");
        metrics::counter!("ringback_callbacks_total", "status" => result).increment(1);
        Ok(())
    }

    async fn record(
        &self,
        callback: &mut Callback,
        action: Action,
        outcome: Outcome,
        previous: Status,
    ) -> Result<(), AttemptError> {
        let now = self.clock.now();
        callback.updated_at = now;
        let entry = callback.entry(self.clock.new_id(), now, action, outcome, previous).with_event(&callback.event());
        self.store(callback, Some(entry.traced(&callback.trace))).await
    }

    /// Stores the callback without an audit entry.
    pub(super) async fn save(&self, callback: &mut Callback) -> Result<(), AttemptError> {
        callback.updated_at = self.clock.now();
        self.store(callback, None).await
    }

    async fn store(&self, callback: &Callback, entry: Option<Entry>) -> Result<(), AttemptError> {
        if self.repository.save(callback, entry).await? { Ok(()) } else { Err(AttemptError::ClaimLost) }
    }
}
