//! The only wiring: from settings to a service that runs.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use crate::audit::{self, AuditStore};
use crate::callbacks::{self, Attempts, CallbackQueue, CallbackStore, Callbacks, RiskMarker, Waiting, Worker};
use crate::campaigns::{
    self, AnswerRateMonitor, AnswerRateStore, CampaignStore, Campaigns, Conductor, CxoneDialer, LiveStates,
    SettingsRoutes, SettingsStore,
};
use crate::clock::Clock;
use crate::config::ServiceSettings;
use crate::cxone::Cxone;
use crate::db::{Db, SharedTime};
use crate::http::{self, Idempotency, Operations};
use crate::jobs::Periodic;
use crate::keys::{KeyStore, authenticate};
use crate::telemetry;
use crate::webhooks::{self, DeliveryQueue, DeliveryWorker, WebhookStore, Webhooks};

/// After SIGTERM, a request that runs is answered within this, or cut.
const LAST_REQUESTS: Duration = Duration::from_secs(6);
/// After the drain, a task that waits for Postgres ends within this, or is left.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How often measurements are folded into their histograms.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// When old answers for idempotency keys are deleted.
const PURGE: Periodic = Periodic { every: Duration::from_secs(600), after_failure: Duration::from_secs(15) };

/// Makes the webhook endpoint of the configuration, and no other, the one that is told of changes.
///
/// # Errors
/// Where Postgres refuses.
pub async fn configure(db: &Db, settings: &ServiceSettings, clock: &Clock) -> Result<(), sqlx::Error> {
    let url = settings.webhooks.configured.as_ref().map(|(url, _)| url.as_str());
    WebhookStore::new(db.clone()).configure(url, clock).await
}

/// A service that is ready to run.
pub struct App {
    router: Router,
    worker: Arc<Worker>,
    conductor: Arc<Conductor>,
    rates: Arc<AnswerRateMonitor>,
    risk_marker: RiskMarker,
    deliveries: Arc<DeliveryWorker>,
    idempotency: Idempotency,
    campaign_store: CampaignStore,
    time: SharedTime,
    stop: CancellationToken,
}

/// Puts the service together. Nothing runs yet.
///
/// # Errors
/// Where the machine's TLS cannot be set up.
pub fn build(settings: &ServiceSettings, db: Db, time: SharedTime, stop: CancellationToken) -> anyhow::Result<App> {
    let clock = time.clock();
    // What is measured from here on has somewhere to go.
    telemetry::metrics();
    let cxone = Arc::new(Cxone::new(settings.cxone.clone(), db.pool().clone(), clock.clone())?);
    let store = Arc::new(CallbackStore::new(db.clone()));
    let campaigns = SettingsStore::new(db.clone());
    let waiting = Waiting::default();
    let worker = Arc::new(Worker::new(CallbackQueue::new(Attempts {
        repository: CallbackStore::clone(&store),
        gateway: Arc::clone(&cxone),
        clock: clock.clone(),
        waiting: waiting.clone(),
        settings: settings.attempts.clone(),
    })));
    let campaign_store = CampaignStore::new(db.clone());
    let conductor = Arc::new(Conductor::new(
        campaign_store.clone(),
        CxoneDialer::new(Arc::clone(&cxone), settings.campaign_check),
        Arc::<CallbackStore>::clone(&store),
        clock.clone(),
    ));
    let risk_marker = RiskMarker::new(Arc::clone(&store), campaign_store.clone(), clock.clone());
    let rate_store = AnswerRateStore::new(db.clone());
    let rates = Arc::new(AnswerRateMonitor::new(rate_store.clone(), Arc::clone(&conductor), clock.clone()));
    let webhook_store = WebhookStore::new(db.clone());
    let deliveries = DeliveryQueue::new(webhook_store.clone(), settings.webhooks.clone(), clock.clone())?;
    let deliveries = Arc::new(DeliveryWorker::new(deliveries));
    let webhook_routes = Webhooks {
        store: webhook_store,
        address_policy: settings.webhooks.address_policy,
        cipher: settings.webhooks.cipher.clone(),
    };
    let campaign_routes = Campaigns {
        settings: campaigns.clone(),
        store: campaign_store.clone(),
        conductor: Arc::clone(&conductor),
        live_states: LiveStates::new(Arc::clone(&cxone), clock.clone()),
        answer_rates: rate_store.clone(),
        clock: clock.clone(),
    };
    let setting_routes = SettingsRoutes {
        settings: campaigns.clone(),
        conductor: Arc::clone(&conductor),
        clock: clock.clone(),
        region: settings.region,
    };
    let callbacks = Callbacks {
        store,
        campaigns,
        worker: Arc::clone(&worker),
        waiting,
        clock: clock.clone(),
        region: settings.region,
        default_wait: settings.default_wait,
        draining: stop.clone(),
    };
    let idempotency = Idempotency::new(db.clone(), clock.clone());
    let watched = Arc::clone(&rates);
    let operations = Operations {
        pool: db.clone(),
        metrics: Arc::new(move || telemetry::metrics().render() + &watched.metrics()),
        draining: stop.clone(),
        cxone: Arc::new(move || cxone.condition().to_string()),
    };
    let v1 = OpenApiRouter::new()
        .merge(callbacks::routes().with_state(callbacks))
        .merge(campaigns::routes().with_state(campaign_routes))
        .merge(campaigns::settings_routes().with_state(setting_routes))
        .merge(campaigns::event_routes().with_state(Arc::clone(&rates)))
        .merge(webhooks::routes().with_state(webhook_routes))
        .merge(audit::routes().with_state(AuditStore::new(db.clone())))
        .layer(from_fn_with_state(idempotency.clone(), http::idempotent))
        .layer(from_fn_with_state((KeyStore::new(db.clone()), clock.clone()), authenticate));
    let (router, _) = v1.merge(Operations::routes().with_state(operations)).split_for_parts();
    let router = http::wrap(router.merge(http::docs(openapi_text()?)), clock);
    Ok(App { router, worker, conductor, rates, risk_marker, deliveries, idempotency, campaign_store, time, stop })
}

