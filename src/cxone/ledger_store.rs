//! The ledger in Postgres. A change is one statement, which names the version that it was made from: a replica that
//! stops in the middle holds no lock. Nobody waits for the disk; `memory.rs` puts back what a crash loses.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::ledger::Ledger;
use super::memory::{Draft, Granted, Memory};
use crate::db::is_transient;

/// For one statement, and for a connection to send it on.
const STATEMENT_WITHIN: Duration = Duration::from_secs(1);
/// A grant must be used at once: the ledger allows for so long between the decision and the request.
pub(super) const GRANT_LASTS: Duration = Duration::from_millis(500);
/// Postgres takes a change only within so long of the moment for which it was decided: not from a replica that stood
/// still in between, and not by a clock that was set meanwhile. The first is for clocks that do not run alike.
const EARLIEST: SignedDuration = SignedDuration::from_millis(-20);
const LATEST: SignedDuration = SignedDuration::from_millis(500);
/// What was read so long ago is good enough to say no; a yes is always checked.
const FRESH_FOR: Duration = Duration::from_millis(500);

/// The ledger as this replica saw it last, and what it has written itself.
pub struct LedgerStore {
    pool: PgPool,
    seen: Option<Seen>,
    memory: Memory,
    /// Back-offs that are not in the ledger yet.
    untold: Vec<(Endpoint, Instant)>,
}

/// A row, when Postgres gave it, by its clock and by ours.
struct Seen {
    version: i64,
    ledger: Ledger,
    at: Instant,
    postgres_at: Timestamp,
}

/// What a change comes to.
pub struct Changed<T> {
    pub result: T,
    /// Requests that it grants.
    pub granted: Option<Granted>,
}

/// Why the ledger was not changed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the ledger could not be changed in time")]
    Late,
    #[error("the ledger cannot be written: {0}")]
    Unwritable(#[from] serde_json::Error),
}

impl LedgerError {
    /// Whether another attempt may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Late => true,
            Self::Unwritable(_) => false,
            Self::Database(error) => is_transient(error),
        }
    }
}

impl LedgerStore {
    pub fn new(pool: PgPool, replica: Uuid) -> Self {
        Self { pool, seen: None, memory: Memory::new(replica), untold: Vec::new() }
    }

    /// What is known of the ledger without asking, and the moment by Postgres's clock.
    pub fn known(&self) -> Option<(&Ledger, Timestamp)> {
        self.seen.as_ref().map(|seen| (&seen.ledger, seen.postgres_now(Instant::now())))
    }

    /// Until when endpoints are backed off; the next change says so to all replicas.
    pub fn tell_back_offs(&mut self, until: impl Iterator<Item = (Endpoint, Instant)>) {
        self.untold.extend(until);
    }

    /// What is known may be old: the next change reads the ledger first.
    pub fn forget(&mut self) {
        self.seen = None;
    }

    /// Changes the ledger as no other replica has changed it meanwhile. `change` may be asked more than once.
    ///
    /// # Errors
    /// Where Postgres fails, or others are always faster until `deadline`.
    pub async fn change<T>(
        &mut self,
        deadline: Instant,
        change: impl Fn(&mut Ledger, Timestamp) -> Changed<T>,
    ) -> Result<T, LedgerError> {
        loop {
            let Some(seen) = &self.seen else {
                self.seen = Some(self.read().await?);
                continue;
            };
            let asked_at = Instant::now();
            let now = seen.postgres_now(asked_at);
            let mut ledger = seen.ledger.clone();
            let draft = self.memory.begin(&mut ledger);
            for (endpoint, until) in &self.untold {
                let left = until.saturating_duration_since(asked_at);
                ledger.back_off(*endpoint, milliseconds_after(now, left));
            }
            let Changed { result, granted } = change(&mut ledger, now);
            if ledger == seen.ledger {
                if seen.at.elapsed() < FRESH_FOR {
                    return Ok(result);
                }
                self.seen = None;
            } else if self.write(ledger, &draft, granted, now).await? {
                // A grant that has become too old on its way is lost.
                if granted.is_none() || asked_at.elapsed() < GRANT_LASTS {
                    return Ok(result);
                }
            }
            if Instant::now() > deadline {
                return Err(LedgerError::Late);
            }
        }
    }

