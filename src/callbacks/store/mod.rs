//! Callbacks in Postgres. Every write that changes a callback records its audit entry in the same statement.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::model::{Callback, Confirmation, Failure, SkipReason, Status};
use crate::audit::Entry;
use crate::campaigns::SettingsStore;
use crate::db::{CreatedPosition, Db, Page, PageRequest, retry};
use crate::trace::Traceparent;
use crate::types::{CampaignId, Language, PhoneNumber, TimeWindow, Zone};

mod at_risk;
mod progress;

/// What a reader asks for. An absent part lets everything through.
#[derive(Debug, Default)]
pub struct Filter {
    pub status: Option<Status>,
    pub campaign_id: Option<CampaignId>,
    pub phone_number: Option<PhoneNumber>,
    /// Accepted from this instant on.
    pub from: Option<Timestamp>,
    /// Accepted before this instant.
    pub to: Option<Timestamp>,
}

/// What became of a callback that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is kept.
    New,
    /// The same request had made it before.
    Before,
    /// This open callback stands in its way.
    Duplicate(Uuid),
}

/// Which callbacks something can be done about now. One whose window or whose call's time has passed always is.
#[derive(Clone, Copy, Debug)]
pub struct Claimable {
    /// CXone takes contacts.
    pub contacts: bool,
    /// CXone takes messages.
    pub messages: bool,
    /// A window that ends sooner than this has passed.
    pub notice: SignedDuration,
}

/// The table of callbacks. Clones are the same one.
#[derive(Clone)]
pub struct CallbackStore {
    pool: Db,
    campaigns: SettingsStore,
    // Those who place at the same time queue here, and not with a connection each at the lock in Postgres.
    placing: Arc<Mutex<()>>,
}

struct Row {
    id: Uuid,
    status: String,
    phone_number: String,
    campaign_id: String,
    requested_start: jiff_sqlx::Timestamp,
    requested_end: jiff_sqlx::Timestamp,
    language: String,
    timezone: Option<String>,
    dispatch_time: Option<jiff_sqlx::Timestamp>,
    earlier_dispatch_time: Option<jiff_sqlx::Timestamp>,
    contact_id: Option<Uuid>,
    confirmation: String,
    skip_reason: Option<String>,
    confirmation_started_at: Option<jiff_sqlx::Timestamp>,
    sms_session_id: Option<String>,
    failure_code: Option<String>,
    failure_detail: Option<String>,
    attempts: i32,
    due_at: Option<jiff_sqlx::Timestamp>,
    request_id: String,
    traceparent: Option<String>,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
    at_risk: bool,
}

impl TryFrom<Row> for Callback {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let at = |at: Option<jiff_sqlx::Timestamp>| at.map(jiff_sqlx::Timestamp::to_jiff);
        let window = TimeWindow::parse(row.requested_start.to_jiff(), row.requested_end.to_jiff());
        let zone = row.timezone.as_deref().map(Zone::parse).transpose();
        let status = Status::ALL.into_iter().find(|(_, text)| *text == row.status).map(|(status, _)| status);
        let confirmation = Confirmation::ALL.into_iter().find(|(_, text)| *text == row.confirmation);
        let skip = row.skip_reason.map(|text| SkipReason::ALL.into_iter().find(|(_, known)| *known == text));
        Ok(Self {
            id: row.id,
            status: status.ok_or_else(|| corrupt("status"))?,
            phone_number: PhoneNumber::from_stored(row.phone_number).map_err(|_| corrupt("phone_number"))?,
            campaign_id: CampaignId::parse(&row.campaign_id).map_err(|_| corrupt("campaign_id"))?,
            window: window.map_err(|_| corrupt("requested_end"))?,
            language: Language::parse(&row.language).map_err(|_| corrupt("language"))?,
            timezone: zone.map_err(|_| corrupt("timezone"))?,
            dispatch_time: at(row.dispatch_time),
            earlier_dispatch_time: at(row.earlier_dispatch_time),
            contact_id: row.contact_id,
            confirmation: confirmation.map(|(known, _)| known).ok_or_else(|| corrupt("confirmation"))?,
            skip_reason: skip
                .map(|known| known.ok_or_else(|| corrupt("skip_reason")))
                .transpose()?
                .map(|(known, _)| known),
            confirmation_started_at: at(row.confirmation_started_at),
            sms_session_id: row.sms_session_id,
            at_risk: row.at_risk,
            failure: row.failure_code.zip(row.failure_detail).map(|(code, detail)| Failure { code, detail }),
            attempts: row.attempts,
            due_at: at(row.due_at),
            trace: row.traceparent.as_deref().and_then(Traceparent::parse).unwrap_or(Traceparent::root(row.id)),
            request_id: row.request_id,
            created_at: row.created_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
        })
    }
}

fn corrupt(column: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("callbacks.{column} holds what Ringback never writes").into())
}

