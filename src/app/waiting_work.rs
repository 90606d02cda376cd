//! Reads from Postgres what waits, for the metrics, so that reading the metrics costs no query.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::audit::LogStore;
use crate::callbacks::CallbackStore;
use crate::campaigns::CampaignStore;
use crate::clock::Clock;
use crate::jobs::Periodic;
use crate::webhooks::WebhookStore;

/// Prometheus reads the metrics about as often.
const EXPORT: Periodic = Periodic { every: Duration::from_secs(15), after_failure: Duration::from_secs(5) };

/// The stores whose work is counted.
pub struct WaitingWork {
    pub callbacks: Arc<CallbackStore>,
    pub campaigns: CampaignStore,
    pub webhooks: WebhookStore,
    pub audit: LogStore,
    /// Whether the audit log is sealed.
    pub is_sealed: bool,
    pub clock: Clock,
}

impl WaitingWork {
    /// Sets the metrics at an interval until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        EXPORT.run(&stop, "the metrics of the work that waits could not be read", || self.export()).await;
    }

    async fn export(&self) -> Result<(), sqlx::Error> {
        let now = self.clock.now();
        self.callbacks.export_waiting(now).await?;
        self.campaigns.export_waiting(now).await?;
        self.webhooks.export_waiting(now).await?;
        self.audit.export_waiting(self.is_sealed, now).await?;
        metrics::gauge!("ringback_waiting_work_timestamp_seconds").set(now.as_duration().as_secs_f64());
        Ok(())
    }
}
