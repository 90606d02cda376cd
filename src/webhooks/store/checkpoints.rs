//! Checkpoints of the audit log, as events.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;

use super::WebhookStore;
use crate::audit::EntryEvent;

impl WebhookStore {
    /// Stores the event of the checkpoint of this size for the endpoints that name its type. False, and no change, if there is
    /// none, the log has not grown since the last one, or that was published after `last_before`.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn publish_checkpoint(
        &self,
        size: u64,
        event: &EntryEvent,
        now: Timestamp,
        last_before: Timestamp,
    ) -> Result<bool, sqlx::Error> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let stored = sqlx::query_file!(
            "src/webhooks/store/publish_checkpoint.sql",
            size,
            now.to_sqlx() as _,
            last_before.to_sqlx() as _,
            event.id,
            event.r#type,
            event.body
        );
        Ok(stored.execute(&self.pool).await?.rows_affected() > 0)
    }
}
