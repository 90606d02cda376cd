//! The background tasks of the service.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Services;
use super::waiting_work::WaitingWork;
use crate::audit::{CheckpointFiles, Sequencer};
use crate::callbacks::{OutcomePoller, Planner, RiskMarker};
use crate::campaigns::{CampaignStore, IntervalPoller};
use crate::clock::Clock;
use crate::config::AuditSettings;
use crate::console::Sessions;
use crate::cxone::Cxone;
use crate::db::{ChangeListener, SharedTime};
use crate::http::Idempotency;
use crate::jobs::PURGE;
use crate::telemetry;
use crate::webhooks::CheckpointPublisher;

/// How often histograms fold new measurements into their buckets.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

impl Services {
    /// Starts all background tasks. They end after `stop`; those that share dialer events and record refusals, after
    /// `last_request`.
    pub(super) fn start(
        &self,
        time: SharedTime,
        changes: ChangeListener,
        stop: &CancellationToken,
        last_request: &CancellationToken,
    ) -> Vec<JoinHandle<()>> {
        let clock = time.clock();
        let risk_marker = RiskMarker::new(
            Arc::clone(&self.callback_store),
            Arc::clone(&self.cxone),
            self.campaign_store.clone(),
            clock.clone(),
        );
        let (outcomes, cxone) = (self.outcomes.clone(), Arc::clone(&self.cxone));
        let outcomes = OutcomePoller::new(Arc::clone(&self.callback_store), cxone, outcomes, clock.clone());
        let intervals = self.interval_poller(&clock);
        let planner = self.planner(&clock);
        let (deliveries, purge_stop) = (Arc::clone(&self.delivery_worker), stop.clone());
        let (time_stop, changes_stop) = (stop.clone(), stop.clone());
        let mut tasks = self.start_sealing(&clock, stop);
        tasks.extend(self.tokens.clone().map(|tokens| tokio::spawn(tokens.follow_keys(stop.clone()))));
        tasks.extend([
            tokio::spawn(Arc::clone(&self.callback_worker).run(stop.clone())),
            tokio::spawn(Arc::clone(&self.campaign_worker).run(stop.clone())),
            tokio::spawn(Arc::clone(&self.delivery_worker).run(stop.clone())),
            tokio::spawn(Arc::clone(&self.rate_monitor).run(last_request.clone())),
            tokio::spawn(Arc::clone(&self.refusals).run(last_request.clone())),
            tokio::spawn(self.key_usage.clone().run(last_request.clone())),
            tokio::spawn(risk_marker.run(stop.clone())),
            tokio::spawn(outcomes.run(stop.clone())),
            tokio::spawn(intervals.run(stop.clone())),
            tokio::spawn(planner.run(stop.clone())),
            tokio::spawn(async move { deliveries.queue().purge(&purge_stop).await }),
            tokio::spawn(purge(self.idempotency.clone(), self.campaign_store.clone(), stop.clone())),
            tokio::spawn(purge_console(self.sessions.clone(), stop.clone())),
            tokio::spawn(self.callback_retention.clone().run(stop.clone())),
            tokio::spawn(self.audit_retention.clone().run(stop.clone())),
            tokio::spawn(fold_metrics(stop.clone())),
            tokio::spawn(self.waiting_work(&clock).run(stop.clone())),
            tokio::spawn(async move {
                // Ends only by the token.
                let _ = Box::pin(time_stop.run_until_cancelled(time.keep())).await;
            }),
            tokio::spawn(async move {
                let _ = Box::pin(changes_stop.run_until_cancelled(changes.run())).await;
            }),
        ]);
        tasks
    }

    fn planner(&self, clock: &Clock) -> Planner<Arc<Cxone>> {
        let (store, cxone) = (Arc::clone(&self.callback_store), Arc::clone(&self.cxone));
        Planner::new(store, cxone, self.default_zone.clone(), clock.clone())
    }

    fn interval_poller(&self, clock: &Clock) -> IntervalPoller {
        let stores = (self.interval_store.clone(), self.rate_store.clone());
        let (monitor, cxone) = (Arc::clone(&self.rate_monitor), Arc::clone(&self.cxone));
        IntervalPoller::new(stores, monitor, cxone, self.answer_rate_poll, clock.clone())
    }

    fn waiting_work(&self, clock: &Clock) -> WaitingWork {
        WaitingWork {
            callbacks: Arc::clone(&self.callback_store),
            campaigns: self.campaign_store.clone(),
            webhooks: self.webhook_store.clone(),
            audit: self.audit_log.clone(),
            is_sealed: self.audit.keys.is_some(),
            clock: clock.clone(),
        }
    }

    /// Starts what seals the audit log and gives its checkpoints out, where there is a key to sign it with.
    fn start_sealing(&self, clock: &Clock, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
        let AuditSettings { keys, checkpoints, .. } = self.audit.clone();
        let Some(keys) = keys else {
            tracing::warn!("the audit log is not sealed: AUDIT_SIGNING_KEY is not set");
            return Vec::new();
        };
        let sequencer = Sequencer::new(self.audit_log.clone(), keys, clock.clone());
        let publisher = CheckpointPublisher::new(self.audit_log.clone(), self.webhook_store.clone(), clock.clone());
        let mut tasks = vec![tokio::spawn(sequencer.run(stop.clone())), tokio::spawn(publisher.run(stop.clone()))];
        tasks.extend(checkpoints.map(|directory| {
            let files = CheckpointFiles::new(self.audit_log.clone(), directory, clock.clone());
            tokio::spawn(files.run(stop.clone()))
        }));
        tasks
    }
}

/// Without it, histograms keep every measurement in memory until the metrics are read.
async fn fold_metrics(stop: CancellationToken) {
    let mut timer = tokio::time::interval(METRICS_UPKEEP);
    while stop.run_until_cancelled(timer.tick()).await.is_some() {
        telemetry::metrics().run_upkeep();
    }
}

/// Deletes the answers that are kept for repeated requests, once no request may repeat them any more.
async fn purge(idempotency: Idempotency, campaigns: CampaignStore, stop: CancellationToken) {
    let purge = || async {
        let (answers, commands) = (idempotency.purge().await?, campaigns.purge_commands().await?);
        if answers + commands > 0 {
            tracing::info!(answers, commands, "deleted old answers for idempotency keys");
        }
        Ok(())
    };
    PURGE.run(&stop, "old answers for idempotency keys were not deleted", purge).await;
}

/// Deletes sessions and links of the console that have ended.
async fn purge_console(sessions: Sessions, stop: CancellationToken) {
    PURGE.run(&stop, "old sessions of the console were not deleted", || sessions.purge()).await;
}
