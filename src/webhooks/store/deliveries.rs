//! Deliveries as the API shows them, and redelivery.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::Value;
use uuid::Uuid;

use super::WebhookStore;
use crate::audit::{Entry, EntryEvent};
use crate::db::{Page, PageRequest, SequencePosition};
use crate::webhooks::model::{ATTEMPTED_WITHIN, DeliveryStatus};

/// A delivery with its attempts.
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

/// The result of a request to deliver again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redelivery {
    /// The delivery is pending again.
    Started,
    /// The delivery is pending already, and due within [`ATTEMPTED_WITHIN`]: it is being attempted, or soon will be, or it waits
    /// for an earlier one of its campaign.
    AlreadyPending,
    /// The endpoint is disabled or deleted.
    NoEndpoint,
    /// There is no such delivery.
    NotFound,
}

impl WebhookStore {
    /// One page of an endpoint's deliveries, newest first.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn deliveries(
        &self,
        endpoint: Uuid,
        status: Option<DeliveryStatus>,
        page: &PageRequest<SequencePosition>,
    ) -> Result<Page<Delivery>, sqlx::Error> {
        let mut transaction = self.pool.begin_planned().await?;
        let rows = sqlx::query!(
            r#"select d.id, d.status as "status: DeliveryStatus", d.due_at, d.created_at, d.updated_at, d.event_seq, d.endpoint_id,
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
            status: row.status,
            due_at: row.due_at.map(jiff_sqlx::Timestamp::to_jiff),
            created_at: row.created_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
            attempts: row.attempts,
        });
        Ok(Page::new(deliveries.collect(), page.limit, |delivery: &Delivery| SequencePosition(delivery.event_seq)))
    }

    /// Stores an event for one endpoint, whatever it subscribes to, with its audit entry. An event that is stored already is
    /// left as it is. False if the endpoint is disabled or deleted.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn send_to(&self, endpoint: Uuid, event: EntryEvent, entry: Entry) -> Result<bool, sqlx::Error> {
        // Events are in order for each campaign. A test has none, and its own id in place of it: it waits for no other test.
        let sent = sqlx::query!(
            r#"with endpoint as (
                   select id from webhook_endpoints where id = $1 and deleted_at is null and disabled_at is null
               ),
               event as (
                   insert into webhook_events (id, type, campaign_id, body, created_at)
                   select $2::uuid, $3, $2::uuid::text, $4, $5 from endpoint
                   on conflict (id) do nothing
                   returning seq, campaign_id
               ),
               delivery as (
                   insert into webhook_deliveries (endpoint_id, event_seq, campaign_id, due_at, created_at, updated_at)
                   select endpoint.id, event.seq, event.campaign_id, $5, $5, $5 from endpoint, event
                   returning id
               )
               select exists (select from endpoint) as "is_enabled!",
                   (select audit_record($6) from delivery) as audit_id"#,
            endpoint,
            event.id,
            event.r#type,
            event.body,
            entry.timestamp.to_sqlx() as _,
            entry.into_json()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(sent.is_enabled)
    }

    /// Makes a delivery pending again, whether it succeeded, is dead, or waits for an attempt more than a minute away. It is sent
    /// after the earlier pending ones of its campaign.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn redeliver(&self, delivery: Uuid, now: Timestamp, entry: Entry) -> Result<Redelivery, sqlx::Error> {
        let found = sqlx::query!(
            r#"with again as (
                 update webhook_deliveries set status = 'pending', attempts = 0, claims = claims + 1, due_at = $2,
                     updated_at = $2
                 from webhook_endpoints as e
                 where webhook_deliveries.id = $1
                   and (webhook_deliveries.status <> 'pending' or webhook_deliveries.due_at > $4)
                   and e.id = webhook_deliveries.endpoint_id and e.deleted_at is null and e.disabled_at is null
                 returning webhook_deliveries.id
             )
             select exists (select from again) as "again!", (select audit_record($3) from again) as audit_id,
                 (select status from webhook_deliveries where id = $1) as "status: DeliveryStatus""#,
            delivery,
            now.to_sqlx() as _,
            entry.into_json(),
            (now + ATTEMPTED_WITHIN).to_sqlx() as _
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(match (found.again, found.status) {
            (true, _) => Redelivery::Started,
            (false, Some(DeliveryStatus::Pending)) => Redelivery::AlreadyPending,
            (false, Some(DeliveryStatus::Succeeded | DeliveryStatus::Dead)) => Redelivery::NoEndpoint,
            (false, None) => Redelivery::NotFound,
        })
    }

    /// Makes the deliveries of an endpoint pending again that have died since a moment. Returns their number.
    ///
    /// # Errors
    /// If Postgres returns an error.
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
             recorded as (select audit_record($4) as id)
             select (select count(*) from again) as "count!" from recorded"#,
            endpoint,
            since.to_sqlx() as _,
            now.to_sqlx() as _,
            entry.into_json()
        )
        .fetch_one(&self.pool)
        .await
    }
}
