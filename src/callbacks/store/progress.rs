//! What an attempt stores. Each write names the claim it belongs to, and changes nothing if the claim is lost.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::Value;
use sqlx::PgExecutor;
use tokio::time::Instant;
use uuid::Uuid;

use super::CallbackStore;
use super::changes::save_change;
use crate::audit::{self, Entry};
use crate::callbacks::attempt::CallbackRepository;
use crate::callbacks::model::Callback;
use crate::campaigns::PlacementRules;
use crate::cxone::ContactId;
use crate::db::is_transient;
use crate::placement::{Decision, HourPlaces, PlanVersion};
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
        choose: impl FnOnce(Option<PlanVersion>, &[HourPlaces]) -> Option<Decision> + Send,
    ) -> Result<bool, sqlx::Error> {
        self.place_in_turn(callback, hours, choose).await
    }

    async fn has_claim(&self, id: Uuid, attempt: i32) -> Result<bool, sqlx::Error> {
        let claimed = sqlx::query_scalar!(
            r#"select exists (select from callbacks where id = $1 and attempts = $2 and due_at is not null) as "claimed!""#,
            id,
            attempt
        );
        claimed.fetch_one(&self.pool).await
    }

    async fn record(&self, entry: Entry) -> Result<(), sqlx::Error> {
        audit::record(&self.pool, entry).await
    }

    async fn save(&self, callback: &Callback, entry: Option<Entry>) -> Result<bool, sqlx::Error> {
        let (entry_id, entry) = (entry.as_ref().map(|entry| entry.id), entry.map(Entry::into_json));
        self.save_with(callback, entry_id, || save(&self.pool, callback, entry.clone())).await
    }

    async fn save_change(&self, callback: &Callback, entry: Option<Entry>) -> Result<bool, sqlx::Error> {
        let (entry_id, entry) = (entry.as_ref().map(|entry| entry.id), entry.map(Entry::into_json));
        self.save_with(callback, entry_id, || save_change(&self.pool, callback, entry.clone())).await
    }
}

impl CallbackStore {
    /// Retried while Postgres is unavailable, because CXone has carried out what is to be stored. What was committed with its
    /// audit entry is not stored again: a change may have been requested since.
    pub(super) async fn save_with<F: Future<Output = Result<bool, sqlx::Error>> + Send>(
        &self,
        callback: &Callback,
        entry_id: Option<Uuid>,
        save: impl Fn() -> F + Send + Sync,
    ) -> Result<bool, sqlx::Error> {
        let deadline = Instant::now() + SAVE_WITHIN;
        let mut answer_lost = false;
        loop {
            let saved = match entry_id.filter(|_| answer_lost) {
                Some(entry_id) => self.save_unless_recorded(callback.id, entry_id, &save).await,
                None => save().await,
            };
            let error = match saved {
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

    async fn save_unless_recorded<F: Future<Output = Result<bool, sqlx::Error>> + Send>(
        &self,
        id: Uuid,
        entry_id: Uuid,
        save: &(impl Fn() -> F + Send + Sync),
    ) -> Result<bool, sqlx::Error> {
        let recorded = sqlx::query_scalar!(
            r#"select exists (select from audit_entries where callback_id = $1 and id = $2) as "recorded!""#,
            id,
            entry_id
        );
        if recorded.fetch_one(&self.pool).await? { Ok(true) } else { save().await }
    }

    /// Whether a save whose answer was lost was committed.
    async fn is_saved(&self, callback: &Callback) -> Result<bool, sqlx::Error> {
        let stored = self.find(callback.id).await?;
        Ok(stored.is_some_and(|stored| {
            let progress = |callback: &Callback| (callback.attempts, callback.status, callback.confirmation);
            progress(&stored) == progress(callback) && stored.due_at == callback.due_at
        }))
    }
}

pub(super) async fn save(
    executor: impl PgExecutor<'_>,
    callback: &Callback,
    entry: Option<Value>,
) -> Result<bool, sqlx::Error> {
    let at = |at: Option<Timestamp>| at.map(|at| at.to_sqlx());
    let saved = sqlx::query_scalar!(
        "update callbacks set status = $3, dispatch_time = $4, earlier_dispatch_time = $5, contact_id = $6,
             confirmation = $7, confirmation_started_at = $8, sms_session_id = $9, failure_code = $10,
             failure_detail = $11, updated_at = $13, skip_reason = $15, contact_number = $16,
             skill_id = coalesce($18, skill_id),
             -- A change was requested while the SMS was sent.
             due_at = case when change is not null and ($12::timestamptz is null or $8::timestamptz is null) then $13
                 else $12 end,
             outcome_status = coalesce(outcome_status, $17), recheck_at = case
                 -- An earlier attempt may have created a contact too, which shows later.
                 when status = 'accepted' and $17::text is not null and $2 > 1
                 then least($13::timestamptz + interval '8 seconds', greatest($13::timestamptz, $4::timestamptz - interval '20 seconds'))
                 else recheck_at
             end
         where id = $1 and attempts = $2 and due_at is not null
         returning audit_record($14)",
        callback.id,
        callback.attempts,
        callback.status.as_ref(),
        at(callback.dispatch_time) as _,
        at(callback.earlier_dispatch_time) as _,
        // The marker of a contact, whichever id CXone gave it.
        callback.contact_id.map(|_| callback.id),
        callback.confirmation.as_ref(),
        at(callback.confirmation_started_at) as _,
        callback.sms_session_id,
        callback.failure.as_ref().map(|failure| failure.code.as_ref()),
        callback.failure.as_ref().map(|failure| failure.detail.as_str()),
        at(callback.due_at) as _,
        callback.updated_at.to_sqlx() as _,
        entry,
        callback.skip_reason.as_ref().map(AsRef::as_ref),
        callback.contact_id.and_then(ContactId::number),
        callback.outcome.as_ref().map(|outcome| outcome.status.as_ref()),
        callback.skill
    );
    Ok(saved.fetch_optional(executor).await?.is_some())
}
