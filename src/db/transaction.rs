//! Transactions of bounded length.

use futures::future::BoxFuture;
use futures::stream::{BoxStream, TryStreamExt as _};
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Error, Execute, Executor, PgConnection, Postgres, SqlStr};
use tokio::time::Instant;

use super::Db;
use super::executor::rows_of;
use super::pooled::Pooled;
use super::watchdog::{LONGEST, ends_connection};

/// A transaction. It is rolled back unless it is committed. If Postgres does not respond, its connection is closed. The
/// server ends a transaction that is idle for 1.5 s.
pub struct Transaction {
    db: Db,
    pooled: Pooled,
    ends_at: Instant,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transaction")
    }
}

impl Transaction {
    pub(super) async fn begin(db: &Db) -> Result<Self, Error> {
        let ends_at = Instant::now() + LONGEST;
        let pooled = db.watchdog.guard(ends_at, db.acquire()).await??;
        let mut transaction = Self { db: db.clone(), pooled, ends_at };
        transaction.pooled.set_in_transaction(true);
        transaction.run(async |connection| sqlx::raw_sql("begin").execute(connection).await).await?;
        Ok(transaction)
    }

    /// Commits it. After an error it is unknown whether it was committed.
    ///
    /// # Errors
    /// If Postgres returns an error or does not respond.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.run(async |connection| sqlx::raw_sql("commit").execute(connection).await).await?;
        self.pooled.set_in_transaction(false);
        Ok(())
    }

    /// Rolls it back. Its connection can be used again, unlike that of a transaction that is dropped.
    ///
    /// # Errors
    /// If Postgres returns an error or does not respond.
    pub async fn rollback(mut self) -> Result<(), Error> {
        self.run(async |connection| sqlx::raw_sql("rollback").execute(connection).await).await?;
        self.pooled.set_in_transaction(false);
        Ok(())
    }

    async fn run<T>(&mut self, work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>) -> Result<T, Error> {
        let Self { db, pooled, ends_at } = self;
        let on_connection = async { work(pooled.get()?).await };
        let done = db.watchdog.guard(*ends_at, on_connection).await;
        if ends_connection(&done) {
            pooled.close();
        }
        done?
    }
}

impl<'c> Executor<'c> for &'c mut Transaction {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        rows_of(async move { self.run(async move |connection| connection.fetch_many(query).try_collect().await).await })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move { self.run(async move |connection| connection.fetch_optional(query).await).await })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move { self.run(async move |connection| connection.prepare_with(sql, parameters).await).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move { self.run(async move |connection| connection.describe(sql).await).await })
    }
}
