//! How many callbacks are in each state, and how many promises were kept.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;

use super::CallbackStore;
use crate::types::{AllowedCampaigns, Interval};

/// The callbacks that were accepted in a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallbackCounts {
    pub accepted: i64,
    pub scheduled: i64,
    pub failed: i64,
    pub expired: i64,
    pub cancelled: i64,
    pub promises: PromiseResults,
}

/// What became of the promises to call in a window. A cancelled callback has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PromiseResults {
    /// CXone called in the window. Where it does not report calls: it had the contact until the window ended.
    pub kept: i64,
    /// CXone called after the window.
    pub late: i64,
    /// CXone did not call the person, or never had the contact.
    pub missed: i64,
    /// Not known yet.
    pub open: i64,
}

impl CallbackStore {
    /// The callbacks of these campaigns that were accepted in this span, as they are at `now`.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn counts(
        &self,
        campaigns: &AllowedCampaigns,
        span: Interval,
        now: Timestamp,
    ) -> Result<CallbackCounts, sqlx::Error> {
        let campaigns = campaigns.texts();
        let row = sqlx::query!(
            r#"select count(*) filter (where status = 'accepted') as "accepted!",
                   count(*) filter (where status = 'scheduled') as "scheduled!",
                   count(*) filter (where status = 'failed') as "failed!",
                   count(*) filter (where status = 'expired') as "expired!",
                   count(*) filter (where status = 'cancelled') as "cancelled!",
                   count(*) filter (where promise = 'kept') as "kept!",
                   count(*) filter (where promise = 'late') as "late!",
                   count(*) filter (where promise = 'missed') as "missed!",
                   count(*) filter (where promise = 'open') as "open!"
               from (
                   select status, case
                       when status = 'cancelled' then null
                       when status in ('failed', 'expired') or outcome_status in ('agent-only', 'missing') then 'missed'
                       when called_at > requested_end then 'late'
                       when called_at is not null then 'kept'
                       when status = 'scheduled' and outcome_status is null and requested_end <= $4 then 'kept'
                       else 'open'
                   end as promise
                   from callbacks
                   where created_at >= $2 and created_at < $3 and ($1::text[] is null or campaign_id = any($1))
               ) as counted"#,
            campaigns.as_deref(),
            span.start.to_sqlx() as _,
            span.end.to_sqlx() as _,
            now.to_sqlx() as _
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(CallbackCounts {
            accepted: row.accepted,
            scheduled: row.scheduled,
            failed: row.failed,
            expired: row.expired,
            cancelled: row.cancelled,
            promises: PromiseResults { kept: row.kept, late: row.late, missed: row.missed, open: row.open },
        })
    }
}
