//! What became of the callbacks of a campaign.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;

use super::CallbackStore;
use crate::placement::Decision;
use crate::types::{CampaignId, Interval};

/// What became of the callbacks that were accepted in a span.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PromiseCounts {
    pub accepted: i64,
    /// CXone had their contact.
    pub scheduled: i64,
    pub confirmed: i64,
    pub expired: i64,
    pub failed: i64,
    pub cancelled: i64,
    /// From the request until CXone had the contact.
    pub median_seconds: Option<f64>,
    pub p95_seconds: Option<f64>,
}

/// The callbacks that are placed in an hour.
#[derive(Clone, Debug)]
pub struct PlacedHour {
    pub hour: Timestamp,
    pub placed: i64,
    /// The last placement in it, with what the forecast said.
    pub last: Decision,
}

impl CallbackStore {
    /// Of the callbacks that were accepted in this span.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn promise_counts(&self, campaign: &CampaignId, span: Interval) -> Result<PromiseCounts, sqlx::Error> {
        sqlx::query_as!(
            PromiseCounts,
            r#"with accepted as (
                   select id, status, confirmation, created_at from callbacks
                   where campaign_id = $1 and created_at >= $2 and created_at < $3
               ),
               scheduled as (
                   select accepted.id, extract(epoch from min(entry."timestamp") - accepted.created_at)::float8 as seconds
                   from accepted join audit_entries as entry on entry.callback_id = accepted.id
                   where entry.action = 'callback.scheduled' and entry."timestamp" >= $2
                   group by accepted.id, accepted.created_at
               )
               select count(*) as "accepted!", count(seconds) as "scheduled!",
                   count(*) filter (where confirmation = 'sent') as "confirmed!",
                   count(*) filter (where status = 'expired') as "expired!",
                   count(*) filter (where status = 'failed') as "failed!",
                   count(*) filter (where status = 'cancelled') as "cancelled!",
                   percentile_cont(0.5) within group (order by seconds) as median_seconds,
                   percentile_cont(0.95) within group (order by seconds) as p95_seconds
               from accepted left join scheduled using (id)"#,
            campaign.as_str(),
            span.start.to_sqlx() as _,
            span.end.to_sqlx() as _
        )
        .fetch_one(&self.pool)
        .await
    }

    /// The hours of this span in which callbacks are placed by a forecast, in order of time.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn placed_hours(&self, campaign: &CampaignId, span: Interval) -> Result<Vec<PlacedHour>, sqlx::Error> {
        let rows = sqlx::query!(
            r#"select distinct on (hour) hour as "hour!", count(*) over (partition by hour) as "placed!", decision
               from callbacks join callback_placements on callback_id = id
               cross join lateral (select (decision -> 'choice' ->> 'hour')::timestamptz as hour) as chosen
               where campaign_id = $1 and dispatch_time >= $2 and dispatch_time < $3 and status in ('accepted', 'scheduled')
                 and decision -> 'inputs' ->> 'forecast' is not null
               order by hour, decided_at desc"#,
            campaign.as_str(),
            span.start.to_sqlx() as _,
            span.end.to_sqlx() as _
        );
        let rows = rows.fetch_all(&self.pool).await?.into_iter().map(|row| {
            let last = serde_json::from_value(row.decision).map_err(|error| sqlx::Error::Decode(error.into()))?;
            Ok(PlacedHour { hour: row.hour.to_jiff(), placed: row.placed, last })
        });
        rows.collect()
    }
}
