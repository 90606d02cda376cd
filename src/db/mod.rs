//! Postgres: connections whose every wait is bounded, and what their errors mean.

mod clock;
mod connect;
mod error;
mod executor;
mod held;
mod page;
mod purge;
mod retry;
mod transaction;
mod watch;

use std::sync::Arc;

use sqlx::PgPool;
use watch::Watch;

pub use clock::SharedTime;
pub use connect::{connect, migrate};
pub use error::{decode, is_conflict, is_transient};
pub use page::{CreatedPosition, Page, PageRequest, SequencePosition, decode_cursor};
pub use purge::purge_in_steps;
pub use retry::{give_back, repeated};
pub use transaction::Transaction;

use held::Held;

/// The pool of connections to Postgres. A statement on `&Db` ends within a bounded time, also where Postgres is frozen
/// and answers nothing; a connection that does not respond is closed and never used again.
#[derive(Clone, Debug)]
pub struct Db {
    pool: PgPool,
    watch: Arc<Watch>,
}

impl Db {
    /// Over this pool.
    pub fn new(pool: PgPool) -> Self {
        let watch = Arc::new(Watch::new(pool.connect_options()));
        Self { pool, watch }
    }

    /// The pool itself, whose waits only the server bounds.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Begins a transaction. It is rolled back unless it is committed.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        Transaction::begin(self).await
    }

    /// Begins a transaction whose queries are planned for their parameters. A generic plan for all filters of a list reads
    /// the whole table; so does a plan that was made when the table was small.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn begin_planned(&self) -> Result<Transaction, sqlx::Error> {
        let mut transaction = self.begin().await?;
        sqlx::query!("set local plan_cache_mode = force_custom_plan").execute(&mut transaction).await?;
        Ok(transaction)
    }

    /// Closes all connections; those in use are given a moment.
    pub async fn close(&self) {
        let _ = tokio::time::timeout(held::RETURN_WITHIN, self.pool.close()).await;
    }

    async fn acquire(&self) -> Result<Held, sqlx::Error> {
        self.pool.acquire().await.map(Held::new)
    }
}
