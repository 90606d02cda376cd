//! A connection of the pool while it is in use.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};
use tokio::runtime::Handle;

/// A connection returns to its pool once Postgres has answered it again. One that gets no answer within this time is
/// closed, so that its place in the pool is free.
pub const RETURN_WITHIN: Duration = Duration::from_secs(2);

/// A connection of the pool. It returns to the pool when this is dropped.
pub struct Pooled {
    /// None once it is closed.
    connection: Option<PoolConnection<Postgres>>,
    in_transaction: bool,
}

impl Pooled {
    pub fn new(connection: PoolConnection<Postgres>) -> Self {
        Self { connection: Some(connection), in_transaction: false }
    }

    /// Whether it must be rolled back before it returns to the pool.
    pub fn set_in_transaction(&mut self, in_transaction: bool) {
        self.in_transaction = in_transaction;
    }

    /// The connection, or an error where it was closed.
    pub fn get(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.connection.as_deref_mut().ok_or(sqlx::Error::WorkerCrashed)
    }

    /// Closes it at once, without notice to the server. The pool opens another one in its place.
    pub fn close(&mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if Handle::try_current().is_err() {
            drop(connection.detach());
            return;
        }
        let in_transaction = self.in_transaction;
        let returned = async move {
            if in_transaction && sqlx::raw_sql("rollback").execute(&mut *connection).await.is_err() {
                drop(connection.detach());
                return;
            }
            connection.return_to_pool().await;
        };
        tokio::spawn(tokio::time::timeout(RETURN_WITHIN, returned));
    }
}
