//! The jobs of this slice: callbacks whose next step is due. Each job is one attempt.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use opentelemetry::KeyValue;
use parking_lot::Mutex;
use uuid::Uuid;

use super::attempt::{AttemptError, Attempts, FOR_CONTACTS, FOR_MESSAGES};
use super::model::{Callback, Status};
use super::store::{CallbackStore, Claimable};
use crate::clock::Clock;
use crate::cxone::{Class, Cxone, Decision, Endpoint, NewJob, PACE};
use crate::jobs::{self, Next, Queue};
use crate::placement::NOTICE;
use crate::trace::Span;

/// The requests to CXone that a callback needs: a contact and an SMS. Forecasts are shared.
const REQUESTS_PER_CALLBACK: u32 = 2;

/// Works on the callbacks that this replica has just accepted, and on all that are due.
pub type Worker = jobs::Worker<CallbackQueue>;

/// An attempt that is to be made.
pub struct AttemptJob {
    /// The callback, claimed by this replica.
    pub callback: Callback,
    /// The priority of its requests to CXone.
    pub class: Class,
}

/// The claim of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct AttemptLease {
    callback_id: Uuid,
    attempt: i32,
}

/// The callbacks in Postgres.
pub struct CallbackQueue {
    attempts: Attempts<CallbackStore, Arc<Cxone>>,
    recent: RecentClaims,
}

/// The callbacks that were claimed within the last [`PACE`] and are still worked on, with the time of their claim.
#[derive(Default)]
struct RecentClaims(Mutex<HashMap<Uuid, Instant>>);

impl RecentClaims {
    fn add(&self, callback: Uuid) {
        self.0.lock().insert(callback, Instant::now());
    }

    fn remove(&self, callback: Uuid) {
        self.0.lock().remove(&callback);
    }

    fn count(&self) -> u32 {
        let mut claimed = self.0.lock();
        claimed.retain(|_, at| at.elapsed() < PACE);
        u32::try_from(claimed.len()).unwrap_or(u32::MAX)
    }
}

impl AttemptLease {
    /// The lease of the latest claim of a callback.
    pub fn of(callback: &Callback) -> Self {
        Self { callback_id: callback.id, attempt: callback.attempts }
    }
}

impl CallbackQueue {
    /// A queue whose jobs run as these attempts.
    pub fn new(attempts: Attempts<CallbackStore, Arc<Cxone>>) -> Self {
        Self { attempts, recent: RecentClaims::default() }
    }

    fn store(&self) -> &CallbackStore {
        &self.attempts.repository
    }

    fn cxone(&self) -> &Cxone {
        &self.attempts.gateway
    }

    /// Whether an attempt may start as soon as a callback is accepted. It may not while CXone is down or the budget is
    /// spent: the callback then joins the backlog.
    pub fn may_start(&self, class: Class) -> bool {
        self.cxone().looks_open(class, &FOR_CONTACTS)
    }

    /// Whether requests for a callback in this state are sent to CXone at all now. While they are not, a client has nothing
    /// to wait for.
    pub fn can_ask(&self, status: Status) -> bool {
        let needed: &[Endpoint] = if status == Status::Scheduled { &FOR_MESSAGES } else { &FOR_CONTACTS };
        self.cxone().is_up(needed)
    }

    /// Whether CXone can change the contacts that it has.
    pub fn can_change_contacts(&self) -> bool {
        self.cxone().contact_changes().is_some()
    }

    /// The end of the lease of an attempt that starts now.
    pub fn lease_end(&self) -> Timestamp {
        self.attempts.lease_end()
    }
}

impl Queue for CallbackQueue {
    type Job = AttemptJob;
    type Lease = AttemptLease;

    const JOBS: &'static str = "callbacks";
    const SLOTS: usize = 32;
    const POLL: Duration = Duration::from_secs(1);
    const DRAIN: Duration = Duration::from_secs(10);
    const RENEW_EVERY: Option<Duration> = Some(Duration::from_secs(5));

