//! Records refused requests. Their entries share commits: one writer inserts all that wait. Its queue and the rate of each
//! sender are bounded. What is beyond is counted, and the next entry of the sender says how many were left out.

mod entry;
mod limits;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use sqlx::PgExecutor;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::model::{Actor, Entry};
use crate::clock::Clock;
use crate::db::{Db, retry};
use crate::http::{Refusal, RefusalLog};
use limits::Limits;

/// The most refusals of one commit.
const LARGEST_GROUP: usize = 256;
/// The most refusals that wait for a commit.
const LARGEST_QUEUE: usize = 1024;
/// How long the answer to a refused request waits for the commit. The entry is written all the same.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How often what was left out is recorded if the sender has stopped.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Stores an audit entry without any other change.
///
/// # Errors
/// If Postgres fails.
pub async fn record(database: impl PgExecutor<'_>, entry: Entry) -> Result<(), sqlx::Error> {
    sqlx::query!("select audit_record($1) as id", entry.into_json()).fetch_one(database).await.map(drop)
}

/// An entry that is to be stored.
struct Queued {
    actor: Actor,
    entry: Value,
    /// The refusals that it stands for: itself, and those that it says were left out.
    count: u64,
    /// Dropped once the entry is stored, or cannot be.
    _done: Option<oneshot::Sender<()>>,
}

/// The record of refused requests.
pub struct Refusals {
    db: Db,
    clock: Clock,
    limits: Mutex<Limits>,
    queue: mpsc::Sender<Queued>,
    /// Taken by [`Refusals::run`].
    waiting: tokio::sync::Mutex<mpsc::Receiver<Queued>>,
}

impl Refusals {
    /// Records in this database, while [`Refusals::run`] runs.
    pub fn new(db: Db, clock: Clock) -> Self {
        let (queue, waiting) = mpsc::channel(LARGEST_QUEUE);
        Self { db, clock, limits: Mutex::default(), queue, waiting: waiting.into() }
    }

    /// Stores what is recorded until `stop`, and then what is left.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut waiting = self.waiting.lock().await;
        let mut report = tokio::time::interval(REPORT_EVERY);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut group = Vec::new();
        loop {
            tokio::select! {
                received = waiting.recv_many(&mut group, LARGEST_GROUP) => if received == 0 {
                    break;
                },
                _ = report.tick() => {
                    let unreported = self.limits.lock().unreported(Instant::now());
                    group.extend(self.queued(unreported));
                }
                () = stop.cancelled(), if !waiting.is_closed() => waiting.close(),
            }
            self.store(std::mem::take(&mut group)).await;
        }
        let unreported = std::mem::take(&mut *self.limits.lock()).into_unreported();
        self.store(self.queued(unreported).collect()).await;
    }

    fn queued(&self, unreported: Vec<(Actor, u64)>) -> impl Iterator<Item = Queued> {
        unreported.into_iter().map(|(actor, count)| {
            let entry = entry::omitted(actor.clone(), count, &self.clock).into_json();
            Queued { actor, entry, count, _done: None }
        })
    }

    async fn store(&self, mut group: Vec<Queued>) {
        if group.is_empty() {
            return;
        }
        let entries = Value::Array(group.iter_mut().map(|queued| queued.entry.take()).collect());
        // May be repeated: an entry that a lost commit has stored is found under its id.
        let jitter = self.clock.new_id().as_u64_pair().1;
        let stored = retry(jitter, || {
            sqlx::query!("select count(audit_record(entry)) from jsonb_array_elements($1) as entry", entries)
                .fetch_one(&self.db)
        });
        if let Err(error) = stored.await {
            tracing::error!(error = %error, refusals = group.len(), "refused requests could not be recorded");
            let now = Instant::now();
            for Queued { actor, count, .. } in &group {
                self.limits.lock().omit(actor, *count, now);
                count_omitted("failed");
            }
        }
    }

    async fn record_refusal(&self, refusal: Refusal) {
        let actor = refusal.caller.as_ref().map_or_else(Actor::anonymous, Actor::caller);
        let admitted = self.limits.lock().admit(&actor, Instant::now());
        let Some(omitted) = admitted else { return count_omitted("rate") };
        let entry = entry::refused(&refusal, actor.clone(), omitted).into_json();
        let (done, stored) = oneshot::channel();
        let queued = Queued { actor: actor.clone(), entry, count: omitted + 1, _done: Some(done) };
        if self.queue.try_send(queued).is_err() {
            self.limits.lock().omit(&actor, omitted + 1, Instant::now());
            return count_omitted("queue");
        }
        // An error: the sender was dropped, because the entry is stored or cannot be.
        let _ = tokio::time::timeout(ANSWER_WITHIN, stored).await;
    }
}

/// Counts one refusal. Those that it stands for were counted when they were left out.
fn count_omitted(reason: &'static str) {
    metrics::counter!("ringback_audit_refusals_omitted_total", "reason" => reason).increment(1);
}

impl RefusalLog for Refusals {
    fn record(&self, refusal: Refusal) -> BoxFuture<'_, ()> {
        self.record_refusal(refusal).boxed()
    }
}
