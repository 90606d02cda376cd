//! The quota of CXone's that all replicas of one database share.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::error::CxoneError;
use super::ledger::{Class, Decision, Ledger, look_share, routine_share};
use super::ledger_store::{Changed, LedgerError, LedgerStore};
use super::memory::Granted;
use super::pieces::Pieces;

/// Whoever may send in less than this waits for it; a longer wait is the row's. So long a failing database is tried.
const MOMENT: Duration = Duration::from_secs(1);
/// Between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// A quota so large that Postgres would be asked more than a hundred times a second is taken in pieces.
const PIECES_PER_MINUTE: u32 = 6_000;

/// The ledger in Postgres, and what this replica has taken from it.
pub struct Budget {
    quota: u32,
    // One question at a time, so that the budget never holds more than one connection.
    shared: Mutex<Shared>,
    // Back-offs that the ledger has not been told of.
    untold: std::sync::Mutex<Vec<(Endpoint, Instant)>>,
    // By this replica's last question of each kind; none where it was granted.
    refused_until: std::sync::Mutex<HashMap<(Class, Endpoint), Instant>>,
}

struct Shared {
    ledger: LedgerStore,
    pieces: Pieces,
}

impl Budget {
    /// With so many requests in any minute.
    pub fn new(pool: PgPool, quota: u32, replica: Uuid) -> Self {
        let shared = Shared { ledger: LedgerStore::new(pool, replica), pieces: Pieces::default() };
        Self {
            quota,
            shared: Mutex::new(shared),
            untold: std::sync::Mutex::default(),
            refused_until: std::sync::Mutex::default(),
        }
    }