/// The OpenAPI document as it is committed, printed and served.
///
/// # Errors
/// Where it cannot be written as JSON.
pub fn openapi_text() -> Result<String, serde_json::Error> {
    Ok(openapi().to_pretty_json()? + "\n")
}

fn openapi() -> utoipa::openapi::OpenApi {
    let mut api = http::describe();
    api.merge(callbacks::routes().into_openapi());
    api.merge(campaigns::routes().into_openapi());
    api.merge(campaigns::settings_routes().into_openapi());
    api.merge(campaigns::event_routes().into_openapi());
    api.merge(webhooks::routes().into_openapi());
    api.merge(audit::routes().into_openapi());
    api.merge(Operations::routes().into_openapi());
    http::complete(&mut api);
    api
}

impl App {
    /// Serves on the listener until the stop token is cancelled; then takes nothing new, answers what it has, finishes
    /// or releases what it holds, and returns.
    ///
    /// # Errors
    /// Where the listener fails.
    pub async fn run(self, listener: TcpListener) -> std::io::Result<()> {
        let worker = tokio::spawn(Arc::clone(&self.worker).run(self.stop.clone()));
        let conductor = tokio::spawn(Arc::clone(&self.conductor).run(self.stop.clone()));
        let deliveries = tokio::spawn(Arc::clone(&self.deliveries).run(self.stop.clone()));
        let (queue, stop) = (Arc::clone(&self.deliveries), self.stop.clone());
        let event_purge = tokio::spawn(async move { queue.queue().purge(&stop).await });
        let last_request = CancellationToken::new();
        let rates = tokio::spawn(self.rates.run(last_request.clone()));
        let marking = tokio::spawn(self.risk_marker.run(self.stop.clone()));
        let purge = tokio::spawn(purge(self.idempotency, self.campaign_store, self.stop.clone()));
        let upkeep = tokio::spawn(keep_metrics_small(self.stop.clone()));
        let (time, stop) = (self.time, self.stop.clone());
        let timing = tokio::spawn(async move {
            // It never ends by itself.
            let _ = stop.run_until_cancelled(time.keep()).await;
        });
        let stop = self.stop.clone();
        let serving = axum::serve(listener, self.router)
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .into_future();
        let stop = self.stop.clone();
        let cut_off = async move {
            stop.cancelled().await;
            tokio::time::sleep(LAST_REQUESTS).await;
        };
        let served = tokio::select! {
            served = serving => served,
            () = cut_off => {
                tracing::warn!("cutting off requests that were not answered in time");
                Ok(())
            }
        };
        self.stop.cancel();
        // Only now: a request that was still running may have started on a callback.
        tokio::join!(self.worker.drain(), self.conductor.drain(), self.deliveries.drain());
        last_request.cancel();
        for task in [worker, conductor, rates, marking, deliveries, event_purge, purge, upkeep, timing] {
            match tokio::time::timeout(LAST_WORDS, task).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => tracing::error!("a task of the service panicked"),
                Err(_) => tracing::warn!("a task of the service does not end and is left"),
            }
        }
        served
    }
}

/// Without it, what histograms have seen is kept until someone asks for the metrics.
async fn keep_metrics_small(stop: CancellationToken) {
    let mut timer = tokio::time::interval(UPKEEP_EVERY);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_openapi_document_is_in_step() {
        let committed = include_str!("../openapi/ringback.json");
        assert!(openapi_text().unwrap() == committed, "openapi/ringback.json is stale: run `make openapi`");
    }
}
