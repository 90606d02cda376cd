//! The budget of requests to CXone, which all replicas of one database share. Written by hand: no maintained crate shares
//! a sliding-window quota with priority classes through Postgres.

mod batches;
mod ledger;
mod own_changes;
mod reduction;
mod spent;
mod store;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use sqlx::PgPool;
use tokio::sync::MutexGuard;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::error::CxoneError;
use batches::Batches;
use ledger::Ledger;
use own_changes::Granted;
use store::{Changed, LedgerError, LedgerStore};

pub use ledger::{Class, ClassUse, Decision, NewJob, PACE, QuotaUse};
pub use store::GRANT_LASTS;

/// A request that can be sent within this waits for it; one that would have to wait longer is refused. A database that
/// fails is retried for as long.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The pause between two retries.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// A quota above this would mean more than a hundred statements a second, so requests are taken in batches.
const UNBATCHED_PER_MINUTE: u32 = 6_000;

/// The ledger in Postgres, and what this replica has taken from it.
pub struct Budget {
    quota: u32,
    /// One change at a time, so that the budget uses one connection at most.
    shared: tokio::sync::Mutex<Shared>,
    /// Back-offs that are not in the ledger yet.
    unshared_back_offs: Mutex<Vec<(Endpoint, Instant)>>,
    /// The end of the last refusal of this replica; none where the last request was granted.
    refused_until: Mutex<HashMap<(Class, Endpoint), Instant>>,
    /// Whether waiting clients left background work too little when this replica last asked.
    background_starves: AtomicBool,
}

struct Shared {
    ledger: LedgerStore,
    batches: Batches,
}

impl Budget {
    /// A budget of `quota` requests in any minute. Where CXone publishes no quota, refusals reduce it.
    pub fn new(pool: PgPool, quota: u32, is_published: bool, replica: Uuid) -> Self {
        let reduced = (!is_published).then_some(quota);
        let shared = Shared { ledger: LedgerStore::new(pool, reduced, replica), batches: Batches::default() };
        Self {
            quota,
            shared: tokio::sync::Mutex::new(shared),
            unshared_back_offs: Mutex::default(),
            refused_until: Mutex::default(),
            background_starves: AtomicBool::default(),
        }
    }