    fn clock(&self) -> &Clock {
        &self.attempts.clock
    }

    /// Claims the most urgent callback that CXone has capacity for. The rest of the backlog is left as it is.
    async fn claim(&self, running: usize) -> Result<Next<AttemptJob>, sqlx::Error> {
        let running = u32::try_from(running).unwrap_or(u32::MAX);
        let job = NewJob { requests: REQUESTS_PER_CALLBACK, running, recent: self.recent.count() };
        let may_start = |endpoints: &'static [Endpoint]| self.cxone().may_start(endpoints, job);
        let contacts = may_start(&FOR_CONTACTS).await;
        // Both use one quota: where it has room for a contact, it has room for an SMS.
        let messages = match contacts {
            Decision::Granted => self.cxone().is_up(&FOR_MESSAGES),
            Decision::NotFor(_) => may_start(&FOR_MESSAGES).await == Decision::Granted,
        };
        let claimable = Claimable { contacts: contacts == Decision::Granted, messages, notice: NOTICE };
        let claimed = self.store().claim(self.attempts.clock.now(), self.lease_end(), claimable, 1).await?.pop();
        let wait = match contacts {
            Decision::Granted => Self::POLL,
            Decision::NotFor(wait) => wait,
        };
        if let Some(callback) = &claimed {
            self.recent.add(callback.id);
        }
        let job = claimed.map(|callback| {
            // Its client waits, the first time.
            let is_new =
                callback.change.as_ref().is_some_and(|change| change.is_requested() && change.sent_at.is_none());
            AttemptJob { class: if is_new { Class::Waiting } else { Class::Background }, callback }
        });
        Ok(job.map_or(Next::Wait(wait), Next::Job))
    }

    fn lease(&self, job: &AttemptJob) -> AttemptLease {
        AttemptLease::of(&job.callback)
    }

    fn span(&self, job: &AttemptJob) -> tracing::Span {
        let callback = &job.callback;
        tracing::info_span!(
            "attempt",
            callback.id = %callback.id,
            callback.attempt = callback.attempts,
            campaign.id = %callback.campaign_id,
            request.id = callback.request_id,
            trace.id = callback.trace.trace_id()
        )
    }

    async fn work(&self, job: AttemptJob) -> Result<(), sqlx::Error> {
        let AttemptJob { mut callback, class } = job;
        let mut span = Span::internal(Some(&callback.trace), "attempt", || {
            vec![
                KeyValue::new("ringback.callback.id", callback.id.to_string()),
                KeyValue::new("ringback.callback.attempt", i64::from(callback.attempts)),
                KeyValue::new("ringback.campaign.id", callback.campaign_id.to_string()),
            ]
        });
        // The requests of the attempt, and the events about it, belong to its span.
        callback.trace = span.traceparent().unwrap_or(callback.trace);
        let attempted = self.attempts.attempt(&mut callback, class).await;
        self.recent.remove(callback.id);
        span.set("ringback.callback.status", callback.status.as_ref().to_owned());
        match attempted {
            Ok(()) => self.attempts.waiters.notify(&callback),
            Err(AttemptError::ClaimLost) => {
                tracing::info!("another replica claimed the callback, or it was cancelled");
            }
            Err(AttemptError::Database(error)) => {
                span.fail("database");
                return Err(error);
            }
        }
        Ok(())
    }

    async fn renew(&self, lease: &AttemptLease) -> Result<(), sqlx::Error> {
        self.store().renew_lease(lease.callback_id, lease.attempt, self.lease_end()).await
    }

    async fn release(&self, lease: &AttemptLease) -> Result<(), sqlx::Error> {
        self.store().release(lease.callback_id, lease.attempt, self.attempts.clock.now()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_claims_that_are_worked_on_count() {
        let (recent, [held, sending]) = (RecentClaims::default(), [1, 2].map(Uuid::from_u128));
        recent.add(held);
        recent.add(sending);
        assert_eq!(recent.count(), 2);
        recent.remove(held);
        assert_eq!(recent.count(), 1);
    }
}
