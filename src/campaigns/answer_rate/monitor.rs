//! Shares the counters of this replica through Postgres a few times a second, and pauses campaigns whose answer rate is
//! too low.
//!
//! A replica that crashes loses the events that it has not shared yet: those of the last [`SHARE_EVERY`].

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use metrics_exporter_prometheus::PrometheusBuilder;
use parking_lot::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::counters::{Counters, DialerSample, GuardTrip, TooManyCampaigns};
use super::guard_state::BucketUpdate;
use super::store::AnswerRateStore;
use crate::audit::Actor;
use crate::campaigns::model::{Command, CommandKind, Counts, Hold, PauseReason, Refusal, Report, Trigger};
use crate::campaigns::reconcile::{AttemptError, CampaignWorker, log_report};
use crate::clock::Clock;
use crate::trace::Traceparent;
use crate::types::CampaignId;

/// How often a replica shares its counts and reads those of all replicas.
const SHARE_EVERY: Duration = Duration::from_millis(250);
/// The time limit for sharing the last counts at shutdown.
const LAST_SHARE_TIMEOUT: Duration = Duration::from_secs(4);
/// How long the guard waits for CXone to confirm a pause. Afterwards the reconciler retries it.
const PAUSE_WAIT: Duration = Duration::from_secs(5);
/// How long the guard is disabled after its hold was refused, for example because the campaign is not running.
const DISABLED_AFTER_REFUSAL: Duration = Duration::from_mins(1);
/// How long the guard is disabled after its hold could not be stored.
const DISABLED_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How often expired buckets are deleted.
const PURGE_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// The updates that this replica shares, in numbered batches.
struct Batches {
    /// Identifies this run of this replica.
    replica_id: Uuid,
    /// The number of the last batch.
    number: i64,
    /// The last batch, until Postgres confirms it. It may have been committed without an answer, so it is sent again under
    /// the same number.
    unconfirmed: Vec<BucketUpdate>,
}

/// Counts dialer events and pauses campaigns whose answer rate is too low.
pub struct AnswerRateMonitor {
    counters: Mutex<Counters>,
    store: AnswerRateStore,
    worker: Arc<CampaignWorker>,
    clock: Clock,
}

impl AnswerRateMonitor {
    /// A monitor with empty counters.
    pub fn new(store: AnswerRateStore, worker: Arc<CampaignWorker>, clock: Clock) -> Self {
        Self { counters: Mutex::default(), store, worker, clock }
    }

    /// Counts the samples of a campaign if it has `answerRate` settings, and drops them otherwise.
    ///
    /// # Errors
    /// If the settings of the campaign are not known and Postgres fails.
    pub async fn record(
        &self,
        id: &CampaignId,
        samples: &[DialerSample],
    ) -> Result<Result<(), TooManyCampaigns>, sqlx::Error> {
        if self.counters.lock().record(id, samples, self.clock.now()) {
            return Ok(Ok(()));
        }
        let mut shared = self.store.shared_counts(std::slice::from_ref(id), self.clock.now()).await?;
        let now = self.clock.now();
        let mut counters = self.counters.lock();
        let added = counters.add_campaign(id, shared.remove(id).unwrap_or_default(), now);
        if added.is_ok() {
            counters.record(id, samples, now);
        }
        Ok(added)
    }

