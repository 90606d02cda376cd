//! Stores the callbacks of concurrent requests together: they share a statement, a commit and an fsync.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::audit::Entry;
use crate::callbacks::model::Callback;
use crate::callbacks::store::{CallbackStore, Inserted};
use crate::callbacks::worker::{AttemptJob, AttemptLease, Worker};
use crate::cxone::Class;
use crate::db::is_transient;
use crate::http::{Problem, ProblemKind};
use crate::jobs::Slot;

/// The most callbacks of one commit.
const LARGEST_GROUP: usize = 256;
/// For each so many that wait, another group may be stored at the same time. Smaller groups at the same time cost more than
/// one larger group after the other.
const ENOUGH_FOR_ANOTHER: usize = LARGEST_GROUP / 2;
/// A group that takes longer than this, perhaps because of a lock, does not hold up the next one.
const SLOW: Duration = Duration::from_millis(100);
/// The most groups that are stored at the same time.
const MOST_AT_ONCE: usize = 3;
/// After a group of twice as many, the clients that it answered are about to send again: the next one waits for half of them,
/// at most so long.
const LARGE: usize = 8;
const GATHER_WITHIN: Duration = Duration::from_millis(2);
/// The most callbacks that wait for a commit. Beyond it, requests are refused.
const LARGEST_QUEUE: usize = 1024;

/// A callback that is to be stored.
pub(super) struct QueuedCallback {
    pub callback: Callback,
    pub entry: Entry,
    /// The attempt that starts once it is stored. The callback is claimed for it.
    pub attempt: Option<(Slot, Class)>,
    pub result: oneshot::Sender<Result<Inserted, Problem>>,
}

/// The queue of callbacks that are to be stored.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<QueuedCallback>,
}

impl Writer {
    /// Starts the task that stores callbacks. It ends when the last clone of the writer is dropped.
    pub fn start(store: &Arc<CallbackStore>, worker: &Arc<Worker>) -> Self {
        let (queue, waiting) = mpsc::channel(LARGEST_QUEUE);
        let groups = Groups { store: Arc::clone(store), worker: Arc::clone(worker) };
        tokio::spawn(Arc::new(groups).run(waiting));
        Self { queue }
    }

    /// Stores a callback with its audit entry, also if the request that waits for it is dropped.
    ///
    /// # Errors
    /// If too many callbacks wait, or Postgres is unavailable.
    pub(super) async fn store(
        &self,
        callback: Callback,
        entry: Entry,
        attempt: Option<(Slot, Class)>,
    ) -> Result<Inserted, Problem> {
        let (result, stored) = oneshot::channel();
        self.queue.try_send(QueuedCallback { callback, entry, attempt, result }).map_err(|error| match error {
            TrySendError::Full(_) => unavailable("too many callbacks are waiting to be stored"),
            TrySendError::Closed(_) => unavailable("the service is shutting down"),
        })?;
        stored.await.map_err(|_| unavailable("the service is shutting down"))?
    }
}

/// What waits by now; after a large group a little longer, until `expected` wait. A callback that comes alone is not
/// delayed. Empty at the end.
async fn gather(waiting: &mut mpsc::Receiver<QueuedCallback>, expected: usize) -> Vec<QueuedCallback> {
    let mut group = Vec::new();
    let _ = waiting.recv_many(&mut group, LARGEST_GROUP).await;
    let deadline = Instant::now() + GATHER_WITHIN;
    while expected >= LARGE && group.len() < expected && !group.is_empty() {
        let room = LARGEST_GROUP - group.len();
        match timeout_at(deadline, waiting.recv_many(&mut group, room)).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
    }
    group
}

fn unavailable(detail: &'static str) -> Problem {
    Problem::new(ProblemKind::Unavailable, detail).retry_after(1)
}

/// Stores callbacks in groups.
struct Groups {
    store: Arc<CallbackStore>,
    worker: Arc<Worker>,
}

impl Groups {
    async fn run(self: Arc<Self>, mut waiting: mpsc::Receiver<QueuedCallback>) {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let most = cores.min(MOST_AT_ONCE);
        let (mut running, mut last) = (JoinSet::new(), 0);
        loop {
            while running.len() >= (1 + waiting.len() / ENOUGH_FOR_ANOTHER).min(most) {
                let is_slow = timeout(SLOW, running.join_next()).await.is_err();
                if is_slow && running.len() < MOST_AT_ONCE {
                    break;
                }
            }
            let group = gather(&mut waiting, last / 2).await;
            if group.is_empty() {
                break;
            }
            last = group.len();
            let groups = Arc::clone(&self);
            running.spawn(async move { groups.store(group).await });
        }
        running.join_all().await;
    }

    async fn store(&self, group: Vec<QueuedCallback>) {
        let rows = group.iter().map(|new| (&new.callback, &new.entry)).collect();
        match self.store.insert(rows).await {
            Ok(results) => {
                for new in group {
                    // Each has a result.
                    let result = results.get(&new.callback.id).copied().ok_or(sqlx::Error::RowNotFound);
                    self.finish(new, result.map_err(Problem::from));
                }
            }
            // Perhaps because of one of them: the others are stored without it.
            Err(error) if !is_transient(&error) && group.len() > 1 => {
                for new in group {
                    Box::pin(self.store(vec![new])).await;
                }
            }
            Err(error) => {
                let problem = Problem::from(error);
                for new in group {
                    self.finish(new, Err(problem.clone()));
                }
            }
        }
    }

    /// Starts the attempt on a new callback, and answers the request.
    fn finish(&self, new: QueuedCallback, result: Result<Inserted, Problem>) {
        let QueuedCallback { callback, attempt, result: request, .. } = new;
        match (&result, attempt) {
            // `Existing`: an insert whose answer was lost has stored it.
            (Ok(Inserted::New | Inserted::Existing), Some((slot, class))) => {
                self.worker.start(AttemptJob { callback, class }, slot);
            }
            // It may be stored all the same, with a claim of this replica.
            (Err(_), Some(_)) => self.worker.release_later(AttemptLease::of(&callback)),
            _ => {}
        }
        // The request may have been dropped.
        let _ = request.send(result);
    }
}
