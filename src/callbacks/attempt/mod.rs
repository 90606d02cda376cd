//! One attempt on a callback: forecast, place, contact, SMS. Each step is committed before the next one starts, so that
//! whoever takes the callback over after a crash knows how far it came.

mod confirmation;
#[cfg(test)]
mod model_test;
mod ports;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

pub use self::ports::{CallbackGateway, CallbackRepository};
use super::model::{Callback, Failure, PASSED_AFTER, PossibleContact, SkipReason, Status};
use super::outcome::Waiting;
use super::retry::{Verdict, backoff, verdict};
use crate::audit::{Action, Entry, Outcome};
use crate::campaigns::PlacementRules;
use crate::clock::Clock;
use crate::cxone::{Asker, Class, ContactAnswer, CxoneError, Endpoint, NewContact};
use crate::placement::{HourLoad, NOTICE, dispatch, dispatch_without_forecast, hours_of};
use crate::types::{PhoneNumber, Zone};

/// How long an attempt has its callback without renewing its lease: what a crash may cost.
const LEASE: Duration = Duration::from_secs(15);
/// A contact is sent at least this long before its start, which must be in the future when it arrives.
const SENT_BEFORE: SignedDuration = SignedDuration::from_secs(5);
/// So often a callback is placed anew in one attempt because its start passed before CXone had it.
const PLACEMENTS_AT_ONCE: usize = 3;
/// The notice for such a new placement: what took too long once may do so again.
const LONGER_NOTICE: SignedDuration = SignedDuration::from_secs(60);

/// What scheduling a callback needs of CXone.
pub const FOR_CONTACTS: [Endpoint; 2] = [Endpoint::Forecast, Endpoint::Contacts];
/// What an SMS needs of CXone.
pub const FOR_MESSAGES: [Endpoint; 1] = [Endpoint::Messages];

/// What to do where CXone has no forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum WithoutForecast {
    /// The callback fails.
    Reject,
    /// It is placed at the start of its window.
    WindowStart,
}

/// What an attempt needs to know.
#[derive(Clone, Debug)]
pub struct AttemptSettings {
    /// What to do where CXone has no forecast.
    pub without_forecast: WithoutForecast,
    /// The verified sender of SMS, where a campaign has none of its own.
    pub sms_from: PhoneNumber,
    /// The zone in SMS, where the caller gave none.
    pub default_zone: Zone,
}

/// Why an attempt stopped half-way.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    #[error("another attempt has the callback now")]
    ClaimLost,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Where a callback may be placed.
enum Place {
    At(Timestamp),
    /// Nowhere, for this reason; with a hold that may be lifted, not for good.
    Nowhere {
        failure: Failure,
        may_change: bool,
    },
    /// The forecast could not be had; the callback is put off, or has ended.
    Settled,
}

/// Makes attempts.
pub struct Attempts<R, G> {
    pub repository: R,
    pub gateway: G,
    pub clock: Clock,
    pub waiting: Waiting,
    pub settings: AttemptSettings,
}

impl<R: CallbackRepository, G: CallbackGateway> Attempts<R, G> {
    /// Until when an attempt that starts now, or renews its lease, has its callback.
    pub fn lease_end(&self) -> Timestamp {
        self.clock.now() + LEASE
    }

    /// One attempt on a callback that is claimed, as far as it can be brought now.
    ///
    /// # Errors
    /// Where it stops half-way; it is taken up again when its lease is over.
    pub async fn attempt(&self, callback: &mut Callback, class: Class) -> Result<(), AttemptError> {
        match callback.status {
            Status::Accepted => self.schedule(callback, class).await,
            Status::Scheduled => self.resume_confirmation(callback, class).await,
            Status::Failed | Status::Expired | Status::Cancelled => Ok(()),
        }
    }

    /// Brings an accepted callback to its contact, and on to its SMS.
    async fn schedule(&self, callback: &mut Callback, class: Class) -> Result<(), AttemptError> {
        if callback.window_has_passed(self.clock.now(), NOTICE) {
            callback.expired();
            return self.conclude(callback, Action::CallbackExpired, Outcome::Failed, Status::Accepted).await;
        }
        let rules = self.repository.rules(&callback.campaign_id).await?;
        match callback.dispatch_time {
            Some(at) => self.send_again(callback, class, &rules, at).await,
            None => self.place_and_send(callback, class, &rules).await,
        }
    }

