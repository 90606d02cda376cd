//! Runs the reconciler: for commands, whose callers wait a limited time, and for campaigns that are due.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use super::error::AttemptError;
use super::gateway::CxoneGateway;
use super::local_locks::LocalLocks;
use super::reconciler::Reconciler;
use crate::audit::Entry;
use crate::campaigns::model::{Campaign, Command, CommandKind, Refusal, Report, Status};
use crate::campaigns::ports::{CampaignRepository as _, ScheduledCallbacks};
use crate::campaigns::store::CampaignStore;
use crate::clock::Clock;
use crate::db::release_in_background;
use crate::trace::Traceparent;
use crate::types::CampaignId;

/// The interval at which the lease of a campaign is renewed while it is worked on.
const RENEW_INTERVAL: Duration = Duration::from_millis(1500);
/// The time that CXone always has to show a campaign, also where the caller does not wait: a command to a campaign that
/// CXone does not have, or that is not running, is refused then.
const MIN_READ_TIMEOUT: Duration = Duration::from_secs(1);
/// The interval at which a command tries to claim a lease that another replica holds.
const CLAIM_INTERVAL: Duration = Duration::from_millis(20);
/// The longest interval between two polls for due campaigns. A hold's end may be twice as late.
const POLL_INTERVAL: Duration = Duration::from_millis(400);
/// The due campaigns that one replica works on at once. Commands do not count.
const SLOTS: usize = 32;
/// The time that running work has to finish after SIGTERM. Then its leases are released.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A command that is stored, and its campaign, while CXone is being asked.
type Saved = (Report, Campaign);

/// How the work under a lease ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LeaseEnd {
    /// The lease is released, or another replica has it.
    Released,
    /// The lease may still be held.
    Held,
}

/// Executes commands, and reconciles due campaigns.
pub struct CampaignWorker {
    reconciler: Reconciler<CampaignStore, CxoneGateway>,
    callbacks: Arc<dyn ScheduledCallbacks>,
    local_locks: LocalLocks,
    wake: Notify,
    slots: Arc<Semaphore>,
    running: TaskTracker,
    abort: CancellationToken,
}

impl CampaignWorker {
    /// A worker that does nothing until `run` or `execute` is called.
    pub fn new(
        store: CampaignStore,
        gateway: CxoneGateway,
        callbacks: Arc<dyn ScheduledCallbacks>,
        clock: Clock,
    ) -> Self {
        Self {
            reconciler: Reconciler { repository: store, gateway, clock },
            callbacks,
            local_locks: LocalLocks::default(),
            wake: Notify::new(),
            slots: Arc::new(Semaphore::new(SLOTS)),
            running: TaskTracker::new(),
            abort: CancellationToken::new(),
        }
    }

    fn store(&self) -> &CampaignStore {
        &self.reconciler.repository
    }

    fn clock(&self) -> &Clock {
        &self.reconciler.clock
    }

    /// Sets the number of scheduled callbacks that the hold of a pause covers.
    ///
    /// # Errors
    /// Where Postgres fails.
    pub async fn count_affected_callbacks(
        &self,
        id: &CampaignId,
        mut command: Command,
    ) -> Result<Command, sqlx::Error> {
        if let CommandKind::Pause(hold) = &mut command.kind {
            let of_settings = match &hold.regulatory_window {
                Some(_) => None,
                None => self.store().find(id).await?.and_then(|campaign| campaign.settings.regulatory_window),
            };
            let now = self.clock().now();
            let until = hold.end(now, of_settings.as_ref());
            hold.affected_callbacks = Some(self.callbacks.count(id, now, until).await?);
        }
        Ok(command)
    }

