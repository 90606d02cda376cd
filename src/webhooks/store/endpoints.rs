//! The endpoints: created, read, changed and deleted through the API.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use super::WebhookStore;
use crate::audit::Entry;
use crate::db::{CreatedPosition, Page, PageRequest};
use crate::webhooks::event::EventType;
use crate::webhooks::model::Endpoint;

/// The most secrets of an endpoint that sign at the same time, besides the current one and the one before it.
const MAX_OLDER_SECRETS: i64 = 4;

struct Row {
    id: Uuid,
    url: String,
    events: Option<Vec<String>>,
    description: Option<String>,
    is_configured: bool,
    secret: Option<Vec<u8>>,
    failing_since: Option<jiff_sqlx::Timestamp>,
    disabled_at: Option<jiff_sqlx::Timestamp>,
    disabled_reason: Option<String>,
    created_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Endpoint {
    fn from(row: Row) -> Self {
        // A newer version may have stored types that this one does not know.
        let known = |events: Vec<String>| events.iter().filter_map(|event| event.parse::<EventType>().ok()).collect();
        Self {
            id: row.id,
            url: row.url,
            events: row.events.map(known),
            description: row.description,
            is_configured: row.is_configured,
            secret: row.secret,
            failing_since: row.failing_since.map(jiff_sqlx::Timestamp::to_jiff),
            disabled: row.disabled_at.map(jiff_sqlx::Timestamp::to_jiff).zip(row.disabled_reason),
            created_at: row.created_at.to_jiff(),
        }
    }
}

impl WebhookStore {
    /// Stores a new endpoint and its audit entry. False where an earlier run of the same request has stored it; it is not
    /// changed then.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn insert(&self, endpoint: &Endpoint, entry: Entry) -> Result<bool, sqlx::Error> {
        let events: Option<Vec<String>> =
            endpoint.events.as_ref().map(|events| events.iter().map(|event| event.as_str().to_owned()).collect());
        let inserted = sqlx::query!(
            "with inserted as (
                 insert into webhook_endpoints (id, url, events, description, secret, created_at)
                 values ($1, $2, $3, $4, $5, $6)
                 on conflict (id) do nothing
                 returning id
             )
             select audit_record($7) as id from inserted",
            endpoint.id,
            endpoint.url,
            events.as_deref(),
            endpoint.description,
            endpoint.secret,
            endpoint.created_at.to_sqlx() as _,
            entry.into_json()
        );
        Ok(inserted.fetch_optional(&self.pool).await?.is_some())
    }

    /// The endpoint with this id; none where it is deleted.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn find(&self, id: Uuid) -> Result<Option<Endpoint>, sqlx::Error> {
        let row = sqlx::query_as!(
            Row,
            "select id, url, events, description, is_configured, secret, failing_since, disabled_at, disabled_reason,
                 created_at
             from webhook_endpoints where id = $1 and deleted_at is null",
            id
        );
        Ok(row.fetch_optional(&self.pool).await?.map(Endpoint::from))
    }

    /// One page of the endpoints, newest first.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn page(&self, page: &PageRequest<CreatedPosition<Uuid>>) -> Result<Page<Endpoint>, sqlx::Error> {
        let rows = sqlx::query_as!(
            Row,
            "select id, url, events, description, is_configured, secret, failing_since, disabled_at, disabled_reason,
                 created_at
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
        let position = |row: &Row| CreatedPosition { created_at: row.created_at.to_jiff(), id: row.id };
        Ok(Page::new(rows, page.limit, position).map(Endpoint::from))
    }

    /// Deletes an endpoint; its pending deliveries are dead. False where there is no such endpoint, or it is that of the
    /// configuration.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn delete(&self, id: Uuid, now: Timestamp, entry: Entry) -> Result<bool, sqlx::Error> {
        let deleted = sqlx::query!(
            "with deleted as (
                 update webhook_endpoints set deleted_at = $2, secret = null
                 where id = $1 and deleted_at is null and not is_configured returning id
             ),
             previous as (
                 delete from webhook_previous_secrets where endpoint_id in (select id from deleted)
             ),
             -- A row that another transaction is writing is left to it.
             dead as (
                 update webhook_deliveries set status = 'dead', due_at = null, updated_at = $2
                 where id in (
                     select id from webhook_deliveries
                     where endpoint_id in (select id from deleted) and status = 'pending' for update skip locked
                 )
             )
             select audit_record($3) as id from deleted",
            id,
            now.to_sqlx() as _,
            entry.into_json()
        );
        Ok(deleted.fetch_optional(&self.pool).await?.is_some())
    }

    /// Gives an endpoint a new secret. The secret before it signs too, until `previous_until`; of those before that, the
    /// last four that are still valid. False where there is no such endpoint, or it is that of the configuration.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn rotate(
        &self,
        id: Uuid,
        secret: &[u8],
        previous_until: Timestamp,
        now: Timestamp,
        entry: Entry,
    ) -> Result<bool, sqlx::Error> {
        let rotated = sqlx::query!(
            "with before as (
                 select id, secret from webhook_endpoints
                 where id = $1 and deleted_at is null and not is_configured for update
             ),
             rotated as (
                 update webhook_endpoints as e set secret = $2 from before where e.id = before.id returning e.id
             ),
             previous as (
                 insert into webhook_previous_secrets (endpoint_id, secret, valid_until)
                 select id, secret, $3 from before
             ),
             forgotten as (
                 delete from webhook_previous_secrets as p
                 where p.endpoint_id in (select id from rotated) and p.secret not in (
                     select o.secret from webhook_previous_secrets as o
                     where o.endpoint_id = $1 and o.valid_until > $5
                     order by o.valid_until desc limit $6
                 )
             )
             select audit_record($4) as id from rotated",
            id,
            secret,
            previous_until.to_sqlx() as _,
            entry.into_json(),
            now.to_sqlx() as _,
            MAX_OLDER_SECRETS
        );
        Ok(rotated.fetch_optional(&self.pool).await?.is_some())
    }

    /// Enables an endpoint: events from now on are delivered to it. False where there is no such endpoint.
    ///
    /// # Errors
    /// If Postgres returns an error.
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
}