    /// CXone may have the contact: the same one is sent again, also where its start has passed. CXone answers that it
    /// exists, or makes it. Where it refuses a start that has passed, it does not have it, and will not get it any more.
    async fn send_again(
        &self,
        callback: &mut Callback,
        class: Class,
        rules: &PlacementRules,
        at: Timestamp,
    ) -> Result<(), AttemptError> {
        callback.leased(self.lease_end());
        self.save(callback).await?;
        match self.send_contact(callback, class, at, None).await {
            Ok(answer) => match self.stored_time(callback, class, answer, at).await {
                Ok(Some(at)) => self.scheduled(callback, class, rules, at).await,
                Ok(None) => self.time_unknown(callback).await,
                Err(error) => self.not_scheduled(callback, callback.possible_contact(), &error).await,
            },
            Err(error) if refuses_start(&error) && at + PASSED_AFTER < self.clock.now() => {
                self.place_and_send(callback, class, rules).await
            }
            Err(error) => self.not_scheduled(callback, callback.possible_contact(), &error).await,
        }
    }

    /// Places the callback and sends its contact; anew where the start passes before CXone has it.
    async fn place_and_send(
        &self,
        callback: &mut Callback,
        class: Class,
        rules: &PlacementRules,
    ) -> Result<(), AttemptError> {
        let before = callback.possible_contact();
        let (mut notice, mut passed) = (NOTICE, CxoneError::NotSentInTime);
        for placement in 0..PLACEMENTS_AT_ONCE {
            let at = match self.place(callback, class, rules, notice).await? {
                Place::At(at) => at,
                Place::Settled => return Ok(()),
                Place::Nowhere { .. } if placement > 0 => break,
                Place::Nowhere { failure, may_change } => {
                    return self.without_place(callback, failure, may_change).await;
                }
            };
            match self.send_contact(callback, class, at, Some(at - SENT_BEFORE)).await {
                Ok(ContactAnswer::Created) => return self.scheduled(callback, class, rules, at).await,
                // This one was never sent before: what exists is what was sent earlier.
                Ok(ContactAnswer::Exists { at: told }) => {
                    let at = told.filter(|at| callback.window.contains(*at)).or(before.only_time());
                    return match at {
                        Some(at) => self.scheduled(callback, class, rules, at).await,
                        None => self.time_unknown(callback).await,
                    };
                }
                Err(error) if start_may_have_passed(&error, at, self.clock.now()) => passed = error,
                Err(error) => return self.not_scheduled(callback, before, &error).await,
            }
            callback.unplaced(before);
            notice = LONGER_NOTICE;
        }
        self.not_scheduled(callback, before, &passed).await
    }

