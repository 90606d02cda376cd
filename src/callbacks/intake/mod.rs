//! Accepts callbacks: stores them, starts the first attempt, and waits for the outcome.

mod batch;
mod cancel;
mod change;
mod erase;
mod reschedule;
mod wait;
mod writer;

pub use writer::Writer;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::model::{Callback, Confirmation, NewCallback, Status};
use super::outcome::Waiters;
use super::slots::Slots;
use super::store::{CallbackStore, Inserted};
use super::worker::Worker;
use crate::audit::{Action, Actor, Entry, NumberHasher};
use crate::campaigns::RulesCache;
use crate::clock::Clock;
use crate::cxone::Class;
use crate::http::{Problem, ProblemKind, RequestContext};
use crate::types::{Region, TimeZone};

/// What the routes of callbacks work with.
#[derive(Clone)]
pub struct Callbacks {
    pub store: Arc<CallbackStore>,
    pub writer: Writer,
    pub rules: RulesCache,
    pub worker: Arc<Worker>,
    pub waiters: Waiters,
    pub slots: Arc<Slots>,
    pub clock: Clock,
    pub region: Region,
    /// The time zone of local days in reports.
    pub days_zone: TimeZone,
    /// What hashes phone numbers for the audit log.
    pub numbers: NumberHasher,
    /// How long a POST waits for the outcome unless `Prefer` says otherwise.
    pub default_wait: Duration,
    /// Cancelled when the service shuts down. No request waits for an outcome then.
    pub draining: CancellationToken,
}

impl Callbacks {
    /// Stores a callback, starts an attempt on it, and waits up to `wait` for the outcome.
    pub(super) async fn accept(
        &self,
        new: NewCallback,
        context: &RequestContext,
        wait: Duration,
    ) -> Result<Callback, Problem> {
        let deadline = Instant::now() + wait;
        let class = if wait.is_zero() { Class::Background } else { Class::Waiting };
        let may_start = !self.draining.is_cancelled() && !context.resource.repeated;
        let slot = if may_start && self.worker.queue().may_start(class) { self.worker.free_slot() } else { None };
        let due_at = if slot.is_some() { self.worker.queue().lease_end() } else { context.arrived_at };
        let callback = accepted(new, context.resource.id, context, i32::from(slot.is_some()), due_at);
        let waiter = (!wait.is_zero()).then(|| self.waiters.add(callback.id));
        let entry = self.accepted_entry(&callback, context);
        let attempt = slot.map(|slot| (slot, class));
        let (callback, inserted) = self.writer.store(callback, entry, attempt).await?;
        match inserted {
            // Only an item of a batch can be `SameExternalId`.
            Inserted::Duplicate(existing) | Inserted::SameExternalId(existing) => return Err(duplicate(existing)),
            // `Existing` under a new id: an insert whose answer was lost has stored it.
            Inserted::New | Inserted::Existing if !context.resource.repeated => {
                metrics::counter!("ringback_callbacks_total", "status" => "accepted").increment(1);
            }
            Inserted::New | Inserted::Existing => self.worker.wake(),
        }
        let Some(waiter) = waiter else { return Ok(callback) };
        Ok(self.outcome_of(callback, waiter, deadline).await)
    }

    fn accepted_entry(&self, callback: &Callback, context: &RequestContext) -> Entry {
        let (id, now) = (context.clock.new_id(), context.clock.now());
        let hash = self.numbers.hash(&callback.phone_number);
        let entry = callback.entry_with_hash(id, now, Action::CallbackAccepted, Status::Accepted, hash);
        Entry { actor: Actor::caller(&context.caller), previous_state: None, ..entry }
    }
}

/// The accepted callback of a request.
fn accepted(new: NewCallback, id: Uuid, context: &RequestContext, attempts: i32, due_at: Timestamp) -> Callback {
    Callback {
        id,
        status: Status::Accepted,
        phone_number: new.phone_number,
        campaign_id: new.campaign_id,
        window: new.window,
        language: new.language,
        timezone: new.timezone,
        external_id: new.external_id,
        metadata: new.metadata,
        created_by: Some(context.caller.key_id),
        in_batch: false,
        dispatch_time: None,
        earlier_dispatch_time: None,
        contact_id: None,
        confirmation: Confirmation::Pending,
        skip_reason: None,
        confirmation_started_at: None,
        sms_session_id: None,
        outcome: None,
        skill: None,
        change: None,
        moves: 0,
        at_risk: false,
        failure: None,
        attempts,
        due_at: Some(due_at),
        request_id: context.request_id.clone(),
        trace: context.traceparent.clone(),
        created_at: context.arrived_at,
        updated_at: context.arrived_at,
        erased_at: None,
    }
}

fn duplicate(existing: Uuid) -> Problem {
    let detail = "the number has an open callback for this campaign in an overlapping window";
    Problem::new(ProblemKind::DuplicateCallback, detail).with("existingId", json!(existing))
}
