//! Changes of callbacks whose contact CXone has: requested, and carried out.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use serde_json::{Value, json};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::CallbackStore;
use super::row::Row;
use crate::audit::Entry;
use crate::callbacks::model::{Callback, Change};
use crate::campaigns::HeldPeriod;
use crate::cxone::ContactId;
use crate::db::{is_overlap, retry};

/// The maximum number of callbacks that one statement moves.
const MOVED_AT_ONCE: i64 = 200;
/// A change that failed is not requested again for this long.
const FAILED_FOR: SignedDuration = SignedDuration::from_mins(1);

/// The result of a request for a change.
#[derive(Debug)]
pub enum Requested {
    /// It is stored, and is due.
    Stored(Box<Callback>),
    /// The number has this other open callback for the campaign in an overlapping window.
    Overlaps(Uuid),
    /// Nothing was stored: the callback has changed since it was read, or another change is to be carried out first.
    Changed,
}

impl CallbackStore {
    /// Stores a change of a callback whose contact CXone has, and makes it due. A cancellation replaces every other change. An
    /// attempt that is sending an SMS goes on; any other loses its claim.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn request_change(
        &self,
        callback: &Callback,
        change: &Change,
        entry: Entry,
        now: Timestamp,
    ) -> Result<Requested, sqlx::Error> {
        let entry = entry.into_json();
        let stored = retry(callback.id.as_u64_pair().1, || async {
            let stored = sqlx::query_scalar!(
                "update callbacks set change = $2, change_start = $3, change_end = $4, change_request_id = $5,
                     change_dispatch_time = case when change_sent_at is not null then change_dispatch_time end,
                     attempts = attempts + case when sms.is_under_way then 0 else 1 end,
                     due_at = case when sms.is_under_way then due_at else $6 end,
                     failure_code = null, failure_detail = null, updated_at = $6
                 from (
                     select id as locked, confirmation = 'pending' and confirmation_started_at is not null
                         and change is null as is_under_way
                     from callbacks where id = $1 for update
                 ) as sms
                 where id = sms.locked and status = 'scheduled' and erased_at is null
                   and (change is null or ($2 = 'cancel' and change <> 'cancel'))
                   and requested_start = $7 and requested_end = $8
                 returning audit_record($9)",
                callback.id,
                change.kind.as_ref(),
                change.window.map(|window| window.start().to_sqlx()) as _,
                change.window.map(|window| window.end().to_sqlx()) as _,
                change.request_id,
                now.to_sqlx() as _,
                callback.window.start().to_sqlx() as _,
                callback.window.end().to_sqlx() as _,
                entry
            );
            stored.fetch_optional(&self.pool).await
        });
        match stored.await {
            Ok(Some(_)) => self.stored_change(callback.id).await,
            Ok(None) => Ok(Requested::Changed),
            Err(error) if is_overlap(&error) => {
                let window = change.window.unwrap_or(callback.window);
                let existing = self.find_overlap(callback, window).await?;
                Ok(existing.map_or(Requested::Changed, Requested::Overlaps))
            }
            Err(error) => Err(error),
        }
    }

    async fn stored_change(&self, id: Uuid) -> Result<Requested, sqlx::Error> {
        let stored = self.find(id).await?;
        Ok(stored.map_or(Requested::Changed, |stored| Requested::Stored(Box::new(stored))))
    }
}

