//! What a slice provides for its jobs.

use std::time::Duration;

use sqlx::Error;

use crate::clock::Clock;

/// The result of an attempt to claim a job.
#[derive(Debug)]
pub enum Next<Job> {
    /// This job is claimed.
    Job(Job),
    /// No job can be started now. The next attempt is made after this long, or after the poll interval where that is
    /// shorter, or when the worker is woken.
    Wait(Duration),
}

/// Jobs in a table. A claim moves a row's due time to the end of a lease; whoever holds the lease is the only one to work
/// on the row until then.
pub trait Queue: Send + Sync + 'static {
    /// A claimed row.
    type Job: Send + 'static;
    /// Names the claim of a job. A claim that was lost to another replica has no effect on the row any more.
    type Lease: Clone + Send + Sync + 'static;

    /// The jobs in logs, as in "callbacks cannot be claimed".
    const JOBS: &'static str;
    /// The jobs that one replica works on at the same time.
    const SLOTS: usize;
    /// The longest interval between two attempts to claim while no job is due. Each is drawn from half of this on, so that
    /// replicas poll at different times.
    const POLL: Duration;
    /// The time for which jobs may continue after shutdown has begun.
    const DRAIN: Duration;
    /// The interval at which the lease of a running job is renewed. None where the lease is longer than any job.
    const RENEW_EVERY: Option<Duration>;

    /// The clock, for the jitter of polls.
    fn clock(&self) -> &Clock;

    /// Claims the most urgent job that is due and can be worked on. `running` jobs are not finished yet.
    ///
    /// Never cancelled: Postgres may carry out a claim whose result nobody reads.
    fn claim(&self, running: usize) -> impl Future<Output = Result<Next<Self::Job>, Error>> + Send;

    /// The lease under which a job was claimed.
    fn lease(&self, job: &Self::Job) -> Self::Lease;

    /// The span in which a job runs.
    fn span(&self, _job: &Self::Job) -> tracing::Span {
        tracing::Span::none()
    }

    /// Works on a job until its result is stored. After an error the lease is released.
    fn work(&self, job: Self::Job) -> impl Future<Output = Result<(), Error>> + Send;

    /// Extends the lease of a running job.
    fn renew(&self, _lease: &Self::Lease) -> impl Future<Output = Result<(), Error>> + Send {
        std::future::ready(Ok(()))
    }

    /// Releases a lease: the job is due at once, for any replica. Does nothing where the lease is not held.
    fn release(&self, lease: &Self::Lease) -> impl Future<Output = Result<(), Error>> + Send;
}
