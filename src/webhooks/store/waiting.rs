//! The metrics of deliveries that have not ended, and of endpoints that do not work.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;

use super::WebhookStore;
use crate::jobs::{DueJobs, age_seconds};

/// The rows that are read: counts end here.
const MOST: i64 = 10_000;

impl WebhookStore {
    /// The number of endpoints that fail, and of those that are disabled.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn troubled_endpoints(&self) -> Result<(i64, i64), sqlx::Error> {
        let endpoints = sqlx::query!(
            r#"select count(*) filter (where disabled_at is not null) as "disabled!",
                 count(*) filter (where disabled_at is null and failing_since is not null) as "failing!"
               from (select disabled_at, failing_since from webhook_endpoints where deleted_at is null limit $1) as kept"#,
            MOST
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((endpoints.failing, endpoints.disabled))
    }

    /// Sets the metrics, from the first rows of an index.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    pub async fn export_waiting(&self, now: Timestamp) -> Result<(), sqlx::Error> {
        let pending = sqlx::query!(
            r#"select count(*) as "count!", min(created_at) as oldest,
                 count(*) filter (where due_at <= $1) as "due!", min(due_at) filter (where due_at <= $1) as due_since
               from (select created_at, due_at from webhook_deliveries where status = 'pending'
                     order by due_at limit $2) as pending"#,
            now.to_sqlx() as _,
            MOST
        )
        .fetch_one(&self.pool)
        .await?;
        let oldest = age_seconds(pending.oldest.map(|at| at.to_jiff()), now);
        metrics::gauge!("ringback_webhook_deliveries_pending").set(pending.count as f64);
        metrics::gauge!("ringback_webhook_oldest_pending_age_seconds").set(oldest);
        let since = pending.due_since.map(|at| at.to_jiff());
        DueJobs { queue: "webhook deliveries", count: pending.due, since }.export(now);
        let (failing, disabled) = self.troubled_endpoints().await?;
        metrics::gauge!("ringback_webhook_endpoints", "state" => "disabled").set(disabled as f64);
        metrics::gauge!("ringback_webhook_endpoints", "state" => "failing").set(failing as f64);
        Ok(())
    }
}
