//! What an attempt stores. Each write names the claim it belongs to, and changes nothing if the claim is lost.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::{Value, json};
use sqlx::PgExecutor;
use tokio::time::Instant;

use super::CallbackStore;
use crate::audit::Entry;
use crate::callbacks::attempt::CallbackRepository;
use crate::callbacks::model::Callback;
use crate::campaigns::PlacementRules;
use crate::db::is_transient;
use crate::types::CampaignId;

/// How long a save is retried while Postgres is unavailable.
const SAVE_WITHIN: Duration = Duration::from_secs(15);
/// The pause before each retry.
const SAVE_RETRY_PAUSE: Duration = Duration::from_millis(250);

impl CallbackRepository for CallbackStore {
    async fn rules(&self, campaign: &CampaignId) -> Result<PlacementRules, sqlx::Error> {
        self.campaigns.placement_rules(campaign).await
    }

    async fn place(
        &self,
        callback: &mut Callback,
        hours: &[Timestamp],
        choose: impl FnOnce(&[u32]) -> Option<Timestamp> + Send,
    ) -> Result<bool, sqlx::Error> {
        let _placing = self.placing.lock().await;
        let mut transaction = self.pool.begin_planned().await?;
        sqlx::query!(
            "select pg_advisory_xact_lock(hashtextextended('dispatch ' || $1, 0))",
            callback.campaign_id.as_str()
        )
        .execute(&mut transaction)
        .await?;
        let counts = sqlx::query_scalar!(
            r#"select (
                   select count(*) from callbacks
                   where campaign_id = $1 and id <> $2 and status in ('accepted', 'scheduled')
                     and dispatch_time >= hours.hour and dispatch_time < hours.hour + interval '1 hour'
               ) as "placed!"
               from jsonb_array_elements_text($3) with ordinality as listed(text, place)
               cross join lateral (select listed.text::timestamptz as hour) as hours
               order by listed.place"#,
            callback.campaign_id.as_str(),
            callback.id,
            json!(hours)
        )
        .fetch_all(&mut transaction)
        .await?;
        let counts: Vec<u32> = counts.into_iter().map(|count| u32::try_from(count).unwrap_or(u32::MAX)).collect();
        let Some(start) = choose(&counts) else { return Ok(true) };
        callback.place(start);
        let has_claim = save(&mut transaction, callback, None).await?;
        transaction.commit().await?;
        Ok(has_claim)
    }

    /// Retried while Postgres is unavailable, because CXone has carried out what is to be stored.
    async fn save(&self, callback: &Callback, entry: Option<Entry>) -> Result<bool, sqlx::Error> {
        let entry = entry.map(Entry::into_json);
        let deadline = Instant::now() + SAVE_WITHIN;
        let mut answer_lost = false;
        loop {
            let error = match save(&self.pool, callback, entry.clone()).await {
                Ok(false) if answer_lost => return self.is_saved(callback).await,
                Ok(saved) => return Ok(saved),
                Err(error) => error,
            };
            if !is_transient(&error) || Instant::now() > deadline {
                return Err(error);
            }
            answer_lost = true;
            tokio::time::sleep(SAVE_RETRY_PAUSE).await;
        }
    }
}

impl CallbackStore {
    /// Whether a save whose answer was lost was committed.
    async fn is_saved(&self, callback: &Callback) -> Result<bool, sqlx::Error> {
        let stored = self.find(callback.id).await?;
        Ok(stored.is_some_and(|stored| {
            let progress = |callback: &Callback| (callback.attempts, callback.status, callback.confirmation);
            progress(&stored) == progress(callback) && stored.due_at == callback.due_at
        }))
    }
}

async fn save(executor: impl PgExecutor<'_>, callback: &Callback, entry: Option<Value>) -> Result<bool, sqlx::Error> {
    let at = |at: Option<Timestamp>| at.map(|at| at.to_sqlx());
    let saved = sqlx::query_scalar!(
        "update callbacks set status = $3, dispatch_time = $4, earlier_dispatch_time = $5, contact_id = $6,
             confirmation = $7, confirmation_started_at = $8, sms_session_id = $9, failure_code = $10,
             failure_detail = $11, due_at = $12, updated_at = $13, skip_reason = $15
         where id = $1 and attempts = $2 and due_at is not null
         returning audit_record($14)",
        callback.id,
        callback.attempts,
        callback.status.as_ref(),
        at(callback.dispatch_time) as _,
        at(callback.earlier_dispatch_time) as _,
        callback.contact_id,
        callback.confirmation.as_ref(),
        at(callback.confirmation_started_at) as _,
        callback.sms_session_id,
        callback.failure.as_ref().map(|failure| failure.code.as_ref()),
        callback.failure.as_ref().map(|failure| failure.detail.as_str()),
        at(callback.due_at) as _,
        callback.updated_at.to_sqlx() as _,
        entry,
        callback.skip_reason.as_ref().map(AsRef::as_ref)
    );
    Ok(saved.fetch_optional(executor).await?.is_some())
}
