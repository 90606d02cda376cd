//! How deliveries ended.

use jiff_sqlx::ToSqlx as _;

use super::WebhookStore;
use crate::types::{AllowedCampaigns, Interval};

/// The deliveries of the events of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    pub succeeded: i64,
    pub dead: i64,
    pub pending: i64,
}

impl WebhookStore {
    /// Of the events of these campaigns.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn delivery_counts(
        &self,
        campaigns: &AllowedCampaigns,
        span: Interval,
    ) -> Result<DeliveryCounts, sqlx::Error> {
        let campaigns = campaigns.texts();
        sqlx::query_as!(
            DeliveryCounts,
            r#"select count(*) filter (where status = 'succeeded') as "succeeded!",
                   count(*) filter (where status = 'dead') as "dead!",
                   count(*) filter (where status = 'pending') as "pending!"
               from webhook_events as event join webhook_deliveries on event_seq = event.seq
               where event.created_at >= $2 and event.created_at < $3
                 and ($1::text[] is null or event.campaign_id = any($1))"#,
            campaigns.as_deref(),
            span.start.to_sqlx() as _,
            span.end.to_sqlx() as _
        )
        .fetch_one(&self.pool)
        .await
    }
}
