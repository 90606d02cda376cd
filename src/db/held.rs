//! A connection in use.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};
use tokio::runtime::Handle;

/// A connection goes back to its pool when Postgres has answered it once more. One that does not within this is closed:
/// its place in the pool must not be lost to it.
pub const RETURN_WITHIN: Duration = Duration::from_secs(2);

/// A connection of the pool.
pub struct Held {
    /// None once it is given up.
    connection: Option<PoolConnection<Postgres>>,
    in_transaction: bool,
}

impl Held {
    pub fn new(connection: PoolConnection<Postgres>) -> Self {
        Self { connection: Some(connection), in_transaction: false }
    }

    /// Whether it is to be rolled back when it is returned.
    pub fn set_in_transaction(&mut self, in_transaction: bool) {
        self.in_transaction = in_transaction;
    }

    /// The connection; an error where it was given up.
    pub fn get(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.connection.as_deref_mut().ok_or(sqlx::Error::WorkerCrashed)
    }

    /// Closes it at once, without a word to the server. The pool opens another in its place.
    pub fn give_up(&mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
    }
}

impl Drop for Held {
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
