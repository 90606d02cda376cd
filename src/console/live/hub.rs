//! One task per replica finds out what has changed, and only while a console is open.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use strum::IntoEnumIterator as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

use super::tail::Tail;
use super::topic::Topic;
use crate::audit::AuditStore;
use crate::clock::Clock;

/// How often the log is read. A change is shown within a second.
const EVERY: Duration = Duration::from_millis(400);
/// The state is looked at after so many reads of the log.
const STATE_EVERY: u32 = 2;
/// The streams of one replica.
const MAX_STREAMS: usize = 500;
/// The topics that wait for a slow browser. It reads everything again where there were more.
const WAITING: usize = 64;

/// What is shown of the service itself. It changes where its text does.
pub trait LiveSource: Send + Sync {
    /// The state of CXone, of the replicas and of the webhook endpoints, in a text that is the same as long as nothing changes.
    fn state(&self) -> BoxFuture<'_, Result<String, sqlx::Error>>;
}

/// Announces what changes. Clones share it.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    log: AuditStore,
    source: Arc<dyn LiveSource>,
    clock: Clock,
    stop: CancellationToken,
    streams: Arc<Semaphore>,
    announced: broadcast::Sender<Topic>,
    /// Whether the task runs.
    is_running: Mutex<bool>,
}

/// One browser. It counts as a stream until it is dropped.
pub struct Subscription {
    pub topics: broadcast::Receiver<Topic>,
    _stream: OwnedSemaphorePermit,
}

impl Live {
    /// Nothing runs before the first subscription.
    pub fn new(log: AuditStore, source: Arc<dyn LiveSource>, clock: Clock, stop: CancellationToken) -> Self {
        let (announced, _) = broadcast::channel(WAITING);
        let streams = Arc::new(Semaphore::new(MAX_STREAMS));
        Self(Arc::new(Inner { log, source, clock, stop, streams, announced, is_running: Mutex::new(false) }))
    }

    /// What changes from now on. None if there are too many already.
    pub fn subscribe(&self) -> Option<Subscription> {
        let stream = Arc::clone(&self.0.streams).try_acquire_owned().ok()?;
        let mut is_running = self.0.is_running.lock();
        let topics = self.0.announced.subscribe();
        if !std::mem::replace(&mut *is_running, true) {
            let inner = Arc::clone(&self.0);
            tokio::spawn(async move { inner.run().await });
        }
        Some(Subscription { topics, _stream: stream })
    }

    /// Cancelled when the service begins to shut down.
    pub fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }
}

impl Inner {
    /// Runs until nobody is subscribed any more, or the service stops.
    async fn run(&self) {
        let mut timer = tokio::time::interval(EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut tail, mut state, mut reads) = (None, None, 0_u32);
        while self.stop.run_until_cancelled(timer.tick()).await.is_some() && self.is_wanted() {
            if let Err(error) = self.announce_entries(&mut tail).await {
                tracing::debug!(error = %error, "the changes for consoles could not be read");
            }
            if reads.is_multiple_of(STATE_EVERY) {
                self.announce_state(&mut state).await;
            }
            reads = reads.wrapping_add(1);
        }
    }

    /// Whether somebody is subscribed. If not, the next subscription starts another task.
    fn is_wanted(&self) -> bool {
        let mut is_running = self.is_running.lock();
        *is_running = self.announced.receiver_count() > 0;
        *is_running
    }

    async fn announce_entries(&self, tail: &mut Option<Tail>) -> Result<(), sqlx::Error> {
        let Some(tail) = tail else {
            *tail = Some(Tail::of(self.log.clone(), self.clock.clone()).await?);
            // What changed before this is not found.
            Topic::iter().for_each(|topic| self.announce(topic));
            return Ok(());
        };
        for topic in tail.changes().await? {
            self.announce(topic);
        }
        Ok(())
    }

    /// A state that cannot be read is one as well: Postgres does not answer.
    async fn announce_state(&self, known: &mut Option<Option<String>>) {
        let state = self.source.state().await.ok();
        let before = known.replace(state.clone());
        if before.is_some_and(|before| before != state) {
            self.announce(Topic::Status);
        }
    }

    fn announce(&self, topic: Topic) {
        // An error: nobody is subscribed any more.
        let _ = self.announced.send(topic);
    }
}
