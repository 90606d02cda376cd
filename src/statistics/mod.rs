//! What operations look at first, in numbers. Each slice counts what is its own.

mod api;
mod view;

use std::sync::Arc;

use crate::callbacks::{CallbackCounts, CallbackStore};
use crate::campaigns::{CampaignStore, CommandCounts};
use crate::clock::Clock;
use crate::cxone::{Cxone, QuotaUse};
use crate::http::{Problem, ProblemKind};
use crate::types::{AllowedCampaigns, Interval};
use crate::webhooks::{DeliveryCounts, WebhookStore};

pub use api::routes;

/// What the route works with. The stores use the connections for reports.
#[derive(Clone)]
pub struct Statistics {
    pub callbacks: CallbackStore,
    pub campaigns: CampaignStore,
    pub webhooks: WebhookStore,
    pub cxone: Arc<Cxone>,
}

/// The numbers of a span.
struct Numbers {
    callbacks: CallbackCounts,
    commands: CommandCounts,
    deliveries: DeliveryCounts,
    quota: QuotaUse,
}

impl Statistics {
    /// Counts one after the other, so that one connection for reports is used at a time.
    async fn of(&self, campaigns: &AllowedCampaigns, span: Interval, clock: &Clock) -> Result<Numbers, Problem> {
        let quota = self.cxone.quota_use().await.map_err(|_| {
            Problem::new(ProblemKind::Unavailable, "the use of CXone's quota cannot be read").retry_after(2)
        })?;
        Ok(Numbers {
            callbacks: self.callbacks.counts(campaigns, span, clock.now()).await?,
            commands: self.campaigns.command_counts(campaigns, span).await?,
            deliveries: self.webhooks.delivery_counts(campaigns, span).await?,
            quota,
        })
    }
}
