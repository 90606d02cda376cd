//! Answer rate buckets in Postgres.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde::Deserialize as _;
use serde_json::{Value, json};
use uuid::Uuid;

use super::guard_state::{BucketRow, BucketUpdate, GuardState, MAX_COUNT, SharedCounts, window_ms};
use super::window::Bucket;
use crate::campaigns::model::{CampaignSettings, Counts};
use crate::db::{Db, purge_in_steps};
use crate::types::CampaignId;

/// The number of buckets that one statement deletes.
const PURGE_STEP: u64 = 5_000;

/// The tables of answer rate buckets and of batches.
#[derive(Clone, Debug)]
pub struct AnswerRateStore {
    db: Db,
}

impl AnswerRateStore {
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Adds a batch of updates to the buckets. Does nothing if the replica has added a batch of this number already, so a
    /// batch may be sent again after an error.
    ///
    /// # Errors
    /// If Postgres fails. The batch may have been added.
    pub async fn add(&self, replica_id: Uuid, number: i64, batch: &[BucketUpdate]) -> Result<(), sqlx::Error> {
        let rows: Vec<_> = batch.iter().map(BucketRow::from).collect();
        // Sorted, so that replicas do not deadlock. Not synced to disk: these are counters, not records.
        sqlx::query!(
            "with unsynced as materialized (select set_config('synchronous_commit', 'off', true)),
             batch as (
                 insert into answer_rate_batches as known (replica_id, last_batch, added_at)
                 select $3, $4, clock_timestamp() from unsynced
                 on conflict (replica_id) do update set last_batch = excluded.last_batch, added_at = excluded.added_at
                     where known.last_batch < excluded.last_batch
                 returning replica_id
             ),
             updates as (
                 select u.* from jsonb_to_recordset($1) as u(campaign_id text, window_ms bigint, counted_from timestamptz,
                     starts_at timestamptz, counts_until timestamptz, attempts bigint, answers bigint), batch
                 order by campaign_id, window_ms, counted_from, starts_at
             )
             insert into answer_rate_buckets as known
                 (campaign_id, window_ms, counted_from, starts_at, counts_until, attempts, answers)
             select campaign_id, window_ms, counted_from, starts_at, counts_until, attempts, answers from updates
             on conflict (campaign_id, window_ms, counted_from, starts_at) do update set
                 attempts = least(known.attempts + excluded.attempts, $2),
                 answers = least(known.answers + excluded.answers, $2)",
            json!(rows),
            MAX_COUNT,
            replica_id,
            number
        )
        .execute(&self.db)
        .await
        .map(drop)
    }

