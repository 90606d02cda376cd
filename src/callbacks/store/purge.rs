//! Deletes callbacks that ended long ago.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;

use super::CallbackStore;
use crate::audit::Entry;
use crate::db::purge_in_steps;

/// Callbacks that one statement deletes.
const PURGE_STEP: u64 = 1_000;

impl CallbackStore {
    /// Deletes callbacks that have ended, and were last changed, before this time. Each step records how many it deleted, as the
    /// entry with that detail. Returns their number.
    ///
    /// # Errors
    /// If Postgres fails. What was deleted before stays deleted.
    pub async fn purge(&self, before: Timestamp, entry: impl Fn() -> Entry) -> Result<u64, sqlx::Error> {
        let entry = &entry;
        purge_in_steps(PURGE_STEP, |limit| async move {
            let purged =
                sqlx::query_file!("src/callbacks/store/purge.sql", before.to_sqlx() as _, limit, entry().into_json());
            Ok(u64::try_from(purged.fetch_one(&self.pool).await?.deleted).unwrap_or(0))
        })
        .await
    }
}