/// A new callback as `jsonb_to_recordset` reads it.
#[derive(Serialize)]
struct NewRow<'a> {
    id: Uuid,
    status: &'a str,
    phone_number: &'a str,
    campaign_id: &'a CampaignId,
    requested_start: Timestamp,
    requested_end: Timestamp,
    language: &'a Language,
    timezone: Option<&'a Zone>,
    confirmation: &'a str,
    attempts: i32,
    due_at: Option<Timestamp>,
    request_id: &'a str,
    traceparent: &'a str,
    created_at: Timestamp,
    entry: Value,
}

impl CallbackStore {
    /// Over this database.
    pub fn new(pool: Db) -> Self {
        Self { campaigns: SettingsStore::new(pool.clone()), pool, placing: Arc::default() }
    }

    /// Keeps new callbacks with their entries: those that nothing stands in the way of. One commit for all of them.
    ///
    /// # Errors
    /// Where Postgres refuses; none is kept then.
    pub async fn insert(&self, new: Vec<(&Callback, Entry)>) -> Result<HashMap<Uuid, Inserted>, sqlx::Error> {
        let mut rows: Vec<_> = new.into_iter().map(|(callback, entry)| new_row(callback, entry)).collect();
        // In one order everywhere, so that batches with the same numbers wait for each other and never lock each other.
        // Equals stay in the order in which they came: the first of them is the one that is kept.
        rows.sort_by(|a, b| (a.phone_number, a.campaign_id).cmp(&(b.phone_number, b.campaign_id)));
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let rows = json!(rows);
        let mut results = HashMap::with_capacity(ids.len());
        // What stood in the way may be gone by the time that it is looked up: then there is room, and it is tried again.
        while results.len() < ids.len() {
            let missing: Vec<Uuid> = ids.iter().copied().filter(|id| !results.contains_key(id)).collect();
            // Under their own ids: what a try has committed whose answer was lost is found.
            let jitter = missing.first().map_or(0, |id| id.as_u64_pair().1);
            let kept = retry(jitter, || self.insert_rows(&rows, &missing)).await?;
            results.extend(kept.iter().map(|id| (*id, Inserted::New)));
            if results.len() < ids.len() {
                let kept: HashSet<Uuid> = kept.into_iter().collect();
                let missing: Vec<Uuid> = missing.into_iter().filter(|id| !kept.contains(id)).collect();
                results.extend(self.find_in_the_way(&rows, &missing).await?);
            }
        }
        Ok(results)
    }