    /// Deletes the buckets of those of these campaigns that have no `answerRate` settings.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn delete_unmonitored(&self, ids: &[CampaignId]) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "delete from answer_rate_buckets as b where b.campaign_id = any($1) and not exists (
                 select from campaign_settings as s
                 where s.campaign_id = b.campaign_id and s.settings -> 'answerRate' <> 'null'
             )",
            &texts(ids)
        )
        .execute(&self.db)
        .await
        .map(drop)
    }

    /// The state of each campaign's guard, and the buckets that are in its window.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn shared_counts(
        &self,
        ids: &[CampaignId],
        now: Timestamp,
    ) -> Result<HashMap<CampaignId, SharedCounts>, sqlx::Error> {
        let rows = sqlx::query_as!(
            StoredRow,
            r#"select wanted.campaign_id as "campaign_id!", c.counted_from as "counted_from?", s.settings as "settings?",
                   exists (
                       select from campaign_holds as h where h.campaign_id = wanted.campaign_id
                         and h.lifted_at is null and h.triggered_by = 'SLIDING_WINDOW_THROTTLE'
                   ) as "is_throttled!",
                   b.window_ms as "bucket_window_ms?", b.counted_from as "bucket_counted_from?",
                   b.starts_at as "starts_at?", b.counts_until as "counts_until?", b.attempts as "attempts?",
                   b.answers as "answers?"
               from unnest($1::text[]) as wanted(campaign_id)
               left join campaigns as c using (campaign_id)
               left join campaign_settings as s using (campaign_id)
               left join answer_rate_buckets as b on b.campaign_id = wanted.campaign_id and b.counts_until > $2"#,
            &texts(ids),
            now.to_sqlx() as _
        )
        .fetch_all(&self.db)
        .await?;
        let mut shared = HashMap::with_capacity(ids.len());
        for row in rows {
            row.add_to(&mut shared)?;
        }
        Ok(shared)
    }

    /// The state of a campaign's guard, and the total of its window.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn counts(&self, id: &CampaignId, now: Timestamp) -> Result<(GuardState, Counts), sqlx::Error> {
        let shared = self.shared_counts(std::slice::from_ref(id), now).await?.remove(id).unwrap_or_default();
        let total = shared.buckets.iter().fold(Counts::default(), |sum, bucket| sum.saturating_add(bucket.counts));
        Ok((shared.state, total))
    }

    /// The buckets of each campaign that are in its window: when each began, its attempts and its answers.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn recent_counts(
        &self,
        ids: &[CampaignId],
        now: Timestamp,
    ) -> Result<HashMap<CampaignId, Vec<(Timestamp, u64, u64)>>, sqlx::Error> {
        let counts = |bucket: &Bucket| (bucket.starts_at, bucket.counts.attempts, bucket.counts.answers);
        let shared = self.shared_counts(ids, now).await?;
        Ok(shared.into_iter().map(|(id, shared)| (id, shared.buckets.iter().map(counts).collect())).collect())
    }

    /// Deletes the buckets that have left their windows, and the batch numbers of replicas that have ended.
    ///
    /// # Errors
    /// If Postgres fails. Some rows may have been deleted.
    pub async fn purge(&self, now: Timestamp) -> Result<u64, sqlx::Error> {
        // Twice the longest window.
        sqlx::query!("delete from answer_rate_batches where added_at < clock_timestamp() - interval '2 days'")
            .execute(&self.db)
            .await?;
        purge_in_steps(PURGE_STEP, |limit| async move {
            let purged = sqlx::query!(
                "delete from answer_rate_buckets where ctid = any(array(
                     select ctid from answer_rate_buckets where counts_until <= $1 order by counts_until limit $2
                     for update skip locked
                 ))",
                now.to_sqlx() as _,
                limit
            );
            Ok(purged.execute(&self.db).await?.rows_affected())
        })
        .await
    }
}

/// A campaign, joined with one of its buckets. All fields of the bucket are absent where the campaign has none.
struct StoredRow {
    campaign_id: String,
    counted_from: Option<jiff_sqlx::Timestamp>,
    settings: Option<Value>,
    is_throttled: bool,
    bucket_window_ms: Option<i64>,
    bucket_counted_from: Option<jiff_sqlx::Timestamp>,
    starts_at: Option<jiff_sqlx::Timestamp>,
    counts_until: Option<jiff_sqlx::Timestamp>,
    attempts: Option<i64>,
    answers: Option<i64>,
}

impl StoredRow {
    fn add_to(self, shared: &mut HashMap<CampaignId, SharedCounts>) -> Result<(), sqlx::Error> {
        let decode_error = |error: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(error);
        let id = CampaignId::parse(&self.campaign_id).map_err(|fault| decode_error(fault.into()))?;
        let SharedCounts { state, buckets } = match shared.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(SharedCounts { state: self.state()?, buckets: Vec::new() }),
        };
        if self.bucket_window_ms == Some(window_ms(state))
            && self.bucket_counted_from.map(jiff_sqlx::Timestamp::to_jiff) == Some(state.counted_from)
        {
            buckets.extend(self.bucket());
        }
        Ok(())
    }

    fn state(&self) -> Result<GuardState, sqlx::Error> {
        let settings = self.settings.as_ref().map(CampaignSettings::deserialize).transpose();
        let settings = settings.map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(GuardState {
            guard: settings.and_then(|settings| settings.answer_rate),
            counted_from: self.counted_from.map_or(Timestamp::UNIX_EPOCH, jiff_sqlx::Timestamp::to_jiff),
            is_throttled: self.is_throttled,
        })
    }

    fn bucket(&self) -> Option<Bucket> {
        Some(Bucket {
            starts_at: self.starts_at?.to_jiff(),
            counts_until: self.counts_until?.to_jiff(),
            counts: Counts { attempts: self.attempts?.unsigned_abs(), answers: self.answers?.unsigned_abs() },
        })
    }
}

fn texts(ids: &[CampaignId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
#[path = "store_test.rs"]
mod tests;
