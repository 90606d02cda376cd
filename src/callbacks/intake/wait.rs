//! How a request waits for the outcome of its callback.

use jiff::SignedDuration;
use tokio::time::Instant;

use super::Callbacks;
use crate::callbacks::model::{Callback, Status};
use crate::callbacks::outcome::Waiter;

impl Callbacks {
    /// The callback as soon as it has an outcome, or as it is at the deadline. If Postgres is unavailable then, the
    /// callback as it was last known.
    pub(in crate::callbacks) async fn outcome_of(
        &self,
        callback: Callback,
        mut waiter: Waiter,
        deadline: Instant,
    ) -> Callback {
        let notified = async {
            if callback.due_at.is_none() {
                return Some(callback.clone());
            }
            // The sender lives as long as the waiter.
            while waiter.latest.changed().await.is_ok() {
                let mut latest = waiter.latest.borrow_and_update().clone();
                if callback.change.is_some() {
                    // An attempt that was sending the SMS did not know of the change.
                    latest = self.store.find(callback.id).await.ok().flatten();
                }
                if let Some(latest) = latest.filter(|latest| self.is_outcome(latest, deadline)) {
                    return Some(latest);
                }
            }
            None
        };
        let outcome = tokio::select! {
            outcome = notified => outcome,
            () = tokio::time::sleep_until(deadline) => None,
            () = self.draining.cancelled() => None,
            () = self.cxone_unavailable() => None,
        };
        match outcome {
            Some(outcome) => outcome,
            None => self.store.find(callback.id).await.ok().flatten().unwrap_or(callback),
        }
    }

    /// Completes at once if no requests are sent to CXone now, and never otherwise.
    async fn cxone_unavailable(&self) {
        if self.worker.queue().can_ask(Status::Accepted) {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the callback has settled, or its next attempt comes after the deadline. A scheduled callback whose SMS is
    /// being sent has no outcome yet.
    fn is_outcome(&self, callback: &Callback, deadline: Instant) -> bool {
        let left = SignedDuration::try_from(deadline.saturating_duration_since(Instant::now())).unwrap_or_default();
        let is_deferred = |due| due > self.clock.now() + left || !self.worker.queue().can_ask(callback.status);
        callback.due_at.is_none_or(|due| callback.failure.is_some() && is_deferred(due))
    }
}
