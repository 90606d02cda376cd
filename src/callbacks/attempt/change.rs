//! A change of a callback whose contact CXone has. It is committed before it is sent, and sent again until CXone has answered.

use jiff::{SignedDuration, Timestamp};

use super::contact::SEND_BEFORE;
use super::place::Placement;
use super::{AttemptError, Attempts, CallbackGateway, CallbackRepository, FOR_CONTACTS};
use crate::audit::{Action, Outcome};
use crate::callbacks::model::{Callback, Change, ChangeKind, Contact, Failure, FailureCode, Status, already_called};
use crate::callbacks::retry::{Verdict, backoff, verdict};
use crate::campaigns::{HoldScope, PlacementRules};
use crate::cxone::{Class, ContactId, CxoneError, NewContact, RequestContext, StillWanted, Withdrawal};
use crate::placement::NOTICE;

/// A change that CXone has not carried out this long after the window is refused.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(1);

impl<R: CallbackRepository, G: CallbackGateway> Attempts<R, G> {
    /// Carries out a change.
    pub(super) async fn change(
        &self,
        callback: &mut Callback,
        change: Change,
        class: Class,
    ) -> Result<(), AttemptError> {
        let (Some(id), Some(time)) = (callback.contact_id, callback.earliest_dispatch_time()) else {
            return self.refuse_change(callback, already_called()).await;
        };
        if !change.is_requested() && change.sent_at.is_none() && self.may_call_at_its_time(callback).await? {
            callback.drop_change(self.clock.now());
            return self.save_change(callback).await;
        }
        match change.kind {
            ChangeKind::Cancel | ChangeKind::Withdraw => self.withdraw(callback, id, time, class).await,
            ChangeKind::Reschedule | ChangeKind::Move => self.move_contact(callback, id, change, class).await,
        }
    }

    /// Whether no hold covers the time of the call any more.
    async fn may_call_at_its_time(&self, callback: &Callback) -> Result<bool, AttemptError> {
        let rules = self.repository.rules(&callback.campaign_id).await?;
        let parts = rules.restrictions.open_parts(HoldScope::All, &callback.window, self.clock.now());
        Ok(callback.dispatch_time.is_some_and(|time| parts.iter().any(|part| part.start <= time && time < part.end)))
    }

    async fn withdraw(
        &self,
        callback: &mut Callback,
        id: ContactId,
        time: Timestamp,
        class: Class,
    ) -> Result<(), AttemptError> {
        let was_sent = self.start_change(callback).await?;
        let claim = self.claim_of(callback, was_sent);
        let contact = contact(callback, time, None, was_sent, &claim);
        let context = RequestContext { class, trace: &callback.trace };
        match self.gateway.withdraw_contact(id, &contact, context).await {
            Ok(Withdrawal::Withdrawn) => self.withdrawn(callback).await,
            Ok(Withdrawal::Called) => self.refuse_change(callback, already_called()).await,
            Err(error) => self.change_failed(callback, was_sent, &error).await,
        }
    }

    async fn withdrawn(&self, callback: &mut Callback) -> Result<(), AttemptError> {
        if callback.change.as_ref().is_some_and(|change| change.kind == ChangeKind::Cancel) {
            let request_id = take_request_id(callback);
            callback.complete_cancel();
            self.record_change(callback, Action::CallbackCancelled, Outcome::Succeeded, request_id).await?;
            metrics::counter!("ringback_callbacks_total", "status" => "cancelled").increment(1);
            return Ok(());
        }
        let detail = "the campaign may not call at the time for which CXone had the contact";
        let due_at = self.clock.now() + backoff(1, &self.clock);
        callback.complete_withdrawal(Failure::new(FailureCode::CampaignHeld, detail), due_at);
        self.record_change(callback, Action::CallbackWithdrawn, Outcome::Succeeded, None).await
    }

    async fn move_contact(
        &self,
        callback: &mut Callback,
        id: ContactId,
        change: Change,
        class: Class,
    ) -> Result<(), AttemptError> {
        let rules = self.repository.rules(&callback.campaign_id).await?;
        let earliest = self.clock.now() + SEND_BEFORE;
        let chosen = change.dispatch_time.filter(|time| change.sent_at.is_some() || *time > earliest);
        let time = match chosen {
            Some(time) => time,
            None => match self.place(callback, class, &rules, NOTICE).await? {
                Placement::At(time) => time,
                Placement::Settled => return Ok(()),
                Placement::Nowhere { failure, .. } => return self.not_moved(callback, failure).await,
            },
        };
        let was_sent = self.start_change(callback).await?;
        let claim = self.claim_of(callback, was_sent);
        let contact = contact(callback, time, Some(time - SEND_BEFORE), was_sent, &claim);
        let context = RequestContext { class, trace: &callback.trace };
        match self.gateway.move_contact(id, &contact, context).await {
            Ok(Some(id)) => Box::pin(self.moved(callback, Contact { id, start: time }, class, &rules)).await,
            Ok(None) => self.refuse_change(callback, already_called()).await,
            Err(CxoneError::NotSentInTime) => {
                // Another time is chosen. CXone has the contact for its time before.
                if let Some(change) = &mut callback.change {
                    (change.dispatch_time, change.sent_at) = (None, None);
                }
                self.defer_change(callback, (&CxoneError::NotSentInTime).into(), SignedDuration::ZERO).await
            }
            Err(error) => self.change_failed(callback, was_sent, &error).await,
        }
    }

