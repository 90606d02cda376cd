//! How pauses and resumes ended, from the audit log.

use jiff_sqlx::ToSqlx as _;

use super::CampaignStore;
use crate::types::{AllowedCampaigns, Interval};

/// The pauses and the resumes of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CommandCounts {
    pub pauses: CommandResults,
    pub resumes: CommandResults,
}

/// How pauses, or resumes, ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CommandResults {
    /// CXone has confirmed the change, whether a command, the end of a hold or the regulatory window caused it.
    pub applied: i64,
    /// The campaign was in that state.
    pub unchanged: i64,
    /// Answered before CXone confirmed it, and not confirmed within a day after the span.
    pub unconfirmed: i64,
    pub refused: i64,
    /// From the cause of a change until CXone confirmed it.
    pub median_ms: Option<f64>,
    pub p95_ms: Option<f64>,
}

impl CampaignStore {
    /// Of these campaigns. Pauses and resumes count in the span in which they ended.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn command_counts(
        &self,
        campaigns: &AllowedCampaigns,
        span: Interval,
    ) -> Result<CommandCounts, sqlx::Error> {
        let campaigns = campaigns.texts();
        let rows = sqlx::query!(
            r#"with entry as materialized (
                   select action, action in ('campaign.paused', 'campaign.pause_unchanged', 'campaign.pause_pending',
                           'campaign.pause_refused') as is_pause,
                       action in ('campaign.paused', 'campaign.resumed') as is_applied,
                       action in ('campaign.pause_unchanged', 'campaign.resume_unchanged') as is_unchanged,
                       "timestamp", campaign_id, request_id, latency_ms
                   from audit_entries
                   where action in ('campaign.paused', 'campaign.pause_unchanged', 'campaign.pause_pending',
                           'campaign.pause_refused', 'campaign.resumed', 'campaign.resume_unchanged',
                           'campaign.resume_pending', 'campaign.resume_refused')
                     and "timestamp" >= $2 and "timestamp" < $3::timestamptz + interval '1 day'
                     and ($1::text[] is null or campaign_id = any($1))
               ),
               confirmed as (
                   select distinct is_pause, campaign_id, request_id from entry where is_applied or is_unchanged
               )
               select entry.is_pause as "is_pause!", count(*) filter (where is_applied) as "applied!",
                   count(*) filter (where is_unchanged) as "unchanged!",
                   count(*) filter (where action in ('campaign.pause_refused', 'campaign.resume_refused')) as "refused!",
                   count(*) filter (where action in ('campaign.pause_pending', 'campaign.resume_pending')
                       and confirmed.request_id is null) as "unconfirmed!",
                   percentile_cont(0.5) within group (order by latency_ms) filter (where is_applied) as median_ms,
                   percentile_cont(0.95) within group (order by latency_ms) filter (where is_applied) as p95_ms
               from entry left join confirmed on confirmed.is_pause = entry.is_pause
                   and confirmed.campaign_id = entry.campaign_id and confirmed.request_id = entry.request_id
               where "timestamp" < $3
               group by entry.is_pause"#,
            campaigns.as_deref(),
            span.start.to_sqlx() as _,
            span.end.to_sqlx() as _
        )
        .fetch_all(&self.pool)
        .await?;
        let mut counts = CommandCounts::default();
        for row in rows {
            let results = if row.is_pause { &mut counts.pauses } else { &mut counts.resumes };
            *results = CommandResults {
                applied: row.applied,
                unchanged: row.unchanged,
                unconfirmed: row.unconfirmed,
                refused: row.refused,
                median_ms: row.median_ms,
                p95_ms: row.p95_ms,
            };
        }
        Ok(counts)
    }
}
