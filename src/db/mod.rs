//! Postgres: connections with bounded waits, the meaning of errors, transactions, pages and time.

mod acquire;
mod cache;
mod changes;
mod connect;
mod error;
mod executor;
mod listener;
mod migrate;
mod page;
mod pooled;
mod purge;
mod retry;
mod schema;
mod shared_time;
mod transaction;
mod watchdog;

use std::sync::Arc;

use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

pub use cache::Cache;
pub use changes::{Changes, Topic};
pub use connect::{
    FEW_CONNECTIONS, INSERT_CONNECTIONS, ONE_CONNECTION, connect, connect_for_maintenance, missing_limits,
};
pub use error::{decode, is_overlap, is_pool_full, is_transient};
pub use listener::{ChangeListener, replicas};
pub use page::{CreatedPosition, Page, PageRequest, SequencePosition, decode_cursor};
pub use purge::purge_in_steps;
pub use retry::{release_in_background, retry};
pub use schema::{DatabaseRole, SchemaError, check_schema, database_role, migrate, migrate_or_check};
pub use shared_time::SharedTime;
pub use transaction::Transaction;

use acquire::Queue;
use watchdog::Watchdog;

/// The pool of connections to Postgres. A statement on `&Db` ends within a bounded time, even while Postgres is frozen. A
/// connection that does not respond is closed and never used again.
#[derive(Clone, Debug)]
pub struct Db {
    pool: PgPool,
    /// Postgres without a pooler in between.
    direct: Arc<PgConnectOptions>,
    watchdog: Arc<Watchdog>,
    changes: Changes,
    queue: Arc<Queue>,
}

impl Db {
    /// Uses this pool.
    pub fn new(pool: PgPool) -> Self {
        let direct = pool.connect_options();
        let watchdog = Arc::new(Watchdog::new(Arc::clone(&direct)));
        Self { pool, direct, watchdog, changes: Changes::default(), queue: Arc::default() }
    }

    /// With another way to the same server, without a pooler in between: for reports, which need settings of their own,
    /// and to find out whether Postgres responds, which a pooler hides.
    #[must_use]
    pub fn with_direct(mut self, direct: &PgConnectOptions) -> Self {
        self.direct = Arc::new(direct.clone());
        self.watchdog = Arc::new(Watchdog::new(Arc::clone(&self.direct)));
        self
    }

    /// A small pool of its own for long lists: they leave the other connections alone. It connects when it is first used.
    #[must_use]
    pub fn for_reports(&self) -> Self {
        Self::new(connect::reports_pool(&self.direct))
    }

    /// A small pool of its own for new callbacks. Each process of Postgres plans and caches for itself: a few that are always in
    /// use need less time than all of a large pool in turn.
    #[must_use]
    pub fn for_new_callbacks(&self) -> Self {
        Self::new(connect::inserts_pool(&self.pool.connect_options())).with_direct(&self.direct)
    }

    /// The changes that this replica knows of.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The pool itself. Only the server bounds the waits of its connections.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Begins a transaction. It is rolled back unless it is committed.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        Transaction::begin(self).await
    }

    /// Begins a transaction in which each query is planned for its parameters. A generic plan for a list with optional
    /// filters reads the whole table, as does a plan that was made while the table was small.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn begin_planned(&self) -> Result<Transaction, sqlx::Error> {
        let mut transaction = self.begin().await?;
        sqlx::query!("set local plan_cache_mode = force_custom_plan").execute(&mut transaction).await?;
        Ok(transaction)
    }

    /// Closes all connections, and waits up to 2 s for those in use.
    pub async fn close(&self) {
        let _ = tokio::time::timeout(pooled::RETURN_WITHIN, self.pool.close()).await;
    }

    /// Sets the metrics of the pool.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    pub fn export_metrics(&self) {
        let idle = self.pool.num_idle();
        let used = (self.pool.size() as usize).saturating_sub(idle);
        metrics::gauge!("ringback_db_connections", "state" => "idle").set(idle as f64);
        metrics::gauge!("ringback_db_connections", "state" => "used").set(used as f64);
        metrics::gauge!("ringback_db_connections_limit").set(self.pool.options().get_max_connections());
        metrics::gauge!("ringback_db_waiting").set(self.queue.length());
    }
}
