//! The answer rates of all campaigns that dialers report on: counted in memory, shared through Postgres a few times a
//! second, and watched by the guard.
//!
//! A replica that dies loses what it had not yet shared: the events of less than [`SHARE_EVERY`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::answer_rate::{Counts, DEFAULT_WINDOW, Guard, Step, Window};
use super::command::{Command, Order};
use super::conductor::{Conductor, report_on};
use super::control::Halt;
use super::hold::{Hold, PauseReason, Trigger};
use super::rate_store::{RateStore, Shared, Watching};
use crate::audit::Actor;
use crate::clock::Clock;
use crate::trace::Traceparent;
use crate::types::CampaignId;

/// How often replicas tell each other what they have counted.
const SHARE_EVERY: Duration = Duration::from_millis(250);
/// Campaigns that one replica watches at a time. Each takes some kilobytes.
const MOST_CAMPAIGNS: usize = 10_000;
/// How long CXone is given to confirm a pause before the guard leaves it to the conductor.
const PAUSE_WAIT: Duration = Duration::from_secs(5);
/// After the guard was refused (the campaign is not running), it is quiet for so long.
const QUIET: SignedDuration = SignedDuration::from_secs(60);
/// How often steps that have left their windows are deleted.
const PURGE_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// What happened in a dialer: so many attempts, so many answers, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happening {
    pub at: Timestamp,
    pub counts: Counts,
}

/// More campaigns are reported on than one replica watches.
#[derive(Debug)]
pub struct TooManyCampaigns;

/// A campaign that this replica has events of.
struct Watched {
    watching: Watching,
    /// What all replicas had shared when this one last looked.
    shared: Window,
    /// What this replica has not shared yet.
    fresh: Window,
    last_event: Timestamp,
    quiet_until: Timestamp,
}

impl Watched {
    fn new(watching: Watching, now: Timestamp) -> Self {
        let (shared, fresh) = (Window::new(watching.window()), Window::new(watching.window()));
        Self { watching, shared, fresh, last_event: now, quiet_until: Timestamp::MIN }
    }

    fn counts(&mut self, now: Timestamp) -> Counts {
        let (shared, fresh) = (self.shared.counts(now), self.fresh.counts(now));
        Counts {
            attempts: shared.attempts.saturating_add(fresh.attempts),
            answers: shared.answers.saturating_add(fresh.answers),
        }
    }

    /// Takes in what all replicas have shared.
    fn refresh(&mut self, found: Shared, now: Timestamp) {
        if found.watching.window() != self.watching.window() || found.watching.epoch != self.watching.epoch {
            self.fresh = Window::new(found.watching.window());
        }
        self.shared = Window::new(found.watching.window());
        for step in &found.steps {
            self.shared.record(step.starts_at, now, step.counts);
        }
        self.watching = found.watching;
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now.duration_since(self.last_event).unsigned_abs() > self.watching.window() + 4 * SHARE_EVERY
    }
}

/// Counts events, and watches the rates.
pub struct AnswerRates {
    watched: Mutex<HashMap<CampaignId, Watched>>,
    store: RateStore,
    conductor: Arc<Conductor>,
    clock: Clock,
}

impl AnswerRates {
    /// With nothing counted yet.
    pub fn new(store: RateStore, conductor: Arc<Conductor>, clock: Clock) -> Self {
        Self { watched: Mutex::default(), store, conductor, clock }
    }

    /// Counts what happened in a campaign.
    ///
    /// # Errors
    /// Where Postgres cannot be asked for the settings of a campaign that this replica has not met.
    pub async fn count(
        &self,
        id: &CampaignId,
        happened: &[Happening],
    ) -> Result<Result<(), TooManyCampaigns>, sqlx::Error> {
        if self.count_known(id, happened) {
            return Ok(Ok(()));
        }
        let found = self.store.shared(std::slice::from_ref(id), self.clock.now()).await?.remove(id);
        {
            let now = self.clock.now();
            let mut watched = self.lock();
            if watched.len() >= MOST_CAMPAIGNS {
                return Ok(Err(TooManyCampaigns));
            }
            let shared = found.unwrap_or_default();
            let mut campaign = Watched::new(shared.watching, now);
            campaign.refresh(shared, now);
            watched.entry(id.clone()).or_insert(campaign);
        }
        self.count_known(id, happened);
        Ok(Ok(()))
    }

