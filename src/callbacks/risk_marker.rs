//! Marks the callbacks whose dispatch time a hold of their campaign covers: right after the holds change, and again while a
//! hold is left, because callbacks may be scheduled meanwhile. Every replica does so; marking a marked callback changes
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::model::{Callback, Status};
use super::store::CallbackStore;
use crate::audit::{Action, Entry, Outcome};
use crate::campaigns::CampaignStore;
use crate::clock::Clock;
use crate::cxone::Cxone;

/// How often a replica looks for holds that another replica has placed or lifted.
const POLL: Duration = Duration::from_secs(1);

/// Marks callbacks at risk.
pub struct RiskMarker {
    pub(super) callbacks: Arc<CallbackStore>,
    pub(super) cxone: Arc<Cxone>,
    campaigns: CampaignStore,
    pub(super) clock: Clock,
}

impl RiskMarker {
    /// Uses these stores and this CXone.
    pub fn new(callbacks: Arc<CallbackStore>, cxone: Arc<Cxone>, campaigns: CampaignStore, clock: Clock) -> Self {
        Self { callbacks, cxone, campaigns, clock }
    }

    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.mark_always()).await;
    }

    async fn mark_always(&self) {
        loop {
            match self.mark_due().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::error!(error = %error, "callbacks at risk could not be marked"),
            }
            let pause = self.clock.between(POLL / 2, POLL);
            // A timeout is as good as a call.
            let _ = tokio::time::timeout(pause, self.campaigns.holds_changed().notified()).await;
        }
    }

    /// Compares the callbacks of due campaigns with their holds. Returns false if no campaign was due.
    async fn mark_due(&self) -> Result<bool, sqlx::Error> {
        let Some(claimed) = self.campaigns.claim_risk().await? else { return Ok(false) };
        let held = self.campaigns.held_periods(&claimed, self.clock.now()).await?;
        loop {
            let found = self.callbacks.newly_at_risk(&held.periods).await?;
            if found.is_empty() {
                break;
            }
            self.mark(true, &found).await?;
        }
        loop {
            let found = self.callbacks.no_longer_at_risk(&claimed.campaigns, &held.periods).await?;
            if found.is_empty() {
                break;
            }
            self.mark(false, &found).await?;
        }
        self.move_out_of(&held.to_clear).await?;
        self.campaigns.complete_risk_claim(&claimed, &held).await?;
        Ok(true)
    }

    async fn mark(&self, at_risk: bool, found: &[Callback]) -> Result<(), sqlx::Error> {
        let now = self.clock.now();
        let action = if at_risk { Action::CallbackAtRisk } else { Action::CallbackNoLongerAtRisk };
        let entries = found.iter().map(|callback| {
            let entry = callback.entry(self.clock.new_id(), now, action, Outcome::Succeeded, Status::Scheduled);
            (callback.id, Entry { latency_ms: None, ..entry }.with_event(&callback.event()).traced(&callback.trace))
        });
        let marked = self.callbacks.mark(at_risk, entries.collect(), now).await?;
        metrics::counter!("ringback_callbacks_at_risk_total", "at_risk" => at_risk.to_string()).increment(marked);
        Ok(())
    }
}
