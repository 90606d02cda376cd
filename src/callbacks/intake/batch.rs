//! Accepts many callbacks with one commit.

use std::collections::HashSet;

use uuid::Uuid;

use super::{Callbacks, accepted, accepted_entry, duplicate};
use crate::callbacks::model::{Callback, NewCallback};
use crate::callbacks::store::Inserted;
use crate::http::{Problem, RequestContext};

impl Callbacks {
    /// Stores the valid callbacks of a batch, and returns the id or the problem of each, in the order of the batch.
    pub(in crate::callbacks) async fn accept_batch(
        &self,
        items: Vec<Result<NewCallback, Problem>>,
        context: &RequestContext,
    ) -> Result<Vec<Result<Uuid, Problem>>, Problem> {
        // A repeated request has the same ids, and finds what it has stored under them.
        let ids: Vec<Uuid> =
            (0..items.len()).map(|index| Uuid::new_v5(&context.resource.id, &index.to_be_bytes())).collect();
        let stored = if context.resource.repeated { self.store.existing(&ids).await? } else { HashSet::new() };
        let callbacks: Vec<Result<Callback, Problem>> =
            ids.iter().zip(items).map(|(&id, new)| Ok(accepted(new?, id, context, 0, context.arrived_at))).collect();
        let new = callbacks.iter().flatten().filter(|callback| !stored.contains(&callback.id));
        let new = new.map(|callback| (callback, accepted_entry(callback, context)));
        let inserted = self.store.insert(new.collect()).await?;
        self.worker.wake();
        let count = inserted.values().filter(|inserted| **inserted == Inserted::New).count();
        metrics::counter!("ringback_callbacks_total", "status" => "accepted").increment(count as u64);
        let results = callbacks.into_iter().zip(ids).map(|(callback, id)| {
            if stored.contains(&id) {
                return Ok(id);
            }
            callback.and_then(|callback| match inserted.get(&callback.id) {
                Some(Inserted::Duplicate(existing)) => Err(duplicate(*existing)),
                Some(Inserted::New | Inserted::Existing) | None => Ok(callback.id),
            })
        });
        Ok(results.collect())
    }
}
