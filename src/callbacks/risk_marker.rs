//! Keeps the marks of callbacks in line with the holds of their campaigns: right after a hold is placed or lifted, and
//! again and again while one is left, because callbacks may be scheduled meanwhile. Every replica does so; what another
//! one has marked already stays as it is.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::model::{Callback, Status};
use super::store::CallbackStore;
use crate::audit::{Action, Entry, Outcome};
use crate::campaigns::CampaignStore;
use crate::clock::Clock;

/// How often a replica looks for holds that another one has placed or lifted.
const POLL: Duration = Duration::from_secs(1);

/// Marks callbacks whose time a hold covers.
pub struct RiskMarker {
    callbacks: Arc<CallbackStore>,
    campaigns: CampaignStore,
    clock: Clock,
}

impl RiskMarker {
    /// Over these stores.
    pub fn new(callbacks: Arc<CallbackStore>, campaigns: CampaignStore, clock: Clock) -> Self {
        Self { callbacks, campaigns, clock }
    }

    /// Marks what is to be marked, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.mark_always()).await;
    }

    async fn mark_always(&self) {
        loop {
            match self.mark_due().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::error!(error = %error, "callbacks are not compared with the holds of campaigns"),
            }
            let pause = self.clock.between(POLL / 2, POLL);
            // A timeout is as good as a call.
            let _ = tokio::time::timeout(pause, self.campaigns.holds_changed().notified()).await;
        }
    }

    /// Compares the callbacks of campaigns that are due with their holds. False where none was due.
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
        self.campaigns.complete_risk_claim(&claimed, &held).await?;
        Ok(true)
    }

    async fn mark(&self, at_risk: bool, found: &[Callback]) -> Result<(), sqlx::Error> {
        let now = self.clock.now();
        let action = if at_risk { Action::CallbackAtRisk } else { Action::CallbackNoLongerAtRisk };
        let entries = found.iter().map(|callback| {
            let entry = callback.entry(self.clock.new_id(), now, action, Outcome::Succeeded, Status::Scheduled);
            (callback.id, Entry { latency_ms: None, ..entry }.with_event(&callback.event()))
        });
        let marked = self.callbacks.mark(at_risk, entries.collect(), now).await?;
        metrics::counter!("ringback_callbacks_at_risk_total", "at_risk" => at_risk.to_string()).increment(marked);
        Ok(())
    }
}
