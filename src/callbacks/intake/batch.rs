//! Accepts many callbacks with one commit.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{Callbacks, accepted, duplicate};
use crate::callbacks::model::{Callback, NewCallback};
use crate::callbacks::store::Inserted;
use crate::http::{Problem, RequestContext};
use crate::types::ExternalId;

/// The bytes of a UUID of version 7 that hold its time.
const TIME_OF_ID: usize = 6;

impl Callbacks {
    /// Stores the valid callbacks of a batch, and returns the id or the problem of each, in the order of the batch.
    pub(in crate::callbacks) async fn accept_batch(
        &self,
        items: Vec<Result<NewCallback, Problem>>,
        context: &RequestContext,
    ) -> Result<Vec<Result<Uuid, Problem>>, Problem> {
        // A repeated request has the same ids, and finds what it has stored under them.
        let ids: Vec<Uuid> = (0..items.len()).map(|index| item_id(context.resource.id, index)).collect();
        let stored = if context.resource.repeated { self.store.existing(&ids).await? } else { HashSet::new() };
        let item = |new, id| Callback { in_batch: true, ..accepted(new, id, context, 0, context.arrived_at) };
        let callbacks: Vec<Result<Callback, Problem>> =
            ids.iter().zip(items).map(|(&id, new)| Ok(item(new?, id))).collect();
        let stored = Stored::new(stored, &callbacks);
        let new = callbacks.iter().flatten().filter(|callback| stored.id_of(callback).is_none());
        let new: Vec<_> = new.map(|callback| (callback, self.accepted_entry(callback, context))).collect();
        let inserted = self.store.insert(new.iter().map(|(callback, entry)| (*callback, entry)).collect()).await;
        let inserted = inserted.map_err(|partly| partly.error)?;
        self.worker.wake();
        let count = inserted.values().filter(|inserted| **inserted == Inserted::New).count();
        metrics::counter!("ringback_callbacks_total", "status" => "accepted").increment(count as u64);
        let results = callbacks.into_iter().zip(ids).map(|(callback, id)| {
            if stored.ids.contains(&id) {
                return Ok(id);
            }
            let callback = callback?;
            match inserted.get(&callback.id) {
                Some(Inserted::Duplicate(existing)) => Err(duplicate(*existing)),
                Some(Inserted::SameExternalId(existing)) => Ok(*existing),
                Some(Inserted::New | Inserted::Existing) => Ok(callback.id),
                None => Ok(stored.id_of(&callback).unwrap_or(callback.id)),
            }
        });
        Ok(results.collect())
    }
}

/// The id of an item: made from the id of the batch, with the time of that in front, so that an index grows at its end.
fn item_id(batch: Uuid, index: usize) -> Uuid {
    let mut bytes = Uuid::new_v5(&batch, &index.to_be_bytes()).into_bytes();
    bytes[..TIME_OF_ID].copy_from_slice(&batch.as_bytes()[..TIME_OF_ID]);
    uuid::Builder::from_custom_bytes(bytes).with_version(uuid::Version::SortRand).into_uuid()
}

/// The items of a batch that an earlier run of the same request has stored.
struct Stored {
    ids: HashSet<Uuid>,
    by_external_id: HashMap<ExternalId, Uuid>,
}

impl Stored {
    fn new(ids: HashSet<Uuid>, callbacks: &[Result<Callback, Problem>]) -> Self {
        let stored = callbacks.iter().flatten().filter(|callback| ids.contains(&callback.id));
        let by_external_id = stored.filter_map(|callback| Some((callback.external_id.clone()?, callback.id))).collect();
        Self { ids, by_external_id }
    }

    /// The callback itself, or the one with its external id, even if that has ended since.
    fn id_of(&self, callback: &Callback) -> Option<Uuid> {
        if self.ids.contains(&callback.id) {
            return Some(callback.id);
        }
        self.by_external_id.get(callback.external_id.as_ref()?).copied()
    }
}
