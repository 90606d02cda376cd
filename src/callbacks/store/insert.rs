//! New callbacks: one commit for a batch, and no two open callbacks for one number, or for one external id in batches.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::CallbackStore;
use crate::audit::Entry;
use crate::callbacks::model::Callback;
use crate::db::retry;
use crate::types::{CampaignId, ExternalId, Language, Metadata, TimeZone};

/// The result of inserting one callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is stored.
    New,
    /// An earlier run of the same request has stored it.
    Existing,
    /// The number has this open callback for the campaign in an overlapping window.
    Duplicate(Uuid),
    /// The API key has this open callback with the same external id. Only for an item of a batch.
    SameExternalId(Uuid),
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
    timezone: Option<&'a TimeZone>,
    external_id: Option<&'a ExternalId>,
    metadata: Option<&'a Metadata>,
    created_by: Option<Uuid>,
    in_batch: bool,
    confirmation: &'a str,
    attempts: i32,
    due_at: Option<Timestamp>,
    request_id: &'a str,
    traceparent: &'a str,
    created_at: Timestamp,
    entry: Value,
}

impl CallbackStore {
    /// Inserts callbacks with their audit entries, except duplicates and items of a batch with the external id of an open
    /// callback, in one commit.
    ///
    /// # Errors
    /// If Postgres is unavailable. None is stored then, unless the answer to a commit was lost.
    pub async fn insert(&self, new: Vec<(&Callback, Entry)>) -> Result<HashMap<Uuid, Inserted>, sqlx::Error> {
        let mut rows: Vec<_> = new.into_iter().map(|(callback, entry)| new_row(callback, entry)).collect();
        sort(&mut rows);
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let rows = json!(rows);
        let mut results = HashMap::with_capacity(ids.len());
        // A conflicting callback may have ended before it is looked up: then the insert is repeated.
        while results.len() < ids.len() {
            let missing: Vec<Uuid> = ids.iter().copied().filter(|id| !results.contains_key(id)).collect();
            // May be repeated: rows that a lost commit has stored are found under their ids.
            let jitter = missing.first().map_or(0, |id| id.as_u64_pair().1);
            let stored = retry(jitter, || self.insert_rows(&rows, &missing)).await?;
            results.extend(stored.iter().map(|id| (*id, Inserted::New)));
            if results.len() < ids.len() {
                let stored: HashSet<Uuid> = stored.into_iter().collect();
                let missing: Vec<Uuid> = missing.into_iter().filter(|id| !stored.contains(id)).collect();
                results.extend(self.find_conflicts(&rows, &missing).await?);
            }
        }
        Ok(results)
    }

    /// The ids of the rows that were inserted. Only for items of batches does it look for an open callback with the same
    /// external id. Between concurrent batches the index `one_open_batch_item` decides.
    async fn insert_rows(&self, rows: &Value, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
        sqlx::query!(
            r#"with given as (
                 select * from jsonb_to_recordset($1) as r(id uuid, status text, phone_number text, campaign_id text,
                     requested_start timestamptz, requested_end timestamptz, language text, timezone text,
                     external_id text, metadata jsonb, created_by uuid, in_batch boolean, confirmation text,
                     attempts integer, due_at timestamptz, request_id text, traceparent text, created_at timestamptz,
                     entry jsonb)
                 where r.id = any($2) and not (r.in_batch and r.external_id is not null and exists (
                     select from callbacks as c
                     where c.external_id = r.external_id and c.created_by = r.created_by
                       and c.status in ('accepted', 'scheduled')
                 ))
             ),
             inserted as (
                 insert into callbacks (id, status, phone_number, campaign_id, requested_start, requested_end, language,
                     timezone, external_id, metadata, created_by, in_batch, confirmation, attempts, due_at, request_id,
                     traceparent, created_at, updated_at)
                 select id, status, phone_number, campaign_id, requested_start, requested_end, language, timezone,
                     external_id, metadata, created_by, in_batch, confirmation, attempts, due_at, request_id,
                     traceparent, created_at, created_at
                 from given
                 on conflict do nothing
                 returning id
             )
             select inserted.id as "id!", audit_record(given.entry) as audit_id from inserted join given using (id)"#,
            rows,
            ids
        )
        .fetch_all(&self.pool)
        .await
        .map(|rows| rows.into_iter().map(|row| row.id).collect())
    }

    /// Why rows were not inserted: the row itself, or the open callback that conflicts with it.
    async fn find_conflicts(&self, rows: &Value, ids: &[Uuid]) -> Result<Vec<(Uuid, Inserted)>, sqlx::Error> {
        let found = sqlx::query!(
            r#"select r.id as "id!", found.id as "existing!", found.same_external_id as "same_external_id!"
               from jsonb_to_recordset($1) as r(id uuid, phone_number text, campaign_id text, external_id text,
                   created_by uuid, in_batch boolean, requested_start timestamptz, requested_end timestamptz)
               cross join lateral (
                   select id, false as same_external_id from callbacks where id = r.id
                   union all
                   (select id, true from callbacks
                    where r.in_batch and external_id = r.external_id and created_by = r.created_by
                      and status in ('accepted', 'scheduled')
                    order by created_at, id limit 1)
                   union all
                   select id, false from callbacks
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
        let results = found.into_iter().map(|row| match row.existing {
            existing if existing == row.id => (row.id, Inserted::Existing),
            existing if row.same_external_id => (row.id, Inserted::SameExternalId(existing)),
            existing => (row.id, Inserted::Duplicate(existing)),
        });
        Ok(results.collect())
    }
}

/// All inserts use one order, so that batches with the same numbers do not deadlock. The sort is stable: of duplicates in a
/// batch, the first is stored. Rows with the same external id stay together in the order of the batch, at the place of the
/// first.
fn sort(rows: &mut [NewRow<'_>]) {
    let mut places = HashMap::new();
    for row in rows.iter() {
        if let Some(external_id) = row.external_id {
            places.entry(external_id).or_insert((row.phone_number, row.campaign_id));
        }
    }
    rows.sort_by_key(|row| {
        let place = row.external_id.and_then(|external_id| places.get(external_id));
        place.copied().unwrap_or((row.phone_number, row.campaign_id))
    });
}

fn new_row(callback: &Callback, entry: Entry) -> NewRow<'_> {
    NewRow {
        id: callback.id,
        status: callback.status.as_ref(),
        phone_number: callback.phone_number.as_str(),
        campaign_id: &callback.campaign_id,
        requested_start: callback.window.start(),
        requested_end: callback.window.end(),
        language: &callback.language,
        timezone: callback.timezone.as_ref(),
        external_id: callback.external_id.as_ref(),
        metadata: callback.metadata.as_ref(),
        created_by: callback.created_by,
        in_batch: callback.in_batch,
        confirmation: callback.confirmation.as_ref(),
        attempts: callback.attempts,
        due_at: callback.due_at,
        request_id: &callback.request_id,
        traceparent: callback.trace.as_str(),
        created_at: callback.created_at,
        entry: entry.into_json(),
    }
}
