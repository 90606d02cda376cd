//! The quota of CXone's that all replicas of one database share.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::sync::Mutex;

use super::error::CxoneError;
use super::ledger::{Class, Decision, Ledger};

/// Whoever may send in less than this waits for it; a longer wait is the row's.
const MOMENT: Duration = Duration::from_secs(1);
/// A grant must be used at once: the ledger allows a request a second to arrive, and half of that is the network's.
const GRANT_LASTS: Duration = Duration::from_millis(500);
/// A quota so large that Postgres would be asked more than a hundred times a second is taken in pieces.
const PIECES_PER_MINUTE: u32 = 6_000;

/// The ledger in Postgres, and what this replica has taken from it.
pub struct Budget {
    pool: PgPool,
    quota: u32,
    // One question at a time, so that the budget never holds more than one connection.
    taken: Mutex<Option<Taken>>,
    // By this replica's last question for each class; none where it was granted.
    refused_until: std::sync::Mutex<[Option<Instant>; 3]>,
}

/// What is left of a piece that this replica took.
struct Taken {
    class: Class,
    left: u32,
    at: Instant,
}

impl Budget {
    /// With so many requests in any minute.
    pub fn new(pool: PgPool, quota: u32) -> Self {
        Self { pool, quota, taken: Mutex::new(None), refused_until: std::sync::Mutex::default() }
    }

    /// Leave to send one request now, after a moment's wait at the most.
    pub async fn take(&self, class: Class) -> Result<(), CxoneError> {
        let started = Instant::now();
        loop {
            let wait = match self.ask(class).await.map_err(|error| unknown(&error))? {
                Decision::Granted => {
                    self.note(class, None);
                    metrics::histogram!("ringback_cxone_budget_wait_seconds", "class" => class.as_str())
                        .record(started.elapsed());
                    return Ok(());
                }
                Decision::NotFor(wait) => wait,
            };
            if started.elapsed() + wait > MOMENT {
                metrics::counter!("ringback_cxone_budget_refusals_total", "class" => class.as_str()).increment(1);
                self.note(class, Some(wait));
                return Err(CxoneError::OverBudget { retry_after: wait });
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn ask(&self, class: Class) -> Result<Decision, sqlx::Error> {
        let mut taken = self.taken.lock().await;
        if let Some(taken) = taken.as_mut()
            && taken.class == class
            && taken.left > 0
            && taken.at.elapsed() < GRANT_LASTS
        {
            taken.left -= 1;
            return Ok(Decision::Granted);
        }
        let piece = (self.quota / PIECES_PER_MINUTE).max(1);
        let decision = self.change(|ledger, now| ledger.take(class, piece, self.quota, now)).await?;
        if decision == Decision::Granted {
            *taken = Some(Taken { class, left: piece - 1, at: Instant::now() });
        }
        Ok(decision)
    }

    /// Whether work that needs `count` requests may be started in the background.
    pub async fn may_start(&self, count: u32) -> Result<Decision, CxoneError> {
        let read = sqlx::query!(r#"select ledger, clock_timestamp() as "now!" from cxone_ledger"#);
        let row = read.fetch_optional(&self.pool).await.map_err(|error| unknown(&error))?;
        let Some(row) = row else { return Ok(Decision::Granted) };
        let now = row.now.to_jiff();
        let ledger: Ledger = serde_json::from_value(row.ledger).unwrap_or_default();
        metrics::gauge!("ringback_cxone_budget_used").set(ledger.used(now));
        metrics::gauge!("ringback_cxone_budget_quota").set(self.quota);
        let decision = ledger.may_start(count, self.quota, now);
        match decision {
            Decision::Granted => self.note(Class::Background, None),
            Decision::NotFor(wait) => self.note(Class::Background, Some(wait)),
        }
        Ok(decision)
    }

    /// Whether this class was refused when it last asked, and still would be, as far as this replica knows without
    /// asking.
    pub fn was_just_refused(&self, class: Class) -> bool {
        let refused_until = self.refused_until.lock().unwrap_or_else(PoisonError::into_inner);
        refused_until[class as usize].is_some_and(|until| Instant::now() < until)
    }

    fn note(&self, class: Class, refused_for: Option<Duration>) {
        let mut refused_until = self.refused_until.lock().unwrap_or_else(PoisonError::into_inner);
        refused_until[class as usize] = refused_for.and_then(|wait| Instant::now().checked_add(wait));
    }

    /// CXone said 429: no replica sends for so long.
    pub async fn back_off(&self, wait: Duration) {
        metrics::counter!("ringback_cxone_back_offs_total").increment(1);
        if let Err(error) = self.change(|ledger, now| ledger.back_off(wait, now)).await {
            tracing::error!(error = %error, "the other replicas were not told to hold off");
        }
    }

    /// Changes the ledger while no other replica can. The clock is Postgres's: the one that all replicas share.
    async fn change<T>(&self, change: impl FnOnce(&mut Ledger, jiff::Timestamp) -> T) -> Result<T, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let lock = sqlx::query!("select ledger from cxone_ledger for update");
        let row = lock.fetch_optional(&mut *transaction).await?;
        let now = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&mut *transaction).await?;
        let now = now.to_jiff();
        let mut ledger = row.map_or_else(
            || Ledger::all_spent(self.quota, now),
            |row| serde_json::from_value(row.ledger).unwrap_or_else(|_| Ledger::all_spent(self.quota, now)),
        );
        let result = change(&mut ledger, now);
        let ledger = serde_json::to_value(&ledger).map_err(|error| sqlx::Error::Encode(error.into()))?;
        sqlx::query!(
            "insert into cxone_ledger (ledger) values ($1) on conflict (id) do update set ledger = excluded.ledger",
            ledger
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(result)
    }
}

/// Without the ledger nobody knows what may be sent, and nothing is.
fn unknown(error: &sqlx::Error) -> CxoneError {
    tracing::error!(error = %error, "the CXone budget cannot be read");
    CxoneError::Unavailable { retry_after: None, reason: "the shared budget cannot be read".into() }
}
