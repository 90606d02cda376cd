//! The callbacks of a person: cancelled, erased and read on request.

use jiff::Timestamp;

use super::Callbacks;
use crate::audit::{Action, Actor, Entry};
use crate::callbacks::model::Callback;
use crate::callbacks::store::CallbackStore;
use crate::db::Transaction;
use crate::http::RequestContext;
use crate::types::PhoneNumber;
use uuid::Uuid;

impl Callbacks {
    /// Cancels a callback that is to be erased. The webhook event has none of the texts that the callback still has. None if
    /// CXone may have its contact, or if it has ended.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn cancel_to_erase(
        &self,
        callback: &Callback,
        context: &RequestContext,
    ) -> Result<Option<Callback>, sqlx::Error> {
        let without_texts = Callback { external_id: None, metadata: None, failure: None, ..callback.clone() };
        self.cancel(callback, &without_texts.event(), context).await
    }

    /// Erases those of the callbacks of a person that have ended, each with its audit entry. Returns their ids.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn erase(
        &self,
        transaction: &mut Transaction,
        callbacks: &[Callback],
        number: &PhoneNumber,
        context: &RequestContext,
    ) -> Result<Vec<Uuid>, sqlx::Error> {
        let (now, hash) = (context.clock.now(), self.numbers.hash(number));
        let entries =
            callbacks.iter().map(|callback| (callback.id, erased_entry(callback, now, hash.clone(), context)));
        CallbackStore::erase(transaction, entries.collect(), hash.as_deref(), now).await
    }
}

fn erased_entry(callback: &Callback, now: Timestamp, hash: Option<String>, context: &RequestContext) -> Entry {
    let id = context.clock.new_id();
    Entry {
        actor: Actor::caller(&context.caller),
        request_id: Some(context.request_id.clone()),
        latency_ms: None,
        ..callback.entry_with_hash(id, now, Action::CallbackErased, callback.status, hash)
    }
}
