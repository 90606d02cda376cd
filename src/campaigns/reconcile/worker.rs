//! Executes commands, whose callers wait a limited time, beside the jobs for due campaigns.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use super::error::AttemptError;
use super::gateway::CxoneGateway;
use super::local_locks::LocalLocks;
use super::queue::{CampaignLease, CampaignQueue};
use super::reconciler::Reconciler;
use crate::audit::Entry;
use crate::campaigns::model::{Campaign, Command, CommandKind, Refusal, Report, Status};
use crate::campaigns::ports::{CampaignRepository as _, ScheduledCallbacks};
use crate::campaigns::store::CampaignStore;
use crate::clock::Clock;
use crate::jobs::Worker;
use crate::types::CampaignId;

/// The time that CXone always has to show a campaign, also where the caller does not wait: a command to a campaign that
/// CXone does not have, or that is not running, is refused then.
const MIN_READ_TIMEOUT: Duration = Duration::from_secs(1);
/// The interval at which a command tries to claim a lease that another replica holds.
const CLAIM_INTERVAL: Duration = Duration::from_millis(20);

/// A command that is stored, and its campaign, while CXone is being asked.
type Saved = (Report, Campaign);

/// Executes commands, and reconciles due campaigns.
pub struct CampaignWorker {
    jobs: Arc<Worker<CampaignQueue>>,
    callbacks: Arc<dyn ScheduledCallbacks>,
    local_locks: LocalLocks,
}

impl CampaignWorker {
    /// A worker that does nothing until `run` or `execute` is called.
    pub fn new(
        store: CampaignStore,
        gateway: CxoneGateway,
        callbacks: Arc<dyn ScheduledCallbacks>,
        clock: Clock,
    ) -> Self {
        let queue = CampaignQueue { reconciler: Reconciler { repository: store, gateway, clock } };
        Self { jobs: Arc::new(Worker::new(queue)), callbacks, local_locks: LocalLocks::default() }
    }

    fn reconciler(&self) -> &Reconciler<CampaignStore, CxoneGateway> {
        &self.jobs.queue().reconciler
    }

    fn store(&self) -> &CampaignStore {
        &self.reconciler().repository
    }

    fn clock(&self) -> &Clock {
        &self.reconciler().clock
    }

    /// Sets the number of scheduled callbacks that the hold of a pause covers.
    ///
    /// # Errors
    /// If Postgres fails.
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
            let lease = CampaignLease { campaign_id: task_id, id: worker.clock().new_id() };
            let work = worker.execute_in_turn(&task_command, &lease, deadline, &saved_sender);
            let result = Box::pin(worker.jobs.tasks().until_cancelled(work)).await;
            let may_hold_lease = result.as_ref().is_none_or(|result| matches!(result, Err(AttemptError::Database(_))));
            if let Some(result) = result {
                let _ = sender.send(result);
            }
            if may_hold_lease {
                worker.jobs.release(lease).await;
            }
        };
        self.jobs.tasks().spawn(work.in_current_span());
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
        command: &Command,
        lease: &CampaignLease,
        deadline: Instant,
        saved: &watch::Sender<Option<Saved>>,
    ) -> Result<Report, AttemptError> {
        let CampaignLease { campaign_id: id, id: lease_id } = lease;
        let local_lock = tokio::time::timeout_at(deadline, self.local_locks.lock(id)).await.ok();
        if local_lock.is_none() || !self.claim_before(deadline, id, *lease_id).await? {
            return self.execute_later(id, command).await;
        }
        let on_saved = |report: &Report, campaign: &Campaign| {
            saved.send_replace(Some((report.clone(), campaign.clone())));
        };
        let read_timeout = deadline.saturating_duration_since(Instant::now()).max(MIN_READ_TIMEOUT);
        let work = self.reconciler().execute(id, *lease_id, command, read_timeout, &on_saved);
        match self.jobs.renewing(lease, Box::pin(work)).await {
            Err(AttemptError::Refused(refusal)) => {
                self.store().release(id, *lease_id, self.refused_entry(id, command, &refusal)).await?;
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
                self.store().release(id, *lease_id, None).await?;
                Ok(*report)
            }
            result => {
                self.jobs.wake();
                result
            }
        }
    }

    /// Stores a command without CXone. Whoever has the lease, or claims it next, carries it out.
    async fn execute_later(&self, id: &CampaignId, command: &Command) -> Result<Report, AttemptError> {
        let result = match self.reconciler().execute_later(id, command).await {
            Err(AttemptError::AlreadyExecuted(report)) => Ok(*report),
            result => result,
        };
        if let Err(AttemptError::Refused(refusal)) = &result
            && let Some(entry) = self.refused_entry(id, command, refusal)
        {
            self.store().record(entry).await?;
        }
        self.jobs.wake();
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

    /// Makes the worker look for due campaigns at once.
    pub fn wake(&self) {
        self.jobs.wake();
    }

    /// Works on due campaigns until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        Arc::clone(&self.jobs).run(stop).await;
    }

    /// Waits for running work, and releases the leases of what does not finish in time. Nothing may be started after this.
    pub async fn drain(&self) {
        self.jobs.drain().await;
    }
}
