//! New callbacks: one commit for a batch, and no two open callbacks for one number, or for one external id in batches.

use std::collections::HashMap;

use jiff_sqlx::ToSqlx as _;
use serde_json::json;
use uuid::Uuid;

use super::CallbackStore;
use crate::audit::Entry;
use crate::callbacks::model::Callback;
use crate::db::retry;
use crate::types::{ExternalId, TimeZone};

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

/// Why not all callbacks have a result, and the results of the others.
#[derive(Debug)]
pub struct PartlyInserted {
    pub error: sqlx::Error,
    pub results: HashMap<Uuid, Inserted>,
}

/// A callback to insert, with its audit entry.
pub type NewRow<'a> = (&'a Callback, &'a Entry);

impl CallbackStore {
    /// Inserts callbacks with their audit entries, except duplicates and items of a batch with the external id of an open
    /// callback, in one commit.
    ///
    /// # Errors
    /// If Postgres is unavailable. Those without a result are not stored then, unless the answer to a commit was lost.
    pub async fn insert(&self, mut new: Vec<NewRow<'_>>) -> Result<HashMap<Uuid, Inserted>, PartlyInserted> {
        sort(&mut new);
        let mut results = HashMap::with_capacity(new.len());
        match self.insert_each(new, &mut results).await {
            Ok(()) => Ok(results),
            Err(error) => Err(PartlyInserted { error, results }),
        }
    }

    async fn insert_each(
        &self,
        mut new: Vec<NewRow<'_>>,
        results: &mut HashMap<Uuid, Inserted>,
    ) -> Result<(), sqlx::Error> {
        // A conflicting callback may have ended before it is looked up: then the insert is repeated.
        while let Some((first, _)) = new.first() {
            // May be repeated: rows that a lost commit has stored are found under their ids.
            let jitter = first.id.as_u64_pair().1;
            let stored = retry(jitter, || self.insert_rows(&new)).await?;
            results.extend(stored.into_iter().map(|id| (id, Inserted::New)));
            new.retain(|(callback, _)| !results.contains_key(&callback.id));
            if !new.is_empty() {
                results.extend(self.find_conflicts(&new).await?);
                new.retain(|(callback, _)| !results.contains_key(&callback.id));
            }
        }
        Ok(())
    }

    /// The ids of the rows that were inserted. Only for items of batches does it look for an open callback with the same
    /// external id. Between concurrent batches the index `one_open_batch_item` decides.
    async fn insert_rows(&self, new: &[NewRow<'_>]) -> Result<Vec<Uuid>, sqlx::Error> {
        let entries = || new.iter().map(|(_, entry)| *entry);
        let inserted = sqlx::query_file_scalar!(
            "src/callbacks/store/insert.sql",
            &each(new, |callback| callback.id),
            &each(new, |callback| callback.phone_number.as_str()) as _,
            &each(new, |callback| callback.campaign_id.as_str()) as _,
            &each(new, |callback| callback.window.start().to_sqlx()) as _,
            &each(new, |callback| callback.window.end().to_sqlx()) as _,
            &each(new, |callback| callback.language.as_str()) as _,
            &each(new, |callback| callback.timezone.as_ref().map(TimeZone::name)) as _,
            &each(new, |callback| callback.external_id.as_ref().map(ExternalId::as_str)) as _,
            &each(new, |callback| callback.metadata.as_ref().map(|metadata| json!(metadata))) as _,
            &each(new, |callback| callback.created_by) as _,
            &each(new, |callback| callback.in_batch),
            &each(new, |callback| callback.attempts),
            &each(new, |callback| callback.due_at.map(|at| at.to_sqlx())) as _,
            &each(new, |callback| callback.request_id.as_str()) as _,
            &each(new, |callback| callback.trace.as_str()) as _,
            &each(new, |callback| callback.created_at.to_sqlx()) as _,
            &entries().map(|entry| entry.id).collect::<Vec<_>>(),
            &entries().map(|entry| entry.timestamp.to_sqlx()).collect::<Vec<_>>() as _,
            &entries().map(|entry| <&str>::from(entry.actor.r#type)).collect::<Vec<_>>() as _,
            &entries().map(|entry| entry.actor.id.as_str()).collect::<Vec<_>>() as _,
            &entries().map(|entry| entry.actor.name.as_str()).collect::<Vec<_>>() as _,
            &entries().map(|entry| entry.latency_ms).collect::<Vec<_>>() as _,
            &entries().map(|entry| entry.detail.as_json()).collect::<Vec<_>>() as _
        );
        inserted.fetch_all(&self.pool).await
    }

    /// Why rows were not inserted: the row itself, or the open callback that conflicts with it.
    async fn find_conflicts(&self, new: &[NewRow<'_>]) -> Result<Vec<(Uuid, Inserted)>, sqlx::Error> {
        let found = sqlx::query_file!(
            "src/callbacks/store/find_conflicts.sql",
            &each(new, |callback| callback.id),
            &each(new, |callback| callback.phone_number.as_str()) as _,
            &each(new, |callback| callback.campaign_id.as_str()) as _,
            &each(new, |callback| callback.window.start().to_sqlx()) as _,
            &each(new, |callback| callback.window.end().to_sqlx()) as _,
            &each(new, |callback| callback.external_id.as_ref().map(ExternalId::as_str)) as _,
            &each(new, |callback| callback.created_by) as _,
            &each(new, |callback| callback.in_batch)
        );
        let results = found.fetch_all(&self.pool).await?.into_iter().map(|row| match row.existing {
            existing if existing == row.id => (row.id, Inserted::Existing),
            existing if row.same_external_id => (row.id, Inserted::SameExternalId(existing)),
            existing => (row.id, Inserted::Duplicate(existing)),
        });
        Ok(results.collect())
    }
}

/// One column of the rows.
fn each<'a, T>(new: &[NewRow<'a>], of: impl Fn(&'a Callback) -> T) -> Vec<T> {
    new.iter().map(|(callback, _)| of(callback)).collect()
}

/// All inserts use one order, so that batches with the same numbers do not deadlock. The sort is stable: of duplicates in a
/// batch, the first is stored. Rows with the same external id stay together in the order of the batch, at the place of the
/// first.
fn sort(new: &mut [NewRow<'_>]) {
    let mut places = HashMap::new();
    for (callback, _) in new.iter() {
        if let Some(external_id) = &callback.external_id {
            places.entry(external_id).or_insert((&callback.phone_number, &callback.campaign_id));
        }
    }
    new.sort_by_key(|(callback, _)| {
        let place = callback.external_id.as_ref().and_then(|external_id| places.get(external_id));
        place.copied().unwrap_or((&callback.phone_number, &callback.campaign_id))
    });
}
