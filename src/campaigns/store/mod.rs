//! Campaigns and their holds in Postgres.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::audit::Entry;
use crate::campaigns::model::{Campaign, CampaignSettings, Changes, Counts, Failure, Report};
use crate::campaigns::reconcile::Book;
use crate::cxone::CampaignState;
use crate::db::{CreatedPosition, Db, Page, PageRequest, purge_in_steps};
use crate::types::CampaignId;

mod held;
mod settings;

pub use held::{Claimed, HeldTime};
pub use settings::{Saved, SettingsStore};

/// A lease that nobody renews ends after so long by Postgres's clock: what a crash may cost.
const LEASE: Duration = Duration::from_secs(5);

/// Commands are remembered for longer than their idempotency keys, which last for seven days.
const COMMANDS_KEPT_DAYS: i64 = 8;
/// Commands that one statement deletes.
const PURGE_STEP: u64 = 5_000;

/// What a command depends on that has just arrived.
#[derive(Clone, Debug, Default)]
pub struct AtArrival {
    pub settings: CampaignSettings,
    /// Of the campaign; 0 where nothing is known of it.
    pub revision: i64,
    /// The regulatory window of the settings is put aside until then.
    pub override_until: Option<Timestamp>,
}

/// The tables of campaigns and holds.
#[derive(Clone, Debug)]
pub struct CampaignStore {
    pool: Db,
    holds_changed: Arc<Notify>,
}

/// A campaign's row, its settings, and its holds that are not lifted.
struct Row {
    campaign_id: String,
    state: Option<String>,
    state_seen_at: Option<jiff_sqlx::Timestamp>,
    last_sent: Option<Value>,
    resume: Option<Value>,
    override_until: Option<jiff_sqlx::Timestamp>,
    failures: i32,
    failure_code: Option<String>,
    failure_detail: Option<String>,
    due_at: Option<jiff_sqlx::Timestamp>,
    check_at: Option<jiff_sqlx::Timestamp>,
    revision: i64,
    leased_by: Option<Uuid>,
    counted_from: Option<jiff_sqlx::Timestamp>,
    attempts: i64,
    answers: i64,
    created_at: jiff_sqlx::Timestamp,
    holds: Value,
    settings: Option<Value>,
}

impl TryFrom<Row> for Campaign {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let state: Option<CampaignState> = row.state.map(|state| decode(Value::String(state))).transpose()?;
        Ok(Self {
            id: decode(Value::String(row.campaign_id))?,
            settings: row.settings.map(decode).transpose()?.unwrap_or_default(),
            holds: decode(row.holds)?,
            seen: state.zip(row.state_seen_at.map(jiff_sqlx::Timestamp::to_jiff)),
            sent: row.last_sent.map(decode).transpose()?.unwrap_or_default(),
            resume: row.resume.map(decode).transpose()?,
            override_until: row.override_until.map(jiff_sqlx::Timestamp::to_jiff),
            failures: row.failures.unsigned_abs(),
            failure: row.failure_code.zip(row.failure_detail).map(|(code, detail)| Failure { code, detail }),
            due_at: row.due_at.map(jiff_sqlx::Timestamp::to_jiff),
            check_at: row.check_at.map(jiff_sqlx::Timestamp::to_jiff),
            revision: row.revision,
            leased_by: row.leased_by,
            counted_from: row.counted_from.map(jiff_sqlx::Timestamp::to_jiff),
            counts: Counts { attempts: row.attempts.unsigned_abs(), answers: row.answers.unsigned_abs() },
            started_outside: false,
            created_at: row.created_at.to_jiff(),
        })
    }
}

fn decode<T: DeserializeOwned>(kept: Value) -> Result<T, sqlx::Error> {
    serde_json::from_value(kept).map_err(|error| sqlx::Error::Decode(error.into()))
}

impl CampaignStore {
    /// Over this database.
    pub fn new(pool: Db) -> Self {
        Self { pool, holds_changed: Arc::default() }
    }

