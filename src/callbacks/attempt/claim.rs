//! Whether an attempt still has its claim, asked immediately before each request that changes something in CXone.

use futures::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Attempts, CallbackRepository};
use crate::callbacks::model::Callback;
use crate::clock::Clock;
use crate::cxone::StillWanted;

/// The claim of an attempt. A replica that was stopped for longer than its lease has lost it to another one.
pub(super) struct Claim<'a, R> {
    repository: &'a R,
    clock: &'a Clock,
    callback_id: Uuid,
    attempt: i32,
    /// Postgres is not asked before this.
    lease_end: Option<Timestamp>,
}

impl<R: CallbackRepository, G> Attempts<R, G> {
    /// `is_in_doubt` says that an earlier request may have had its effect: the claim is verified each time then.
    pub(super) fn claim_of(&self, callback: &Callback, is_in_doubt: bool) -> Claim<'_, R> {
        Claim {
            repository: &self.repository,
            clock: &self.clock,
            callback_id: callback.id,
            attempt: callback.attempts,
            lease_end: callback.due_at.filter(|_| !is_in_doubt),
        }
    }
}

impl<R: CallbackRepository> StillWanted for Claim<'_, R> {
    fn ask(&self) -> BoxFuture<'_, bool> {
        Box::pin(async {
            if self.lease_end.is_some_and(|end| self.clock.now() < end) {
                return true;
            }
            self.repository.has_claim(self.callback_id, self.attempt).await.unwrap_or_else(|error| {
                tracing::warn!(error = %error, "it could not be verified that the callback is still claimed");
                false
            })
        })
    }
}