    /// There is no time for the call in the window. A client is refused; otherwise CXone must not have the contact.
    async fn not_moved(&self, callback: &mut Callback, failure: Failure) -> Result<(), AttemptError> {
        match &mut callback.change {
            Some(change) if change.kind == ChangeKind::Move => {
                **change = Change::new(ChangeKind::Withdraw, None, None);
                self.defer_change(callback, failure, SignedDuration::ZERO).await
            }
            _ => self.refuse_change(callback, failure).await,
        }
    }

    /// CXone has moved the contact. The start of the SMS is committed together with that.
    async fn moved(
        &self,
        callback: &mut Callback,
        contact: Contact,
        class: Class,
        rules: &PlacementRules,
    ) -> Result<(), AttemptError> {
        let (previous, request_id) = (callback.window, take_request_id(callback));
        let skip = self.skip_reason(callback, rules);
        let now = self.clock.now();
        callback.extend_lease(self.lease_end());
        callback.complete_move(contact, skip, now);
        callback.updated_at = now;
        let mut entry = callback.rescheduled_entry(self.clock.new_id(), now, previous, Status::Scheduled);
        entry.request_id = request_id.or(entry.request_id);
        let entry = entry.with_event(&callback.event());
        if !self.repository.save_change(callback, Some(entry)).await? {
            return Err(AttemptError::ClaimLost);
        }
        metrics::counter!("ringback_callbacks_total", "status" => "rescheduled").increment(1);
        if skip.is_some() {
            return Ok(());
        }
        self.waiters.notify(callback);
        self.send_confirmation(callback, class, rules).await
    }

    /// Commits that the change is sent from now on. Returns whether it may have been sent before.
    async fn start_change(&self, callback: &mut Callback) -> Result<bool, AttemptError> {
        let now = self.clock.now();
        let lease_end = self.lease_end();
        let Some(change) = &mut callback.change else { return Err(AttemptError::ClaimLost) };
        let was_sent = change.sent_at.is_some();
        change.sent_at = change.sent_at.or(Some(now));
        callback.extend_lease(lease_end);
        self.save_change(callback).await?;
        Ok(was_sent)
    }

    /// CXone did not carry out the change, or did not answer.
    pub(super) async fn change_failed(
        &self,
        callback: &mut Callback,
        was_sent: bool,
        error: &CxoneError,
    ) -> Result<(), AttemptError> {
        let now = self.clock.now();
        if callback.has_passed_with_its_change(now - GIVEN_UP_AFTER) {
            return self.refuse_change(callback, error.into()).await;
        }
        let wait = match verdict(error, callback.attempts, self.gateway.is_up(&FOR_CONTACTS), &self.clock) {
            // Nothing that CXone refuses now can still be carried out, unless an earlier request was not answered. After the
            // window, that does not matter any more.
            Verdict::Final if !was_sent || callback.has_passed_with_its_change(now) => {
                return self.refuse_change(callback, error.into()).await;
            }
            Verdict::Final => backoff(callback.attempts, &self.clock),
            Verdict::NotDone { wait } => {
                if let Some(change) = callback.change.as_mut().filter(|_| !was_sent) {
                    change.sent_at = None;
                }
                wait
            }
            Verdict::Unknown { wait } => wait,
        };
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        self.defer_change(callback, error.into(), wait).await
    }

    async fn refuse_change(&self, callback: &mut Callback, failure: Failure) -> Result<(), AttemptError> {
        let request_id = take_request_id(callback);
        callback.refuse_change(failure, self.clock.now());
        self.record_change(callback, Action::CallbackChangeRefused, Outcome::Refused, request_id).await
    }

    async fn defer_change(
        &self,
        callback: &mut Callback,
        failure: Failure,
        wait: SignedDuration,
    ) -> Result<(), AttemptError> {
        let now = self.clock.now();
        callback.defer(failure, now + wait, now, NOTICE);
        self.save_change(callback).await
    }

    async fn record_change(
        &self,
        callback: &mut Callback,
        action: Action,
        outcome: Outcome,
        request_id: Option<String>,
    ) -> Result<(), AttemptError> {
        let now = self.clock.now();
        callback.updated_at = now;
        let mut entry = callback.entry(self.clock.new_id(), now, action, outcome, Status::Scheduled);
        entry.request_id = request_id.or(entry.request_id);
        let entry = entry.with_event(&callback.event());
        if self.repository.save_change(callback, Some(entry)).await? { Ok(()) } else { Err(AttemptError::ClaimLost) }
    }

    async fn save_change(&self, callback: &mut Callback) -> Result<(), AttemptError> {
        callback.updated_at = self.clock.now();
        if self.repository.save_change(callback, None).await? { Ok(()) } else { Err(AttemptError::ClaimLost) }
    }
}

fn take_request_id(callback: &mut Callback) -> Option<String> {
    callback.change.as_mut().and_then(|change| change.request_id.take())
}

fn contact<'a>(
    callback: &'a Callback,
    at: Timestamp,
    send_by: Option<Timestamp>,
    may_exist: bool,
    still_wanted: &'a dyn StillWanted,
) -> NewContact<'a> {
    NewContact {
        callback_id: callback.id,
        may_exist,
        campaign_id: &callback.campaign_id,
        skill: callback.skill,
        phone_number: &callback.phone_number,
        at,
        language: &callback.language,
        window: callback.window_to_place(),
        send_by,
        still_wanted,
    }
}