    /// Wakes one waiter whenever this replica has placed or lifted a hold.
    pub fn holds_changed(&self) -> &Notify {
        &self.holds_changed
    }

    /// Takes the lease of a campaign, which is made where it is not there yet. False where someone else has it.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn claim(&self, id: &CampaignId, lease: Uuid) -> Result<bool, sqlx::Error> {
        // A lease that is lost with the server's power is free again, which is what it should be: nobody waits for the
        // disk here.
        let claimed = sqlx::query!(
            "with quick as materialized (select set_config('synchronous_commit', 'off', true) as setting)
             insert into campaigns as kept (campaign_id, leased_by, leased_until, created_at, updated_at)
             select $1, $2, clock_timestamp() + $3::double precision * interval '1 second', clock_timestamp(),
                 clock_timestamp()
             from quick
             on conflict (campaign_id) do update set leased_by = excluded.leased_by, leased_until = excluded.leased_until
                 where kept.leased_until is null or kept.leased_until <= clock_timestamp()
             returning campaign_id",
            id.as_str(),
            lease,
            LEASE.as_secs_f64()
        );
        Ok(claimed.fetch_optional(&self.pool).await?.is_some())
    }

    /// Makes a campaign of which nothing is known yet, where it is not there.
    async fn make(&self, id: &CampaignId) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "insert into campaigns (campaign_id, created_at, updated_at) values ($1, clock_timestamp(), clock_timestamp())
             on conflict do nothing",
            id.as_str()
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Takes the lease of the campaign that has been due for longest. No two replicas get the same.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn claim_due(&self, lease: Uuid) -> Result<Option<CampaignId>, sqlx::Error> {
        // The time of the statement, which is the same for all rows, so that the index on `due_at` serves.
        let claimed = sqlx::query_scalar!(
            "update campaigns
             set leased_by = $1, leased_until = clock_timestamp() + $2::double precision * interval '1 second'
             where campaign_id = (
                 select campaign_id from campaigns
                 where due_at <= statement_timestamp()
                   and (leased_until is null or leased_until <= statement_timestamp())
                 order by due_at limit 1 for update skip locked
             )
             returning campaign_id",
            lease,
            LEASE.as_secs_f64()
        );
        claimed.fetch_optional(&self.pool).await?.map(|id| decode(Value::String(id))).transpose()
    }

    /// Takes the lease of the campaign whose check has been due for longest. No two replicas get the same.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn claim_check(&self, lease: Uuid) -> Result<Option<CampaignId>, sqlx::Error> {
        let claimed = sqlx::query_scalar!(
            "update campaigns
             set leased_by = $1, leased_until = clock_timestamp() + $2::double precision * interval '1 second'
             where campaign_id = (
                 select campaign_id from campaigns
                 where check_at <= statement_timestamp()
                   and (leased_until is null or leased_until <= statement_timestamp())
                 order by check_at limit 1 for update skip locked
             )
             returning campaign_id",
            lease,
            LEASE.as_secs_f64()
        );
        claimed.fetch_optional(&self.pool).await?.map(|id| decode(Value::String(id))).transpose()
    }

    /// Makes a lease last longer, where it is still held.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn renew(&self, id: &CampaignId, lease: Uuid) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update campaigns set leased_until = clock_timestamp() + $3::double precision * interval '1 second'
             where campaign_id = $1 and leased_by = $2",
            id.as_str(),
            lease,
            LEASE.as_secs_f64()
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Ends a lease whose work has stopped, whichever campaign it is of.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn end_lease(&self, lease: Uuid) -> Result<(), sqlx::Error> {
        sqlx::query!("update campaigns set leased_by = null, leased_until = null where leased_by = $1", lease)
            .execute(&self.pool)
            .await
            .map(drop)
    }

    /// What a command depends on that has just arrived.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn at_arrival(&self, id: &CampaignId) -> Result<AtArrival, sqlx::Error> {
        let row = sqlx::query!(
            r#"select c.revision as "revision?", c.override_until as "override_until?", s.settings as "settings?"
               from (values ($1::text)) as named(campaign_id)
               left join campaigns as c using (campaign_id) left join campaign_settings as s using (campaign_id)"#,
            id.as_str()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(AtArrival {
            settings: row.settings.map(decode).transpose()?.unwrap_or_default(),
            revision: row.revision.unwrap_or_default(),
            override_until: row.override_until.map(jiff_sqlx::Timestamp::to_jiff),
        })
    }

    /// Deletes what commands were answered with, once no client sends them again.
    ///
    /// # Errors
    /// Where Postgres refuses; what was deleted before stays so.
    pub async fn purge_commands(&self) -> Result<u64, sqlx::Error> {
        purge_in_steps(PURGE_STEP, |limit| async move {
            let purged = sqlx::query!(
                "delete from campaign_commands where ctid = any(array(
                     select ctid from campaign_commands
                     where created_at < clock_timestamp() - $2::bigint * interval '1 day'
                     order by created_at limit $1 for update skip locked
                 ))",
                limit,
                COMMANDS_KEPT_DAYS
            );
            Ok(purged.execute(&self.pool).await?.rows_affected())
        })
        .await
    }

    /// Writes an entry of its own.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn record(&self, entry: Entry) -> Result<(), sqlx::Error> {
        sqlx::query!("select audit_record($1) as id", entry.into_json()).fetch_one(&self.pool).await.map(drop)
    }

    /// Deletes a campaign of which nothing is known but that someone asked for it.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn forget(&self, id: &CampaignId) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "delete from campaigns
             where campaign_id = $1 and state is null and due_at is null and check_at is null and leased_by is null
               and not exists (select from campaign_holds where campaign_id = $1)
               and not exists (select from campaign_settings where campaign_id = $1)",
            id.as_str()
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// The campaign with this id, where Ringback has been told anything of it.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn find(&self, id: &CampaignId) -> Result<Option<Campaign>, sqlx::Error> {
        let row = sqlx::query_as!(
            Row,
            r#"select c.campaign_id, c.state, c.state_seen_at, c.last_sent, c.resume, c.override_until, c.failures,
                   c.failure_code, c.failure_detail, c.due_at, c.check_at, c.revision, c.counted_from, c.created_at,
                   case when c.leased_until > clock_timestamp() then c.leased_by end as leased_by,
                   lately.attempts as "attempts!", lately.answers as "answers!",
                   coalesce(left_over.holds, '[]') as "holds!", s.settings as "settings?"
               from campaigns as c
               left join campaign_settings as s using (campaign_id)
               cross join lateral (
                   select jsonb_agg(to_jsonb(h) order by h.placed_at, h.id) as holds
                   from campaign_holds as h where h.campaign_id = c.campaign_id and h.lifted_at is null
               ) as left_over
               cross join lateral (
                   select least(coalesce(sum(b.attempts), 0), 9e18)::bigint as attempts,
                       least(coalesce(sum(b.answers), 0), 9e18)::bigint as answers
                   from answer_rate_buckets as b
                   where b.campaign_id = c.campaign_id and b.counts_until > clock_timestamp()
                     and b.counted_from = coalesce(c.counted_from, 'epoch')
                     and b.window_ms = coalesce((s.settings -> 'answerRate' ->> 'windowMs')::bigint, 300000)
               ) as lately
               where c.campaign_id = $1"#,
            id.as_str()
        );
        row.fetch_optional(&self.pool).await?.map(Campaign::try_from).transpose()
    }

    /// One page of all campaigns, newest first.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn page(&self, page: &PageRequest<CreatedPosition<CampaignId>>) -> Result<Page<Campaign>, sqlx::Error> {
        let mut transaction = self.pool.begin_planned().await?;
        let rows = sqlx::query_as!(
            Row,
            r#"select c.campaign_id, c.state, c.state_seen_at, c.last_sent, c.resume, c.override_until, c.failures,
                   c.failure_code, c.failure_detail, c.due_at, c.check_at, c.revision, c.counted_from, c.created_at,
                   case when c.leased_until > clock_timestamp() then c.leased_by end as leased_by,
                   lately.attempts as "attempts!", lately.answers as "answers!",
                   coalesce(left_over.holds, '[]') as "holds!", s.settings as "settings?"
               from campaigns as c
               left join campaign_settings as s using (campaign_id)
               cross join lateral (
                   select jsonb_agg(to_jsonb(h) order by h.placed_at, h.id) as holds
                   from campaign_holds as h where h.campaign_id = c.campaign_id and h.lifted_at is null
               ) as left_over
               cross join lateral (
                   select least(coalesce(sum(b.attempts), 0), 9e18)::bigint as attempts,
                       least(coalesce(sum(b.answers), 0), 9e18)::bigint as answers
                   from answer_rate_buckets as b
                   where b.campaign_id = c.campaign_id and b.counts_until > clock_timestamp()
                     and b.counted_from = coalesce(c.counted_from, 'epoch')
                     and b.window_ms = coalesce((s.settings -> 'answerRate' ->> 'windowMs')::bigint, 300000)
               ) as lately
               where $1::timestamptz is null or (c.created_at, c.campaign_id) < ($1, $2)
               order by c.created_at desc, c.campaign_id desc
               limit $3"#,
            page.after.as_ref().map(|after| after.created_at.to_sqlx()) as _,
            page.after.as_ref().map(|after| after.id.as_str()),
            page.limit + 1
        )
        .fetch_all(&mut transaction)
        .await?;
        let campaigns = rows.into_iter().map(Campaign::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::new(campaigns, page.limit, |campaign| CreatedPosition {
            created_at: campaign.created_at,
            id: campaign.id.to_string(),
        }))
    }
}

