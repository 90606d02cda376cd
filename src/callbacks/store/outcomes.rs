//! What became of the calls of callbacks.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use serde_json::json;
use uuid::Uuid;

use super::CallbackStore;
use super::row::Row;
use crate::audit::Entry;
use crate::callbacks::model::{CallOutcome, Callback, Status};
use crate::db::decode;
use crate::types::CampaignId;

/// The callbacks that one statement reads.
const AT_ONCE: i64 = 500;
/// The skills and campaigns that one poll looks at.
const MAX_SKILLS: i64 = 100;

/// A callback whose outcome has changed.
pub struct Settlement {
    pub callback: Callback,
    pub outcome: CallOutcome,
    pub entry: Entry,
}

/// What a marker in CXone belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marked {
    pub status: Status,
    /// The number of its contact, once CXone has confirmed it.
    pub number: Option<i64>,
    pub dispatch_time: Option<Timestamp>,
}

impl CallbackStore {
    /// The callbacks to these numbers that CXone may have called since then. Numbers are in E.164.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn callable(&self, numbers: &[String], since: Timestamp) -> Result<Vec<Callback>, sqlx::Error> {
        let rows = sqlx::query_as!(
            Row,
            "select * from callbacks
             where phone_number = any($1) and outcome_status is not null and erased_at is null and dispatch_time >= $2",
            numbers,
            since.to_sqlx() as _
        );
        rows.fetch_all(&self.pool).await?.into_iter().map(Callback::try_from).collect()
    }

    /// When the first call is due whose outcome is open, or may still change: of those since then. None if there is none.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn first_open_call(&self, since: Timestamp) -> Result<Option<Timestamp>, sqlx::Error> {
        let first = sqlx::query_scalar!(
            r#"select least(
                   (select min(dispatch_time) from callbacks where outcome_status = 'pending' and erased_at is null),
                   (select min(dispatch_time) from callbacks
                    where outcome_status in ('called', 'not-reached', 'agent-only', 'missing') and dispatch_time >= $1)
               ) as "first: jiff_sqlx::Timestamp""#,
            since.to_sqlx() as _
        );
        Ok(first.fetch_one(&self.pool).await?.map(jiff_sqlx::Timestamp::to_jiff))
    }

    /// Campaigns with open outcomes whose skill is not known yet, and those of which CXone may have a contact of a callback
    /// that expired since then.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn campaigns_without_skill(&self, since: Timestamp) -> Result<Vec<CampaignId>, sqlx::Error> {
        let found = sqlx::query_scalar!(
            r#"select campaign_id as "id!" from callbacks
               where outcome_status = 'pending' and skill_id is null and erased_at is null
               union
               select campaign_id from callbacks
               where status = 'expired' and dispatch_time is not null and dispatch_time >= $1
               limit $2"#,
            since.to_sqlx() as _,
            MAX_SKILLS
        );
        found.fetch_all(&self.pool).await?.iter().map(|id| known(CampaignId::parse(id))).collect()
    }

    /// Remembers the skill of the campaign's callbacks whose skill is not known.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn set_skill(&self, campaign: &CampaignId, skill: i64) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update callbacks set skill_id = $2
             where campaign_id = $1 and outcome_status = 'pending' and skill_id is null",
            campaign.as_str(),
            skill
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// The skills with open outcomes, the earliest call first.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn open_skills(&self) -> Result<Vec<i64>, sqlx::Error> {
        let skills = sqlx::query_scalar!(
            r#"select skill_id as "id!" from callbacks
               where outcome_status = 'pending' and skill_id is not null and erased_at is null
               group by skill_id order by min(dispatch_time) limit $1"#,
            MAX_SKILLS
        );
        skills.fetch_all(&self.pool).await
    }

    /// Callbacks of these skills whose outcome is open and whose window ended before that.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn overdue(&self, skills: &[i64], before: Timestamp) -> Result<Vec<Callback>, sqlx::Error> {
        let rows = sqlx::query_as!(
            Row,
            "select * from callbacks
             where outcome_status = 'pending' and requested_end < $2 and skill_id = any($1) and erased_at is null
             order by requested_end limit $3",
            skills,
            before.to_sqlx() as _,
            AT_ONCE
        );
        rows.fetch_all(&self.pool).await?.into_iter().map(Callback::try_from).collect()
    }

    /// What these markers belong to.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn marked(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, Marked)>, sqlx::Error> {
        let rows = sqlx::query!(
            r#"select id, status, contact_number, dispatch_time as "dispatch_time: jiff_sqlx::Timestamp"
               from callbacks where id = any($1)"#,
            ids
        );
        let rows = rows.fetch_all(&self.pool).await?.into_iter().map(|row| {
            let dispatch_time = row.dispatch_time.map(jiff_sqlx::Timestamp::to_jiff);
            Ok((row.id, Marked { status: decode(&row.status)?, number: row.contact_number, dispatch_time }))
        });
        rows.collect()
    }

    /// Whether CXone has confirmed this contact to the callback.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn is_confirmed_contact(&self, id: Uuid, number: i64) -> Result<bool, sqlx::Error> {
        let confirmed = sqlx::query_scalar!(
            r#"select exists (select from callbacks where id = $1 and status = 'scheduled' and contact_number = $2)
               as "confirmed!""#,
            id,
            number
        );
        confirmed.fetch_one(&self.pool).await
    }

    /// Stores outcomes, each with its audit entry, and returns how many. One that has changed meanwhile is left as it is.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn settle(&self, settlements: Vec<Settlement>, now: Timestamp) -> Result<u64, sqlx::Error> {
        let given = settlements.into_iter().map(|Settlement { callback, outcome, entry }| {
            let previous = callback.outcome.as_ref();
            json!({
                "id": callback.id, "entry": entry.into_json(), "status": outcome.status,
                "previous_status": previous.map(|previous| previous.status),
                "previous_contact": previous.and_then(|previous| previous.contact_id.as_ref()),
                "contact": outcome.contact_id, "called_at": outcome.called_at, "seconds": outcome.agent_seconds,
                "disposition": outcome.disposition,
            })
        });
        let given: Vec<_> = given.collect();
        // All statements lock in one order, so that replicas do not deadlock: first the callbacks by id, then the events of the
        // campaigns. Postgres calls a volatile function after it has sorted the rows.
        let settled = sqlx::query!(
            "with given as (
                 select * from jsonb_to_recordset($1) as g(id uuid, entry jsonb, status text, previous_status text,
                     previous_contact text, contact text, called_at timestamptz, seconds integer, disposition text)
             ),
             locked as (
                 select c.id from callbacks as c join given using (id)
                 where c.outcome_status = given.previous_status
                   and c.outcome_contact_id is not distinct from given.previous_contact and c.erased_at is null
                 order by c.id for update of c
             ),
             settled as (
                 update callbacks set outcome_status = given.status, outcome_contact_id = given.contact,
                     called_at = given.called_at, agent_seconds = given.seconds, disposition = given.disposition,
                     updated_at = $2
                 from locked join given using (id) where callbacks.id = locked.id
                 returning callbacks.id, callbacks.campaign_id
             )
             select audit_record(given.entry) as entry_id from given join settled using (id)
             order by settled.campaign_id, settled.id",
            json!(given),
            now.to_sqlx() as _
        );
        Ok(settled.fetch_all(&self.pool).await?.len() as u64)
    }

    /// Takes some of the callbacks that are due for another look in CXone. They are due again after `lease`, unless the look
    /// succeeds.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn claim_rechecks(&self, now: Timestamp, lease: SignedDuration) -> Result<Vec<Callback>, sqlx::Error> {
        let rows = sqlx::query_as!(
            Row,
            "update callbacks set recheck_at = $2 where id in (
                 select id from callbacks where recheck_at <= $1 order by recheck_at limit $3 for update skip locked
             ) returning *",
            now.to_sqlx() as _,
            (now + lease).to_sqlx() as _,
            AT_ONCE
        );
        rows.fetch_all(&self.pool).await?.into_iter().map(Callback::try_from).collect()
    }

    /// A look in CXone succeeded. The last one is `ahead` of the dispatch time.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn complete_rechecks(
        &self,
        ids: &[Uuid],
        now: Timestamp,
        ahead: SignedDuration,
    ) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update callbacks set recheck_at =
                 case when dispatch_time - make_interval(secs => $3) > $2 then dispatch_time - make_interval(secs => $3) end
             where id = any($1)",
            ids,
            now.to_sqlx() as _,
            ahead.as_secs_f64()
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }
}

fn known<T, E: std::error::Error + Send + Sync + 'static>(parsed: Result<T, E>) -> Result<T, sqlx::Error> {
    parsed.map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
