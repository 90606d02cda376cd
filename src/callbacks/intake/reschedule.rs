//! Replaces the windows of callbacks on request.

use super::{Callbacks, duplicate};
use crate::audit::{Actor, Entry};
use crate::callbacks::model::{Callback, Status};
use crate::callbacks::store::Rescheduled;
use crate::http::{Problem, RequestContext};
use crate::types::TimeWindow;

impl Callbacks {
    /// Replaces the window of a callback, and starts an attempt. None if it has changed since it was read.
    pub(in crate::callbacks) async fn reschedule(
        &self,
        callback: &Callback,
        window: TimeWindow,
        context: &RequestContext,
    ) -> Result<Option<Callback>, Problem> {
        let now = context.clock.now();
        let mut rescheduled = callback.clone();
        rescheduled.reschedule(window, now);
        let entry = Entry {
            actor: Actor::caller(&context.caller),
            request_id: Some(context.request_id.clone()),
            latency_ms: None,
            ..rescheduled.rescheduled_entry(context.clock.new_id(), now, callback.window, Status::Accepted)
        };
        let entry = entry.with_event(&rescheduled.event()).traced(&context.traceparent);
        match self.store.reschedule(&rescheduled, callback.window, entry).await? {
            Rescheduled::Stored => {
                metrics::counter!("ringback_callbacks_total", "status" => "rescheduled").increment(1);
                // As it was stored: before an attempt changes it again.
                let stored = self.store.find(callback.id).await;
                self.worker.wake();
                Ok(stored?)
            }
            Rescheduled::Overlaps(existing) => Err(duplicate(existing)),
            Rescheduled::Changed => Ok(None),
        }
    }
}