impl Book for CampaignStore {
    async fn load(&self, id: &CampaignId) -> Result<Campaign, sqlx::Error> {
        if let Some(campaign) = self.find(id).await? {
            return Ok(campaign);
        }
        // A command that could not wait for the lease may be the first to be kept, or come just after a refused one.
        self.make(id).await?;
        self.find(id).await?.ok_or(sqlx::Error::RowNotFound)
    }

    async fn save(
        &self,
        campaign: &Campaign,
        changes: Changes,
        lease: Option<Uuid>,
        release: bool,
    ) -> Result<bool, sqlx::Error> {
        let at = |at: Option<Timestamp>| at.map(|at| at.to_sqlx());
        let holds_change = !changes.placed.is_empty() || !changes.refreshed.is_empty() || !changes.lifted.is_empty();
        let command = changes.command;
        let entries: Vec<Value> = changes.entries.into_iter().map(Entry::into_json).collect();
        let saved = sqlx::query!(
            r#"with kept as (
                 update campaigns set state = $3, state_seen_at = $4, last_sent = $5, resume = $6, override_until = $7,
                     failures = $8, failure_code = $9, failure_detail = $10, due_at = $11, check_at = $19,
                     revision = revision + 1,
                     leased_by = case when $13 and leased_by = $12 then null else leased_by end,
                     leased_until = case when $13 and leased_by = $12 then null else leased_until end, counted_from = $17,
                     risk_due_at = case when $18 then clock_timestamp() else risk_due_at end,
                     updated_at = clock_timestamp()
                 where campaign_id = $1 and revision = $2 and ($12::uuid is null or leased_by = $12)
                   and not exists (select from campaign_commands where id = $21)
                 returning campaign_id
             ),
             lifted as (
                 select * from jsonb_to_recordset($15) as l(id uuid, at timestamptz, by jsonb)
             ),
             -- A hold that ended before it could be kept is lifted as it is placed.
             placed as (
                 insert into campaign_holds (id, campaign_id, reason, compliance, triggered_by, placed_by, placed_at,
                     ends_at, max_agents, regulatory_window, request_id, affected_callbacks, counts, revision, lifted_at,
                     lifted_by)
                 select h.id, kept.campaign_id, h.reason, h.compliance, h.triggered_by, h.placed_by, h.placed_at,
                     h.ends_at, h.max_agents, h.regulatory_window, h.request_id, h.affected_callbacks, h.counts,
                     h.revision, lifted.at, lifted.by
                 from kept
                 cross join jsonb_to_recordset($14) as h(id uuid, reason text, compliance boolean, triggered_by text,
                     placed_by jsonb, placed_at timestamptz, ends_at timestamptz, max_agents bigint,
                     regulatory_window jsonb, request_id text, affected_callbacks bigint, counts jsonb, revision bigint)
                 left join lifted using (id)
             ),
             refreshed as (
                 update campaign_holds set ends_at = h.ends_at, revision = h.revision
                 from kept, jsonb_to_recordset($20) as h(id uuid, ends_at timestamptz, revision bigint)
                 where campaign_holds.id = h.id and campaign_holds.campaign_id = kept.campaign_id
                   and campaign_holds.lifted_at is null
                   and h.id not in (select id from lifted)
             ),
             -- The same command can be carried out only once.
             command as (
                 insert into campaign_commands (id, campaign_id, report)
                 select $21, campaign_id, $22 from kept where $21::uuid is not null
             ),
             confirmed as (
                 update campaign_commands set report = campaign_commands.report || c.report
                 from kept, jsonb_to_recordset($23) as c(command_id uuid, report jsonb)
                 where campaign_commands.id = c.command_id
             ),
             ended as (
                 update campaign_holds set lifted_at = lifted.at, lifted_by = lifted.by
                 from kept, lifted
                 where campaign_holds.id = lifted.id and campaign_holds.campaign_id = kept.campaign_id
                   and campaign_holds.lifted_at is null
             )
             select (select count(audit_record(entry)) from jsonb_array_elements($16) as entry) as "entries!" from kept"#,
            campaign.id.as_str(),
            campaign.revision,
            campaign.seen.map(|(state, _)| state.as_str()),
            at(campaign.seen.map(|(_, at)| at)) as _,
            (!campaign.sent.is_empty()).then(|| json!(campaign.sent)),
            campaign.resume.as_ref().map(|resume| json!(resume)),
            at(campaign.override_until) as _,
            i32::try_from(campaign.failures).unwrap_or(i32::MAX),
            campaign.failure.as_ref().map(|failure| failure.code.as_str()),
            campaign.failure.as_ref().map(|failure| failure.detail.as_str()),
            at(campaign.due_at) as _,
            lease,
            release,
            json!(changes.placed),
            json!(changes.lifted),
            json!(entries),
            at(campaign.counted_from) as _,
            holds_change,
            at(campaign.check_at) as _,
            json!(changes.refreshed),
            command.as_ref().map(|(id, _)| *id),
            command.as_ref().map(|(_, report)| json!(report)),
            json!(changes.confirmed)
        );
        let saved = saved.fetch_optional(&self.pool).await?.is_some();
        if saved && holds_change {
            self.holds_changed.notify_one();
        }
        Ok(saved)
    }

    async fn report_of(&self, command: Uuid) -> Result<Option<Report>, sqlx::Error> {
        let kept = sqlx::query_scalar!("select report from campaign_commands where id = $1", command);
        kept.fetch_optional(&self.pool).await?.map(decode).transpose()
    }

    async fn release(&self, id: &CampaignId, lease: Uuid, entry: Option<Entry>) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "with released as (
                 update campaigns set leased_by = null, leased_until = null where campaign_id = $1 and leased_by = $2
             )
             select audit_record($3) as id",
            id.as_str(),
            lease,
            entry.map(Entry::into_json)
        )
        .fetch_one(&self.pool)
        .await
        .map(drop)
    }
}
