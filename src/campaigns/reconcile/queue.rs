//! The jobs of this slice: campaigns for which something is due.

use std::time::Duration;

use opentelemetry::KeyValue;
use uuid::Uuid;

use super::error::AttemptError;
use super::gateway::CxoneGateway;
use super::reconciler::Reconciler;
use crate::campaigns::model::{Report, Status};
use crate::campaigns::store::CampaignStore;
use crate::clock::Clock;
use crate::db::release_in_background;
use crate::jobs::{Next, Queue};
use crate::trace::{Span, Traceparent};
use crate::types::CampaignId;

/// The lease of a campaign.
#[derive(Clone, Debug)]
pub struct CampaignLease {
    pub campaign_id: CampaignId,
    pub id: Uuid,
}

/// The campaigns in Postgres.
pub struct CampaignQueue {
    pub reconciler: Reconciler<CampaignStore, CxoneGateway>,
}

impl CampaignQueue {
    fn store(&self) -> &CampaignStore {
        &self.reconciler.repository
    }
}

impl Queue for CampaignQueue {
    type Job = CampaignLease;
    type Lease = CampaignLease;

    const JOBS: &'static str = "campaigns";
    /// Commands do not count.
    const SLOTS: usize = 32;
    /// A hold's end may be twice as late.
    const POLL: Duration = Duration::from_millis(400);
    const DRAIN: Duration = Duration::from_secs(10);
    const RENEW_EVERY: Option<Duration> = Some(Duration::from_millis(1500));

    fn clock(&self) -> &Clock {
        &self.reconciler.clock
    }

    async fn claim(&self, _running: usize) -> Result<Next<CampaignLease>, sqlx::Error> {
        let lease = self.clock().new_id();
        // While the share of the quota for routine checks is spent, they stay due.
        let claimed = self.store().claim_due(lease, self.reconciler.gateway.may_check()).await;
        if claimed.is_err() {
            let store = self.store().clone();
            release_in_background(move || {
                let store = store.clone();
                async move { store.end_lease(lease).await }
            });
        }
        let job = claimed?.map(|campaign_id| CampaignLease { campaign_id, id: lease });
        Ok(job.map_or(Next::Wait(Self::POLL), Next::Job))
    }

    fn lease(&self, job: &CampaignLease) -> CampaignLease {
        job.clone()
    }

    fn span(&self, job: &CampaignLease) -> tracing::Span {
        let trace = Traceparent::root(job.id);
        tracing::info_span!("campaign", campaign.id = %job.campaign_id, trace.id = trace.trace_id())
    }

    async fn work(&self, job: CampaignLease) -> Result<(), sqlx::Error> {
        let span = Span::internal(None, "campaign", || {
            vec![KeyValue::new("ringback.campaign.id", job.campaign_id.to_string())]
        });
        let trace = span.traceparent().unwrap_or_else(|| Traceparent::root(job.id));
        match self.reconciler.converge(&job.campaign_id, job.id, &trace).await {
            Ok(report) => log_report(&report),
            Err(AttemptError::LeaseLost) => tracing::info!("another replica has the campaign now"),
            Err(AttemptError::Refused(_) | AttemptError::AlreadyExecuted(_)) => {}
            Err(AttemptError::Database(error)) => return Err(error),
        }
        Ok(())
    }

    async fn renew(&self, lease: &CampaignLease) -> Result<(), sqlx::Error> {
        self.store().renew(&lease.campaign_id, lease.id).await
    }

    async fn release(&self, lease: &CampaignLease) -> Result<(), sqlx::Error> {
        self.store().end_lease(lease.id).await
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
