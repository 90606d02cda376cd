//! The metrics of entries that are not sealed.

use jiff::Timestamp;

use super::store::LogStore;
use crate::jobs::age_seconds;

/// The unsealed entries that are read: their number ends here.
const MOST: i64 = 1_000;

impl LogStore {
    /// Sets the metrics. Those of unsealed entries only where entries are sealed at all.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    pub async fn export_waiting(&self, is_sealed: bool, now: Timestamp) -> Result<(), sqlx::Error> {
        // The size, because the service's role may not read a partition itself.
        let bytes = sqlx::query_scalar!(r#"select pg_relation_size('audit_entries_other') as "bytes!""#)
            .fetch_one(&self.db)
            .await?;
        metrics::gauge!("ringback_audit_other_partition_bytes").set(bytes as f64);
        if !is_sealed {
            return Ok(());
        }
        let unsealed = sqlx::query_file!("src/audit/log/waiting.sql", MOST).fetch_one(&self.db).await?;
        let oldest = age_seconds(unsealed.oldest.map(|at| at.to_jiff()), now);
        metrics::gauge!("ringback_audit_unsealed_entries").set(unsealed.count as f64);
        metrics::gauge!("ringback_audit_oldest_unsealed_age_seconds").set(oldest);
        Ok(())
    }
}
