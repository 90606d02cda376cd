//! Carries callbacks out: forecast, place, contact, text. Each step is committed before the next one starts, so that
//! whoever takes the row over after a crash knows how far it came.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::confirmation_text::confirmation_text;
use super::dispatch::{HourLoad, NOTICE, dispatch, dispatch_without_forecast};
use super::model::{Callback, Confirmation, Doubt, Failure, Status};
use super::retry::{Verdict, verdict};
use super::store::CallbackStore;
use super::waiting::Waiting;
use crate::audit::Outcome;
use crate::campaigns::{CampaignSettings, SettingsStore};
use crate::clock::Clock;
use crate::cxone::{Asker, Class, ContactMade, Cxone, CxoneError, Decision, NewContact, Sms};
use crate::db::give_back;
use crate::types::{PhoneNumber, Zone};
use crate::webhooks::announced;

/// How many callbacks one replica works on at once.
const SLOTS: usize = 32;
/// How often a replica looks for work that nobody has told it of.
const POLL: Duration = Duration::from_secs(1);
/// A contact and a text; forecasts are shared.
const REQUESTS_OF_A_CALLBACK: u32 = 2;
/// After SIGTERM, work may go on for so long; what is unfinished then is released for another replica.
const DRAIN: Duration = Duration::from_secs(10);
/// What to do where CXone has no forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum WithoutForecast {
    /// The callback fails.
    Reject,
    /// It is placed at the start of its window.
    WindowStart,
}

/// What the worker needs to know.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// What to do where CXone has no forecast.
    pub without_forecast: WithoutForecast,
    /// The verified sender of texts, where a campaign has none of its own.
    pub sms_from: PhoneNumber,
    /// The zone in texts, where the caller gave none.
    pub default_zone: Zone,
    /// For one request to CXone.
    pub cxone_timeout: Duration,
}

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

/// Why an attempt stopped in the middle.
#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error("another attempt has the callback now")]
    ClaimLost,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Works on callbacks: those that this replica has just accepted, and all that are due.
pub struct Worker {
    store: Arc<CallbackStore>,
    campaigns: SettingsStore,
    cxone: Arc<Cxone>,
    clock: Clock,
    waiting: Waiting,
    settings: WorkerSettings,
    slots: Arc<Semaphore>,
    wake: Notify,
    running: TaskTracker,
    give_up: CancellationToken,
}

impl Worker {
    /// A worker with all its slots free.
    pub fn new(
        store: Arc<CallbackStore>,
        campaigns: SettingsStore,
        cxone: Arc<Cxone>,
        clock: Clock,
        waiting: Waiting,
        settings: WorkerSettings,
    ) -> Self {
        Self {
            store,
            campaigns,
            cxone,
            clock,
            waiting,
            settings,
            slots: Arc::new(Semaphore::new(SLOTS)),
            wake: Notify::new(),
            running: TaskTracker::new(),
            give_up: CancellationToken::new(),
        }
    }

    /// A slot for a callback that is about to be accepted, where one is free.
    /// None while CXone is down or the budget is spent, too: the callback then takes its turn in the backlog.
    pub fn free_slot(&self, class: Class) -> Option<OwnedSemaphorePermit> {
        if self.cxone.looks_open(class) { Arc::clone(&self.slots).try_acquire_owned().ok() } else { None }
    }

    /// Whether CXone is asked at all now. While it is not, nothing comes of waiting.
    pub fn can_ask(&self) -> bool {
        self.cxone.is_up()
    }

