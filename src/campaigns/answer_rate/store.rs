//! What dialers did, in Postgres: small additions, and what they come to.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::counters::Addition;
use super::window::{Counts, Guard, Step};
use crate::campaigns::model::CampaignSettings;
use crate::db::{Db, purge_in_steps};
use crate::types::CampaignId;

/// Far beyond what any dialer does in a window, and two of them fit a bigint.
const MOST: i64 = 1 << 61;
/// Steps that one statement deletes.
const PURGE_STEP: u64 = 5_000;

/// What is watched of a campaign.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Watching {
    /// As its settings have it.
    pub guard: Option<Guard>,
    /// Events from before do not count.
    pub epoch: Timestamp,
    /// The guard's hold is in place.
    pub is_throttled: bool,
}

/// What all replicas have shared of a campaign.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    pub watching: Watching,
    pub steps: Vec<Step>,
}

/// The table of steps.
#[derive(Clone, Debug)]
pub struct RateStore {
    pool: Db,
}

#[derive(Serialize)]
struct Row<'a> {
    campaign_id: &'a CampaignId,
    window_ms: i64,
    epoch: Timestamp,
    starts_at: Timestamp,
    counts_until: Timestamp,
    attempts: i64,
    answers: i64,
}

impl RateStore {
    /// Over this database.
    pub fn new(pool: Db) -> Self {
        Self { pool }
    }