impl CallbackStore {
    /// Some of the callbacks whose contact lies in one of these periods, in the future, the earliest first. None of them has a
    /// change, or an SMS that is being sent.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn contacts_in(&self, periods: &[HeldPeriod], now: Timestamp) -> Result<Vec<Callback>, sqlx::Error> {
        let rows = sqlx::query_as!(
            Row,
            r#"select c.* from jsonb_to_recordset($1) as h(campaign_id text, "from" timestamptz, until timestamptz)
               cross join lateral (
                   select * from callbacks
                   where campaign_id = h.campaign_id and status = 'scheduled' and change is null and erased_at is null
                     and (confirmation <> 'pending' or confirmation_started_at is null)
                     and (failure_code is null or updated_at < $3)
                     and dispatch_time > $2
                     and dispatch_time >= h."from" and dispatch_time < coalesce(h.until, 'infinity')
                   order by dispatch_time limit $4
               ) as c
               limit $4"#,
            json!(periods),
            now.to_sqlx() as _,
            (now - FAILED_FOR).to_sqlx() as _,
            MOVED_AT_ONCE
        );
        let mut rows = rows.fetch_all(&self.pool).await?;
        // Several holds may cover the same callback.
        rows.sort_by_key(|row| row.id);
        rows.dedup_by_key(|row| row.id);
        rows.into_iter().map(Callback::try_from).collect()
    }

    /// Stores that these callbacks are to be moved, each with its audit entry, and returns how many.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn request_moves(&self, entries: Vec<(Uuid, Entry)>, now: Timestamp) -> Result<u64, sqlx::Error> {
        let given: Vec<_> =
            entries.into_iter().map(|(id, entry)| json!({ "id": id, "entry": entry.into_json() })).collect();
        // All statements lock in one order, so that replicas do not deadlock.
        let moved = sqlx::query!(
            "with given as (select * from jsonb_to_recordset($1) as g(id uuid, entry jsonb)),
             locked as (
                 select c.id from callbacks as c
                 where c.id in (select id from given) and c.status = 'scheduled' and c.change is null
                   and (c.confirmation <> 'pending' or c.confirmation_started_at is null) and c.erased_at is null
                 order by c.id for update
             ),
             moved as (
                 update callbacks set change = 'move', attempts = attempts + 1, due_at = $2, updated_at = $2,
                     failure_code = null, failure_detail = null
                 from locked where callbacks.id = locked.id
                 returning callbacks.id
             )
             select audit_record(given.entry) as id from given join moved using (id)",
            json!(given),
            now.to_sqlx() as _
        );
        Ok(moved.fetch_all(&self.pool).await?.len() as u64)
    }
}

/// Stores the callback of an attempt that carries out a change. Returns false if the attempt has lost its claim.
pub(super) async fn save_change(
    executor: impl PgExecutor<'_>,
    callback: &Callback,
    entry: Option<Value>,
) -> Result<bool, sqlx::Error> {
    let at = |at: Option<Timestamp>| at.map(|at| at.to_sqlx());
    let change = callback.change.as_deref();
    let window = change.and_then(|change| change.window);
    let saved = sqlx::query_scalar!(
        "update callbacks set status = $3, requested_start = $4, requested_end = $5, dispatch_time = $6,
             contact_id = $7, contact_number = $8, confirmation = $9, skip_reason = $10, confirmation_started_at = $11,
             sms_session_id = $12, failure_code = $13, failure_detail = $14, due_at = $15, updated_at = $16,
             at_risk = $17, moves = $18, change = $19, change_start = $20, change_end = $21,
             change_dispatch_time = $22, change_sent_at = $23, change_request_id = $24,
             outcome_status = case when $7::uuid is null then null else outcome_status end
         where id = $1 and attempts = $2 and due_at is not null
         returning audit_record($25)",
        callback.id,
        callback.attempts,
        callback.status.as_ref(),
        callback.window.start().to_sqlx() as _,
        callback.window.end().to_sqlx() as _,
        at(callback.dispatch_time) as _,
        callback.contact_id.map(|_| callback.id),
        callback.contact_id.and_then(ContactId::number),
        callback.confirmation.as_ref(),
        callback.skip_reason.as_ref().map(AsRef::as_ref),
        at(callback.confirmation_started_at) as _,
        callback.sms_session_id,
        callback.failure.as_ref().map(|failure| failure.code.as_ref()),
        callback.failure.as_ref().map(|failure| failure.detail.as_str()),
        at(callback.due_at) as _,
        callback.updated_at.to_sqlx() as _,
        callback.at_risk,
        callback.moves,
        change.map(|change| change.kind.as_ref()),
        at(window.map(|window| window.start())) as _,
        at(window.map(|window| window.end())) as _,
        at(change.and_then(|change| change.dispatch_time)) as _,
        at(change.and_then(|change| change.sent_at)) as _,
        change.and_then(|change| change.request_id.as_deref()),
        entry
    );
    Ok(saved.fetch_optional(executor).await?.is_some())
}
