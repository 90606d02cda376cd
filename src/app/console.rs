//! What the console shows of the service itself, which no operation of the API has.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::SignedDuration;

use crate::callbacks::{CallbackStore, Slots};
use crate::campaigns::AnswerRateStore;
use crate::clock::Clock;
use crate::console::{ComingHour, Dialed, EndpointState, EndpointStatus, ServiceStatus, Source};
use crate::cxone::{Cxone, EndpointCondition};
use crate::db::{self, Db};
use crate::trace::Traceparent;
use crate::types::{AllowedCampaigns, CampaignId, Interval};
use crate::webhooks::WebhookStore;

/// The hours of the chart.
const HOURS: SignedDuration = SignedDuration::from_hours(12);

/// Reads what the service knows of itself.
pub struct ConsoleSource {
    pub db: Db,
    pub cxone: Arc<Cxone>,
    pub callbacks: Arc<CallbackStore>,
    pub slots: Arc<Slots>,
    pub answer_rates: AnswerRateStore,
    pub webhooks: WebhookStore,
    pub clock: Clock,
}

impl ConsoleSource {
    async fn service_status(&self) -> Result<ServiceStatus, sqlx::Error> {
        let asked_at = Instant::now();
        let replicas = db::replicas(&self.db).await?;
        let postgres = asked_at.elapsed();
        let (failing_webhooks, disabled_webhooks) = self.webhooks.troubled_endpoints().await?;
        Ok(ServiceStatus {
            cxone: self.cxone.endpoint_conditions().await.into_iter().map(status_of).collect(),
            oldest_waiting: self.callbacks.oldest_waiting().await?,
            replicas,
            postgres,
            failing_webhooks,
            disabled_webhooks,
        })
    }

    async fn hours_of(&self, campaign: CampaignId) -> Result<Vec<ComingHour>, String> {
        let now = self.clock.now();
        let span = Interval { start: now, end: now + HOURS };
        let trace = Traceparent::root(self.clock.new_id());
        let hours = self.slots.hours(&campaign, span, &trace).await.map_err(|error| error.to_string())?;
        let shown = hours.into_iter().map(|hour| ComingHour {
            start: hour.start,
            capacity: hour.capacity,
            forecast: hour.expected_calls,
            placed: hour.placed,
            planned: hour.planned,
        });
        Ok(shown.collect())
    }

    async fn dialed_by(&self, campaigns: &[CampaignId]) -> Result<HashMap<CampaignId, Vec<Dialed>>, sqlx::Error> {
        let counts = self.answer_rates.recent_counts(campaigns, self.clock.now()).await?;
        let dialed = |(at, attempts, answers)| Dialed { at, attempts, answers };
        Ok(counts.into_iter().map(|(id, buckets)| (id, buckets.into_iter().map(dialed).collect())).collect())
    }
}

impl Source for ConsoleSource {
    fn status(&self) -> BoxFuture<'_, Result<ServiceStatus, sqlx::Error>> {
        self.service_status().boxed()
    }

    fn placed_campaigns(&self, allowed: AllowedCampaigns) -> BoxFuture<'_, Result<Vec<CampaignId>, sqlx::Error>> {
        async move { self.callbacks.placed_campaigns(&allowed).await }.boxed()
    }

    fn coming_hours(&self, campaign: CampaignId) -> BoxFuture<'_, Result<Vec<ComingHour>, String>> {
        self.hours_of(campaign).boxed()
    }

    fn dialed(
        &self,
        campaigns: Vec<CampaignId>,
    ) -> BoxFuture<'_, Result<HashMap<CampaignId, Vec<Dialed>>, sqlx::Error>> {
        async move { self.dialed_by(&campaigns).await }.boxed()
    }
}

fn status_of((name, condition): (&'static str, EndpointCondition)) -> EndpointStatus {
    let state = match condition {
        EndpointCondition::Works => EndpointState::Works,
        EndpointCondition::Down(until) => EndpointState::Down(until),
        EndpointCondition::Unauthorized(until) => EndpointState::Unauthorized(until),
        EndpointCondition::BackOff(until) => EndpointState::BackOff(until),
    };
    EndpointStatus { name, state }
}
