//! The endpoint of the configuration (`WFO_WEBHOOK_URL`), in Postgres.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use serde::Serialize;
use uuid::Uuid;

use super::WebhookStore;
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::db::Transaction;
use crate::webhooks::detail::{ChangedDetail, CreatedDetail};

/// Deliveries that died with the endpoint are sent if it is configured again within this time.
const RESUMED_WITHIN: SignedDuration = SignedDuration::from_hours(24);

impl WebhookStore {
    /// Makes this URL the only endpoint of the configuration; without a URL there is none. Each change is recorded in the
    /// audit log.
    ///
    /// # Errors
    /// If Postgres returns an error; nothing is changed then.
    pub async fn configure(&self, url: Option<&str>, clock: &Clock) -> Result<(), sqlx::Error> {
        let now = clock.now();
        let mut transaction = self.pool.begin().await?;
        for id in remove_others(&mut transaction, url, now).await? {
            record(&mut transaction, Action::WebhookDeleted, &ChangedDetail { webhook_id: id }, clock).await?;
        }
        if let Some(url) = url {
            resume_deliveries(&mut transaction, url, now).await?;
            if let Some(id) = create(&mut transaction, clock.new_id(), url, now).await? {
                let detail = CreatedDetail::new(id, url);
                record(&mut transaction, Action::WebhookCreated, &detail, clock).await?;
            }
            if let Some(id) = enable(&mut transaction, url).await? {
                record(&mut transaction, Action::WebhookEnabled, &ChangedDetail { webhook_id: id }, clock).await?;
            }
        }
        transaction.commit().await
    }
}

/// Deletes the configured endpoints with other URLs; their pending deliveries are dead. Returns their ids.
async fn remove_others(
    transaction: &mut Transaction,
    url: Option<&str>,
    now: Timestamp,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let removed = sqlx::query_scalar!(
        "update webhook_endpoints set deleted_at = $2
         where is_configured and deleted_at is null and ($1::text is null or url <> $1)
         returning id",
        url,
        now.to_sqlx() as _
    )
    .fetch_all(&mut *transaction)
    .await?;
    sqlx::query!(
        "update webhook_deliveries set status = 'dead', due_at = null, updated_at = $1
         where status = 'pending'
           and endpoint_id in (select id from webhook_endpoints where is_configured and deleted_at is not null)",
        now.to_sqlx() as _
    )
    .execute(&mut *transaction)
    .await?;
    Ok(removed)
}

/// Makes the deliveries pending again that died because the endpoint was deleted a short time ago: while the setting is changed,
/// replicas with the old URL and with the new one may start in turn.
async fn resume_deliveries(transaction: &mut Transaction, url: &str, now: Timestamp) -> Result<(), sqlx::Error> {
    let deleted = sqlx::query!(
        r#"select id, deleted_at as "deleted_at!" from webhook_endpoints
           where is_configured and url = $1 and deleted_at > $2
           for no key update"#,
        url,
        (now - RESUMED_WITHIN).to_sqlx() as _
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(deleted) = deleted else { return Ok(()) };
    sqlx::query!(
        "update webhook_deliveries set status = 'pending', due_at = $2, updated_at = $2
         where endpoint_id = $1 and status = 'dead' and updated_at >= $3",
        deleted.id,
        now.to_sqlx() as _,
        deleted.deleted_at as _
    )
    .execute(transaction)
    .await
    .map(drop)
}

/// Creates the endpoint, or restores it where it was deleted. Returns its id where it was created or restored.
async fn create(
    transaction: &mut Transaction,
    id: Uuid,
    url: &str,
    now: Timestamp,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into webhook_endpoints (id, url, description, is_configured, created_at)
         values ($1, $2, 'WFO_WEBHOOK_URL', true, $3)
         on conflict (url) where is_configured do update
             set deleted_at = null, disabled_at = null, disabled_reason = null, failing_since = null
             where webhook_endpoints.deleted_at is not null
         returning id",
        id,
        url,
        now.to_sqlx() as _
    )
    .fetch_optional(&mut *transaction)
    .await
}

/// Enables the endpoint: operators do so by a restart. Returns its id where it was disabled.
async fn enable(transaction: &mut Transaction, url: &str) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "update webhook_endpoints set disabled_at = null, disabled_reason = null, failing_since = null
         where is_configured and url = $1 and disabled_at is not null
         returning id",
        url
    )
    .fetch_optional(&mut *transaction)
    .await
}

async fn record(
    transaction: &mut Transaction,
    action: Action,
    detail: &impl Serialize,
    clock: &Clock,
) -> Result<(), sqlx::Error> {
    let by = Actor::system("configuration");
    let entry = Entry::new(clock.new_id(), clock.now(), action, by, Outcome::Succeeded).with_detail(detail);
    sqlx::query!("select audit_record($1) as id", entry.into_json()).fetch_one(&mut *transaction).await.map(drop)
}
