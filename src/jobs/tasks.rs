//! The tasks of a worker, and their end at shutdown.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tasks that are given time to finish at shutdown, and are cancelled after it. Clones share their tasks.
#[derive(Clone, Default)]
pub struct Tasks {
    running: TaskTracker,
    cancel: CancellationToken,
}

impl Tasks {
    /// Runs a task that [`drain`](Self::drain) waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.running.spawn(task);
    }

    /// The number of tasks that run.
    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// Runs the part of a task that is cancelled when the drain is over. None where it was cancelled.
    pub async fn until_cancelled<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.cancel.run_until_cancelled(work).await
    }

    /// Waits for all tasks. After `limit` it cancels what still runs, and waits until each has cleaned up. No task may be
    /// spawned any more.
    pub async fn drain(&self, limit: Duration) {
        self.running.close();
        if tokio::time::timeout(limit, self.running.wait()).await.is_err() {
            tracing::warn!(tasks = self.count(), "cancelling work that did not finish before shutdown");
            self.cancel.cancel();
            self.running.wait().await;
        }
    }
}
