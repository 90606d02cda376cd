//! Endpoints, events and deliveries in Postgres.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::Value;
use uuid::Uuid;

use super::endpoint::{Attempt, Claimed, DeliveryLease, DeliveryStatus, Endpoint, SealedSecrets, Verdict};
use super::event::EventType;
use crate::audit::Entry;
use crate::db::{CreatedPosition, Db, Page, PageRequest, SequencePosition};

/// Events that one statement deletes, with their deliveries and attempts.
const PURGE_STEP: i64 = 1_000;

/// A delivery as it is shown, with its attempts.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: Uuid,
    pub event_id: Uuid,
    pub event_type: String,
    pub event_seq: i64,
    pub endpoint: Uuid,
    pub status: DeliveryStatus,
    pub due_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Oldest first: `{at, durationMs, status, error, answer}`.
    pub attempts: Value,
}

/// The tables of endpoints, events and deliveries.
#[derive(Clone, Debug)]
pub struct WebhookStore {
    pool: Db,
}

struct EndpointRow {
    id: Uuid,
    url: String,
    events: Option<Vec<String>>,
    description: Option<String>,
    is_configured: bool,
    secret: Option<Vec<u8>>,
    previous_secrets: Vec<Vec<u8>>,
    previous_until: Vec<i64>,
    failing_since: Option<jiff_sqlx::Timestamp>,
    disabled_at: Option<jiff_sqlx::Timestamp>,
    disabled_reason: Option<String>,
    created_at: jiff_sqlx::Timestamp,
}

impl From<EndpointRow> for Endpoint {
    fn from(row: EndpointRow) -> Self {
        let parse = |events: Vec<String>| events.iter().filter_map(|name| EventType::parse(name).ok()).collect();
        Self {
            id: row.id,
            url: row.url,
            events: row.events.map(parse),
            description: row.description,
            is_configured: row.is_configured,
            secrets: SealedSecrets::of(row.secret, row.previous_secrets, &row.previous_until),
            failing_since: row.failing_since.map(jiff_sqlx::Timestamp::to_jiff),
            disabled: row.disabled_at.map(jiff_sqlx::Timestamp::to_jiff).zip(row.disabled_reason),
            created_at: row.created_at.to_jiff(),
        }
    }
}

impl WebhookStore {
    /// Over this database.
    pub fn new(pool: Db) -> Self {
        Self { pool }
    }

    pub(super) fn pool(&self) -> &Db {
        &self.pool
    }

