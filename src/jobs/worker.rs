//! The loop around a queue: slots, polls, leases and shutdown.

use std::sync::Arc;

use sqlx::Error;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::queue::{Next, Queue};
use super::tasks::Tasks;
use crate::db::release_in_background;

/// What [`Worker::step`] did.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It worked on one job.
    Worked,
    /// No job was due.
    Idle,
}

/// The right to run one job. It is free again when it is dropped.
pub struct Slot {
    _permit: OwnedSemaphorePermit,
}

/// Works on the jobs of a queue: those that this replica starts itself, and all that are due.
pub struct Worker<Q> {
    queue: Arc<Q>,
    slots: Arc<Semaphore>,
    wake: Notify,
    tasks: Tasks,
}

impl<Q: Queue> Worker<Q> {
    /// A worker with all of its slots free.
    pub fn new(queue: Q) -> Self {
        Self {
            queue: Arc::new(queue),
            slots: Arc::new(Semaphore::new(Q::SLOTS)),
            wake: Notify::new(),
            tasks: Tasks::default(),
        }
    }

    /// The queue.
    pub fn queue(&self) -> &Q {
        &self.queue
    }

    /// The tasks, for work beside the jobs of the queue. The drain waits for it too.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Claims again at once: a job may have become due.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// A slot for a job that this replica is about to create, where one is free.
    pub fn free_slot(&self) -> Option<Slot> {
        Arc::clone(&self.slots).try_acquire_owned().ok().map(|permit| Slot { _permit: permit })
    }

    /// Starts a job whose lease this replica holds.
    pub fn start(&self, job: Q::Job, slot: Slot) {
        let (queue, tasks) = (Arc::clone(&self.queue), self.tasks.clone());
        let span = queue.span(&job);
        let run = async move {
            run_job(&queue, &tasks, job).await;
            drop(slot);
        };
        self.tasks.spawn(run.instrument(span));
    }

    /// Runs work beside the jobs of the queue under a lease of it, and renews the lease until the work ends.
    pub async fn renewing<T>(&self, lease: &Q::Lease, work: impl Future<Output = T>) -> T {
        renewing(&*self.queue, lease, work).await
    }

    /// Releases a lease, in the background where Postgres is unavailable.
    pub async fn release(&self, lease: Q::Lease) {
        release(&self.queue, lease).await;
    }

    /// Releases a lease in the background, several times: the statement that takes it may not have arrived yet.
    pub fn release_later(&self, lease: Q::Lease) {
        release_later(&self.queue, lease);
    }

    /// Claims and starts jobs until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            // The semaphore is never closed.
            let permit = stop.run_until_cancelled(Arc::clone(&self.slots).acquire_owned()).await;
            let Some(Ok(permit)) = permit else { return };
            let slot = Slot { _permit: permit };
            let wait = match self.claim().await {
                Ok(Next::Job(job)) if stop.is_cancelled() => {
                    return release(&self.queue, self.queue.lease(&job)).await;
                }
                Ok(Next::Job(job)) => {
                    self.start(job, slot);
                    continue;
                }
                Ok(Next::Wait(wait)) => wait,
                Err(error) => {
                    count_failure::<Q>("claim");
                    tracing::error!(error = %error, "{} cannot be claimed", Q::JOBS);
                    Q::POLL
                }
            };
            drop(slot);
            let pause = wait.min(self.queue.clock().between(Q::POLL / 2, Q::POLL));
            // The timeout and the wake-up have the same effect.
            let _ = tokio::time::timeout(pause, stop.run_until_cancelled(self.wake.notified())).await;
        }
    }

    /// Waits for the jobs that run, and releases those that do not finish in time. No job may be started any more.
    pub async fn drain(&self) {
        self.tasks.drain(Q::DRAIN).await;
    }

    /// Claims one job that is due, and works on it.
    ///
    /// # Errors
    /// If no job can be claimed because Postgres is unavailable.
    #[cfg(test)]
    pub async fn step(&self) -> Result<Step, Error> {
        let Next::Job(job) = self.claim().await? else { return Ok(Step::Idle) };
        let span = self.queue.span(&job);
        run_job(&self.queue, &self.tasks, job).instrument(span).await;
        Ok(Step::Worked)
    }

    async fn claim(&self) -> Result<Next<Q::Job>, Error> {
        self.queue.claim(self.tasks.count()).await
    }
}

/// Works on a job until it is finished, fails, or is cancelled at the end of the drain.
async fn run_job<Q: Queue>(queue: &Arc<Q>, tasks: &Tasks, job: Q::Job) {
    let lease = queue.lease(&job);
    // On the heap: the futures of slices are large, and each layer around them would move them on the stack.
    let work = renewing(&**queue, &lease, Box::pin(queue.work(job)));
    match tasks.until_cancelled(work).await {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            count_failure::<Q>("work");
            tracing::error!(error = %error, "a job stopped because of the database, and will be claimed again");
            release_later(queue, lease);
        }
        None => release(queue, lease).await,
    }
}

/// Runs work, and renews its lease until it ends.
async fn renewing<Q: Queue, T>(queue: &Q, lease: &Q::Lease, work: impl Future<Output = T>) -> T {
    let Some(every) = Q::RENEW_EVERY else { return work.await };
    let renewals = async {
        loop {
            tokio::time::sleep(every).await;
            if let Err(error) = queue.renew(lease).await {
                tracing::warn!(error = %error, "a lease could not be renewed");
            }
        }
    };
    tokio::select! {
        result = work => result,
        never = renewals => never,
    }
}

async fn release<Q: Queue>(queue: &Arc<Q>, lease: Q::Lease) {
    if let Err(error) = queue.release(&lease).await {
        count_failure::<Q>("release");
        tracing::error!(error = %error, "a lease could not be released; unless a later attempt succeeds, it expires");
        release_later(queue, lease);
    }
}

fn count_failure<Q: Queue>(step: &'static str) {
    metrics::counter!("ringback_job_failures_total", "queue" => Q::JOBS, "step" => step).increment(1);
}

fn release_later<Q: Queue>(queue: &Arc<Q>, lease: Q::Lease) {
    let queue = Arc::clone(queue);
    release_in_background(move || {
        let (queue, lease) = (Arc::clone(&queue), lease.clone());
        async move { queue.release(&lease).await }
    });
}
