//! The metrics of deliveries that have not ended, and of endpoints that do not work.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;

use super::WebhookStore;
use crate::jobs::{DueJobs, age_seconds};

/// At most so many pending deliveries, and so many endpoints, are counted. Deliveries that are due are all counted.
const MOST: i64 = 10_000;

/// The deliveries that have not ended, of endpoints that are neither deleted nor disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub pending: i64,
    /// When the first of them was created.
    pub oldest: Option<Timestamp>,
    /// Those that could be claimed, of endpoints that do not fail.
    pub due: i64,
    /// When the first of these became due.
    pub due_since: Option<Timestamp>,
}

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

    /// What waits. It reads some pending deliveries in the order of their times, and the first one of each endpoint and campaign.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn waiting(&self, now: Timestamp) -> Result<Waiting, sqlx::Error> {
        let row = sqlx::query_file!("src/webhooks/store/waiting.sql", now.to_sqlx() as _, MOST);
        let row = row.fetch_one(&self.pool).await?;
        Ok(Waiting {
            pending: row.pending,
            oldest: row.oldest.map(jiff_sqlx::Timestamp::to_jiff),
            due: row.due,
            due_since: row.due_since.map(jiff_sqlx::Timestamp::to_jiff),
        })
    }

    /// Sets the metrics.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    pub async fn export_waiting(&self, now: Timestamp) -> Result<(), sqlx::Error> {
        let waiting = self.waiting(now).await?;
        metrics::gauge!("ringback_webhook_deliveries_pending").set(waiting.pending as f64);
        metrics::gauge!("ringback_webhook_oldest_pending_age_seconds").set(age_seconds(waiting.oldest, now));
        DueJobs { queue: "webhook deliveries", count: waiting.due, since: waiting.due_since }.export(now);
        let (failing, disabled) = self.troubled_endpoints().await?;
        metrics::gauge!("ringback_webhook_endpoints", "state" => "disabled").set(disabled as f64);
        metrics::gauge!("ringback_webhook_endpoints", "state" => "failing").set(failing as f64);
        Ok(())
    }
}
