//! Changes of callbacks whose contact CXone has, on request.

use std::time::Duration;

use tokio::time::Instant;

use super::{Callbacks, duplicate};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::callbacks::model::{Callback, Change, Status};
use crate::callbacks::store::Requested;
use crate::http::{Problem, RequestContext};

impl Callbacks {
    /// Whether CXone can change the contact of this callback.
    pub(in crate::callbacks) fn can_change(&self, callback: &Callback) -> bool {
        callback.status == Status::Scheduled
            && callback.erased_at.is_none()
            && self.worker.queue().can_change_contacts()
    }

    /// Stores a change, and waits up to `wait` until it is carried out or refused. Returns the callback as it is then; none if
    /// it has changed since it was read, or another change is carried out first.
    pub(in crate::callbacks) async fn change(
        &self,
        callback: Callback,
        change: Change,
        wait: Duration,
        context: &RequestContext,
    ) -> Result<Option<Callback>, Problem> {
        let deadline = Instant::now() + wait;
        let waiter = self.waiters.add(callback.id);
        let has_change = |callback: &Callback| callback.change.as_ref().is_some_and(|stored| stored.is_same(&change));
        let stored = if has_change(&callback) {
            callback
        } else {
            let now = context.clock.now();
            let entry = requested_entry(&callback, &change, context);
            match self.store.request_change(&callback, &change, entry, now).await? {
                Requested::Stored(stored) => *stored,
                Requested::Overlaps(existing) => return Err(duplicate(existing)),
                // Another request may have asked for the same.
                Requested::Changed => match self.store.find(callback.id).await?.filter(has_change) {
                    Some(stored) => stored,
                    None => return Ok(None),
                },
            }
        };
        self.worker.wake();
        if wait.is_zero() {
            return Ok(Some(stored));
        }
        Ok(Some(self.outcome_of(stored, waiter, deadline).await))
    }
}

fn requested_entry(callback: &Callback, change: &Change, context: &RequestContext) -> Entry {
    let (id, now) = (context.clock.new_id(), context.clock.now());
    let changing = Callback { change: Some(Box::new(change.clone())), ..callback.clone() };
    Entry {
        actor: Actor::caller(&context.caller),
        request_id: Some(context.request_id.clone()),
        latency_ms: None,
        ..changing.entry(id, now, Action::CallbackChangeRequested, Outcome::Pending, Status::Scheduled)
    }
}