    /// Executes a command, and reports how far it has come after at most about `wait`. The work continues where its caller
    /// stops waiting.
    ///
    /// # Errors
    /// Where the command is refused, which the audit log records, or Postgres fails.
    pub async fn execute(
        self: &Arc<Self>,
        id: &CampaignId,
        command: Command,
        wait: Duration,
    ) -> Result<Report, AttemptError> {
        let deadline = Instant::now() + wait;
        let (saved_sender, mut saved) = watch::channel(None::<Saved>);
        let (sender, finished) = oneshot::channel();
        let (worker, task_id, task_command) = (Arc::clone(self), id.clone(), command.clone());
        let work = async move {
            let lease = worker.clock().new_id();
            let work = worker.execute_in_turn(&task_id, &task_command, lease, deadline, &saved_sender);
            let result = worker.abort.run_until_cancelled(work).await;
            let may_hold_lease = result.as_ref().is_none_or(|result| matches!(result, Err(AttemptError::Database(_))));
            if let Some(result) = result {
                let _ = sender.send(result);
            }
            if may_hold_lease {
                worker.end_lease(lease).await;
            }
        };
        self.running.spawn(work.in_current_span());
        let overdue = async {
            tokio::time::sleep_until(deadline).await;
            // The command is stored or refused soon after the deadline at the latest. Where it never is, the work ends.
            let saved = saved.wait_for(Option::is_some).await.ok().and_then(|saved| saved.clone());
            match saved {
                Some(saved) => saved,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            result = finished => result.unwrap_or_else(|_| Err(AttemptError::LeaseLost)),
            saved = overdue => self.answer_unconfirmed(&command, saved).await,
        }
    }

    /// The answer to a command that is stored, and that CXone has not confirmed.
    async fn answer_unconfirmed(&self, command: &Command, (report, campaign): Saved) -> Result<Report, AttemptError> {
        if report.status == Status::Pending {
            self.store().record(campaign.command_pending_entry(command, self.clock())).await?;
        }
        Ok(report)
    }

    async fn execute_in_turn(
        &self,
        id: &CampaignId,
        command: &Command,
        lease: Uuid,
        deadline: Instant,
        saved: &watch::Sender<Option<Saved>>,
    ) -> Result<Report, AttemptError> {
        let local_lock = tokio::time::timeout_at(deadline, self.local_locks.lock(id)).await.ok();
        if local_lock.is_none() || !self.claim_before(deadline, id, lease).await? {
            return self.execute_later(id, command).await;
        }
        let on_saved = |report: &Report, campaign: &Campaign| {
            saved.send_replace(Some((report.clone(), campaign.clone())));
        };
        let read_timeout = deadline.saturating_duration_since(Instant::now()).max(MIN_READ_TIMEOUT);
        let work = self.reconciler.execute(id, lease, command, read_timeout, &on_saved);
        match self.with_renewal(id, lease, work).await {
            Err(AttemptError::Refused(refusal)) => {
                self.reconciler.repository.release(id, lease, self.refused_entry(id, command, &refusal)).await?;
                self.store().delete_unknown(id).await?;
                Err(AttemptError::Refused(refusal))
            }
            Err(AttemptError::LeaseLost) => {
                // A command that is stored is not executed again: whoever has the lease now carries it out.
                let saved = saved.borrow().clone();
                match saved {
                    Some(saved) => self.answer_unconfirmed(command, saved).await,
                    None => self.execute_later(id, command).await,
                }
            }
            Err(AttemptError::AlreadyExecuted(report)) => {
                self.reconciler.repository.release(id, lease, None).await?;
                Ok(*report)
            }
            result => {
                self.wake.notify_one();
                result
            }
        }
    }

    /// Stores a command without CXone. Whoever has the lease, or claims it next, carries it out.
    async fn execute_later(&self, id: &CampaignId, command: &Command) -> Result<Report, AttemptError> {
        let result = match self.reconciler.execute_later(id, command).await {
            Err(AttemptError::AlreadyExecuted(report)) => Ok(*report),
            result => result,
        };
        if let Err(AttemptError::Refused(refusal)) = &result
            && let Some(entry) = self.refused_entry(id, command, refusal)
        {
            self.store().record(entry).await?;
        }
        self.wake.notify_one();
        result
    }

    /// `None` where another replica's answer rate guard was faster.
    fn refused_entry(&self, id: &CampaignId, command: &Command, refusal: &Refusal) -> Option<Entry> {
        (*refusal != Refusal::AlreadyThrottled).then(|| command.refused_entry(id, refusal, self.clock()))
    }

    /// Claims the lease of a campaign. Returns false where another replica holds it until the deadline.
    async fn claim_before(&self, deadline: Instant, id: &CampaignId, lease: Uuid) -> Result<bool, sqlx::Error> {
        loop {
            if self.store().claim(id, lease).await? {
                return Ok(true);
            }
            if Instant::now() + CLAIM_INTERVAL > deadline {
                return Ok(false);
            }
            tokio::time::sleep(CLAIM_INTERVAL).await;
        }
    }

    /// Ends a lease that may be held, now or, where Postgres is unavailable, as soon as possible.
    async fn end_lease(&self, lease: Uuid) {
        if self.store().end_lease(lease).await.is_err() {
            self.end_lease_later(lease);
        }
    }

    fn end_lease_later(&self, lease: Uuid) {
        let store = self.store().clone();
        release_in_background(move || {
            let store = store.clone();
            async move { store.end_lease(lease).await }
        });
    }

    /// Runs work, and renews its lease meanwhile.
    async fn with_renewal<T>(&self, id: &CampaignId, lease: Uuid, work: impl Future<Output = T>) -> T {
        let renew = async || -> Infallible {
            loop {
                tokio::time::sleep(RENEW_INTERVAL).await;
                if let Err(error) = self.store().renew(id, lease).await {
                    tracing::warn!(error = %error, "the lease of a campaign could not be renewed");
                }
            }
        };
        tokio::select! {
            result = work => result,
            never = renew() => match never {},
        }
    }

    /// Makes the worker look for due campaigns at once.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Works on due campaigns until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            // The semaphore is never closed.
            let slot = stop.run_until_cancelled(Arc::clone(&self.slots).acquire_owned()).await;
            let Some(Ok(slot)) = slot else { return };
            // A claim is never cancelled: Postgres might execute it, and nobody would use the lease.
            match self.claim_due().await {
                Ok(Some((_, lease))) if stop.is_cancelled() => return self.end_lease(lease).await,
                Ok(Some((id, lease))) => {
                    let worker = Arc::clone(&self);
                    self.running.spawn(async move {
                        let end = worker.abort.run_until_cancelled(worker.converge(&id, lease)).await;
                        if end != Some(LeaseEnd::Released) {
                            worker.end_lease(lease).await;
                        }
                        drop(slot);
                    });
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::error!(error = %error, "campaigns cannot be claimed"),
            }
            drop(slot);
            let pause = self.clock().between(POLL_INTERVAL / 2, POLL_INTERVAL);
            let _ = tokio::time::timeout(pause, stop.run_until_cancelled(self.wake.notified())).await;
        }
    }

