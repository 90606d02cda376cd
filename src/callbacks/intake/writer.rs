//! Stores the callbacks of concurrent requests together: they share a statement, a commit and an fsync.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::audit::Entry;
use crate::callbacks::model::Callback;
use crate::callbacks::store::{CallbackStore, Inserted, PartlyInserted};
use crate::callbacks::worker::{AttemptJob, AttemptLease, Worker};
use crate::cxone::Class;
use crate::db::{INSERT_CONNECTIONS, is_transient};
use crate::http::{Problem, ProblemKind};
use crate::jobs::Slot;

/// The most callbacks of one commit.
const LARGEST_GROUP: usize = 256;
/// While a group is stored, so many callbacks that wait are enough for another one. Smaller groups cost more for each callback.
const ENOUGH_FOR_ANOTHER: usize = 32;
/// A group that takes longer than this, perhaps because of a lock, does not hold up the next one.
const SLOW: Duration = Duration::from_millis(100);
/// The most groups that are stored at the same time, each on a connection.
const MOST_AT_ONCE: usize = INSERT_CONNECTIONS as usize;
/// After a group of at least so many, the clients that it answered are about to send again: the next one waits for half of
/// them, at most so long.
const LARGE: usize = 16;
const GATHER_WITHIN: Duration = Duration::from_millis(2);
/// The most callbacks that wait for a commit. Beyond it, requests are refused.
const LARGEST_QUEUE: usize = 1024;

/// A callback that is to be stored.
pub(super) struct QueuedCallback {
    pub callback: Callback,
    pub entry: Entry,
    /// The attempt that starts once it is stored. The callback is claimed for it.
    pub attempt: Option<(Slot, Class)>,
    /// Gets the callback back with what became of it, or the problem.
    pub result: oneshot::Sender<Result<(Callback, Inserted), Problem>>,
}

/// The queue of callbacks that are to be stored.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<QueuedCallback>,
}

impl Writer {
    /// Starts the task that stores callbacks. It ends when the last clone of the writer is dropped.
    pub fn start(store: CallbackStore, worker: &Arc<Worker>) -> Self {
        let (queue, waiting) = mpsc::channel(LARGEST_QUEUE);
        let groups = Groups { store, worker: Arc::clone(worker) };
        tokio::spawn(Arc::new(groups).run(waiting));
        Self { queue }
    }

    /// Stores a callback with its audit entry, also if the request that waits for it is dropped, and returns it.
    ///
    /// # Errors
    /// If too many callbacks wait, or Postgres is unavailable.
    pub(super) async fn store(
        &self,
        callback: Callback,
        entry: Entry,
        attempt: Option<(Slot, Class)>,
    ) -> Result<(Callback, Inserted), Problem> {
        let (result, stored) = oneshot::channel();
        self.queue.try_send(QueuedCallback { callback, entry, attempt, result }).map_err(|error| match error {
            TrySendError::Full(_) => unavailable("too many callbacks are waiting to be stored"),
            TrySendError::Closed(_) => unavailable("the service is shutting down"),
        })?;
        stored.await.map_err(|_| unavailable("the service is shutting down"))?
    }
}

fn unavailable(detail: &'static str) -> Problem {
    Problem::new(ProblemKind::Unavailable, detail).retry_after(1)
}

/// Stores callbacks in groups.
struct Groups {
    store: CallbackStore,
    worker: Arc<Worker>,
}

impl Groups {
    /// A callback that comes alone is stored at once.
    async fn run(self: Arc<Self>, mut waiting: mpsc::Receiver<QueuedCallback>) {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_AT_ONCE);
        let (mut running, mut group, mut last) = (JoinSet::new(), Vec::new(), 0);
        // Since when no group is stored, or since when the last one is.
        let mut since = Instant::now();
        loop {
            let (enough, longest, most) = match running.len() {
                0 if last < LARGE => (1, Duration::ZERO, 1),
                0 => (last / 2, GATHER_WITHIN, 1),
                stored if stored < cores => (ENOUGH_FOR_ANOTHER, SLOW, MOST_AT_ONCE),
                _ => (usize::MAX, SLOW, MOST_AT_ONCE),
            };
            let is_due = group.len() >= enough || since.elapsed() >= longest;
            if !group.is_empty() && running.len() < most && is_due {
                last = group.len();
                let (groups, group) = (Arc::clone(&self), std::mem::take(&mut group));
                running.spawn(async move { groups.store(group).await });
                since = Instant::now();
                continue;
            }
            let room = LARGEST_GROUP - group.len();
            tokio::select! {
                received = waiting.recv_many(&mut group, room), if room > 0 => if received == 0 {
                    break;
                },
                Some(_) = running.join_next() => since = Instant::now(),
                () = sleep_until(since + longest), if !group.is_empty() && running.len() < most => {}
            }
        }
        if !group.is_empty() {
            self.store(group).await;
        }
        running.join_all().await;
    }

    async fn store(&self, group: Vec<QueuedCallback>) {
        let rows = group.iter().map(|new| (&new.callback, &new.entry)).collect();
        let (results, error) = match self.store.insert(rows).await {
            Ok(results) => (results, None),
            Err(PartlyInserted { error, results }) => (results, Some(error)),
        };
        // Perhaps because of one of them: the others are stored without it.
        let store_each = error.as_ref().is_some_and(|error| !is_transient(error)) && group.len() > 1;
        let problem = error.filter(|_| !store_each).map(Problem::from);
        for new in group {
            if let Some(inserted) = results.get(&new.callback.id) {
                self.finish(new, Ok(*inserted));
            } else if store_each {
                Box::pin(self.store(vec![new])).await;
            } else {
                // Without an error each has a result.
                let problem = problem.clone().unwrap_or_else(|| sqlx::Error::RowNotFound.into());
                self.finish(new, Err(problem));
            }
        }
    }

    /// Starts the attempt on a new callback, and answers the request.
    fn finish(&self, new: QueuedCallback, result: Result<Inserted, Problem>) {
        let QueuedCallback { callback, attempt, result: request, .. } = new;
        match (&result, attempt) {
            // `Existing`: an insert whose answer was lost has stored it.
            (Ok(Inserted::New | Inserted::Existing), Some((slot, class))) => {
                self.worker.start(AttemptJob { callback: callback.clone(), class }, slot);
            }
            // It may be stored all the same, with a claim of this replica.
            (Err(_), Some(_)) => self.worker.release_later(AttemptLease::of(&callback)),
            _ => {}
        }
        // The request may have been dropped.
        let _ = request.send(result.map(|inserted| (callback, inserted)));
    }
}