    /// Until when an attempt that starts now has its callback: longer than a request to CXone with a new token takes.
    pub fn lease_end(&self) -> Timestamp {
        self.clock.now() + 2 * self.settings.cxone_timeout + Duration::from_secs(5)
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
                && let Err(error) = worker.store.release(id, attempts, worker.clock.now()).await
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
                    let released = self.store.release(callback.id, callback.attempts, self.clock.now()).await;
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

    /// The most urgent callback that is due, where CXone can be asked about it; else one that needs no CXone any more,
    /// because its window has passed. The rest of the backlog stays as it is.
    async fn claim_next(&self) -> Result<Next, sqlx::Error> {
        let running = u32::try_from(self.running.len()).unwrap_or(u32::MAX);
        let needed = REQUESTS_OF_A_CALLBACK.saturating_mul(running.saturating_add(1));
        let (ends_by, pause) = match self.cxone.may_start(needed).await {
            Decision::Granted => (None, self.poll_pause()),
            Decision::NotFor(wait) => (Some(self.clock.now() + NOTICE), wait.min(self.poll_pause())),
        };
        let lease_end = self.lease_end();
        let claimed = self.store.claim(self.clock.now(), lease_end, ends_by, 1).await;
        if claimed.is_err() {
            let (store, clock) = (Arc::clone(&self.store), self.clock.clone());
            give_back(move || {
                let (store, now) = (Arc::clone(&store), clock.now());
                async move { store.release_lost(lease_end, now).await }
            });
        }
        let claimed = claimed?.pop();
        Ok(claimed.map_or(Next::Rest(pause), |callback| Next::Work(Box::new(callback))))
    }

    /// Replicas look at different times.
    fn poll_pause(&self) -> Duration {
        self.clock.between(POLL / 2, POLL)
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

    /// One attempt on a callback, as far as it can be brought now.
    async fn work(&self, mut callback: Callback, class: Class) {
        let attempted = match callback.status {
            Status::Accepted => self.schedule(&mut callback, class).await,
            Status::Scheduled => self.resume_confirmation(&mut callback, class).await,
            Status::Failed | Status::Expired | Status::Cancelled => Ok(()),
        };
        match attempted {
            Ok(()) => self.waiting.tell(&callback),
            Err(Halt::ClaimLost) => tracing::info!("the callback was taken over or cancelled meanwhile"),
            Err(Halt::Database(error)) => {
                tracing::error!(error = %error, "the attempt stops here; it is taken up again");
                let (store, clock) = (Arc::clone(&self.store), self.clock.clone());
                let (id, attempts) = (callback.id, callback.attempts);
                give_back(move || {
                    let (store, now) = (Arc::clone(&store), clock.now());
                    async move { store.release(id, attempts, now).await }
                });
            }
        }
    }

    /// Brings an accepted callback to its contact, and on to its text.
    async fn schedule(&self, callback: &mut Callback, class: Class) -> Result<(), Halt> {
        if callback.window_has_passed(self.clock.now(), NOTICE) {
            callback.expired();
            return self.conclude(callback, "callback.expired", Outcome::Failed, Status::Accepted).await;
        }
        let settings = self.campaigns.of(&callback.campaign_id).await?;
        let doubt = callback.doubt();
        // Where CXone may have the contact under a time that is still to come, it is sent again for the same time.
        let at = match callback.dispatch_time.filter(|at| *at >= self.clock.now() + NOTICE / 3) {
            Some(at) => {
                callback.leased(self.lease_end());
                self.save(callback).await?;
                at
            }
            None => match self.place(callback, class, &settings).await? {
                Some(at) => at,
                None => return Ok(()),
            },
        };
        let contact = NewContact {
            contact_id: callback.id,
            campaign_id: &callback.campaign_id,
            phone_number: &callback.phone_number,
            at,
            language: &callback.language,
            window: callback.window,
        };
        let made_at = match self.cxone.create_contact(&contact, Asker { class, trace: &callback.trace }).await {
            Ok(ContactMade::Now) => at,
            Ok(ContactMade::Before) => callback.earlier_dispatch_time.unwrap_or(at),
            Err(error) => return self.not_scheduled(callback, doubt, &error).await,
        };
        callback.scheduled(made_at, self.clock.now());
        callback.leased(self.lease_end());
        self.record(callback, "callback.scheduled", Outcome::Succeeded, Status::Accepted).await?;
        metrics::counter!("ringback_callbacks_total", "status" => "scheduled").increment(1);
        self.waiting.tell(callback);
        self.confirm(callback, class, &settings).await
    }

    /// Finds the callback's moment and commits it, so that every replica counts it from here on. None where there is
    /// no moment, or no forecast to be had now; the callback then has ended, or is deferred.
    async fn place(
        &self,
        callback: &mut Callback,
        class: Class,
        settings: &CampaignSettings,
    ) -> Result<Option<Timestamp>, Halt> {
        let window = callback.window;
        let asker = Asker { class, trace: &callback.trace };
        let forecast = match self.cxone.forecast(&callback.campaign_id, &window, asker).await {
            Ok(forecast) => forecast,
            Err(error) => {
                let doubt = callback.doubt();
                return self.not_scheduled(callback, doubt, &error).await.map(|()| None);
            }
        };
        callback.updated_at = self.clock.now();
        callback.leased(self.lease_end());
        let now = self.clock.now();
        let hours: Vec<Timestamp> = forecast.iter().map(|hour| hour.hour).collect();
        let from_forecast = |placed: &[u32]| {
            let loads: Vec<_> =
                forecast.iter().zip(placed).map(|(&forecast, &placed)| HourLoad { forecast, placed }).collect();
            dispatch(&loads, settings.handle_time(), &window, now)
        };
        let before = callback.dispatch_time;
        let mut ours = self.store.place(callback, &hours, from_forecast).await?;
        if callback.dispatch_time == before && self.settings.without_forecast == WithoutForecast::WindowStart {
            let from_start = |placed: &[u32]| dispatch_without_forecast(placed.first().copied()?, &window, now);
            ours = self.store.place(callback, &[window.start()], from_start).await?;
        }
        if !ours {
            return Err(Halt::ClaimLost);
        }
        if callback.dispatch_time != before {
            return Ok(callback.dispatch_time);
        }
        let detail = "CXone has no forecast for any part of the requested window that is still to come";
        callback.failed(Failure::new("no-forecast", detail));
        self.conclude(callback, "callback.failed", Outcome::Failed, Status::Accepted).await?;
        Ok(None)
    }

    /// CXone did not make the contact, or never said so: the end, or another attempt later.
    async fn not_scheduled(&self, callback: &mut Callback, doubt: Doubt, error: &CxoneError) -> Result<(), Halt> {
        let failure = Failure::new(error.code(), error.to_string());
        match verdict(error, callback, doubt.exists(), self.cxone.is_up(), &self.clock) {
            Verdict::Final => {
                callback.failed(failure);
                self.conclude(callback, "callback.failed", Outcome::Failed, Status::Accepted).await
            }
            Verdict::NotDone { wait } => {
                callback.unplaced(doubt);
                callback.deferred(failure, self.clock.now() + wait);
                self.save(callback).await
            }
            Verdict::Unknown { wait } => {
                callback.deferred(failure, self.clock.now() + wait);
                self.save(callback).await
            }
        }
    }

    /// Takes up the text of a callback whose contact an earlier attempt made.
    async fn resume_confirmation(&self, callback: &mut Callback, class: Class) -> Result<(), Halt> {
        if callback.confirmation_started_at.is_some() {
            let failure = Failure::new("sms-outcome-unknown", "the service stopped while the text was being sent");
            return self.unconfirmed(callback, Confirmation::Unknown, failure).await;
        }
        let settings = self.campaigns.of(&callback.campaign_id).await?;
        callback.confirmation_started_at = Some(self.clock.now());
        callback.leased(self.lease_end());
        self.save(callback).await?;
        self.confirm(callback, class, &settings).await
    }

    /// Sends the text, whose start is committed. At most once: whatever is not certainly unsent is not sent again.
    async fn confirm(&self, callback: &mut Callback, class: Class, settings: &CampaignSettings) -> Result<(), Halt> {
        let at = callback.dispatch_time.filter(|at| *at > self.clock.now());
        let Some(at) = at else {
            let failure = Failure::new("sms-too-late", "the time of the call came before the text could be sent");
            return self.unconfirmed(callback, Confirmation::Failed, failure).await;
        };
        let zone = callback.timezone.as_ref().unwrap_or(&self.settings.default_zone);
        let message = confirmation_text(&callback.language, zone, at, callback.id);
        let from = settings.sms_from.as_ref().unwrap_or(&self.settings.sms_from);
        let sms = Sms { to: &callback.phone_number, from, message: &message };
        match self.cxone.send_sms(&sms, Asker { class, trace: &callback.trace }).await {
            Ok(session) => {
                callback.confirmation_ended(Confirmation::Sent, Some(session), None);
                self.conclude(callback, "callback.confirmed", Outcome::Succeeded, Status::Scheduled).await
            }
            Err(error) => self.not_confirmed(callback, &error).await,
        }
    }

    async fn not_confirmed(&self, callback: &mut Callback, error: &CxoneError) -> Result<(), Halt> {
        let failure = Failure::new(error.code(), error.to_string());
        match verdict(error, callback, false, self.cxone.is_up(), &self.clock) {
            Verdict::Final => self.unconfirmed(callback, Confirmation::Failed, failure).await,
            Verdict::Unknown { .. } => self.unconfirmed(callback, Confirmation::Unknown, failure).await,
            Verdict::NotDone { wait } => {
                callback.confirmation_not_started();
                callback.deferred(failure, self.clock.now() + wait);
                self.save(callback).await
            }
        }
    }

    async fn unconfirmed(&self, callback: &mut Callback, how: Confirmation, failure: Failure) -> Result<(), Halt> {
        callback.confirmation_ended(how, None, Some(failure));
        let outcome = if how == Confirmation::Unknown { Outcome::Unknown } else { Outcome::Failed };
        self.conclude(callback, "callback.confirmation_failed", outcome, Status::Scheduled).await
    }

    async fn conclude(
        &self,
        callback: &mut Callback,
        action: &str,
        outcome: Outcome,
        previous: Status,
    ) -> Result<(), Halt> {
        self.record(callback, action, outcome, previous).await?;
        let end = action.trim_start_matches("callback.").to_owned();
        tracing::info!(callback.status = callback.status.as_str(), "callback {end}");
        metrics::counter!("ringback_callbacks_total", "status" => end).increment(1);
        Ok(())
    }

    async fn record(
        &self,
        callback: &mut Callback,
        action: &str,
        outcome: Outcome,
        previous: Status,
    ) -> Result<(), Halt> {
        let now = self.clock.now();
        callback.updated_at = now;
        let entry = announced(callback.entry(self.clock.new_id(), now, action, outcome, previous));
        if self.store.save(callback, Some(entry)).await? { Ok(()) } else { Err(Halt::ClaimLost) }
    }

    async fn save(&self, callback: &mut Callback) -> Result<(), Halt> {
        callback.updated_at = self.clock.now();
        if self.store.save(callback, None).await? { Ok(()) } else { Err(Halt::ClaimLost) }
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
