//! The answer rates of the campaigns that have `answerRate` settings: counted in memory, shared through Postgres a few
//! times a second, and watched by the guard.
//!
//! A replica that dies loses what it had not yet shared: the events of less than [`SHARE_EVERY`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::counters::{Addition, Happening, TooManyCampaigns, Trip, Watchlist};
use super::store::{RateStore, Watching};
use super::window::{Counts, DEFAULT_WINDOW};
use crate::audit::Actor;
use crate::campaigns::model::{Command, CommandKind, Hold, PauseReason, Refusal, Report, Trigger};
use crate::campaigns::reconcile::{AttemptError, CampaignWorker, log_report};
use crate::clock::Clock;
use crate::trace::Traceparent;
use crate::types::CampaignId;

/// How often replicas tell each other what they have counted.
const SHARE_EVERY: Duration = Duration::from_millis(250);
/// After the last request, what was counted is shared within this, or lost.
const LAST_SHARE: Duration = Duration::from_secs(4);
/// How long CXone is given to confirm a pause before the guard leaves it to the conductor.
const PAUSE_WAIT: Duration = Duration::from_secs(5);
/// After the campaign was found not to be running, the guard is quiet for so long.
const QUIET: Duration = Duration::from_secs(60);
/// After Postgres failed, it tries again so soon.
const RETRY: Duration = Duration::from_secs(1);
/// How often steps that have left their windows are deleted.
const PURGE_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// What this replica shares: one numbered batch after the other.
struct Sharing {
    /// This run of this replica.
    replica: Uuid,
    /// Of the last batch.
    number: i64,
    /// That batch, until Postgres has said that it has it: it is sent again as it is, since it may have been committed.
    unanswered: Vec<Addition>,
    purge_at: Timestamp,
}

/// Counts events, and watches the rates.
pub struct AnswerRates {
    watchlist: Mutex<Watchlist>,
    store: RateStore,
    worker: Arc<CampaignWorker>,
    clock: Clock,
}

impl AnswerRates {
    /// With nothing counted yet.
    pub fn new(store: RateStore, worker: Arc<CampaignWorker>, clock: Clock) -> Self {
        Self { watchlist: Mutex::default(), store, worker, clock }
    }

    /// Counts what happened in a campaign, where it has `answerRate` settings.
    ///
    /// # Errors
    /// Where Postgres cannot be asked for the settings of a campaign that this replica does not know.
    pub async fn count(
        &self,
        id: &CampaignId,
        happened: &[Happening],
    ) -> Result<Result<(), TooManyCampaigns>, sqlx::Error> {
        if self.lock().count(id, happened, self.clock.now()) {
            return Ok(Ok(()));
        }
        let found = self.store.shared(std::slice::from_ref(id), self.clock.now()).await?.remove(id).unwrap_or_default();
        let now = self.clock.now();
        let mut watchlist = self.lock();
        let met = watchlist.meet(id, found, now);
        if met.is_ok() {
            watchlist.count(id, happened, now);
        }
        Ok(met)
    }

