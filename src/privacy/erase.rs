//! Erases what is held about a phone number.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::Privacy;
use crate::audit::{Action, Actor, Entry, Outcome, record};
use crate::callbacks::Callback;
use crate::db::PageRequest;
use crate::http::{IdempotencyStore, RequestContext};
use crate::types::PhoneNumber;
use crate::webhooks::WebhookStore;

/// The callbacks that one request erases.
const MOST_CALLBACKS: i64 = 1_000;
/// The callbacks that one transaction erases.
const STEP: usize = 100;
/// No new step starts later than this: the request must be answered within 40 s.
const WITHIN: Duration = Duration::from_secs(20);

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Erased {
    pub counts: Counts,
    /// The callbacks whose contacts CXone has, or may have.
    pub at_cxone: Vec<AtCxone>,
    /// Whether nothing is left that can be erased, now or later.
    pub complete: bool,
}

/// The numbers of what was erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub cancelled: u64,
    pub callbacks: u64,
    pub idempotency_answers: u64,
    pub webhook_events: u64,
}

/// A callback whose contact CXone has, or may have.
#[derive(Debug)]
pub(super) struct AtCxone {
    pub callback: Callback,
    pub erased: bool,
}

/// The detail of the audit entry.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErasedDetail {
    /// Masked.
    phone_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number_hash: Option<String>,
    callbacks_cancelled: u64,
    callbacks_erased: u64,
    idempotency_answers_erased: u64,
    webhook_events_erased: u64,
}

impl Privacy {
    /// Cancels what can be cancelled and erases what has ended. May be repeated: each call continues.
    pub(super) async fn erase(&self, number: &PhoneNumber, context: &RequestContext) -> Result<Erased, sqlx::Error> {
        let hashes = self.callbacks.numbers.hashes(number);
        let first = PageRequest { limit: MOST_CALLBACKS, after: None };
        // Read apart: those that are erased must not take the place of those that are not.
        let earlier = self.callbacks.store.of_person(None, &hashes, &first).await?.data;
        let found = self.callbacks.store.of_person(Some(number), &[], &first).await?;
        let has_more = found.next_cursor.is_some();
        let (mut callbacks, cancelled) = self.cancel(found.data, context).await?;
        let mut counts = Counts { cancelled, ..Counts::default() };
        let erased = self.erase_ended(&callbacks, &earlier, number, &mut counts, context).await?;
        callbacks.extend(earlier);
        let is_erased = |callback: &Callback| callback.erased_at.is_some() || erased.contains(&callback.id);
        Ok(Erased {
            counts,
            complete: !has_more && callbacks.iter().all(is_erased),
            at_cxone: callbacks
                .into_iter()
                .filter(Callback::is_known_to_cxone)
                .map(|callback| AtCxone { erased: is_erased(&callback), callback })
                .collect(),
        })
    }

    /// Cancels the callbacks that CXone certainly does not have. Returns all, as they are now, and the number of the cancelled.
    async fn cancel(
        &self,
        mut callbacks: Vec<Callback>,
        context: &RequestContext,
    ) -> Result<(Vec<Callback>, u64), sqlx::Error> {
        let mut count = 0;
        for callback in callbacks.iter_mut().filter(|callback| callback.can_be_cancelled()) {
            if let Some(cancelled) = self.callbacks.cancel_to_erase(callback, context).await? {
                *callback = cancelled;
                count += 1;
            } else if let Some(changed) = self.callbacks.store.find(callback.id).await? {
                *callback = changed;
            }
        }
        Ok((callbacks, count))
    }

    /// Erases the callbacks that have ended, in steps, and what was stored about those of `earlier` since. Each step commits with
    /// its audit entry; there is at least one.
    async fn erase_ended(
        &self,
        callbacks: &[Callback],
        earlier: &[Callback],
        number: &PhoneNumber,
        counts: &mut Counts,
        context: &RequestContext,
    ) -> Result<HashSet<Uuid>, sqlx::Error> {
        let (started, now) = (Instant::now(), context.clock.now());
        let can_be_erased = |callback: &&Callback| callback.erased_at.is_none() && callback.has_ended(now);
        let ended: Vec<Callback> = callbacks.iter().filter(can_be_erased).cloned().collect();
        let mut erased = HashSet::new();
        let mut steps = ended.chunks(STEP);
        let mut next = Some(steps.next().unwrap_or_default());
        let mut about: Vec<Uuid> = earlier.iter().map(|callback| callback.id).collect();
        let mut step = Counts { cancelled: counts.cancelled, ..Counts::default() };
        while let Some(callbacks) = next {
            let mut transaction = self.db.begin().await?;
            let ids = self.callbacks.erase(&mut transaction, callbacks, number, context).await?;
            about.extend(&ids);
            step.callbacks = ids.len() as u64;
            step.idempotency_answers = IdempotencyStore::erase(&mut transaction, &about).await?;
            step.webhook_events = WebhookStore::erase_events(&mut transaction, &ids).await?;
            record(&mut transaction, self.erased_entry(number, step, context)).await?;
            transaction.commit().await?;
            counts.add(step);
            step = Counts::default();
            about.clear();
            erased.extend(ids);
            next = steps.next().filter(|_| started.elapsed() < WITHIN);
        }
        Ok(erased)
    }

    fn erased_entry(&self, number: &PhoneNumber, counts: Counts, context: &RequestContext) -> Entry {
        let detail = ErasedDetail {
            phone_number: number.masked(),
            phone_number_hash: self.callbacks.numbers.hash(number),
            callbacks_cancelled: counts.cancelled,
            callbacks_erased: counts.callbacks,
            idempotency_answers_erased: counts.idempotency_answers,
            webhook_events_erased: counts.webhook_events,
        };
        let outcome = if counts == Counts::default() { Outcome::Unchanged } else { Outcome::Succeeded };
        entry(Action::PrivacyErased, outcome, &detail, context)
    }
}

impl Counts {
    fn add(&mut self, step: Self) {
        self.callbacks += step.callbacks;
        self.idempotency_answers += step.idempotency_answers;
        self.webhook_events += step.webhook_events;
    }
}

/// An audit entry of a request about a person.
pub(super) fn entry(action: Action, outcome: Outcome, detail: &impl Serialize, context: &RequestContext) -> Entry {
    let (id, now): (Uuid, Timestamp) = (context.clock.new_id(), context.clock.now());
    Entry {
        request_id: Some(context.request_id.clone()),
        ..Entry::new(id, now, action, Actor::caller(&context.caller), outcome).with_detail(detail)
    }
}
