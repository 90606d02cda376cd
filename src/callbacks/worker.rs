//! Works on callbacks: claims what is due, makes an attempt on each, keeps its lease, and releases what does not finish.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use super::attempt::{AttemptError, Attempts, FOR_CONTACTS, FOR_MESSAGES};
use super::model::{Callback, Status};
use super::store::{CallbackStore, Claimable};
use crate::cxone::{Class, Cxone, Decision, Endpoint};
use crate::db::give_back;
use crate::placement::NOTICE;

/// How many callbacks one replica works on at once.
const SLOTS: usize = 32;
/// How often a replica looks for work that nobody has told it of.
const POLL: Duration = Duration::from_secs(1);
/// A contact and a text; forecasts are shared.
const REQUESTS_OF_A_CALLBACK: u32 = 2;
/// After SIGTERM, work may go on for so long; what is unfinished then is released for another replica.
const DRAIN: Duration = Duration::from_secs(10);
/// An attempt that takes longer than this renews its lease so often.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It worked on one callback.
    Worked,
    /// Nothing was due.
    Idle,
}

/// What there is to do now.
enum Next {
    /// This callback is claimed.
    Work(Box<Callback>),
    /// Nothing, for so long.
    Rest(Duration),
}

/// Works on callbacks: those that this replica has just accepted, and all that are due.
pub struct Worker {
    attempts: Attempts<CallbackStore, Arc<Cxone>>,
    slots: Arc<Semaphore>,
    wake: Notify,
    running: TaskTracker,
    give_up: CancellationToken,
}

impl Worker {
    /// A worker with all its slots free.
    pub fn new(attempts: Attempts<CallbackStore, Arc<Cxone>>) -> Self {
        Self {
            attempts,
            slots: Arc::new(Semaphore::new(SLOTS)),
            wake: Notify::new(),
            running: TaskTracker::new(),
            give_up: CancellationToken::new(),
        }
    }

    fn store(&self) -> &CallbackStore {
        &self.attempts.repository
    }

    fn cxone(&self) -> &Cxone {
        &self.attempts.gateway
    }

    /// A slot for a callback that is about to be accepted, where one is free.
    /// None while CXone is down or the budget is spent, too: the callback then takes its turn in the backlog.
    pub fn free_slot(&self, class: Class) -> Option<OwnedSemaphorePermit> {
        if self.cxone().looks_open(class, &FOR_CONTACTS) {
            Arc::clone(&self.slots).try_acquire_owned().ok()
        } else {
            None
        }
    }

    /// Whether CXone is asked at all now for what a callback in this state needs. While it is not, nothing comes of
    /// waiting.
    pub fn can_ask(&self, status: Status) -> bool {
        let needed: &[Endpoint] = if status == Status::Scheduled { &FOR_MESSAGES } else { &FOR_CONTACTS };
        self.cxone().is_up(needed)
    }

    /// Until when an attempt that starts now has its callback.
    pub fn lease_end(&self) -> Timestamp {
        self.attempts.lease_end()
    }

    /// There is work that nobody holds.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Starts on a callback whose claim this replica holds.
    pub fn start(self: &Arc<Self>, callback: Callback, class: Class, slot: OwnedSemaphorePermit) {
        let worker = Arc::clone(self);
        let span = attempt_span(&callback);
        let attempt = async move {
            let (id, attempts) = (callback.id, callback.attempts);
            let finished = worker.give_up.run_until_cancelled(worker.work(callback, class)).await;
            if finished.is_none()
                && let Err(error) = worker.store().release(id, attempts, worker.attempts.clock.now()).await
            {
                tracing::error!(error = %error, "a claim could not be released; it ends with its lease");
            }
            drop(slot);
        };
        self.running.spawn(attempt.instrument(span));
    }

