//! Cancels callbacks on request.

use super::Callbacks;
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::callbacks::model::{Callback, Status};
use crate::http::RequestContext;
use crate::webhooks::Event;

impl Callbacks {
    /// Cancels a callback, with this event. None if CXone may have its contact, or if it has ended.
    pub(in crate::callbacks) async fn cancel(
        &self,
        callback: &Callback,
        event: &Event,
        context: &RequestContext,
    ) -> Result<Option<Callback>, sqlx::Error> {
        let now = context.clock.now();
        let entry_id = context.clock.new_id();
        let entry = Entry {
            actor: Actor::caller(&context.caller),
            request_id: Some(context.request_id.clone()),
            new_state: Some(Status::Cancelled.as_ref().into()),
            ..callback.entry(entry_id, now, Action::CallbackCancelled, Outcome::Succeeded, Status::Accepted)
        };
        let cancelled =
            self.store.cancel(callback.id, now, entry.with_event(event).traced(&context.traceparent)).await?;
        if let Some(cancelled) = &cancelled {
            metrics::counter!("ringback_callbacks_total", "status" => "cancelled").increment(1);
            self.waiters.notify(cancelled);
        }
        Ok(cancelled)
    }
}
