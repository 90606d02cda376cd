//! What stands around the work on a campaign: whose turn it is, how long a caller waits, and who looks after what is due.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, OwnedMutexGuard, Semaphore, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use super::gateway::CxoneDialer;
use super::reconciler::{Book as _, Commanded, Control, Halt};
use crate::audit::Entry;
use crate::campaigns::model::Campaign;
use crate::campaigns::model::{Command, Ending, Order, Refusal};
use crate::campaigns::model::{Report, Status};
use crate::campaigns::ports::ScheduledCallbacks;
use crate::campaigns::store::CampaignStore;
use crate::clock::Clock;
use crate::db::release_in_background;
use crate::trace::Traceparent;
use crate::types::CampaignId;

/// Who works on a campaign renews its lease so often.
const RENEW_EVERY: Duration = Duration::from_millis(1500);
/// CXone is given so long to show a campaign, also where the caller does not wait: a campaign that it does not know, or
/// that is not running, is refused then.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// Who waits for another replica's lease looks so often.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A replica looks for campaigns that are due so often: half of what a hold's end may be late.
const POLL: Duration = Duration::from_millis(400);
/// Campaigns that one replica works on at once by itself. Commands do not count.
const SLOTS: usize = 32;
/// After SIGTERM, work may go on for so long. What is unfinished then is free at once.
const DRAIN: Duration = Duration::from_secs(10);

/// Whose turn it is with a campaign in this replica; those who wait in another find its lease taken.
type Turns = HashMap<CampaignId, Weak<tokio::sync::Mutex<()>>>;
/// What is known of a command that is kept, while CXone is being told.
type Kept = (Report, Campaign);

/// How a look at a campaign went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looked {
    /// The lease is given back, or somebody else's.
    Ended,
    /// In the middle.
    Stopped,
}

/// Works on campaigns: commands, and whatever is due.
pub struct Conductor {
    control: Control<CampaignStore, CxoneDialer>,
    callbacks: Arc<dyn ScheduledCallbacks>,
    turns: Mutex<Turns>,
    wake: Notify,
    slots: Arc<Semaphore>,
    running: TaskTracker,
    give_up: CancellationToken,
}

impl Conductor {
    /// With nothing to do yet.
    pub fn new(
        store: CampaignStore,
        dialer: CxoneDialer,
        callbacks: Arc<dyn ScheduledCallbacks>,
        clock: Clock,
    ) -> Self {
        Self {
            control: Control { book: store, dialer, clock },
            callbacks,
            turns: Mutex::default(),
            wake: Notify::new(),
            slots: Arc::new(Semaphore::new(SLOTS)),
            running: TaskTracker::new(),
            give_up: CancellationToken::new(),
        }
    }

    fn store(&self) -> &CampaignStore {
        &self.control.book
    }

    fn clock(&self) -> &Clock {
        &self.control.clock
    }