    fn lock(&self) -> MutexGuard<'_, Watchlist> {
        self.watchlist.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The figures of the watched campaigns, in the format of Prometheus. Nothing is kept of a campaign that is not watched
    /// any more.
    pub fn metrics(&self) -> String {
        let figures = self.lock().figures(self.clock.now());
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || figures.iter().for_each(|(id, counts)| report(id, *counts)));
        recorder.handle().render()
    }

    /// Shares and watches until the last request has been answered; then shares once more.
    pub async fn run(self: Arc<Self>, last_request: CancellationToken) {
        let mut sharing =
            Sharing { replica: self.clock.new_id(), number: 0, unanswered: Vec::new(), purge_at: Timestamp::MIN };
        let mut timer = interval(SHARE_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while last_request.run_until_cancelled(timer.tick()).await.is_some() {
            if let Err(error) = self.share(&mut sharing).await {
                tracing::error!(error = %error, "answer rates are not shared");
            }
        }
        if timeout(LAST_SHARE, self.share_last(&mut sharing, &mut timer)).await.is_err() {
            tracing::error!("the last events of campaigns were not shared");
        }
    }

    async fn share_last(&self, sharing: &mut Sharing, timer: &mut Interval) {
        while let Err(error) = self.add_fresh(sharing).await {
            tracing::warn!(error = %error, "the last events of campaigns are not shared yet");
            timer.tick().await;
        }
    }

    /// Tells Postgres what was counted, learns what others have, and pauses what has to be.
    async fn share(self: &Arc<Self>, sharing: &mut Sharing) -> Result<(), sqlx::Error> {
        self.purge(&mut sharing.purge_at);
        self.add_fresh(sharing).await?;
        let ids = self.lock().ids();
        if ids.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let found = self.store.shared(&ids, now).await?;
        let refreshed = self.lock().refresh(found, now);
        for trip in refreshed.trips {
            let rates = Arc::clone(self);
            tokio::spawn(async move { rates.throttle(trip, now).await });
        }
        if !refreshed.forgotten.is_empty() {
            self.store.forget(&refreshed.forgotten).await?;
        }
        Ok(())
    }

    /// Shares a batch that was not answered, and then what was counted since.
    async fn add_fresh(&self, sharing: &mut Sharing) -> Result<(), sqlx::Error> {
        self.send(sharing).await?;
        sharing.unanswered = self.lock().take_fresh();
        if !sharing.unanswered.is_empty() {
            sharing.number += 1;
        }
        self.send(sharing).await
    }

    async fn send(&self, sharing: &mut Sharing) -> Result<(), sqlx::Error> {
        if !sharing.unanswered.is_empty() {
            self.store.add(sharing.replica, sharing.number, &sharing.unanswered).await?;
            sharing.unanswered.clear();
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

    /// Places the hold, as a command of Ringback's own. The guard goes on watching whoever has placed it: the stored hold
    /// keeps it quiet, and the next low rate after that asks for another.
    async fn throttle(&self, trip: Trip, now: Timestamp) {
        let Trip { id, guard, counts } = trip;
        tracing::warn!(campaign.id = %id, campaign.attempts = counts.attempts, campaign.answers = counts.answers,
            "the answer rate has fallen under its floor");
        let command = self.command(guard.pause_for(), counts, now);
        let commanded = match self.worker.count_affected_callbacks(&id, command).await {
            Ok(command) => self.worker.execute(&id, command, PAUSE_WAIT).await,
            Err(error) => Err(error.into()),
        };
        let quiet_for = quiet_after(&commanded);
        match commanded {
            Ok(report) => log_report(&report),
            Err(AttemptError::Refused(refusal)) => {
                tracing::info!(campaign.id = %id, reason = refusal.code(), "the campaign is not throttled");
            }
            Err(error) => tracing::error!(campaign.id = %id, error = %error, "the campaign could not be throttled"),
        }
        self.lock().placed(&id, quiet_for, self.clock.now());
    }

    fn command(&self, pause_for: Duration, counts: Counts, now: Timestamp) -> Command {
        let by = Actor::system("answer-rate");
        let hold = Hold {
            id: self.clock.new_id(),
            reason: PauseReason::CarrierThrottle,
            compliance: false,
            triggered_by: Trigger::SlidingWindowThrottle,
            placed_by: by.clone(),
            placed_at: now,
            ends_at: Some(now + pause_for),
            max_agents: None,
            regulatory_window: None,
            request_id: None,
            affected_callbacks: None,
            counts,
            revision: 0,
        };
        Command {
            id: hold.id,
            is_repeated: false,
            revision: 0,
            trace: Traceparent::root(hold.id),
            kind: CommandKind::Pause(Box::new(hold)),
            by,
            request_id: None,
            arrived_at: now,
            may_override: false,
        }
    }
}

/// For how long the guard asks for no other hold. None where there is one: it keeps the guard quiet itself.
fn quiet_after(commanded: &Result<Report, AttemptError>) -> Duration {
    match commanded {
        Ok(_) | Err(AttemptError::Refused(Refusal::AlreadyThrottled) | AttemptError::AlreadyExecuted(_)) => {
            Duration::ZERO
        }
        Err(AttemptError::Refused(_)) => QUIET,
        Err(AttemptError::LeaseLost | AttemptError::Database(_)) => RETRY,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cxone::CampaignState;

    #[test]
    fn the_guard_goes_on_at_once_after_a_lost_race_and_soon_after_a_failure() {
        for (halt, quiet_for) in [
            (AttemptError::Refused(Refusal::AlreadyThrottled), Duration::ZERO),
            (AttemptError::Refused(Refusal::NotRunning(CampaignState::Inactive)), QUIET),
            (AttemptError::Refused(Refusal::CampaignNotFound), QUIET),
            (AttemptError::LeaseLost, RETRY),
            (AttemptError::Database(sqlx::Error::PoolTimedOut), RETRY),
        ] {
            assert_eq!(quiet_after(&Err(halt)), quiet_for);
        }
    }
}