    fn count_known(&self, id: &CampaignId, happened: &[Happening]) -> bool {
        let now = self.clock.now();
        let mut watched = self.lock();
        let Some(campaign) = watched.get_mut(id) else { return false };
        campaign.last_event = now;
        for happening in happened.iter().filter(|happening| happening.at >= campaign.watching.epoch) {
            campaign.fresh.record(happening.at, now, happening.counts);
        }
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<CampaignId, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shares and watches, until `stop`; then shares once more.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut timer = tokio::time::interval(SHARE_EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut purge_at = Timestamp::MIN;
        loop {
            let is_last = stop.run_until_cancelled(timer.tick()).await.is_none();
            if let Err(error) = self.share(&mut purge_at).await {
                tracing::error!(error = %error, "answer rates are not shared");
            }
            if is_last {
                return;
            }
        }
    }

    /// Tells Postgres what was counted, learns what others have, and pauses what has to be.
    async fn share(self: &Arc<Self>, purge_at: &mut Timestamp) -> Result<(), sqlx::Error> {
        self.purge(purge_at);
        let (fresh, ids) = self.take_fresh();
        if ids.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.store.add(&fresh).await {
            self.put_back(fresh);
            return Err(error);
        }
        let now = self.clock.now();
        let found = self.store.shared(&ids, now).await?;
        for (id, guard, counts) in self.refresh(found, now) {
            let rates = Arc::clone(self);
            tokio::spawn(async move { rates.throttle(id, guard, counts, now).await });
        }
        Ok(())
    }

    /// Beside the sharing, which must not wait for it.
    fn purge(&self, purge_at: &mut Timestamp) {
        let now = self.clock.now();
        if now < *purge_at {
            return;
        }
        *purge_at = now + PURGE_EVERY;
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.purge(now).await {
                tracing::warn!(error = %error, "old steps of answer rates were not deleted");
            }
        });
    }

    fn take_fresh(&self) -> (Vec<(CampaignId, Watching, Step)>, Vec<CampaignId>) {
        let mut watched = self.lock();
        let mut taken = Vec::new();
        for (id, campaign) in watched.iter_mut() {
            for step in campaign.fresh.drain() {
                taken.push((id.clone(), campaign.watching, step));
                // Counted here until Postgres says what all have counted.
                campaign.shared.record(step.starts_at, step.starts_at, step.counts);
            }
        }
        (taken, watched.keys().cloned().collect())
    }

    fn put_back(&self, taken: Vec<(CampaignId, Watching, Step)>) {
        let now = self.clock.now();
        let mut watched = self.lock();
        for (id, _, step) in taken {
            if let Some(campaign) = watched.get_mut(&id) {
                campaign.fresh.record(step.starts_at, now, step.counts);
            }
        }
    }

    /// Takes in what is shared; gives the campaigns that have to be paused.
    fn refresh(&self, mut found: HashMap<CampaignId, Shared>, now: Timestamp) -> Vec<(CampaignId, Guard, Counts)> {
        let mut trips = Vec::new();
        let mut watched = self.lock();
        watched.retain(|id, campaign| {
            // One that was met just now is looked at next time.
            let Some(found) = found.remove(id) else { return true };
            campaign.refresh(found, now);
            let counts = campaign.counts(now);
            report(id, counts);
            let is_quiet = campaign.watching.is_throttled || now < campaign.quiet_until;
            if let Some(guard) = campaign.watching.guard.filter(|guard| guard.trips(counts) && !is_quiet) {
                // Until the hold is seen, or has failed to be placed.
                campaign.quiet_until = now + PAUSE_WAIT;
                trips.push((id.clone(), guard, counts));
            }
            !campaign.is_over(now)
        });
        trips
    }

    /// Places the hold, as a command of Ringback's own.
    async fn throttle(&self, id: CampaignId, guard: Guard, counts: Counts, now: Timestamp) {
        let by = Actor::system("answer-rate");
        let hold = Hold {
            id: self.clock.new_id(),
            reason: PauseReason::CarrierThrottle,
            compliance: false,
            triggered_by: Trigger::SlidingWindowThrottle,
            placed_by: by.clone(),
            placed_at: now,
            ends_at: Some(now + guard.pause_for()),
            max_agents: None,
            regulatory_window: None,
            request_id: None,
            affected_callbacks: None,
            counts,
            revision: 0,
        };
        let order = Order {
            id: hold.id,
            is_repeated: false,
            revision: 0,
            trace: Traceparent::root(hold.id),
            command: Command::Pause(Box::new(hold)),
            by,
            request_id: None,
            arrived_at: now,
            may_override: false,
        };
        tracing::warn!(campaign.id = %id, campaign.attempts = counts.attempts, campaign.answers = counts.answers,
            "the answer rate has fallen under its floor");
        let commanded = match self.conductor.with_affected_callbacks(&id, order).await {
            Ok(order) => self.conductor.command(&id, order, PAUSE_WAIT).await,
            Err(error) => Err(error.into()),
        };
        match commanded {
            Ok(report) => report_on(&report),
            Err(Halt::Refused(refusal)) => {
                tracing::info!(campaign.id = %id, reason = refusal.slug(), "the campaign is not throttled");
                if let Some(campaign) = self.lock().get_mut(&id) {
                    campaign.quiet_until = self.clock.now() + QUIET;
                }
            }
            Err(error) => tracing::error!(campaign.id = %id, error = %error, "the campaign could not be throttled"),
        }
    }
}

impl Watching {
    /// The length of the window.
    pub fn window(&self) -> Duration {
        self.guard.map_or(DEFAULT_WINDOW, |guard| guard.window())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn report(id: &CampaignId, counts: Counts) {
    let campaign = id.to_string();
    metrics::gauge!("ringback_campaign_attempts", "campaign" => campaign.clone()).set(counts.attempts as f64);
    metrics::gauge!("ringback_campaign_answers", "campaign" => campaign.clone()).set(counts.answers as f64);
    metrics::gauge!("ringback_campaign_answer_rate", "campaign" => campaign).set(counts.rate().unwrap_or(f64::NAN));
}