    /// Adds a replica's next batch to the steps; nothing, where a batch of this number has been added already. So a batch
    /// whose answer was lost may be sent again.
    ///
    /// # Errors
    /// Where Postgres refuses, or does not answer; it may have been added all the same.
    pub async fn add(&self, replica: Uuid, number: i64, batch: &[Addition]) -> Result<(), sqlx::Error> {
        let rows: Vec<_> = batch.iter().map(|(id, watching, step)| row(id, watching, step)).collect();
        // In one order everywhere, so that replicas wait for each other and never lock each other. Nobody waits for the
        // disk: these are counters, not records.
        sqlx::query!(
            "with quick as materialized (select set_config('synchronous_commit', 'off', true) as setting),
             turn as (
                 insert into answer_rate_shares as last (replica, batch, shared_at)
                 select $3, $4, clock_timestamp() from quick
                 on conflict (replica) do update set batch = excluded.batch, shared_at = excluded.shared_at
                     where last.batch < excluded.batch
                 returning replica
             ),
             given as (
                 select r.* from jsonb_to_recordset($1) as r(campaign_id text, window_ms bigint, epoch timestamptz,
                     starts_at timestamptz, counts_until timestamptz, attempts bigint, answers bigint), turn
                 order by campaign_id, window_ms, epoch, starts_at
             )
             insert into answer_rate_buckets as kept
                 (campaign_id, window_ms, epoch, starts_at, counts_until, attempts, answers)
             select campaign_id, window_ms, epoch, starts_at, counts_until, attempts, answers from given
             on conflict (campaign_id, window_ms, epoch, starts_at) do update set
                 attempts = least(kept.attempts + excluded.attempts, $2),
                 answers = least(kept.answers + excluded.answers, $2)",
            json!(rows),
            MOST,
            replica,
            number
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Deletes what was shared of campaigns whose settings have no `answerRate` any more.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn forget(&self, ids: &[CampaignId]) -> Result<(), sqlx::Error> {
        let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
        sqlx::query!(
            "delete from answer_rate_buckets as b where b.campaign_id = any($1) and not exists (
                 select from campaign_settings as s
                 where s.campaign_id = b.campaign_id and s.settings -> 'answerRate' <> 'null'
             )",
            &names
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// What is watched of these campaigns, and the steps that still count.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn shared(&self, ids: &[CampaignId], now: Timestamp) -> Result<HashMap<CampaignId, Shared>, sqlx::Error> {
        let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let rows = sqlx::query!(
            r#"select named.campaign_id as "campaign_id!", c.counted_from as "counted_from?", s.settings as "settings?",
                   exists (
                       select from campaign_holds as h where h.campaign_id = named.campaign_id
                         and h.lifted_at is null and h.triggered_by = 'SLIDING_WINDOW_THROTTLE'
                   ) as "is_throttled!",
                   b.window_ms as "window_ms?", b.epoch as "epoch?", b.starts_at as "starts_at?",
                   b.counts_until as "counts_until?", b.attempts as "attempts?", b.answers as "answers?"
               from unnest($1::text[]) as named(campaign_id)
               left join campaigns as c using (campaign_id)
               left join campaign_settings as s using (campaign_id)
               left join answer_rate_buckets as b on b.campaign_id = named.campaign_id and b.counts_until > $2"#,
            &names,
            now.to_sqlx() as _
        )
        .fetch_all(&self.pool)
        .await?;
        let mut found: HashMap<CampaignId, Shared> = HashMap::with_capacity(ids.len());
        for row in rows {
            let Ok(id) = CampaignId::parse(&row.campaign_id) else { continue };
            let shared = match found.entry(id) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => {
                    let settings: Option<CampaignSettings> = row
                        .settings
                        .map(serde_json::from_value)
                        .transpose()
                        .map_err(|error| sqlx::Error::Decode(error.into()))?;
                    new.insert(Shared {
                        watching: Watching {
                            guard: settings.and_then(|settings| settings.answer_rate),
                            epoch: row.counted_from.map_or(Timestamp::UNIX_EPOCH, jiff_sqlx::Timestamp::to_jiff),
                            is_throttled: row.is_throttled,
                        },
                        steps: Vec::new(),
                    })
                }
            };
            let (Some(window_ms), Some(epoch), Some(starts_at), Some(counts_until), Some(attempts), Some(answers)) =
                (row.window_ms, row.epoch, row.starts_at, row.counts_until, row.attempts, row.answers)
            else {
                continue;
            };
            if window_ms == window_of(&shared.watching) && epoch.to_jiff() == shared.watching.epoch {
                let counts = Counts { attempts: attempts.unsigned_abs(), answers: answers.unsigned_abs() };
                let (starts_at, counts_until) = (starts_at.to_jiff(), counts_until.to_jiff());
                shared.steps.push(Step { starts_at, counts_until, counts });
            }
        }
        Ok(found)
    }

    /// What counts of a campaign now.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn counts(&self, id: &CampaignId, now: Timestamp) -> Result<(Watching, Counts), sqlx::Error> {
        let shared = self.shared(std::slice::from_ref(id), now).await?.remove(id).unwrap_or_default();
        let sum = shared.steps.iter().fold(Counts::default(), |sum, step| Counts {
            attempts: sum.attempts.saturating_add(step.counts.attempts),
            answers: sum.answers.saturating_add(step.counts.answers),
        });
        Ok((shared.watching, sum))
    }

    /// Deletes the steps that no longer count, and the last batches of replicas that have long ended.
    ///
    /// # Errors
    /// Where Postgres refuses; what was deleted before stays so.
    pub async fn purge(&self, now: Timestamp) -> Result<u64, sqlx::Error> {
        // What was in such a batch has left the longest window.
        sqlx::query!("delete from answer_rate_shares where shared_at < clock_timestamp() - interval '2 days'")
            .execute(&self.pool)
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
            Ok(purged.execute(&self.pool).await?.rows_affected())
        })
        .await
    }
}

fn window_of(watching: &Watching) -> i64 {
    i64::try_from(watching.window().as_millis()).unwrap_or(i64::MAX)
}

fn row<'a>(id: &'a CampaignId, watching: &Watching, step: &Step) -> Row<'a> {
    let bounded = |count: u64| i64::try_from(count).unwrap_or(MOST).min(MOST);
    Row {
        campaign_id: id,
        window_ms: window_of(watching),
        epoch: watching.epoch,
        starts_at: step.starts_at,
        counts_until: step.counts_until,
        attempts: bounded(step.counts.attempts),
        answers: bounded(step.counts.answers),
    }
}
