//! The only wiring: from settings to a service that runs.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgPool};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use crate::audit::{self, AuditStore};
use crate::callbacks::{self, CallbackStore, Callbacks, RiskMarker, Waiting, Worker};
use crate::campaigns::{
    self, AnswerRates, CampaignStore, Campaigns, Conductor, CxoneDialer, RateStore, SettingsRoutes, SettingsStore,
};
use crate::clock::Clock;
use crate::config::ServiceSettings;
use crate::cxone::Cxone;
use crate::http::{self, Idempotency, Operations};
use crate::keys::{KeyStore, authenticate};
use crate::telemetry;
use crate::webhooks::{self, DeliveryWorker, WebhookStore, Webhooks};

/// The schema, from its first version on.
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Connections of one replica. Each is held for a statement or two, never across a call to CXone.
const CONNECTIONS: u32 = 24;
/// Who waits longer than this for a connection is told to come back.
const CONNECTION_WITHIN: Duration = Duration::from_secs(5);
/// A connection that was used within this time is taken to be alive.
const ASK_AFTER_IDLE: Duration = Duration::from_secs(1);
/// After SIGTERM, a request that runs is answered within this, or cut.
const LAST_REQUESTS: Duration = Duration::from_secs(6);
/// How often measurements are folded into their histograms.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// How often answers kept for idempotency keys are looked through for old ones.
const PURGE_EVERY: Duration = Duration::from_secs(600);

/// Opens the pool of connections to Postgres.
///
/// # Errors
/// Where Postgres cannot be reached.
pub async fn connect(options: PgConnectOptions) -> Result<PgPool, sqlx::Error> {
    let options = options.application_name("ringback");
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(CONNECTION_WITHIN)
        // By default each statement would cost a round trip more, to ask whether its connection still lives.
        .test_before_acquire(false)
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for > ASK_AFTER_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(options)
        .await
}

/// Brings the schema up to date. Replicas that do so at the same time wait for each other.
///
/// # Errors
/// Where a migration fails, or the database was made by a newer version.
pub async fn migrate(pool: &PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    MIGRATIONS.run(pool).await
}

/// Makes the webhook endpoint of the configuration, and no other, the one that is told of changes.
///
/// # Errors
/// Where Postgres refuses.
pub async fn configure(pool: &PgPool, settings: &ServiceSettings, clock: &Clock) -> Result<(), sqlx::Error> {
    let url = settings.webhooks.configured.as_ref().map(|(url, _)| url.as_str());
    WebhookStore::new(pool.clone()).configure(clock.new_id(), url, clock.now()).await
}

/// A service that is ready to run.
pub struct App {
    router: Router,
    worker: Arc<Worker>,
    conductor: Arc<Conductor>,
    rates: Arc<AnswerRates>,
    risk_marker: RiskMarker,
    deliveries: Arc<DeliveryWorker>,
    idempotency: Idempotency,
    stop: CancellationToken,
}

/// Puts the service together. Nothing runs yet.
///
/// # Errors
/// Where the machine's TLS cannot be set up.
pub fn build(settings: &ServiceSettings, pool: PgPool, clock: Clock, stop: CancellationToken) -> anyhow::Result<App> {
    // What is measured from here on has somewhere to go.
    telemetry::metrics();
    let cxone = Arc::new(Cxone::new(settings.cxone.clone(), pool.clone(), clock.clone())?);
    let store = Arc::new(CallbackStore::new(pool.clone()));
    let campaigns = SettingsStore::new(pool.clone());
    let waiting = Waiting::default();
    let worker = Arc::new(Worker::new(
        Arc::clone(&store),
        campaigns.clone(),
        Arc::clone(&cxone),
        clock.clone(),
        waiting.clone(),
        settings.worker.clone(),
    ));
    let campaign_store = CampaignStore::new(pool.clone());
    let dialer = CxoneDialer(Arc::clone(&cxone));
    let conductor = Arc::new(Conductor::new(
        campaign_store.clone(),
        dialer.clone(),
        Arc::<CallbackStore>::clone(&store),
        clock.clone(),
        settings.campaign_check,
    ));
    let risk_marker = RiskMarker::new(Arc::clone(&store), campaign_store.clone(), clock.clone());
    let rate_store = RateStore::new(pool.clone());
    let rates = Arc::new(AnswerRates::new(rate_store.clone(), Arc::clone(&conductor), clock.clone()));
    let webhook_store = WebhookStore::new(pool.clone());
    let deliveries = Arc::new(DeliveryWorker::new(webhook_store.clone(), settings.webhooks.clone(), clock.clone())?);
    let webhook_routes = Webhooks {
        store: webhook_store,
        reach: settings.webhooks.reach,
        seal: settings.webhooks.seal.clone(),
        clock: clock.clone(),
    };
    let campaign_routes = Campaigns {
        settings: campaigns.clone(),
        store: campaign_store,
        conductor: Arc::clone(&conductor),
        dialer,
        rates: rate_store.clone(),
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
    let idempotency = Idempotency::new(pool.clone(), clock.clone());
    let operations = Operations {
        pool: pool.clone(),
        metrics: telemetry::metrics(),
        draining: stop.clone(),
        cxone: Arc::new(move || cxone.condition().as_str()),
    };
    let v1 = OpenApiRouter::new()
        .merge(callbacks::routes().with_state(callbacks))
        .merge(campaigns::routes().with_state(campaign_routes))
        .merge(campaigns::settings_routes().with_state(setting_routes))
        .merge(campaigns::event_routes().with_state(Arc::clone(&rates)))
        .merge(webhooks::routes().with_state(webhook_routes))
        .merge(audit::routes().with_state(AuditStore::new(pool.clone())))
        .layer(from_fn_with_state(idempotency.clone(), http::idempotent))
        .layer(from_fn_with_state((KeyStore::new(pool.clone()), clock.clone()), authenticate));
    let (router, _) = v1.merge(Operations::routes().with_state(operations)).split_for_parts();
    let router = http::wrap(router.merge(http::docs(openapi_text()?)), clock);
    Ok(App { router, worker, conductor, rates, risk_marker, deliveries, idempotency, stop })
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
        let rates = tokio::spawn(self.rates.run(self.stop.clone()));
        let marking = tokio::spawn(self.risk_marker.run(self.stop.clone()));
        let purge = tokio::spawn(purge(self.idempotency, self.stop.clone()));
        let upkeep = tokio::spawn(keep_metrics_small(self.stop.clone()));
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
        for task in [worker, conductor, rates, marking, deliveries, purge, upkeep] {
            if task.await.is_err() {
                tracing::error!("a task of the service panicked");
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

async fn purge(idempotency: Idempotency, stop: CancellationToken) {
    let mut timer = tokio::time::interval(PURGE_EVERY);
    while stop.run_until_cancelled(timer.tick()).await.is_some() {
        match idempotency.purge().await {
            Ok(0) => {}
            Ok(purged) => tracing::info!(purged, "deleted old answers for idempotency keys"),
            Err(error) => tracing::error!(error = %error, "old answers for idempotency keys were not deleted"),
        }
    }
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