    /// Keeps a new endpoint, with its entry. False where an earlier run of the same request has made it; it is left as it
    /// is then.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn insert(&self, endpoint: &Endpoint, entry: Entry) -> Result<bool, sqlx::Error> {
        let events: Option<Vec<String>> =
            endpoint.events.as_ref().map(|events| events.iter().map(|event| event.as_str().to_owned()).collect());
        let kept = sqlx::query!(
            "with kept as (
                 insert into webhook_endpoints (id, url, events, description, secret, created_at)
                 values ($1, $2, $3, $4, $5, $6)
                 on conflict (id) do nothing
                 returning id
             )
             select audit_record($7) as id from kept",
            endpoint.id,
            endpoint.url,
            events.as_deref(),
            endpoint.description,
            endpoint.secrets.current,
            endpoint.created_at.to_sqlx() as _,
            entry.into_json()
        );
        Ok(kept.fetch_optional(&self.pool).await?.is_some())
    }

    /// The endpoint with this id.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn find(&self, id: Uuid) -> Result<Option<Endpoint>, sqlx::Error> {
        let row = sqlx::query_as!(
            EndpointRow,
            "select id, url, events, description, is_configured, secret, previous_secrets, previous_until, failing_since,
                 disabled_at, disabled_reason, created_at
             from webhook_endpoints where id = $1 and deleted_at is null",
            id
        );
        Ok(row.fetch_optional(&self.pool).await?.map(Endpoint::from))
    }

    /// One page of the endpoints, newest first.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn page(&self, page: &PageRequest<CreatedPosition<Uuid>>) -> Result<Page<Endpoint>, sqlx::Error> {
        let rows = sqlx::query_as!(
            EndpointRow,
            "select id, url, events, description, is_configured, secret, previous_secrets, previous_until, failing_since,
                 disabled_at, disabled_reason, created_at
             from webhook_endpoints
             where deleted_at is null and ($1::timestamptz is null or (created_at, id) < ($1, $2))
             order by created_at desc, id desc
             limit $3",
            page.after.as_ref().map(|after| after.created_at.to_sqlx()) as _,
            page.after.as_ref().map(|after| after.id),
            page.limit + 1
        )
        .fetch_all(&self.pool)
        .await?;
        let endpoints = rows.into_iter().map(Endpoint::from).collect();
        Ok(Page::new(endpoints, page.limit, |endpoint: &Endpoint| CreatedPosition {
            created_at: endpoint.created_at,
            id: endpoint.id,
        }))
    }

    /// Deletes an endpoint; what was on its way to it is dead. False where there is none, or it is the configuration's.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn delete(&self, id: Uuid, now: Timestamp, entry: Entry) -> Result<bool, sqlx::Error> {
        let deleted = sqlx::query!(
            "with gone as (
                 update webhook_endpoints set deleted_at = $2, secret = ''::bytea, previous_secrets = '{}',
                     previous_until = '{}'
                 where id = $1 and deleted_at is null and not is_configured returning id
             ),
             given_up as (
                 update webhook_deliveries set status = 'dead', due_at = null, updated_at = $2
                 where id in (
                     select id from webhook_deliveries
                     where endpoint_id in (select id from gone) and status = 'pending' for update skip locked
                 )
             )
             select audit_record($3) as id from gone",
            id,
            now.to_sqlx() as _,
            entry.into_json()
        );
        Ok(deleted.fetch_optional(&self.pool).await?.is_some())
    }

    /// Gives an endpoint a new secret; the one before signs too, until `previous_until`, and so do those before that.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn rotate(
        &self,
        id: Uuid,
        secret: &[u8],
        previous_until: Timestamp,
        now: Timestamp,
        entry: Entry,
    ) -> Result<bool, sqlx::Error> {
        let rotated = sqlx::query!(
            "update webhook_endpoints set
                 (previous_secrets, previous_until) = (
                     select coalesce(array_agg(still.secret order by still.until), '{}'),
                         coalesce(array_agg(still.until order by still.until), '{}')
                     from (
                         select p.secret, p.until
                         from unnest(previous_secrets || webhook_endpoints.secret, previous_until || $3::bigint)
                             as p(secret, until)
                         where p.until > $5 order by p.until desc limit 5
                     ) as still
                 ),
                 secret = $2
             where id = $1 and deleted_at is null and not is_configured
             returning audit_record($4) as id",
            id,
            secret,
            previous_until.as_millisecond(),
            entry.into_json(),
            now.as_millisecond()
        );
        Ok(rotated.fetch_optional(&self.pool).await?.is_some())
    }

    /// Lets a disabled endpoint be told again, of what happens from here on.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn enable(&self, id: Uuid, entry: Entry) -> Result<bool, sqlx::Error> {
        let enabled = sqlx::query!(
            "update webhook_endpoints set disabled_at = null, disabled_reason = null, failing_since = null
             where id = $1 and deleted_at is null
             returning audit_record($2) as id",
            id,
            entry.into_json()
        );
        Ok(enabled.fetch_optional(&self.pool).await?.is_some())
    }

    /// One page of an endpoint's deliveries, newest first.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn deliveries(
        &self,
        endpoint: Uuid,
        status: Option<DeliveryStatus>,
        page: &PageRequest<SequencePosition>,
    ) -> Result<Page<Delivery>, sqlx::Error> {
        let mut transaction = self.pool.begin_planned().await?;
        let rows = sqlx::query!(
            r#"select d.id, d.status, d.due_at, d.created_at, d.updated_at, d.event_seq, d.endpoint_id,
                   e.id as event_id, e.type as event_type,
                   coalesce((
                       select jsonb_agg(jsonb_build_object('at', to_char(a.at at time zone 'UTC',
                           'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'durationMs', a.duration_ms, 'status', a.status,
                           'error', a.error, 'answer', a.answer) order by a.at)
                       from webhook_attempts as a where a.delivery_id = d.id
                   ), '[]') as "attempts!"
               from webhook_deliveries as d join webhook_events as e on e.seq = d.event_seq
               where d.endpoint_id = $1 and ($2::text is null or d.status = $2) and ($3::bigint is null or d.event_seq < $3)
               order by d.event_seq desc
               limit $4"#,
            endpoint,
            status.map(DeliveryStatus::as_str),
            page.after.as_ref().map(|after| after.0),
            page.limit + 1
        )
        .fetch_all(&mut transaction)
        .await?;
        let deliveries = rows.into_iter().map(|row| Delivery {
            id: row.id,
            event_id: row.event_id,
            event_type: row.event_type,
            event_seq: row.event_seq,
            endpoint: row.endpoint_id,
            status: status_of(&row.status),
            due_at: row.due_at.map(jiff_sqlx::Timestamp::to_jiff),
            created_at: row.created_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
            attempts: row.attempts,
        });
        Ok(Page::new(deliveries.collect(), page.limit, |delivery: &Delivery| SequencePosition(delivery.event_seq)))
    }

    /// Delivers again: one delivery that is not pending, whatever came of it.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn redeliver(&self, delivery: Uuid, now: Timestamp, entry: Entry) -> Result<Redelivered, sqlx::Error> {
        let found = sqlx::query!(
            r#"with again as (
                 update webhook_deliveries set status = 'pending', attempts = 0, claims = claims + 1, due_at = $2,
                     updated_at = $2
                 from webhook_endpoints as e
                 where webhook_deliveries.id = $1 and webhook_deliveries.status <> 'pending'
                   and e.id = webhook_deliveries.endpoint_id and e.deleted_at is null and e.disabled_at is null
                 returning webhook_deliveries.id
             )
             select exists (select from again) as "again!", (select audit_record($3) from again) as audit_id,
                 (select status from webhook_deliveries where id = $1) as status"#,
            delivery,
            now.to_sqlx() as _,
            entry.into_json()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(match (found.again, found.status.as_deref()) {
            (true, _) => Redelivered::Again,
            (false, Some("pending")) => Redelivered::Already,
            (false, Some(_)) => Redelivered::NotNow,
            (false, None) => Redelivered::Unknown,
        })
    }

    /// Delivers again all that died since a moment; gives how many.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn redeliver_failed(
        &self,
        endpoint: Uuid,
        since: Timestamp,
        now: Timestamp,
        entry: Entry,
    ) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar!(
            r#"with again as (
                 update webhook_deliveries set status = 'pending', attempts = 0, claims = claims + 1, due_at = $3,
                     updated_at = $3
                 from webhook_endpoints as e
                 where e.id = $1 and e.deleted_at is null and e.disabled_at is null
                   and webhook_deliveries.endpoint_id = e.id and webhook_deliveries.status = 'dead'
                   and webhook_deliveries.updated_at >= $2
                 returning webhook_deliveries.id
             ),
             noted as (select audit_record($4) as id)
             select (select count(*) from again) as "count!" from noted"#,
            endpoint,
            since.to_sqlx() as _,
            now.to_sqlx() as _,
            entry.into_json()
        )
        .fetch_one(&self.pool)
        .await
    }

    /// Takes the delivery that has been due for longest, until `lease_end`: of each campaign and endpoint only the
    /// first that is still pending, and none of the endpoints that this replica is busy with. Those that fail come
    /// last. Of configured endpoints only the one whose secret this replica has.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn claim(
        &self,
        now: Timestamp,
        lease_end: Timestamp,
        busy: &[Uuid],
        configured: Option<&str>,
    ) -> Result<Option<Claimed>, sqlx::Error> {
        // The firsts are found by leaping through the index from one endpoint and campaign to the next: what waits
        // behind an endpoint that has been dead for days costs nothing.
        let row = sqlx::query!(
            r#"with recursive firsts as (
                 (select endpoint_id, campaign_id, id from webhook_deliveries where status = 'pending'
                  order by endpoint_id, campaign_id, event_seq limit 1)
                 union all
                 select next.endpoint_id, next.campaign_id, next.id
                 from firsts as f cross join lateral (
                     select d.endpoint_id, d.campaign_id, d.id from webhook_deliveries as d
                     where d.status = 'pending' and (d.endpoint_id, d.campaign_id) > (f.endpoint_id, f.campaign_id)
                     order by d.endpoint_id, d.campaign_id, d.event_seq limit 1
                 ) as next
             ),
             claimed as (
                 update webhook_deliveries set due_at = $2, claims = claims + 1
                 where id = (
                     select d.id from firsts
                     join webhook_deliveries as d using (id)
                     join webhook_endpoints as e on e.id = d.endpoint_id
                     where d.status = 'pending' and d.due_at <= $1 and d.endpoint_id <> all($3)
                       and e.deleted_at is null and e.disabled_at is null and (not e.is_configured or e.url = $4)
                     order by (e.failing_since is not null), d.due_at, d.event_seq
                     limit 1 for update of d skip locked
                 )
                 returning id, claims, attempts, event_seq, endpoint_id
             )
             select c.id, c.claims, c.attempts, v.id as event_id, v.type as event_type, v.body, e.id as endpoint_id, e.url,
                 e.is_configured, e.secret, e.previous_secrets, e.previous_until, e.failing_since
             from claimed as c
             join webhook_events as v on v.seq = c.event_seq
             join webhook_endpoints as e on e.id = c.endpoint_id"#,
            now.to_sqlx() as _,
            lease_end.to_sqlx() as _,
            busy,
            configured
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| Claimed {
            id: row.id,
            claim: row.claims,
            attempts: row.attempts.unsigned_abs(),
            event_id: row.event_id,
            event_type: row.event_type,
            body: row.body,
            endpoint: row.endpoint_id,
            url: row.url,
            is_configured: row.is_configured,
            secrets: SealedSecrets::of(row.secret, row.previous_secrets, &row.previous_until),
            failing_since: row.failing_since.map(jiff_sqlx::Timestamp::to_jiff),
        }))
    }

    /// Writes what came of an attempt, with `entry` where the endpoint is disabled. False where the claim is lost, and
    /// nothing is written.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn settle(
        &self,
        claimed: &Claimed,
        attempt: &Attempt,
        verdict: &Verdict,
        entry: Option<Entry>,
    ) -> Result<bool, sqlx::Error> {
        let (status, due_at, disabled) = match verdict {
            Verdict::Succeeded => (DeliveryStatus::Succeeded, None, None),
            Verdict::Again(at) => (DeliveryStatus::Pending, Some(at.to_sqlx()), None),
            Verdict::Dead => (DeliveryStatus::Dead, None, None),
            Verdict::Disabled(reason) => (DeliveryStatus::Dead, None, Some(*reason)),
        };
        let settled = sqlx::query!(
            "with settled as (
                 update webhook_deliveries set status = $3, due_at = $4, attempts = attempts + 1, updated_at = $5
                 -- What was given up while it was on its way, and was taken all the same, is delivered.
                 where id = $1 and claims = $2 and (status = 'pending' or $3 = 'succeeded')
                   and not exists (select from webhook_attempts where delivery_id = $1 and at = $5)
                 returning id, endpoint_id
             ),
             noted as (
                 insert into webhook_attempts (delivery_id, at, duration_ms, status, error, answer)
                 select id, $5, $6, $7, $8, $9 from settled
                 on conflict do nothing
             ),
             endpoint as (
                 update webhook_endpoints set
                     failing_since = case when $3 = 'succeeded' then null else coalesce(failing_since, $5) end,
                     disabled_at = case when $10::text is null then disabled_at else coalesce(disabled_at, $5) end,
                     disabled_reason = case when $10::text is null then disabled_reason
                         else coalesce(disabled_reason, $10) end
                 where id = (select endpoint_id from settled)
                   and ($10::text is not null or ($3 = 'succeeded') = (failing_since is not null))
             ),
             -- A disabled endpoint is sent nothing more; what was on its way can be delivered again. What somebody else
             -- is just writing is left to them.
             given_up as (
                 update webhook_deliveries set status = 'dead', due_at = null, updated_at = $5
                 where id in (
                     select id from webhook_deliveries
                     where $10::text is not null and endpoint_id = (select endpoint_id from settled)
                       and status = 'pending' and id <> $1
                     for update skip locked
                 )
             )
             select audit_record($11) as id from settled",
            claimed.id,
            claimed.claim,
            status.as_str(),
            due_at as _,
            attempt.at.to_sqlx() as _,
            attempt.duration_ms,
            attempt.status.map(|status| i16::try_from(status).unwrap_or(i16::MAX)),
            attempt.error,
            attempt.answer,
            disabled,
            entry.map(Entry::into_json)
        );
        Ok(settled.fetch_optional(&self.pool).await?.is_some())
    }

    /// Gives a claim back: the delivery is due again at `due_at`, and no attempt is counted.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn release(&self, lease: &DeliveryLease, due_at: Timestamp) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update webhook_deliveries set due_at = $3 where id = $1 and claims = $2 and status = 'pending'",
            lease.delivery,
            lease.claim,
            due_at.to_sqlx() as _
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Gives back what a claim took whose answer was lost. No other delivery is due at the very microsecond of its lease's
    /// end.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn release_lost(&self, lease_end: Timestamp, now: Timestamp) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update webhook_deliveries set due_at = $2 where due_at = $1 and status = 'pending'",
            lease_end.to_sqlx() as _,
            now.to_sqlx() as _
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Deletes events from before a moment that nobody is still to be told of, with all that is known of them. Those that
    /// somebody is still to be told of are passed once, and not once for each step.
    ///
    /// # Errors
    /// Where Postgres refuses; what was deleted before stays so.
    pub async fn purge(&self, before: Timestamp) -> Result<u64, sqlx::Error> {
        let (mut after, mut purged) = ((Timestamp::UNIX_EPOCH, 0), 0);
        loop {
            let old = sqlx::query!(
                "select seq, created_at from webhook_events
                 where created_at < $1 and created_at >= $2 and (created_at, seq) > ($2, $3)
                 order by created_at, seq limit $4",
                before.to_sqlx() as _,
                after.0.to_sqlx() as _,
                after.1,
                PURGE_STEP
            )
            .fetch_all(&self.pool)
            .await?;
            let seqs: Vec<i64> = old.iter().map(|event| event.seq).collect();
            let deleted = sqlx::query!(
                "delete from webhook_events as e where e.seq = any($1) and not exists (
                     select from webhook_deliveries as d join webhook_endpoints as p on p.id = d.endpoint_id
                     where d.event_seq = e.seq and d.status = 'pending' and p.deleted_at is null
                 )",
                &seqs
            );
            purged += deleted.execute(&self.pool).await?.rows_affected();
            let is_last = i64::try_from(old.len()).unwrap_or(i64::MAX) < PURGE_STEP;
            match old.last().filter(|_| !is_last) {
                Some(last) => after = (last.created_at.to_jiff(), last.seq),
                None => return Ok(purged),
            }
        }
    }
}

/// What came of a wish to deliver again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redelivered {
    /// It is on its way.
    Again,
    /// It is on its way already.
    Already,
    /// Its endpoint is disabled or deleted.
    NotNow,
    /// There is no such delivery.
    Unknown,
}

fn status_of(text: &str) -> DeliveryStatus {
    match text {
        "succeeded" => DeliveryStatus::Succeeded,
        "dead" => DeliveryStatus::Dead,
        _ => DeliveryStatus::Pending,
    }
}