    /// The same order; that of a pause with the number of scheduled callbacks that its hold covers.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn with_affected_callbacks(&self, id: &CampaignId, mut order: Order) -> Result<Order, sqlx::Error> {
        if let Command::Pause(hold) = &mut order.command {
            let of_settings = match &hold.regulatory_window {
                Some(_) => None,
                None => self.store().find(id).await?.and_then(|campaign| campaign.settings.regulatory_window),
            };
            let now = self.clock().now();
            let until = hold.end(now, of_settings.as_ref());
            hold.affected_callbacks = Some(self.callbacks.count(id, now, until).await?);
        }
        Ok(order)
    }

    /// Carries out a command, and says how far it has come when the wait is over. It goes on where its caller does not
    /// wait for it.
    ///
    /// # Errors
    /// Where it is refused (which the audit log then says), or Postgres is away.
    pub async fn command(self: &Arc<Self>, id: &CampaignId, order: Order, wait: Duration) -> Result<Report, Halt> {
        let deadline = Instant::now() + wait;
        let (kept_sender, kept) = watch::channel(None::<Kept>);
        let (sender, ended) = oneshot::channel();
        let (conductor, task_id, task_order) = (Arc::clone(self), id.clone(), order.clone());
        let work = async move {
            let lease = conductor.clock().new_id();
            let work = conductor.work_on_command(&task_id, &task_order, lease, deadline, &kept_sender);
            let worked = conductor.give_up.run_until_cancelled(work).await;
            let has_stopped = worked.as_ref().is_none_or(|worked| matches!(worked, Err(Halt::Database(_))));
            if let Some(worked) = worked {
                let _ = sender.send(worked);
            }
            if has_stopped {
                conductor.end_lease(lease).await;
            }
        };
        self.running.spawn(work.in_current_span());
        let overdue = async {
            tokio::time::sleep_until(deadline).await;
            let mut kept = kept;
            // It is decided soon after the deadline at the latest; where it never is, the work itself has ended.
            let kept = kept.wait_for(Option::is_some).await.ok().and_then(|kept| kept.clone());
            match kept {
                Some(kept) => kept,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            ended = ended => ended.unwrap_or_else(|_| Err(Halt::LeaseLost)),
            kept = overdue => self.not_confirmed_yet(&order, kept).await,
        }
    }

    /// The answer to a command that is kept, and that CXone has not confirmed.
    async fn not_confirmed_yet(&self, order: &Order, (report, campaign): Kept) -> Result<Report, Halt> {
        if report.status == Status::Pending {
            self.store().record(campaign.pending_entry(order, self.clock())).await?;
        }
        Ok(report)
    }

    async fn work_on_command(
        &self,
        id: &CampaignId,
        order: &Order,
        lease: Uuid,
        deadline: Instant,
        kept: &watch::Sender<Option<Kept>>,
    ) -> Result<Report, Halt> {
        let turn = tokio::time::timeout_at(deadline, self.turn(id)).await.ok();
        if turn.is_none() || !self.claim(id, lease, deadline).await? {
            return self.command_later(id, order).await;
        }
        let already_kept = || kept.borrow().clone();
        let kept = |report: &Report, campaign: &Campaign| {
            kept.send_replace(Some((report.clone(), campaign.clone())));
        };
        let patience = deadline.saturating_duration_since(Instant::now()).max(LEAST_PATIENCE);
        let commanded = Commanded { order, patience, kept: &kept };
        match self.renewing(id, lease, self.control.command(id, lease, &commanded)).await {
            Err(Halt::Refused(refusal)) => {
                self.control.book.release(id, lease, self.refusal_entry(id, order, &refusal)).await?;
                self.store().forget(id).await?;
                Err(Halt::Refused(refusal))
            }
            Err(Halt::LeaseLost) => {
                // It is not obeyed twice: what it did is kept, and whoever has the campaign now carries it out.
                match already_kept() {
                    Some(kept) => self.not_confirmed_yet(order, kept).await,
                    None => self.command_later(id, order).await,
                }
            }
            Err(Halt::Repeated(report)) => {
                self.control.book.release(id, lease, None).await?;
                Ok(*report)
            }
            worked => {
                self.wake.notify_one();
                worked
            }
        }
    }

    /// Without CXone: whoever has the campaign now, or takes it next, finds the command kept.
    async fn command_later(&self, id: &CampaignId, order: &Order) -> Result<Report, Halt> {
        let kept = match self.control.command_later(id, order).await {
            Err(Halt::Repeated(report)) => Ok(*report),
            kept => kept,
        };
        if let Err(Halt::Refused(refusal)) = &kept {
            self.record(self.refusal_entry(id, order, refusal)).await?;
        }
        self.wake.notify_one();
        kept
    }

    async fn record(&self, entry: Option<Entry>) -> Result<(), sqlx::Error> {
        match entry {
            Some(entry) => self.store().record(entry).await,
            None => Ok(()),
        }
    }

    /// None where the guard was a moment behind another replica's.
    fn refusal_entry(&self, id: &CampaignId, order: &Order, refusal: &Refusal) -> Option<Entry> {
        if *refusal == Refusal::Throttled {
            return None;
        }
        let detail = RefusedDetail { problem: refusal.slug() };
        Some(order.entry(id, Ending::Refused, self.clock()).with_detail(&detail))
    }

    /// Takes the lease of a campaign. False where someone else has it until the deadline.
    async fn claim(&self, id: &CampaignId, lease: Uuid, deadline: Instant) -> Result<bool, sqlx::Error> {
        loop {
            if self.store().claim(id, lease).await? {
                return Ok(true);
            }
            if Instant::now() + LOOK_EVERY > deadline {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends a lease that may be held and whose work has stopped: at once, and again in a moment, where Postgres is away.
    async fn end_lease(&self, lease: Uuid) {
        if self.store().end_lease(lease).await.is_err() {
            self.end_lost_lease(lease);
        }
    }

    /// Ends a lease whose claim was not answered.
    fn end_lost_lease(&self, lease: Uuid) {
        let store = self.store().clone();
        release_in_background(move || {
            let store = store.clone();
            async move { store.end_lease(lease).await }
        });
    }

    async fn turn(&self, id: &CampaignId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(id).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::new(tokio::sync::Mutex::new(()));
                turns.insert(id.clone(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }

    /// Runs work whose lease must not end meanwhile.
    async fn renewing<T>(&self, id: &CampaignId, lease: Uuid, work: impl Future<Output = T>) -> T {
        let renew = async || -> Infallible {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
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

    /// There is something due.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Looks after what is due, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.claim_and_start(&stop).await;
    }

    /// A claim is never cut off in the middle: Postgres might carry it out all the same, for nobody.
    async fn claim_and_start(self: &Arc<Self>, stop: &CancellationToken) {
        loop {
            // The semaphore is never closed.
            let slot = stop.run_until_cancelled(Arc::clone(&self.slots).acquire_owned()).await;
            let Some(Ok(slot)) = slot else { return };
            match self.claim_due().await {
                Ok(Some((_, lease))) if stop.is_cancelled() => return self.end_lease(lease).await,
                Ok(Some((id, lease))) => {
                    let conductor = Arc::clone(self);
                    self.running.spawn(async move {
                        let looked = conductor.give_up.run_until_cancelled(conductor.look_after(&id, lease)).await;
                        if looked != Some(Looked::Ended) {
                            conductor.end_lease(lease).await;
                        }
                        drop(slot);
                    });
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::error!(error = %error, "campaigns cannot be claimed"),
            }
            drop(slot);
            let pause = self.clock().between(POLL / 2, POLL);
            // A timeout is as good as a call.
            let _ = tokio::time::timeout(pause, stop.run_until_cancelled(self.wake.notified())).await;
        }
    }

    async fn claim_due(&self) -> Result<Option<(CampaignId, Uuid)>, sqlx::Error> {
        let lease = self.clock().new_id();
        let claimed = match self.store().claim_due(lease).await {
            // A check waits while its share of CXone's quota is spent, and keeps its turn.
            Ok(None) if self.control.dialer.may_check() => self.store().claim_check(lease).await,
            claimed => claimed,
        };
        if claimed.is_err() {
            self.end_lost_lease(lease);
        }
        Ok(claimed?.map(|id| (id, lease)))
    }

    async fn look_after(&self, id: &CampaignId, lease: Uuid) -> Looked {
        let trace = Traceparent::root(lease);
        let span = tracing::info_span!("campaign", campaign.id = %id, trace.id = trace.trace_id());
        let work = async {
            match self.renewing(id, lease, self.control.converge(id, lease, &trace)).await {
                Ok(report) => report_on(&report),
                Err(Halt::LeaseLost) => tracing::info!("another replica has the campaign now"),
                Err(Halt::Refused(_) | Halt::Repeated(_)) => {}
                Err(Halt::Database(error)) => {
                    tracing::error!(error = %error, "the work stops here; it is taken up again");
                    return Looked::Stopped;
                }
            }
            Looked::Ended
        };
        work.instrument(span).await
    }

    /// Lets what runs finish, and gives back the leases of what does not in time. Nothing may be started any more.
    pub async fn drain(&self) {
        self.running.close();
        if tokio::time::timeout(DRAIN, self.running.wait()).await.is_err() {
            tracing::warn!(campaigns = self.running.len(), "leaving campaigns that did not finish in time");
            self.give_up.cancel();
            self.running.wait().await;
        }
    }
}

/// Says in the log and the metrics what came of it.
pub fn report_on(report: &Report) {
    let state = report.state.map_or("unknown", |state| state.as_str());
    match report.status {
        Status::Unchanged => {}
        Status::Applied => {
            tracing::info!(campaign.state = state, "the campaign is now {state}");
            metrics::counter!("ringback_campaign_changes_total", "state" => state).increment(1);
        }
        Status::Pending => {
            let reason = report.failure.as_ref().map_or("it is still asked", |failure| &failure.detail);
            tracing::warn!(reason, "CXone is not yet what the campaign's holds say");
        }
    }
}

/// The detail of a command that was refused.
#[derive(serde::Serialize)]
struct RefusedDetail {
    /// The slug of the problem that answered it.
    problem: &'static str,
}
