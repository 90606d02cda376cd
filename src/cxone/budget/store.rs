//! The ledger in Postgres. A change is one statement, which names the version that it was made from, so that a replica that
//! freezes holds no lock. It does not wait for the disk; `own_changes` restores what a crash loses.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use uuid::Uuid;

use super::ledger::Ledger;
use super::own_changes::{Draft, Granted, OwnChanges};
use crate::cxone::endpoint::Endpoint;
use crate::db::is_transient;

/// The limit for one statement, and for getting a connection.
const STATEMENT_WITHIN: Duration = Duration::from_secs(1);
/// How long a grant is valid: the ledger allows for this time between the decision and the request.
pub const GRANT_LASTS: Duration = Duration::from_millis(500);
/// Postgres accepts a change only within this range around the time for which it was decided: not from a replica that
/// was frozen, and not after Postgres's clock was set. The first allows for clocks that run at different speeds.
const EARLIEST: SignedDuration = SignedDuration::from_millis(-20);
const LATEST: SignedDuration = SignedDuration::from_millis(500);
/// A refusal may be based on a ledger that was read this long ago. A grant is always checked.
const FRESH_FOR: Duration = Duration::from_millis(500);

/// The ledger as this replica last saw it, and its own changes.
pub struct LedgerStore {
    pool: PgPool,
    seen: Option<Seen>,
    own_changes: OwnChanges,
    /// The quota that a back-off reduces.
    reduced_quota: Option<u32>,
    /// Back-offs that are not in the ledger yet.
    new_back_offs: Vec<(Endpoint, Instant)>,
}

/// The row, with the time when it was read, by the machine's clock and by Postgres's.
struct Seen {
    version: i64,
    ledger: Ledger,
    at: Instant,
    postgres_at: Timestamp,
}

/// The result of a change.
pub struct Changed<T> {
    pub result: T,
    /// The requests that it grants.
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
    pub fn new(pool: PgPool, reduced_quota: Option<u32>, replica: Uuid) -> Self {
        Self { pool, seen: None, own_changes: OwnChanges::new(replica), reduced_quota, new_back_offs: Vec::new() }
    }

    /// The ledger as it was last seen, and the time by Postgres's clock.
    pub fn known(&self) -> Option<(&Ledger, Timestamp)> {
        self.seen.as_ref().map(|seen| (&seen.ledger, seen.postgres_now(Instant::now())))
    }

    /// Adds back-offs of endpoints. The next change writes them for all replicas.
    pub fn add_back_offs(&mut self, until: impl Iterator<Item = (Endpoint, Instant)>) {
        self.new_back_offs.extend(until);
    }

    /// The next change reads the ledger first.
    pub fn forget(&mut self) {
        self.seen = None;
    }

    /// Changes the ledger. `change` is called again where another replica has changed it meanwhile.
    ///
    /// # Errors
    /// If Postgres fails, or other replicas are faster until `deadline`.
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
            let draft = self.own_changes.begin(&mut ledger);
            for (endpoint, until) in &self.new_back_offs {
                let left = until.saturating_duration_since(asked_at);
                ledger.back_off(*endpoint, milliseconds_after(now, left));
                if let Some(quota) = self.reduced_quota {
                    ledger.reduce(quota, now);
                }
            }
            let Changed { result, granted } = change(&mut ledger, now);
            if ledger == seen.ledger {
                if seen.at.elapsed() < FRESH_FOR {
                    return Ok(result);
                }
                self.seen = None;
            } else if self.write(ledger, &draft, granted, now).await? {
                // A grant that is too old by now is not used.
                if granted.is_none() || asked_at.elapsed() < GRANT_LASTS {
                    return Ok(result);
                }
            }
            if Instant::now() > deadline {
                return Err(LedgerError::Late);
            }
        }
    }

    /// Writes a change. False where another replica was faster; its ledger is then the one last seen.
    async fn write(
        &mut self,
        mut ledger: Ledger,
        draft: &Draft,
        granted: Option<Granted>,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        // Without an answer the outcome is unknown, and the ledger must be read again.
        let Some(seen) = self.seen.take() else { return Ok(false) };
        self.own_changes.sign(draft, &mut ledger, now);
        let json = serde_json::to_value(&ledger)?;
        let (earliest, latest) = (now + EARLIEST, now + LATEST);
        let mut borrowed = Borrowed::from(&self.pool).await?;
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
        let row = within(statement.fetch_optional(borrowed.connection()?)).await?;
        borrowed.return_to_pool();
        // The row was deleted: the next change creates it.
        let Some(row) = row else { return Ok(false) };
        let (at, postgres_at) = (Instant::now(), row.now.to_jiff());
        if let Some(version) = row.changed {
            self.own_changes.confirm(draft, granted, now);
            for (endpoint, until) in self.new_back_offs.drain(..) {
                let left = until.saturating_duration_since(at);
                self.own_changes.backed_off(endpoint, milliseconds_after(postgres_at, left));
            }
            self.seen = Some(Seen { version, ledger, at, postgres_at });
            return Ok(true);
        }
        let ledger = row.ledger.map(read_ledger).unwrap_or_default();
        self.seen = Some(Seen { version: row.version, ledger, at, postgres_at });
        Ok(false)
    }

    async fn read(&self) -> Result<Seen, LedgerError> {
        let mut borrowed = Borrowed::from(&self.pool).await?;
        let mut seen = within(select(borrowed.connection()?)).await?;
        if seen.is_none() {
            let insert = sqlx::query!("insert into cxone_ledger (ledger) values ('{}') on conflict do nothing");
            within(insert.execute(borrowed.connection()?)).await?;
            seen = within(select(borrowed.connection()?)).await?;
        }
        borrowed.return_to_pool();
        Ok(seen.ok_or(sqlx::Error::RowNotFound)?)
    }
}

async fn select(connection: &mut PgConnection) -> Result<Option<Seen>, sqlx::Error> {
    let query = sqlx::query!(r#"select version, ledger, clock_timestamp() as "now!" from cxone_ledger"#);
    let row = query.fetch_optional(connection).await?;
    Ok(row.map(|row| Seen {
        version: row.version,
        ledger: read_ledger(row.ledger),
        at: Instant::now(),
        postgres_at: row.now.to_jiff(),
    }))
}

impl Seen {
    /// The time by Postgres's clock, which all replicas share. Never ahead of it.
    fn postgres_now(&self, now: Instant) -> Timestamp {
        let passed = SignedDuration::try_from(now.saturating_duration_since(self.at)).unwrap_or_default();
        self.postgres_at.saturating_add(passed).unwrap_or(self.postgres_at)
    }
}

/// A ledger in an unknown format counts as nothing spent.
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

/// A connection of the pool. It is closed unless it is returned, which is safe once every statement was answered.
struct Borrowed(Option<PoolConnection<Postgres>>);

impl Borrowed {
    async fn from(pool: &PgPool) -> Result<Self, LedgerError> {
        Ok(Self(Some(within(pool.acquire()).await?)))
    }

    fn connection(&mut self) -> Result<&mut PgConnection, LedgerError> {
        Ok(self.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)?)
    }

    fn return_to_pool(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}