    async fn insert_rows(&self, rows: &Value, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
        sqlx::query!(
            r#"with given as (
                 select * from jsonb_to_recordset($1) as r(id uuid, status text, phone_number text, campaign_id text,
                     requested_start timestamptz, requested_end timestamptz, language text, timezone text,
                     confirmation text, attempts integer, due_at timestamptz, request_id text, traceparent text,
                     created_at timestamptz, entry jsonb)
                 where r.id = any($2)
             ),
             kept as (
                 insert into callbacks (id, status, phone_number, campaign_id, requested_start, requested_end, language,
                     timezone, confirmation, attempts, due_at, request_id, traceparent, created_at, updated_at)
                 select id, status, phone_number, campaign_id, requested_start, requested_end, language, timezone,
                     confirmation, attempts, due_at, request_id, traceparent, created_at, created_at
                 from given
                 on conflict do nothing
                 returning id
             )
             select kept.id as "id!", audit_record(given.entry) as audit_id from kept join given using (id)"#,
            rows,
            ids
        )
        .fetch_all(&self.pool)
        .await
        .map(|rows| rows.into_iter().map(|row| row.id).collect())
    }

    async fn find_in_the_way(&self, rows: &Value, ids: &[Uuid]) -> Result<Vec<(Uuid, Inserted)>, sqlx::Error> {
        let found = sqlx::query!(
            r#"select r.id as "id!", found.id as "existing!"
               from jsonb_to_recordset($1) as r(id uuid, phone_number text, campaign_id text,
                   requested_start timestamptz, requested_end timestamptz)
               cross join lateral (
                   select id from callbacks where id = r.id
                   union all
                   select id from callbacks
                   where phone_number = r.phone_number and campaign_id = r.campaign_id
                     and status in ('accepted', 'scheduled')
                     and tstzrange(requested_start, requested_end) && tstzrange(r.requested_start, r.requested_end)
                   limit 1
               ) as found
               where r.id = any($2)"#,
            rows,
            ids
        )
        .fetch_all(&self.pool)
        .await?;
        let meaning = |id, existing| if id == existing { Inserted::Before } else { Inserted::Duplicate(existing) };
        Ok(found.into_iter().map(|row| (row.id, meaning(row.id, row.existing))).collect())
    }

    /// The callback with this id.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn find(&self, id: Uuid) -> Result<Option<Callback>, sqlx::Error> {
        let row = sqlx::query_as!(Row, "select * from callbacks where id = $1", id);
        row.fetch_optional(&self.pool).await?.map(Callback::try_from).transpose()
    }

    /// Which of these are kept.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn existing(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>, sqlx::Error> {
        let found = sqlx::query_scalar!("select id from callbacks where id = any($1)", ids);
        Ok(found.fetch_all(&self.pool).await?.into_iter().collect())
    }

    /// One page of the callbacks that pass the filter, newest first.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn page(
        &self,
        filter: &Filter,
        page: &PageRequest<CreatedPosition<Uuid>>,
    ) -> Result<Page<Callback>, sqlx::Error> {
        let mut transaction = self.pool.begin_planned().await?;
        let rows = sqlx::query_as!(
            Row,
            "select * from callbacks
             where ($1::text is null or status = $1)
               and ($2::text is null or campaign_id = $2)
               and ($3::text is null or phone_number = $3)
               and ($4::timestamptz is null or created_at >= $4)
               and ($5::timestamptz is null or created_at < $5)
               and ($6::timestamptz is null or (created_at, id) < ($6, $7))
             order by created_at desc, id desc
             limit $8",
            filter.status.map(Status::as_str),
            filter.campaign_id.as_ref().map(CampaignId::as_str),
            filter.phone_number.as_ref().map(PhoneNumber::as_str),
            filter.from.map(|at| at.to_sqlx()) as _,
            filter.to.map(|at| at.to_sqlx()) as _,
            page.after.as_ref().map(|after| after.created_at.to_sqlx()) as _,
            page.after.as_ref().map(|after| after.id),
            page.limit + 1
        )
        .fetch_all(&mut transaction)
        .await?;
        let callbacks = rows.into_iter().map(Callback::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::new(callbacks, page.limit, |callback| CreatedPosition {
            created_at: callback.created_at,
            id: callback.id,
        }))
    }

    /// Cancels a callback that CXone certainly does not have. An attempt that runs on it finds that it is too late.
    /// None where it is no longer so.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn cancel(&self, id: Uuid, now: Timestamp, entry: Entry) -> Result<Option<Callback>, sqlx::Error> {
        let cancelled = sqlx::query_scalar!(
            "update callbacks set status = 'cancelled', attempts = attempts + 1, due_at = null, updated_at = $2
             where id = $1 and status = 'accepted' and dispatch_time is null
             returning audit_record($3)",
            id,
            now.to_sqlx() as _,
            entry.into_json()
        );
        match cancelled.fetch_optional(&self.pool).await? {
            Some(_) => self.find(id).await,
            None => Ok(None),
        }
    }

    /// Takes up to `limit` callbacks that are due and claimable, most urgent first, until `lease_end`. No two replicas
    /// get the same.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn claim(
        &self,
        now: Timestamp,
        lease_end: Timestamp,
        claimable: Claimable,
        limit: usize,
    ) -> Result<Vec<Callback>, sqlx::Error> {
        let rows = sqlx::query_as!(
            Row,
            "update callbacks set due_at = $2, attempts = attempts + 1
             where id in (
                 select id from callbacks
                 where due_at <= $1
                   and case status
                       when 'accepted' then $4 or requested_end <= case when dispatch_time is null then $6 else $1 end
                       else $5 or confirmation_started_at is not null or dispatch_time <= $1
                   end
                 order by requested_end limit $3 for update skip locked
             )
             returning *",
            now.to_sqlx() as _,
            lease_end.to_sqlx() as _,
            i64::try_from(limit).unwrap_or(i64::MAX),
            claimable.contacts,
            claimable.messages,
            (now + claimable.notice).to_sqlx() as _
        );
        rows.fetch_all(&self.pool).await?.into_iter().map(Callback::try_from).collect()
    }

    /// Makes the lease of a claim last until then.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn lease_until(&self, id: Uuid, attempts: i32, lease_end: Timestamp) -> Result<(), sqlx::Error> {
        self.release(id, attempts, lease_end).await
    }

    /// Gives a claim back: the callback is due again at once.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn release(&self, id: Uuid, attempts: i32, now: Timestamp) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update callbacks set due_at = $3 where id = $1 and attempts = $2 and due_at is not null",
            id,
            attempts,
            now.to_sqlx() as _
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }
}

fn new_row(callback: &Callback, entry: Entry) -> NewRow<'_> {
    NewRow {
        id: callback.id,
        status: callback.status.as_str(),
        phone_number: callback.phone_number.as_str(),
        campaign_id: &callback.campaign_id,
        requested_start: callback.window.start(),
        requested_end: callback.window.end(),
        language: &callback.language,
        timezone: callback.timezone.as_ref(),
        confirmation: callback.confirmation.as_str(),
        attempts: callback.attempts,
        due_at: callback.due_at,
        request_id: &callback.request_id,
        traceparent: callback.trace.as_str(),
        created_at: callback.created_at,
        entry: entry.into_json(),
    }
}
