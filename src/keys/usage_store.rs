//! Stores the use of keys in the background, and learns what other replicas have accepted.

use std::sync::Arc;
use std::time::Duration;

use jiff_sqlx::ToSqlx as _;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::usage::{Unstored, Usage};
use crate::db::Db;
use crate::jobs::Periodic;

/// How often replicas exchange what they have accepted.
const SHARE: Periodic = Periodic { every: Duration::from_secs(1), after_failure: Duration::from_secs(2) };

/// The table `api_key_usage`.
#[derive(Clone)]
pub struct UsageSharing {
    pool: Db,
    usage: Arc<Usage>,
}

impl UsageSharing {
    /// Shares this usage through this database.
    pub fn new(pool: Db, usage: Arc<Usage>) -> Self {
        Self { pool, usage }
    }

    /// The usage that is shared.
    pub fn usage(&self) -> Arc<Usage> {
        Arc::clone(&self.usage)
    }

    /// Shares until `stop`, and once more then.
    pub async fn run(self, stop: CancellationToken) {
        SHARE.run(&stop, "the use of API keys could not be stored", || self.share(false)).await;
        if let Err(error) = self.share(true).await {
            tracing::warn!(error = %error, "the last use of API keys could not be stored");
        }
    }

    /// One exchange: one statement, and none where no key with a rate was used lately.
    ///
    /// # Errors
    /// If Postgres returns an error. What could not be stored is stored the next time.
    pub async fn share(&self, all: bool) -> Result<(), sqlx::Error> {
        let now = self.usage.now();
        let (unstored, others) = self.usage.unstored(now, all);
        if !unstored.is_empty() || !others.is_empty() {
            let totals = self.exchange(&unstored, &others).await.inspect_err(|_| self.usage.restore(&unstored))?;
            self.usage.stored(&unstored, &totals, self.usage.now());
        }
        self.usage.forget_idle(now);
        Ok(())
    }

    /// Returns the number of requests that all replicas have accepted, for each key.
    async fn exchange(&self, unstored: &[Unstored], others: &[Uuid]) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
        let keys: Vec<Uuid> = unstored.iter().map(|unstored| unstored.key).collect();
        let used: Vec<_> = unstored.iter().map(|unstored| unstored.last_used_at.to_sqlx()).collect();
        let requests: Vec<i64> = unstored.iter().map(|unstored| unstored.requests).collect();
        let rows = sqlx::query_file!("src/keys/exchange.sql", &keys, &used as _, &requests, others);
        Ok(rows.fetch_all(&self.pool).await?.into_iter().map(|row| (row.key_id, row.requests)).collect())
    }
}