    /// Takes the right to send one request to an endpoint now, after a short wait at most.
    pub async fn take(&self, class: Class, endpoint: Endpoint) -> Result<(), CxoneError> {
        let started = Instant::now();
        let deadline = started + LONGEST_WAIT;
        // Routine work does not try again before its refusal ends: other classes would wait for its statements.
        let refused_for = self.refused_for(class, endpoint).filter(|_| class.is_routine());
        if let Some(retry_after) = refused_for.filter(|wait| *wait > LONGEST_WAIT) {
            count_refusal(class);
            return Err(CxoneError::OverBudget { retry_after });
        }
        loop {
            let wait = match self.try_take(class, endpoint, deadline).await {
                Ok(Decision::Granted) => {
                    self.set_refused(class, &[endpoint], None);
                    metrics::histogram!("ringback_cxone_budget_wait_seconds", "class" => class.as_str())
                        .record(started.elapsed());
                    return Ok(());
                }
                Ok(Decision::NotFor(wait)) if started.elapsed() + wait > LONGEST_WAIT => {
                    count_refusal(class);
                    self.set_refused(class, &[endpoint], Some(wait));
                    return Err(CxoneError::OverBudget { retry_after: wait });
                }
                Ok(Decision::NotFor(wait)) => wait,
                Err(error) if error.is_transient() && Instant::now() + RETRY_PAUSE < deadline => RETRY_PAUSE,
                Err(error) => return Err(unreadable(&error)),
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn try_take(&self, class: Class, endpoint: Endpoint, deadline: Instant) -> Result<Decision, LedgerError> {
        let mut shared = self.shared(deadline).await?;
        let now = Instant::now();
        let is_restrained = shared.ledger.known().is_some_and(|(ledger, at)| ledger.is_restrained(class, endpoint, at));
        if !is_restrained && shared.batches.use_one(class, now) {
            return Ok(Decision::Granted);
        }
        let whole = self.batch_size(class);
        let has_starved = self.background_starves.load(Ordering::Relaxed);
        let take = |ledger: &mut Ledger, now| {
            let batch = if ledger.is_restrained(class, endpoint, now) { 1 } else { whole };
            let decision = ledger.take(class, endpoint, batch, self.quota, now);
            let granted = (decision == Decision::Granted).then_some(Granted { class, count: batch });
            let starves = ledger.starves_background(has_starved, self.quota, now);
            Changed { result: (decision, batch, starves), granted }
        };
        let (decision, batch, starves) = shared.ledger.change(deadline, take).await?;
        self.background_starves.store(starves, Ordering::Relaxed);
        if decision == Decision::Granted && batch > 1 {
            shared.batches.keep(class, batch - 1, now);
        }
        Ok(decision)
    }

    /// The requests that are taken at a time. A class with a share takes batches of its share.
    fn batch_size(&self, class: Class) -> u32 {
        (class.quota_of(self.quota) / UNBATCHED_PER_MINUTE).max(1)
    }

    /// Whether a job of background work with requests to these endpoints may start.
    pub async fn may_start(&self, endpoints: &[Endpoint], job: NewJob) -> Result<Decision, CxoneError> {
        let deadline = Instant::now() + LONGEST_WAIT;
        let mut shared = self.shared(deadline).await.map_err(|error| unreadable(&error))?;
        shared.ledger.forget();
        let has_starved = self.background_starves.load(Ordering::Relaxed);
        let decide = |ledger: &mut Ledger, now| {
            let decision = ledger.may_start(endpoints, job, self.quota, now);
            let starves = ledger.starves_background(has_starved, self.quota, now);
            Changed { result: (decision, ledger.used(now), starves), granted: None }
        };
        let decided = shared.ledger.change(deadline, decide).await;
        drop(shared);
        let (decision, used, starves) = decided.map_err(|error| unreadable(&error))?;
        self.background_starves.store(starves, Ordering::Relaxed);
        metrics::gauge!("ringback_cxone_budget_used").set(used);
        metrics::gauge!("ringback_cxone_budget_quota").set(self.quota);
        for class in Class::ALL {
            metrics::gauge!("ringback_cxone_budget_class_quota", "class" => class.as_str())
                .set(class.quota_of(self.quota));
        }
        match decision {
            Decision::Granted => self.set_refused(Class::Background, endpoints, None),
            Decision::NotFor(wait) => self.set_refused(Class::Background, endpoints, Some(wait)),
        }
        Ok(decision)
    }

    /// The use of the quota in the last minute, of all replicas.
    pub async fn quota_use(&self) -> Result<QuotaUse, CxoneError> {
        let deadline = Instant::now() + LONGEST_WAIT;
        let mut shared = self.shared(deadline).await.map_err(|error| unreadable(&error))?;
        shared.ledger.forget();
        let read = |ledger: &mut Ledger, now| Changed { result: ledger.quota_use(self.quota, now), granted: None };
        shared.ledger.change(deadline, read).await.map_err(|error| unreadable(&error))
    }

    /// The end of each endpoint's pause, as this replica last saw it.
    pub async fn back_offs(&self) -> Vec<(Endpoint, Timestamp)> {
        let Ok(shared) = self.shared(Instant::now() + LONGEST_WAIT).await else { return Vec::new() };
        shared.ledger.known().map(|(ledger, now)| ledger.back_offs(now)).unwrap_or_default()
    }

    /// Whether the last request of this class to one of these endpoints was refused, and the refusal has not ended, or it is the
    /// turn of background work. Checks only what this replica knows.
    pub fn refuses(&self, class: Class, endpoints: &[Endpoint]) -> bool {
        let yields = class == Class::Waiting && self.background_starves.load(Ordering::Relaxed);
        yields || endpoints.iter().any(|endpoint| self.refused_for(class, *endpoint).is_some())
    }

    fn refused_for(&self, class: Class, endpoint: Endpoint) -> Option<Duration> {
        let until = self.refused_until.lock().get(&(class, endpoint)).copied()?;
        Some(until.saturating_duration_since(Instant::now())).filter(|wait| !wait.is_zero())
    }

    fn set_refused(&self, class: Class, endpoints: &[Endpoint], wait: Option<Duration>) {
        let mut refused_until = self.refused_until.lock();
        let until = wait.and_then(|wait| Instant::now().checked_add(wait));
        for endpoint in endpoints {
            match until {
                Some(until) => drop(refused_until.insert((class, *endpoint), until)),
                None => drop(refused_until.remove(&(class, *endpoint))),
            }
        }
    }

    /// CXone answered 429: no replica sends requests to this endpoint for `wait`.
    pub async fn back_off(&self, endpoint: Endpoint, wait: Duration) {
        metrics::counter!("ringback_cxone_back_offs_total", "endpoint" => endpoint.as_str()).increment(1);
        let now = Instant::now();
        let (deadline, until) = (now + LONGEST_WAIT, now + wait);
        self.unshared_back_offs.lock().push((endpoint, until));
        let share = async {
            let mut shared = self.shared(deadline).await?;
            shared.ledger.change(deadline, |_, _| Changed { result: (), granted: None }).await
        };
        if let Err(error) = share.await {
            tracing::error!(error = %error, "a back-off could not be written to the ledger yet");
        }
    }

    async fn shared(&self, deadline: Instant) -> Result<MutexGuard<'_, Shared>, LedgerError> {
        let locked = tokio::time::timeout_at(deadline.into(), self.shared.lock()).await;
        let mut shared = locked.map_err(|_| LedgerError::Late)?;
        shared.ledger.add_back_offs(self.unshared_back_offs.lock().drain(..));
        Ok(shared)
    }
}

fn count_refusal(class: Class) {
    metrics::counter!("ringback_cxone_budget_refusals_total", "class" => class.as_str()).increment(1);
}

/// Without the ledger it is unknown what may be sent, so nothing is sent.
fn unreadable(error: &LedgerError) -> CxoneError {
    tracing::error!(error = %error, "the CXone budget cannot be read");
    CxoneError::Unavailable { retry_after: None, reason: "the shared budget cannot be read".into() }
}