    /// Claims what is due and starts on it, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.claim_and_start(&stop).await;
    }

    /// Lets what runs finish, and releases what does not in time. Nothing may be started any more.
    pub async fn drain(&self) {
        self.running.close();
        if tokio::time::timeout(DRAIN, self.running.wait()).await.is_err() {
            tracing::warn!(callbacks = self.running.len(), "releasing work that did not finish in time");
            self.give_up.cancel();
            self.running.wait().await;
        }
    }

    /// A claim is never cut off in the middle: Postgres might carry it out all the same, for nobody.
    async fn claim_and_start(self: &Arc<Self>, stop: &CancellationToken) {
        loop {
            // The semaphore is never closed.
            let slot = stop.run_until_cancelled(Arc::clone(&self.slots).acquire_owned()).await;
            let Some(Ok(slot)) = slot else { return };
            let pause = match self.claim_next().await {
                Ok(Next::Work(callback)) if stop.is_cancelled() => {
                    let released =
                        self.store().release(callback.id, callback.attempts, self.attempts.clock.now()).await;
                    if let Err(error) = released {
                        tracing::error!(error = %error, "a claim could not be released; it ends with its lease");
                    }
                    return;
                }
                Ok(Next::Work(callback)) => {
                    self.start(*callback, Class::Background, slot);
                    continue;
                }
                Ok(Next::Rest(pause)) => pause,
                Err(error) => {
                    tracing::error!(error = %error, "callbacks cannot be claimed");
                    self.poll_pause()
                }
            };
            drop(slot);
            // Until someone wakes it, or it is time to look again; a timeout is as good as a call.
            let _ = tokio::time::timeout(pause, stop.run_until_cancelled(self.wake.notified())).await;
        }
    }

    /// The most urgent callback that is due and that something can be done about now. The rest of the backlog stays as
    /// it is.
    async fn claim_next(&self) -> Result<Next, sqlx::Error> {
        let running = u32::try_from(self.running.len()).unwrap_or(u32::MAX);
        let needed = REQUESTS_OF_A_CALLBACK.saturating_mul(running.saturating_add(1));
        let contacts = self.cxone().may_start(&FOR_CONTACTS, needed).await;
        // Both draw on one quota: where there is room for a callback, there is room for an SMS.
        let messages = match contacts {
            Decision::Granted => self.cxone().is_up(&FOR_MESSAGES),
            Decision::NotFor(_) => self.cxone().may_start(&FOR_MESSAGES, needed).await == Decision::Granted,
        };
        let claimable = Claimable { contacts: contacts == Decision::Granted, messages, notice: NOTICE };
        let now = self.attempts.clock.now();
        let claimed = self.store().claim(now, self.attempts.lease_end(), claimable, 1).await?.pop();
        let pause = match contacts {
            Decision::Granted => self.poll_pause(),
            Decision::NotFor(wait) => wait.min(self.poll_pause()),
        };
        Ok(claimed.map_or(Next::Rest(pause), |callback| Next::Work(Box::new(callback))))
    }

    /// Replicas look at different times.
    fn poll_pause(&self) -> Duration {
        self.attempts.clock.between(POLL / 2, POLL)
    }

    /// Claims and works on one callback that is due.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn step(&self) -> Result<Step, sqlx::Error> {
        let Next::Work(callback) = self.claim_next().await? else { return Ok(Step::Idle) };
        let span = attempt_span(&callback);
        self.work(*callback, Class::Background).instrument(span).await;
        Ok(Step::Worked)
    }

    /// One attempt on a callback, whose lease is renewed meanwhile.
    async fn work(&self, mut callback: Callback, class: Class) {
        let (id, attempts) = (callback.id, callback.attempts);
        let attempted = tokio::select! {
            attempted = self.attempts.attempt(&mut callback, class) => attempted,
            never = self.renew(id, attempts) => match never {},
        };
        match attempted {
            Ok(()) => self.attempts.waiting.tell(&callback),
            Err(AttemptError::ClaimLost) => tracing::info!("the callback was taken over or cancelled meanwhile"),
            Err(AttemptError::Database(error)) => {
                tracing::error!(error = %error, "the attempt stops here; it is taken up again");
                let (store, clock) = (self.store().clone(), self.attempts.clock.clone());
                give_back(move || {
                    let (store, now) = (store.clone(), clock.now());
                    async move { store.release(id, attempts, now).await }
                });
            }
        }
    }

    async fn renew(&self, id: Uuid, attempts: i32) -> Infallible {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            if let Err(error) = self.store().lease_until(id, attempts, self.attempts.lease_end()).await {
                tracing::warn!(error = %error, "the lease of a callback could not be renewed");
            }
        }
    }
}

fn attempt_span(callback: &Callback) -> tracing::Span {
    tracing::info_span!(
        "attempt",
        callback.id = %callback.id,
        callback.attempt = callback.attempts,
        campaign.id = %callback.campaign_id,
        request.id = callback.request_id,
        trace.id = callback.trace.trace_id()
    )
}
