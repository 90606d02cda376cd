//! The loop with a queue in memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use sqlx::Error;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Next, Queue, Step, Worker};
use crate::clock::Clock;

const SHORT: Duration = Duration::from_millis(1);
const NEVER: Duration = Duration::from_hours(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// No job was due.
    Idle,
    Claimed(u32),
    Renewed(u32),
    Finished(u32),
    Released(u32),
}

/// Jobs with numbers. Each waits for a permit of `may_finish`, and a claim for one of `may_claim`.
struct FakeQueue<const POLLS: bool> {
    due: Mutex<VecDeque<u32>>,
    may_claim: Semaphore,
    may_finish: Semaphore,
    fails: bool,
    events: mpsc::UnboundedSender<Event>,
    clock: Clock,
}

impl<const POLLS: bool> FakeQueue<POLLS> {
    fn new(due: impl IntoIterator<Item = u32>) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (events, received) = mpsc::unbounded_channel();
        let queue = Self {
            due: Mutex::new(due.into_iter().collect()),
            may_claim: Semaphore::new(1_000),
            may_finish: Semaphore::new(0),
            fails: false,
            events,
            clock: Clock::manual(|| Timestamp::UNIX_EPOCH, 1),
        };
        (queue, received)
    }

    fn report(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

impl<const POLLS: bool> Queue for FakeQueue<POLLS> {
    type Job = u32;
    type Lease = u32;

    const JOBS: &'static str = "fake jobs";
    const SLOTS: usize = 2;
    const POLL: Duration = if POLLS { SHORT } else { NEVER };
    const DRAIN: Duration = SHORT;
    const RENEW_EVERY: Option<Duration> = Some(SHORT);

    fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn claim(&self, _running: usize) -> Result<Next<u32>, Error> {
        self.may_claim.acquire().await.unwrap().forget();
        let job = self.due.lock().pop_front();
        self.report(job.map_or(Event::Idle, Event::Claimed));
        Ok(job.map_or(Next::Wait(NEVER), Next::Job))
    }

    fn lease(&self, job: &u32) -> u32 {
        *job
    }

    async fn work(&self, job: u32) -> Result<(), Error> {
        self.may_finish.acquire().await.unwrap().forget();
        if self.fails {
            return Err(Error::PoolTimedOut);
        }
        self.report(Event::Finished(job));
        Ok(())
    }

    async fn renew(&self, lease: &u32) -> Result<(), Error> {
        self.report(Event::Renewed(*lease));
        Ok(())
    }

    async fn release(&self, lease: &u32) -> Result<(), Error> {
        self.report(Event::Released(*lease));
        Ok(())
    }
}

/// Runs a worker until the token is cancelled.
fn run<const POLLS: bool>(worker: &Arc<Worker<FakeQueue<POLLS>>>) -> (JoinHandle<()>, CancellationToken) {
    let stop = CancellationToken::new();
    (tokio::spawn(Arc::clone(worker).run(stop.clone())), stop)
}

/// The next event other than a renewal.
async fn next(events: &mut mpsc::UnboundedReceiver<Event>) -> Event {
    loop {
        match events.recv().await.unwrap() {
            Event::Renewed(_) => {}
            event => return event,
        }
    }
}

#[tokio::test]
async fn no_more_jobs_run_than_there_are_slots() {
    let (queue, mut events) = FakeQueue::<true>::new(1..=3);
    let worker = Arc::new(Worker::new(queue));
    let (_running, _stop) = run(&worker);
    assert_eq!([next(&mut events).await, next(&mut events).await], [Event::Claimed(1), Event::Claimed(2)]);
    assert!(worker.free_slot().is_none());
    assert_eq!(worker.queue().due.lock().len(), 1, "the third job is not claimed");

    worker.queue().may_finish.add_permits(1);
    assert!(matches!(next(&mut events).await, Event::Finished(_)));
    assert_eq!(next(&mut events).await, Event::Claimed(3));
}

#[tokio::test]
async fn an_idle_worker_claims_again_when_it_is_woken() {
    let (queue, mut events) = FakeQueue::<false>::new([]);
    let worker = Arc::new(Worker::new(queue));
    let (_running, _stop) = run(&worker);
    assert_eq!(next(&mut events).await, Event::Idle);

    worker.queue().due.lock().push_back(1);
    worker.wake();

    assert_eq!(next(&mut events).await, Event::Claimed(1));
}

#[tokio::test]
async fn a_wake_up_during_a_claim_is_not_lost() {
    let (queue, mut events) = FakeQueue::<false>::new([]);
    let worker = Arc::new(Worker::new(queue));
    worker.wake();
    let (_running, _stop) = run(&worker);
    assert_eq!([next(&mut events).await, next(&mut events).await], [Event::Idle, Event::Idle]);
}

#[tokio::test]
async fn a_job_that_is_claimed_during_shutdown_is_released_and_not_started() {
    let (mut queue, mut events) = FakeQueue::<true>::new([1]);
    queue.may_claim = Semaphore::new(0);
    let worker = Arc::new(Worker::new(queue));
    let (running, stop) = run(&worker);
    tokio::task::yield_now().await;

    stop.cancel();
    worker.queue().may_claim.add_permits(1);
    running.await.unwrap();

    assert_eq!([next(&mut events).await, next(&mut events).await], [Event::Claimed(1), Event::Released(1)]);
    assert_eq!(worker.tasks().count(), 0);
}

#[tokio::test]
async fn a_lease_is_renewed_while_its_job_runs_and_not_after_it() {
    let (queue, mut events) = FakeQueue::<true>::new([1]);
    let worker = Arc::new(Worker::new(queue));
    let stepping = Arc::clone(&worker);
    let step = tokio::spawn(async move { stepping.step().await });
    assert_eq!(events.recv().await, Some(Event::Claimed(1)));
    assert_eq!([events.recv().await, events.recv().await], [Some(Event::Renewed(1)); 2]);

    worker.queue().may_finish.add_permits(1);
    assert_eq!(step.await.unwrap().unwrap(), Step::Worked);

    // Without its task, nothing can renew the lease any more.
    drop(worker);
    let rest: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    assert_eq!(rest.iter().filter(|event| **event == Event::Finished(1)).count(), 1);
    assert_eq!(rest.last(), Some(&Event::Finished(1)));
}

#[tokio::test]
async fn the_drain_releases_jobs_that_do_not_finish() {
    let (queue, mut events) = FakeQueue::<true>::new([1]);
    let worker = Arc::new(Worker::new(queue));
    let (running, stop) = run(&worker);
    assert_eq!(next(&mut events).await, Event::Claimed(1));
    stop.cancel();
    running.await.unwrap();

    worker.drain().await;

    let mut event = next(&mut events).await;
    while event == Event::Idle {
        event = next(&mut events).await;
    }
    assert_eq!(event, Event::Released(1));
    assert_eq!(worker.tasks().count(), 0);
}

#[tokio::test]
async fn a_job_that_fails_is_released() {
    let (mut queue, mut events) = FakeQueue::<true>::new([1]);
    queue.fails = true;
    queue.may_finish.add_permits(1);
    let worker = Worker::new(queue);
    assert_eq!(worker.step().await.unwrap(), Step::Worked);
    assert_eq!([next(&mut events).await, next(&mut events).await], [Event::Claimed(1), Event::Released(1)]);
}

#[tokio::test]
async fn a_job_may_start_under_a_lease_that_exists_already() {
    let (queue, mut events) = FakeQueue::<false>::new([]);
    queue.may_finish.add_permits(1);
    let worker = Worker::new(queue);
    let slot = worker.free_slot().unwrap();
    worker.start(7, slot);
    assert_eq!(next(&mut events).await, Event::Finished(7));
    worker.drain().await;
    assert_eq!(worker.step().await.unwrap(), Step::Idle);
}
