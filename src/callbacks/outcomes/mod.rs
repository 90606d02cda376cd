//! What became of the calls: reads it from CXone, where CXone reports it, and deletes contacts that must not be called.
//!
//! `matching` and `duplicates` decide, `poll` asks CXone and stores what follows. One replica at a time polls; every replica
//! looks again for the contacts of callbacks that were created after a doubt.

mod duplicates;
mod matching;
mod poll;
mod rechecks;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::attempt::CallbackRepository as _;
use super::model::{CallOutcome, CallStatus, Callback, Status};
use super::store::{CallbackStore, Settlement};
use crate::audit::{Action, Entry, Outcome};
use crate::clock::Clock;
use crate::cxone::{Cxone, CxoneError, Outcomes, RequestContext};

use duplicates::Surplus;
#[cfg(test)]
pub use duplicates::surplus;
pub use matching::ReachedDispositions;

/// How often a replica looks whether anything is due.
const CHECK: Duration = Duration::from_secs(4);

/// The settings of outcomes.
#[derive(Clone, Debug)]
pub struct OutcomeSettings {
    /// How often CXone is asked.
    pub poll_every: Duration,
    pub reached: ReachedDispositions,
}

/// Reads the outcomes of callbacks.
pub struct OutcomePoller {
    pub(super) store: Arc<CallbackStore>,
    pub(super) cxone: Arc<Cxone>,
    pub(super) settings: OutcomeSettings,
    pub(super) clock: Clock,
}

/// Why outcomes could not be read.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error(transparent)]
    Cxone(#[from] CxoneError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("another replica has taken over")]
    LeaseLost,
}

impl OutcomePoller {
    /// Uses this store and this CXone.
    pub fn new(store: Arc<CallbackStore>, cxone: Arc<Cxone>, settings: OutcomeSettings, clock: Clock) -> Self {
        Self { store, cxone, settings, clock }
    }

    /// Runs until `stop`. Ends at once where CXone reports no outcomes.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.repeat()).await;
    }

    async fn repeat(&self) {
        let Some(outcomes) = self.cxone.outcomes() else { return };
        let longest = CHECK.min(self.settings.poll_every);
        loop {
            if let Err(error) = Box::pin(self.recheck_due(outcomes)).await {
                tracing::warn!(error = %error, "contacts that may exist twice could not be looked up");
            }
            if let Err(error) = Box::pin(self.poll_due(outcomes)).await {
                tracing::warn!(error = %error, "the outcomes of callbacks could not be read");
            }
            tokio::time::sleep(self.clock.between(longest / 2, longest)).await;
        }
    }

    /// Deletes the contacts of this skill that must not be called. Returns the callbacks that still wait in CXone.
    async fn clean(
        &self,
        outcomes: Outcomes<'_>,
        skill: i64,
        context: RequestContext<'_>,
    ) -> Result<Vec<uuid::Uuid>, PollError> {
        let waiting = outcomes.waiting(skill, context).await?;
        let ids: Vec<_> = waiting.iter().map(|contact| contact.callback_id).collect();
        let marked = self.store.marked(&ids).await?.into_iter().collect();
        for surplus in duplicates::surplus(&waiting, &marked, self.clock.now()) {
            if self.delete(outcomes, &surplus, context).await? {
                self.record_deleted(&surplus).await?;
            }
        }
        Ok(ids)
    }

    /// The same. None where CXone refuses what concerns this skill: the other skills go on.
    async fn cleaned(
        &self,
        outcomes: Outcomes<'_>,
        skill: i64,
        context: RequestContext<'_>,
    ) -> Result<Option<Vec<uuid::Uuid>>, PollError> {
        match self.clean(outcomes, skill, context).await {
            Err(PollError::Cxone(error)) if error.came_after_authorization() => {
                tracing::warn!(skill, error = %error, "the callbacks of a skill could not be looked up");
                Ok(None)
            }
            waiting => waiting.map(Some),
        }
    }

    /// Returns whether the contact was there. One that an attempt has confirmed meanwhile is left.
    async fn delete(
        &self,
        outcomes: Outcomes<'_>,
        surplus: &Surplus,
        context: RequestContext<'_>,
    ) -> Result<bool, PollError> {
        let unknown = Mutex::new(None);
        let is_surplus = || async {
            match self.store.is_confirmed_contact(surplus.callback_id, surplus.number).await {
                Ok(is_confirmed) => !is_confirmed,
                Err(error) => {
                    *unknown.lock() = Some(error);
                    false
                }
            }
        };
        let why = surplus.reason.description();
        let deleted = outcomes.withdraw(surplus.number, why, context, &is_surplus).await;
        match (deleted, unknown.into_inner()) {
            (Err(CxoneError::Superseded), Some(error)) => Err(PollError::Database(error)),
            (Err(CxoneError::Superseded), None) => Ok(false),
            (deleted, _) => Ok(deleted?),
        }
    }

    async fn record_deleted(&self, surplus: &Surplus) -> Result<(), sqlx::Error> {
        let reason: &'static str = surplus.reason.into();
        tracing::warn!(
            callback.id = %surplus.callback_id,
            contact = surplus.number,
            reason,
            "deleted a contact in CXone that must not be called"
        );
        metrics::counter!("ringback_callback_contacts_deleted_total", "reason" => reason).increment(1);
        let Some(callback) = self.store.find(surplus.callback_id).await? else { return Ok(()) };
        self.store.record(callback.contact_deleted_entry(self.clock.now(), surplus.number, reason)).await
    }

    /// Stores new outcomes, with their audit entries and events.
    async fn settle(&self, settled: Vec<(Callback, CallOutcome)>) -> Result<(), sqlx::Error> {
        if settled.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let statuses: Vec<CallStatus> = settled.iter().map(|(_, outcome)| outcome.status).collect();
        let promises: Vec<_> = settled.iter().filter_map(|(callback, outcome)| promise(callback, outcome)).collect();
        let settlements = settled.into_iter().map(|(callback, outcome)| {
            let after = Callback { outcome: Some(outcome.clone()), ..callback.clone() };
            let action = match outcome.status {
                CallStatus::Missing | CallStatus::AgentOnly | CallStatus::Pending => Action::CallbackMissed,
                CallStatus::Called | CallStatus::Reached | CallStatus::NotReached => Action::CallbackCalled,
            };
            let result = if action == Action::CallbackMissed { Outcome::Failed } else { Outcome::Succeeded };
            let entry = after.entry(self.clock.new_id(), now, action, result, Status::Scheduled);
            let entry = Entry { latency_ms: None, ..entry }.with_event(&after.event()).traced(&after.trace);
            Settlement { callback, outcome, entry }
        });
        self.store.settle(settlements.collect(), now).await?;
        for status in statuses {
            metrics::counter!("ringback_callback_outcomes_total", "status" => status.as_ref().to_owned()).increment(1);
        }
        for result in promises {
            metrics::counter!("ringback_callback_promises_total", "result" => result).increment(1);
        }
        Ok(())
    }
}

/// What became of the promise to call in the window. None where it was counted before, with an earlier outcome.
fn promise(callback: &Callback, outcome: &CallOutcome) -> Option<&'static str> {
    let was_pending = callback.outcome.as_ref().is_none_or(|earlier| earlier.status == CallStatus::Pending);
    let result = match outcome.called_at {
        Some(at) if at <= callback.window.end() => "kept",
        Some(_) => "late",
        None => "missed",
    };
    (was_pending && outcome.status != CallStatus::Pending).then_some(result)
}
