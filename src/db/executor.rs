//! Statements on the pool. The watchdog bounds each of them.

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Error, Execute, Executor, PgConnection, Postgres, SqlStr};
use tokio::time::Instant;

use super::Db;
use super::pooled::Pooled;
use super::watchdog::{LONGEST, ends_connection};

impl Db {
    /// Runs work on a connection of the pool.
    pub(super) async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut pooled: Option<Pooled> = None;
        let on_connection = async { work(pooled.insert(self.acquire().await?).get()?).await };
        let done = self.watchdog.guard(Instant::now() + LONGEST, on_connection).await;
        if ends_connection(&done)
            && let Some(mut pooled) = pooled.take()
        {
            pooled.close();
        }
        done?
    }
}

impl<'p> Executor<'p> for &'_ Db {
    type Database = Postgres;

    /// All rows are read before the first is returned, so that a slow reader holds no connection.
    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let db = self.clone();
        let rows =
            async move { db.run(async move |connection| connection.fetch_many(query).try_collect().await).await };
        rows_of(rows)
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let db = self.clone();
        Box::pin(async move { db.run(async move |connection| connection.fetch_optional(query).await).await })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        let db = self.clone();
        Box::pin(async move { db.run(async move |connection| connection.prepare_with(sql, parameters).await).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'p: 'e,
    {
        let db = self.clone();
        Box::pin(async move { db.run(async move |connection| connection.describe(sql).await).await })
    }
}

/// The rows as a stream.
pub(super) fn rows_of<'e>(
    rows: impl Future<Output = Result<Vec<Either<PgQueryResult, PgRow>>, Error>> + Send + 'e,
) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>> {
    stream::once(rows).map_ok(|rows| stream::iter(rows.into_iter().map(Ok))).try_flatten().boxed()
}