    async fn claim_due(&self) -> Result<Option<(CampaignId, Uuid)>, sqlx::Error> {
        let lease = self.clock().new_id();
        // While the share of the quota for routine checks is spent, they stay due.
        let claimed = self.store().claim_due(lease, self.reconciler.gateway.may_check()).await;
        if claimed.is_err() {
            self.end_lease_later(lease);
        }
        Ok(claimed?.map(|id| (id, lease)))
    }

    async fn converge(&self, id: &CampaignId, lease: Uuid) -> LeaseEnd {
        let trace = Traceparent::root(lease);
        let span = tracing::info_span!("campaign", campaign.id = %id, trace.id = trace.trace_id());
        let work = async {
            match self.with_renewal(id, lease, self.reconciler.converge(id, lease, &trace)).await {
                Ok(report) => log_report(&report),
                Err(AttemptError::LeaseLost) => tracing::info!("another replica has the campaign now"),
                Err(AttemptError::Refused(_) | AttemptError::AlreadyExecuted(_)) => {}
                Err(AttemptError::Database(error)) => {
                    tracing::error!(error = %error, "the attempt stops; the next one continues it");
                    return LeaseEnd::Held;
                }
            }
            LeaseEnd::Released
        };
        work.instrument(span).await
    }

    /// Waits for running work, and releases the leases of what does not finish in time. Nothing may be started after this.
    pub async fn drain(&self) {
        self.running.close();
        if tokio::time::timeout(DRAIN_TIMEOUT, self.running.wait()).await.is_err() {
            tracing::warn!(campaigns = self.running.len(), "work on campaigns did not finish in time and is stopped");
            self.abort.cancel();
            self.running.wait().await;
        }
    }
}

/// Writes a report to the log and the metrics.
pub fn log_report(report: &Report) {
    let state = report.state.map_or("unknown", |state| state.as_str());
    match report.status {
        Status::Unchanged => {}
        Status::Applied => {
            tracing::info!(campaign.state = state, "the campaign is now {state}");
            metrics::counter!("ringback_campaign_changes_total", "state" => state).increment(1);
        }
        Status::Pending => {
            let reason = report.failure.as_ref().map_or("no answer yet", |failure| &failure.detail);
            tracing::warn!(reason, "CXone has not yet confirmed what the campaign's holds ask for");
        }
    }
}
