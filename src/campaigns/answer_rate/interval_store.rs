//! The intervals that were read from CXone, in Postgres. One replica at a time reads them.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use serde_json::json;
use uuid::Uuid;

use super::guard_state::BucketRow;
use super::intervals::{Noted, Read};
use crate::campaigns::model::Counts;
use crate::db::Db;
use crate::types::CampaignId;

/// The campaigns whose intervals are read.
const MAX_CAMPAIGNS: i64 = 1000;
/// Intervals are kept for this time. CXone is asked for a shorter one.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(3);

/// The tables of intervals.
#[derive(Clone, Debug)]
pub struct IntervalStore {
    db: Db,
}

/// What is known of campaigns before a read.
#[derive(Debug, Default, PartialEq)]
pub struct Known {
    pub noted: Noted,
    /// The campaigns whose intervals were read since then.
    pub continued: Vec<CampaignId>,
}

impl IntervalStore {
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Claims the poll if it is due, until `lease_end`. Returns whether it was claimed.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn claim(&self, lease: Uuid, now: Timestamp, lease_end: Timestamp) -> Result<bool, sqlx::Error> {
        let claimed = sqlx::query!(
            "update answer_rate_poll set lease = $1, due_at = $3 where due_at <= $2",
            lease,
            now.to_sqlx() as _,
            lease_end.to_sqlx() as _
        );
        Ok(claimed.execute(&self.db).await?.rows_affected() > 0)
    }

    /// Sets when the poll is due next, unless another replica has claimed it.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn release(&self, lease: Uuid, due_at: Timestamp) -> Result<(), sqlx::Error> {
        sqlx::query!("update answer_rate_poll set due_at = $2 where lease = $1", lease, due_at.to_sqlx() as _)
            .execute(&self.db)
            .await
            .map(drop)
    }

    /// The campaigns whose answer rate is read from CXone. At most 1,000.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn campaigns(&self) -> Result<Vec<CampaignId>, sqlx::Error> {
        let ids = sqlx::query_scalar!(
            "select campaign_id from campaign_settings where settings -> 'answerRate' ->> 'source' = 'cxone'
             order by campaign_id limit $1",
            MAX_CAMPAIGNS
        );
        ids.fetch_all(&self.db).await?.iter().map(|id| parsed(id)).collect()
    }

    /// What is known of these campaigns, and which were read after `since`.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn known(&self, ids: &[CampaignId], since: Timestamp) -> Result<Known, sqlx::Error> {
        let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let mut known = Known::default();
        let rows = sqlx::query!(
            r#"select campaign_id, skill_id, starts_at as "starts_at: jiff_sqlx::Timestamp", attempts, answers
               from answer_rate_intervals where campaign_id = any($1)"#,
            &texts
        );
        for row in rows.fetch_all(&self.db).await? {
            let counts = Counts { attempts: row.attempts.unsigned_abs(), answers: row.answers.unsigned_abs() };
            known.noted.insert((parsed(&row.campaign_id)?, row.skill_id, row.starts_at.to_jiff()), counts);
        }
        let continued = sqlx::query_scalar!(
            "select campaign_id from answer_rate_reads where campaign_id = any($1) and read_at > $2",
            &texts,
            since.to_sqlx() as _
        );
        let continued: Result<_, _> = continued.fetch_all(&self.db).await?.iter().map(|id| parsed(id)).collect();
        known.continued = continued?;
        Ok(known)
    }

    /// Notes what was read of these campaigns, and adds it to their counts, in one statement. Returns false, and stores nothing,
    /// if another replica has claimed the poll since.
    ///
    /// # Errors
    /// If Postgres fails. Where that was stored nevertheless, the next read finds it noted.
    pub async fn save(
        &self,
        lease: Uuid,
        ids: &[CampaignId],
        read: &Read,
        now: Timestamp,
    ) -> Result<bool, sqlx::Error> {
        let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let buckets: Vec<_> = read.updates.iter().map(BucketRow::from).collect();
        // Buckets in the same order as other replicas, so that they do not deadlock.
        let saved = sqlx::query_scalar!(
            r#"with held as materialized (
                 select only_one from answer_rate_poll where lease = $1 for update
             ),
             expired as (
                 delete from answer_rate_intervals using held where starts_at < $5
             ),
             noted as (
                 insert into answer_rate_intervals as known (campaign_id, skill_id, starts_at, attempts, answers)
                 select n.* from held, jsonb_to_recordset($2) as n(campaign_id text, skill_id bigint,
                     starts_at timestamptz, attempts bigint, answers bigint)
                 where n.starts_at >= $5
                 on conflict (campaign_id, skill_id, starts_at) do update set
                     attempts = greatest(known.attempts, excluded.attempts),
                     answers = greatest(known.answers, excluded.answers)
             ),
             forgotten as (
                 delete from answer_rate_reads using held where read_at < $5 and campaign_id <> all($3)
             ),
             read as (
                 insert into answer_rate_reads as known (campaign_id, read_at)
                 select id, $4 from held, unnest($3::text[]) as id
                 on conflict (campaign_id) do update set read_at = excluded.read_at
             ),
             counted as (
                 insert into answer_rate_buckets as known
                     (campaign_id, window_ms, counted_from, starts_at, counts_until, attempts, answers)
                 select b.* from held, jsonb_to_recordset($6) as b(campaign_id text, window_ms bigint,
                     counted_from timestamptz, starts_at timestamptz, counts_until timestamptz, attempts bigint,
                     answers bigint)
                 order by b.campaign_id, b.window_ms, b.counted_from, b.starts_at
                 on conflict (campaign_id, window_ms, counted_from, starts_at) do update set
                     attempts = known.attempts + excluded.attempts, answers = known.answers + excluded.answers
             )
             select exists (select from held) as "is_held!""#,
            lease,
            json!(read.noted),
            &texts,
            now.to_sqlx() as _,
            (now - KEPT_FOR).to_sqlx() as _,
            json!(buckets)
        );
        saved.fetch_one(&self.db).await
    }
}

fn parsed(id: &str) -> Result<CampaignId, sqlx::Error> {
    CampaignId::parse(id).map_err(|fault| sqlx::Error::Decode(fault.into()))
}

#[cfg(test)]
#[path = "interval_store_test.rs"]
mod tests;