    /// Monitors campaigns whose counts this replica has stored itself, as after an event.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn watch(&self, ids: &[CampaignId]) -> Result<(), sqlx::Error> {
        let now = self.clock.now();
        let mut shared = self.store.shared_counts(ids, now).await?;
        let mut counters = self.counters.lock();
        for id in ids {
            if counters.add_campaign(id, shared.remove(id).unwrap_or_default(), now).is_err() {
                tracing::warn!(campaign.id = %id, "too many campaigns are monitored: a low answer rate does not pause this one");
            }
            counters.record(id, &[], now);
        }
        Ok(())
    }

    /// The counts of the monitored campaigns in Prometheus's text format. Campaigns that are no longer monitored are left
    /// out.
    pub fn metrics(&self) -> String {
        let counts = self.counters.lock().counts(self.clock.now());
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            describe_metrics();
            for (id, counts) in counts {
                set_gauges(&id, counts);
            }
        });
        recorder.handle().render()
    }

    /// Shares counts and checks the guards until `last_request` is cancelled; then shares the last counts.
    pub async fn run(self: Arc<Self>, last_request: CancellationToken) {
        let mut batches = Batches { replica_id: self.clock.new_id(), number: 0, unconfirmed: Vec::new() };
        let mut purge_at = Timestamp::MIN;
        let mut timer = interval(SHARE_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while last_request.run_until_cancelled(timer.tick()).await.is_some() {
            if self.clock.now() >= purge_at {
                purge_at = self.clock.now() + PURGE_EVERY;
                self.spawn_purge();
            }
            if let Err(error) = self.share(&mut batches).await {
                tracing::error!(error = %error, "could not share the counts of dialer events");
            }
        }
        if timeout(LAST_SHARE_TIMEOUT, self.share_last(&mut batches, &mut timer)).await.is_err() {
            tracing::error!("the last dialer events were not shared and are lost");
        }
    }

    async fn share_last(&self, batches: &mut Batches, timer: &mut Interval) {
        while let Err(error) = self.add_unshared(batches).await {
            tracing::warn!(error = %error, "could not share the last dialer events; retrying");
            timer.tick().await;
        }
    }

    /// Adds the counts of this replica, reads those of all replicas, and pauses the campaigns whose guard trips.
    async fn share(self: &Arc<Self>, batches: &mut Batches) -> Result<(), sqlx::Error> {
        self.add_unshared(batches).await?;
        let ids = self.counters.lock().ids();
        if ids.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let shared = self.store.shared_counts(&ids, now).await?;
        let refreshed = self.counters.lock().refresh(shared, now);
        for trip in refreshed.trips {
            let monitor = Arc::clone(self);
            tokio::spawn(async move { monitor.place_hold(trip, now).await });
        }
        if !refreshed.unmonitored.is_empty() {
            self.store.delete_unmonitored(&refreshed.unmonitored).await?;
        }
        Ok(())
    }

    /// Sends the unconfirmed batch again, if any, and then a new one.
    async fn add_unshared(&self, batches: &mut Batches) -> Result<(), sqlx::Error> {
        self.send(batches).await?;
        batches.unconfirmed = self.counters.lock().take_unshared();
        if !batches.unconfirmed.is_empty() {
            batches.number += 1;
        }
        self.send(batches).await
    }

    async fn send(&self, batches: &mut Batches) -> Result<(), sqlx::Error> {
        if !batches.unconfirmed.is_empty() {
            self.store.add(batches.replica_id, batches.number, &batches.unconfirmed).await?;
            batches.unconfirmed.clear();
        }
        Ok(())
    }

    /// In a task of its own, so that it does not delay the sharing.
    fn spawn_purge(&self) {
        let (store, now) = (self.store.clone(), self.clock.now());
        tokio::spawn(async move {
            if let Err(error) = store.purge(now).await {
                tracing::warn!(error = %error, "could not delete expired answer rate buckets");
            }
        });
    }

    /// Places the hold of a guard as a command of Ringback. While the hold is in place the guard does not trip, in any
    /// replica.
    async fn place_hold(&self, trip: GuardTrip, now: Timestamp) {
        let GuardTrip { campaign_id: id, guard, counts } = trip;
        tracing::warn!(campaign.id = %id, campaign.attempts = counts.attempts, campaign.answers = counts.answers,
            "the answer rate is too low; pausing the campaign");
        let command = self.pause_command(guard.pause_for(), counts, now);
        let outcome = match self.worker.count_affected_callbacks(&id, command).await {
            Ok(command) => self.worker.execute(&id, command, PAUSE_WAIT).await,
            Err(error) => Err(error.into()),
        };
        let disabled_for = disabled_after(&outcome);
        match outcome {
            Ok(report) => log_report(&report),
            Err(AttemptError::Refused(refusal)) => {
                tracing::info!(campaign.id = %id, reason = refusal.code(), "the pause for a low answer rate was refused");
            }
            Err(error) => {
                tracing::error!(campaign.id = %id, error = %error, "could not pause the campaign for a low answer rate");
            }
        }
        self.counters.lock().placement_finished(&id, disabled_for, self.clock.now());
    }

    fn pause_command(&self, pause_for: Duration, counts: Counts, now: Timestamp) -> Command {
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

/// How long the guard is disabled after a pause. A hold that is in place disables the guard itself.
fn disabled_after(outcome: &Result<Report, AttemptError>) -> Duration {
    match outcome {
        Ok(_) | Err(AttemptError::Refused(Refusal::AlreadyThrottled) | AttemptError::AlreadyExecuted(_)) => {
            Duration::ZERO
        }
        Err(AttemptError::Refused(_)) => DISABLED_AFTER_REFUSAL,
        Err(AttemptError::LeaseLost | AttemptError::Database(_)) => DISABLED_AFTER_FAILURE,
    }
}

fn describe_metrics() {
    metrics::describe_gauge!("ringback_campaign_attempts", "Attempts of the campaign in its answer rate window");
    metrics::describe_gauge!("ringback_campaign_answers", "Answers of the campaign in its answer rate window");
    metrics::describe_gauge!(
        "ringback_campaign_answer_rate",
        "Answers / attempts in the campaign's answer rate window, 0 to 1; NaN without an attempt"
    );
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn set_gauges(id: &CampaignId, counts: Counts) {
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
    fn the_guard_is_disabled_for_a_time_that_depends_on_the_outcome_of_the_pause() {
        for (error, disabled_for) in [
            (AttemptError::Refused(Refusal::AlreadyThrottled), Duration::ZERO),
            (AttemptError::Refused(Refusal::NotRunning(CampaignState::Inactive)), DISABLED_AFTER_REFUSAL),
            (AttemptError::Refused(Refusal::CampaignNotFound), DISABLED_AFTER_REFUSAL),
            (AttemptError::LeaseLost, DISABLED_AFTER_FAILURE),
            (AttemptError::Database(sqlx::Error::PoolTimedOut), DISABLED_AFTER_FAILURE),
        ] {
            assert_eq!(disabled_after(&Err(error)), disabled_for);
        }
    }
}