    /// Whether the change was taken; else the row that was in its way is seen.
    async fn write(
        &mut self,
        mut ledger: Ledger,
        draft: &Draft,
        granted: Option<Granted>,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        // What becomes of it is unknown where it is not answered.
        let Some(seen) = self.seen.take() else { return Ok(false) };
        self.memory.sign(draft, &mut ledger, now);
        let json = serde_json::to_value(&ledger)?;
        let (earliest, latest) = (now + EARLIEST, now + LATEST);
        let mut lent = Lent::from(&self.pool).await?;
        let statement = sqlx::query!(
            r#"with quick as materialized (select set_config('synchronous_commit', 'off', true) as setting),
               changed as (
                   update cxone_ledger set ledger = $2, version = version + 1 from quick
                   where version = $1 and clock_timestamp() between $3 and $4
                   returning version
               )
               select changed.version as "changed?", kept.version,
                   case when changed.version is null then kept.ledger end as ledger, clock_timestamp() as "now!"
               from cxone_ledger kept left join changed on true"#,
            seen.version,
            json,
            earliest.to_sqlx() as _,
            latest.to_sqlx() as _
        );
        let row = within(statement.fetch_optional(lent.connection()?)).await?;
        lent.give_back();
        // The row is gone: the next change makes it anew.
        let Some(row) = row else { return Ok(false) };
        let (at, postgres_at) = (Instant::now(), row.now.to_jiff());
        if let Some(version) = row.changed {
            self.memory.confirm(draft, granted, now);
            for (endpoint, until) in self.untold.drain(..) {
                let left = until.saturating_duration_since(at);
                self.memory.backed_off(endpoint, milliseconds_after(postgres_at, left));
            }
            self.seen = Some(Seen { version, ledger, at, postgres_at });
            return Ok(true);
        }
        let ledger = row.ledger.map(read_ledger).unwrap_or_default();
        self.seen = Some(Seen { version: row.version, ledger, at, postgres_at });
        Ok(false)
    }

    async fn read(&self) -> Result<Seen, LedgerError> {
        let mut lent = Lent::from(&self.pool).await?;
        let mut seen = within(look(lent.connection()?)).await?;
        if seen.is_none() {
            let make = sqlx::query!("insert into cxone_ledger (ledger) values ('{}') on conflict do nothing");
            within(make.execute(lent.connection()?)).await?;
            seen = within(look(lent.connection()?)).await?;
        }
        lent.give_back();
        Ok(seen.ok_or(sqlx::Error::RowNotFound)?)
    }
}

async fn look(connection: &mut PgConnection) -> Result<Option<Seen>, sqlx::Error> {
    let read = sqlx::query!(r#"select version, ledger, clock_timestamp() as "now!" from cxone_ledger"#);
    let row = read.fetch_optional(connection).await?;
    Ok(row.map(|row| Seen {
        version: row.version,
        ledger: read_ledger(row.ledger),
        at: Instant::now(),
        postgres_at: row.now.to_jiff(),
    }))
}

impl Seen {
    /// The moment by Postgres's clock, which all replicas share; never later than it is there.
    fn postgres_now(&self, now: Instant) -> Timestamp {
        let passed = SignedDuration::try_from(now.saturating_duration_since(self.at)).unwrap_or_default();
        self.postgres_at.saturating_add(passed).unwrap_or(self.postgres_at)
    }
}

/// What an older version wrote, or nobody, counts as nothing spent.
fn read_ledger(json: serde_json::Value) -> Ledger {
    serde_json::from_value(json).unwrap_or_default()
}

fn milliseconds_after(now: Timestamp, wait: Duration) -> i64 {
    now.as_millisecond().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

async fn within<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, LedgerError> {
    match tokio::time::timeout(STATEMENT_WITHIN, statement).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(LedgerError::Late),
    }
}

/// A connection on loan: it goes back to the pool where all that was asked on it was answered, and is closed otherwise.
struct Lent(Option<PoolConnection<Postgres>>);

impl Lent {
    async fn from(pool: &PgPool) -> Result<Self, LedgerError> {
        Ok(Self(Some(within(pool.acquire()).await?)))
    }

    fn connection(&mut self) -> Result<&mut PgConnection, LedgerError> {
        Ok(self.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)?)
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(silent) = self.0.take() {
            drop(silent.detach());
        }
    }
}