    /// The time under which CXone has the contact; none where nobody can know it.
    ///
    /// Where it was sent for two times, the second one is right if CXone shows what exists before it looks at the start:
    /// then its refusal of the first start meant that there was no contact yet. That is found out by sending the first
    /// one, which has passed, again.
    async fn stored_time(
        &self,
        callback: &Callback,
        class: Class,
        answer: ContactAnswer,
        sent: Timestamp,
    ) -> Result<Option<Timestamp>, CxoneError> {
        match (answer, callback.earlier_dispatch_time) {
            (ContactAnswer::Exists { at: Some(at) }, _) if callback.window.contains(at) => Ok(Some(at)),
            (ContactAnswer::Exists { .. }, Some(earlier)) => {
                match self.send_contact(callback, class, earlier, None).await {
                    Ok(ContactAnswer::Exists { .. }) => Ok(Some(sent)),
                    Ok(ContactAnswer::Created) => Ok(Some(earlier)),
                    Err(error) if refuses_start(&error) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            (ContactAnswer::Exists { .. }, None) | (ContactAnswer::Created, _) => Ok(Some(sent)),
        }
    }

    /// CXone has the contact, for one of several times. No SMS can say which, and asking again tells nothing more.
    async fn time_unknown(&self, callback: &mut Callback) -> Result<(), AttemptError> {
        let detail = "CXone has the contact, and does not say for which of the times that it was sent for";
        callback.deferred_to_the_end(Failure::new("cxone-time-unknown", detail));
        self.save(callback).await
    }

    async fn send_contact(
        &self,
        callback: &Callback,
        class: Class,
        at: Timestamp,
        send_by: Option<Timestamp>,
    ) -> Result<ContactAnswer, CxoneError> {
        let contact = NewContact {
            contact_id: callback.id,
            campaign_id: &callback.campaign_id,
            phone_number: &callback.phone_number,
            at,
            language: &callback.language,
            window: callback.window,
            send_by,
        };
        self.gateway.create_contact(&contact, Asker { class, trace: &callback.trace }).await
    }

    /// Finds the callback's moment and commits it, so that every replica counts it from here on.
    async fn place(
        &self,
        callback: &mut Callback,
        class: Class,
        rules: &PlacementRules,
        notice: SignedDuration,
    ) -> Result<Place, AttemptError> {
        let parts = rules.restrictions.open_parts(&callback.window, self.clock.now());
        if parts.is_empty() {
            let detail = "the campaign is held, or outside its regulatory window, until the requested window ends";
            return Ok(Place::Nowhere { failure: Failure::new("campaign-held", detail), may_change: true });
        }
        let asker = Asker { class, trace: &callback.trace };
        let forecast = match self.gateway.forecast(&callback.campaign_id, &callback.window, asker).await {
            Ok(forecast) => forecast,
            Err(error) => {
                let before = callback.possible_contact();
                return self.not_scheduled(callback, before, &error).await.map(|()| Place::Settled);
            }
        };
        let earliest = self.clock.now() + notice;
        callback.leased(self.lease_end());
        callback.updated_at = self.clock.now();
        let hours: Vec<Timestamp> = forecast.iter().map(|hour| hour.hour).collect();
        let handle_time = rules.settings.handle_time();
        let from_forecast = |placed: &[u32]| {
            let loads: Vec<_> =
                forecast.iter().zip(placed).map(|(&forecast, &placed)| HourLoad { forecast, placed }).collect();
            dispatch(&loads, handle_time, &parts, earliest)
        };
        if let Some(at) = self.place_in(callback, &hours, from_forecast).await? {
            return Ok(Place::At(at));
        }
        if self.settings.without_forecast == WithoutForecast::WindowStart {
            let hours = hours_of(&callback.window);
            let from_start = |placed: &[u32]| dispatch_without_forecast(&hours, placed, &parts, earliest);
            if let Some(at) = self.place_in(callback, &hours, from_start).await? {
                return Ok(Place::At(at));
            }
        }
        let detail = "CXone forecasts no agents for any part of the requested window that is still to come";
        Ok(Place::Nowhere { failure: Failure::new("no-forecast", detail), may_change: false })
    }

    async fn place_in(
        &self,
        callback: &mut Callback,
        hours: &[Timestamp],
        decide: impl FnOnce(&[u32]) -> Option<Timestamp> + Send,
    ) -> Result<Option<Timestamp>, AttemptError> {
        let mut decided = None;
        let ours = self.repository.place(callback, hours, |placed| {
            decided = decide(placed);
            decided
        });
        if ours.await? { Ok(decided) } else { Err(AttemptError::ClaimLost) }
    }

    /// There is no moment for the callback. That is its end, unless CXone may have its contact, or a hold may be lifted.
    async fn without_place(
        &self,
        callback: &mut Callback,
        failure: Failure,
        may_change: bool,
    ) -> Result<(), AttemptError> {
        if may_change || callback.may_have_contact() {
            let wait = backoff(callback.attempts, &self.clock);
            return self.put_off(callback, failure, wait).await;
        }
        callback.failed(failure);
        self.conclude(callback, Action::CallbackFailed, Outcome::Failed, Status::Accepted).await
    }

    /// CXone has the contact. The SMS is started in the same commit.
    async fn scheduled(
        &self,
        callback: &mut Callback,
        class: Class,
        rules: &PlacementRules,
        at: Timestamp,
    ) -> Result<(), AttemptError> {
        let skip = callback.phone_number.is_certainly_fixed_line().then_some(SkipReason::Landline);
        callback.leased(self.lease_end());
        callback.scheduled(at, skip, self.clock.now());
        self.record(callback, Action::CallbackScheduled, Outcome::Succeeded, Status::Accepted).await?;
        metrics::counter!("ringback_callbacks_total", "status" => "scheduled").increment(1);
        if skip.is_some() {
            return Ok(());
        }
        self.waiting.tell(callback);
        self.confirm(callback, class, rules).await
    }

    /// CXone did not make the contact, or never said so: the end, or another attempt later. `before` is what was possible
    /// before this request.
    async fn not_scheduled(
        &self,
        callback: &mut Callback,
        before: PossibleContact,
        error: &CxoneError,
    ) -> Result<(), AttemptError> {
        let failure = Failure::new(error.code(), error.to_string());
        let is_up = self.gateway.is_up(&FOR_CONTACTS);
        match verdict(error, callback.attempts, is_up, &self.clock) {
            // A refusal says nothing about a contact that may exist, unless it names it.
            Verdict::Final if before.exists() && !self.refuses_this_contact(callback, error) => {
                callback.unplaced(before);
                let wait = if is_up { backoff(callback.attempts, &self.clock) } else { Duration::ZERO };
                self.put_off(callback, failure, wait).await
            }
            Verdict::Final => {
                callback.failed(failure);
                self.conclude(callback, Action::CallbackFailed, Outcome::Failed, Status::Accepted).await
            }
            Verdict::NotDone { wait } => {
                callback.unplaced(before);
                self.put_off(callback, failure, wait).await
            }
            Verdict::Unknown { wait } => self.put_off(callback, failure, wait).await,
        }
    }

    /// CXone named the contact as it refused it, and its start was not the reason.
    fn refuses_this_contact(&self, callback: &Callback, error: &CxoneError) -> bool {
        let is_ahead = callback.dispatch_time.is_some_and(|at| at > self.clock.now() + NOTICE);
        is_ahead && matches!(error, CxoneError::ContactRefused { .. })
    }

    pub(super) async fn put_off(
        &self,
        callback: &mut Callback,
        failure: Failure,
        wait: Duration,
    ) -> Result<(), AttemptError> {
        let now = self.clock.now();
        callback.deferred(failure, now + wait, now, NOTICE);
        self.save(callback).await
    }

    pub(super) async fn conclude(
        &self,
        callback: &mut Callback,
        action: Action,
        outcome: Outcome,
        previous: Status,
    ) -> Result<(), AttemptError> {
        self.record(callback, action, outcome, previous).await?;
        let end = action.as_str().trim_start_matches("callback.");
        tracing::info!(callback.status = callback.status.as_str(), "callback {end}");
        metrics::counter!("ringback_callbacks_total", "status" => end).increment(1);
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
        self.saved(callback, Some(entry)).await
    }

    pub(super) async fn save(&self, callback: &mut Callback) -> Result<(), AttemptError> {
        callback.updated_at = self.clock.now();
        self.saved(callback, None).await
    }

    async fn saved(&self, callback: &Callback, entry: Option<Entry>) -> Result<(), AttemptError> {
        if self.repository.save(callback, entry).await? { Ok(()) } else { Err(AttemptError::ClaimLost) }
    }
}

/// A start that is not in the future is refused as other faults are; CXone's words decide nothing.
fn refuses_start(error: &CxoneError) -> bool {
    matches!(error, CxoneError::Rejected { status: 400 | 422, .. } | CxoneError::ContactRefused { .. })
}

/// Whether a start that was in the future when it was chosen may be the reason.
fn start_may_have_passed(error: &CxoneError, at: Timestamp, now: Timestamp) -> bool {
    matches!(error, CxoneError::NotSentInTime) || (refuses_start(error) && at <= now + NOTICE)
}
