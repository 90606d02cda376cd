//! Publishes the newest checkpoint of the audit log, so that receivers can keep it.

use std::time::Duration;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::event::checkpoint_event;
use super::store::WebhookStore;
use crate::audit::LogStore;
use crate::clock::Clock;
use crate::jobs::Periodic;

/// How often it looks for a checkpoint.
const LOOK: Periodic = Periodic { every: Duration::from_secs(2), after_failure: Duration::from_secs(5) };
/// The shortest time between two events, for all replicas together.
const BETWEEN: SignedDuration = SignedDuration::from_mins(1);

/// Publishes checkpoints. Every replica tries; one of them does it.
#[derive(Clone, Debug)]
pub struct CheckpointPublisher {
    log: LogStore,
    store: WebhookStore,
    clock: Clock,
}

impl CheckpointPublisher {
    /// Of this log, to the endpoints of this store.
    pub fn new(log: LogStore, store: WebhookStore, clock: Clock) -> Self {
        Self { log, store, clock }
    }

    /// Publishes until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let publish = || async { self.step().await.map(drop) };
        LOOK.run(&stop, "the audit log's checkpoint was not published", publish).await;
    }

    /// Publishes the newest checkpoint, if an endpoint wants it, the log has grown, and it is time. No audit entry says so: the
    /// log would grow without end.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn step(&self) -> Result<bool, sqlx::Error> {
        let Some(newest) = self.log.newest_checkpoint().await? else { return Ok(false) };
        let now = self.clock.now();
        let event = checkpoint_event(self.clock.new_id(), now, &newest);
        self.store.publish_checkpoint(newest.size, &event, now, now - BETWEEN).await
    }
}