    /// Leave to send one request to an endpoint now, after a moment's wait at the most.
    pub async fn take(&self, class: Class, endpoint: Endpoint) -> Result<(), CxoneError> {
        let started = Instant::now();
        let deadline = started + MOMENT;
        // Routine work does not ask again and again: the questions of others would wait behind its own.
        let refused_for = self.refused_for(class, endpoint).filter(|_| class.is_routine());
        if let Some(retry_after) = refused_for.filter(|wait| *wait > MOMENT) {
            count_refusal(class);
            return Err(CxoneError::OverBudget { retry_after });
        }
        loop {
            let wait = match self.ask(class, endpoint, deadline).await {
                Ok(Decision::Granted) => {
                    self.note(class, &[endpoint], None);
                    metrics::histogram!("ringback_cxone_budget_wait_seconds", "class" => class.as_str())
                        .record(started.elapsed());
                    return Ok(());
                }
                Ok(Decision::NotFor(wait)) if started.elapsed() + wait > MOMENT => {
                    count_refusal(class);
                    self.note(class, &[endpoint], Some(wait));
                    return Err(CxoneError::OverBudget { retry_after: wait });
                }
                Ok(Decision::NotFor(wait)) => wait,
                Err(error) if error.is_transient() && Instant::now() + RETRY_PAUSE < deadline => RETRY_PAUSE,
                Err(error) => return Err(unknown(&error)),
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn ask(&self, class: Class, endpoint: Endpoint, deadline: Instant) -> Result<Decision, LedgerError> {
        let mut shared = self.shared(deadline).await?;
        let now = Instant::now();
        let is_restrained = shared.ledger.known().is_some_and(|(ledger, at)| ledger.is_restrained(class, endpoint, at));
        if !is_restrained && shared.pieces.use_one(class, now) {
            return Ok(Decision::Granted);
        }
        let whole = self.piece_of(class);
        let take = |ledger: &mut Ledger, now| {
            let piece = if ledger.is_restrained(class, endpoint, now) { 1 } else { whole };
            let decision = ledger.take(class, endpoint, piece, self.quota, now);
            let granted = (decision == Decision::Granted).then_some(Granted { class, count: piece });
            Changed { result: (decision, piece), granted }
        };
        let (decision, piece) = shared.ledger.change(deadline, take).await?;
        if decision == Decision::Granted && piece > 1 {
            shared.pieces.keep(class, piece - 1, now);
        }
        Ok(decision)
    }

    /// How many requests are taken at a time. The routine takes no more than its share of each.
    fn piece_of(&self, class: Class) -> u32 {
        let quota = match class {
            Class::Control | Class::Waiting | Class::Background => self.quota,
            Class::Routine => routine_share(self.quota),
            Class::Look => look_share(self.quota),
        };
        (quota / PIECES_PER_MINUTE).max(1)
    }

    /// Whether work that needs `count` requests to these endpoints may be started in the background.
    pub async fn may_start(&self, endpoints: &[Endpoint], count: u32) -> Result<Decision, CxoneError> {
        let deadline = Instant::now() + MOMENT;
        let mut shared = self.shared(deadline).await.map_err(|error| unknown(&error))?;
        shared.ledger.forget();
        let look = |ledger: &mut Ledger, now| {
            let result = (ledger.may_start(endpoints, count, self.quota, now), ledger.used(now));
            Changed { result, granted: None }
        };
        let looked = shared.ledger.change(deadline, look).await;
        drop(shared);
        let (decision, used) = looked.map_err(|error| unknown(&error))?;
        metrics::gauge!("ringback_cxone_budget_used").set(used);
        metrics::gauge!("ringback_cxone_budget_quota").set(self.quota);
        match decision {
            Decision::Granted => self.note(Class::Background, endpoints, None),
            Decision::NotFor(wait) => self.note(Class::Background, endpoints, Some(wait)),
        }
        Ok(decision)
    }

    /// Whether this class was refused when it last asked for one of these endpoints, and still would be, as far as
    /// this replica knows without asking.
    pub fn was_just_refused(&self, class: Class, endpoints: &[Endpoint]) -> bool {
        endpoints.iter().any(|endpoint| self.refused_for(class, *endpoint).is_some())
    }

    fn refused_for(&self, class: Class, endpoint: Endpoint) -> Option<Duration> {
        let refused_until = self.refused_until.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = refused_until.get(&(class, endpoint))?.saturating_duration_since(Instant::now());
        Some(wait).filter(|wait| !wait.is_zero())
    }

    fn note(&self, class: Class, endpoints: &[Endpoint], refused_for: Option<Duration>) {
        let mut refused_until = self.refused_until.lock().unwrap_or_else(PoisonError::into_inner);
        let until = refused_for.and_then(|wait| Instant::now().checked_add(wait));
        for endpoint in endpoints {
            match until {
                Some(until) => drop(refused_until.insert((class, *endpoint), until)),
                None => drop(refused_until.remove(&(class, *endpoint))),
            }
        }
    }

    /// CXone said 429: no replica sends to this endpoint for so long.
    pub async fn back_off(&self, endpoint: Endpoint, wait: Duration) {
        metrics::counter!("ringback_cxone_back_offs_total", "endpoint" => endpoint.as_str()).increment(1);
        let now = Instant::now();
        let (deadline, until) = (now + MOMENT, now + wait);
        self.untold.lock().unwrap_or_else(PoisonError::into_inner).push((endpoint, until));
        let told = async {
            let mut shared = self.shared(deadline).await?;
            shared.ledger.change(deadline, |_, _| Changed { result: (), granted: None }).await
        };
        if let Err(error) = told.await {
            tracing::error!(error = %error, "the other replicas are told later to hold off");
        }
    }

    async fn shared(&self, deadline: Instant) -> Result<MutexGuard<'_, Shared>, LedgerError> {
        let locked = tokio::time::timeout_at(deadline.into(), self.shared.lock()).await;
        let mut shared = locked.map_err(|_| LedgerError::Late)?;
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        shared.ledger.tell_back_offs(untold.drain(..));
        Ok(shared)
    }
}

fn count_refusal(class: Class) {
    metrics::counter!("ringback_cxone_budget_refusals_total", "class" => class.as_str()).increment(1);
}

/// Without the ledger nobody knows what may be sent, and nothing is.
fn unknown(error: &LedgerError) -> CxoneError {
    tracing::error!(error = %error, "the CXone budget cannot be read");
    CxoneError::Unavailable { retry_after: None, reason: "the shared budget cannot be read".into() }
}
