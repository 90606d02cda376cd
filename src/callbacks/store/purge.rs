//! Deletes callbacks that ended long ago.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use super::CallbackStore;
use crate::db::Transaction;

impl CallbackStore {
    /// Deletes at most `limit` callbacks that have ended, and were last changed, before this time, the oldest first. Returns
    /// their ids.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn delete_ended(
        transaction: &mut Transaction,
        before: Timestamp,
        limit: i64,
    ) -> Result<Vec<Uuid>, sqlx::Error> {
        sqlx::query_scalar!(
            "delete from callbacks where id in (
                 select id from callbacks
                 where created_at < $1 and updated_at < $1 and requested_end < $1 and due_at is null
                 order by created_at limit $2
                 for update skip locked
             )
             returning id",
            before.to_sqlx() as _,
            limit
        )
        .fetch_all(transaction)
        .await
    }
}
