//! Wiring: from the settings to a running service.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use crate::audit::{self, AuditLog, AuditStore, CheckpointFiles, LogStore, Refusals, Sequencer};
use crate::callbacks::{self, Attempts, CallbackQueue, CallbackStore, Callbacks, RiskMarker, Waiters, Worker, Writer};
use crate::campaigns::{
    self, AnswerRateMonitor, AnswerRateStore, CampaignStore, CampaignWorker, Campaigns, CxoneGateway, LiveStates,
    RulesCache, SettingsStore,
};
use crate::clock::Clock;
use crate::config::{AuditSettings, ServiceSettings};
use crate::cxone::Cxone;
use crate::db::{ChangeListener, Db, SharedTime};
use crate::http::{self, ConnectionLimits, Idempotency, Operations, RefusalLog, RequestLimits};
use crate::jobs::PURGE;
use crate::keys::{Authentication, KeyStore, authenticate};
use crate::privacy::{self, Privacy};
use crate::telemetry;
use crate::webhooks::{self, CheckpointPublisher, DeliveryQueue, DeliveryWorker, WebhookStore, Webhooks};

/// The time that running requests get after SIGTERM. Then their connections are closed.
const REQUEST_DRAIN: Duration = Duration::from_secs(6);
/// The time that each background task gets to end, after the workers have been drained.
const TASK_DRAIN: Duration = Duration::from_secs(5);
/// How often histograms fold new measurements into their buckets.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Creates or updates the webhook endpoint of the configuration, and removes an earlier one.
///
/// # Errors
/// If Postgres fails.
pub async fn configure(db: &Db, settings: &ServiceSettings, clock: &Clock) -> Result<(), sqlx::Error> {
    let url = settings.webhooks.configured.as_ref().map(|(url, _)| url.as_str());
    WebhookStore::new(db.clone()).configure(url, clock).await
}

/// A service that is ready to run.
pub struct App {
    router: Router,
    services: Services,
    time: SharedTime,
    changes: ChangeListener,
    stop: CancellationToken,
}

/// Connects all parts of the service. Nothing runs yet.
///
/// # Errors
/// If an HTTP client cannot be created.
pub fn build(settings: &ServiceSettings, db: &Db, time: SharedTime, stop: CancellationToken) -> anyhow::Result<App> {
    // First, so that no measurement is lost.
    telemetry::metrics();
    let services = Services::new(settings, db, &time.clock())?;
    let router = services.router(settings, db, &time.clock(), &stop)?;
    let changes = ChangeListener::new(&settings.direct_database, db.changes().clone(), time.clock().new_id());
    Ok(App { router, services, time, changes, stop })
}

/// The stores, the CXone client and the workers, which the routes and the background tasks share.
struct Services {
    cxone: Arc<Cxone>,
    callback_store: Arc<CallbackStore>,
    campaign_store: CampaignStore,
    settings_store: SettingsStore,
    rules: RulesCache,
    rate_store: AnswerRateStore,
    webhook_store: WebhookStore,
    waiters: Waiters,
    callback_worker: Arc<Worker>,
    campaign_worker: Arc<CampaignWorker>,
    delivery_worker: Arc<DeliveryWorker>,
    rate_monitor: Arc<AnswerRateMonitor>,
    refusals: Arc<Refusals>,
    idempotency: Idempotency,
    callback_retention: privacy::Retention,
    audit_log: LogStore,
    audit_retention: audit::Retention,
    audit: AuditSettings,
}

impl Services {
    fn new(settings: &ServiceSettings, db: &Db, clock: &Clock) -> anyhow::Result<Self> {
        let proxy = settings.outbound_proxy.as_ref();
        let cxone = Arc::new(Cxone::through(proxy, settings.cxone.clone(), db.pool().clone(), clock.clone())?);
        let callback_store = Arc::new(CallbackStore::new(db.clone()));
        let campaign_store = CampaignStore::new(db.clone());
        let rate_store = AnswerRateStore::new(db.clone());
        let webhook_store = WebhookStore::new(db.clone());
        let waiters = Waiters::default();
        let callback_worker = Arc::new(Worker::new(CallbackQueue::new(Attempts {
            repository: CallbackStore::clone(&callback_store),
            gateway: Arc::clone(&cxone),
            clock: clock.clone(),
            waiters: waiters.clone(),
            settings: settings.attempts.clone(),
        })));
        let campaign_worker = Arc::new(CampaignWorker::new(
            campaign_store.clone(),
            CxoneGateway::new(Arc::clone(&cxone), settings.campaign_check),
            Arc::<CallbackStore>::clone(&callback_store),
            clock.clone(),
        ));
        let deliveries = DeliveryQueue::new(webhook_store.clone(), settings.webhooks.clone(), clock.clone())?;
        let refusals = Arc::new(Refusals::new(db.clone(), clock.clone()));
        let refusal_log: Arc<dyn RefusalLog> = Arc::<Refusals>::clone(&refusals);
        let rate_monitor = AnswerRateMonitor::new(rate_store.clone(), Arc::clone(&campaign_worker), clock.clone());
        let callback_days = settings.callback_retention_days;
        Ok(Self {
            callback_retention: privacy::Retention::new(db.clone(), callback_days, clock.clone()),
            cxone,
            callback_store,
            campaign_store,
            settings_store: SettingsStore::new(db.clone()),
            rules: RulesCache::new(db),
            rate_store,
            webhook_store,
            waiters,
            callback_worker,
            campaign_worker,
            delivery_worker: Arc::new(DeliveryWorker::new(deliveries)),
            rate_monitor: Arc::new(rate_monitor),
            refusals,
            idempotency: Idempotency::new(db.clone(), refusal_log, clock.clone()),
            audit_log: LogStore::new(db.clone()),
            audit_retention: audit::Retention::new(settings.database.clone()),
            audit: settings.audit.clone(),
        })
    }

    /// All routes, with the layers that authenticate, record refusals and replay.
    fn router(
        &self,
        settings: &ServiceSettings,
        db: &Db,
        clock: &Clock,
        stop: &CancellationToken,
    ) -> anyhow::Result<Router> {
        let authentication = Authentication {
            keys: KeyStore::new(db.clone()),
            refusals: Arc::<Refusals>::clone(&self.refusals),
            clock: clock.clone(),
        };
        let reports = db.for_reports();
        let callbacks = Arc::new(self.callbacks(settings, clock, stop));
        let v1 = OpenApiRouter::new()
            .merge(callbacks::routes().with_state(Arc::clone(&callbacks)))
            .merge(campaigns::routes().with_state(self.campaigns(settings, clock)))
            .merge(campaigns::event_routes().with_state(Arc::clone(&self.rate_monitor)))
            .merge(webhooks::routes().with_state(self.webhooks(settings)))
            .merge(audit::routes().with_state(AuditStore::new(reports.clone())))
            .merge(privacy::routes().with_state(Privacy::new(db.clone(), callbacks, reports.clone())))
            .merge(audit::log_routes().with_state(AuditLog::new(LogStore::new(reports), self.audit.keys.as_ref())))
            .layer(from_fn_with_state(Arc::new(self.idempotency.clone()), http::idempotent))
            .layer(from_fn_with_state(Arc::new(authentication), authenticate));
        let (router, _) = v1.merge(Operations::routes().with_state(self.operations(db, stop))).split_for_parts();
        Ok(http::wrap(router.merge(http::docs(openapi_text()?)), clock.clone(), RequestLimits::default()))
    }

    fn callbacks(&self, settings: &ServiceSettings, clock: &Clock, stop: &CancellationToken) -> Callbacks {
        Callbacks {
            store: Arc::clone(&self.callback_store),
            writer: Writer::start(&self.callback_store, &self.callback_worker),
            rules: self.rules.clone(),
            worker: Arc::clone(&self.callback_worker),
            waiters: self.waiters.clone(),
            clock: clock.clone(),
            region: settings.region,
            numbers: settings.audit.numbers.clone(),
            default_wait: settings.default_wait,
            draining: stop.clone(),
        }
    }

    fn campaigns(&self, settings: &ServiceSettings, clock: &Clock) -> Campaigns {
        Campaigns {
            settings: self.settings_store.clone(),
            store: self.campaign_store.clone(),
            worker: Arc::clone(&self.campaign_worker),
            live_states: LiveStates::new(Arc::clone(&self.cxone), clock.clone()),
            answer_rates: self.rate_store.clone(),
            region: settings.region,
        }
    }

    fn webhooks(&self, settings: &ServiceSettings) -> Webhooks {
        Webhooks {
            store: self.webhook_store.clone(),
            address_policy: settings.webhooks.address_policy,
            cipher: settings.webhooks.cipher.clone(),
        }
    }

    fn operations(&self, db: &Db, stop: &CancellationToken) -> Operations {
        let (cxone, rates) = (Arc::clone(&self.cxone), Arc::clone(&self.rate_monitor));
        Operations {
            pool: db.clone(),
            metrics: Arc::new(move || telemetry::render_metrics() + &rates.metrics()),
            draining: stop.clone(),
            cxone: Arc::new(move || cxone.condition().to_string()),
        }
    }

    /// Starts all background tasks. They end after `stop`; those that share dialer events and record refusals, after
    /// `last_request`.
    fn start(
        &self,
        time: SharedTime,
        changes: ChangeListener,
        stop: &CancellationToken,
        last_request: &CancellationToken,
    ) -> Vec<JoinHandle<()>> {
        let clock = time.clock();
        let risk_marker = RiskMarker::new(Arc::clone(&self.callback_store), self.campaign_store.clone(), clock.clone());
        let (deliveries, purge_stop) = (Arc::clone(&self.delivery_worker), stop.clone());
        let (time_stop, changes_stop) = (stop.clone(), stop.clone());
        let mut tasks = self.start_sealing(&clock, stop);
        tasks.extend([
            tokio::spawn(Arc::clone(&self.callback_worker).run(stop.clone())),
            tokio::spawn(Arc::clone(&self.campaign_worker).run(stop.clone())),
            tokio::spawn(Arc::clone(&self.delivery_worker).run(stop.clone())),
            tokio::spawn(Arc::clone(&self.rate_monitor).run(last_request.clone())),
            tokio::spawn(Arc::clone(&self.refusals).run(last_request.clone())),
            tokio::spawn(risk_marker.run(stop.clone())),
            tokio::spawn(async move { deliveries.queue().purge(&purge_stop).await }),
            tokio::spawn(purge(self.idempotency.clone(), self.campaign_store.clone(), stop.clone())),
            tokio::spawn(self.callback_retention.clone().run(stop.clone())),
            tokio::spawn(self.audit_retention.clone().run(stop.clone())),
            tokio::spawn(fold_metrics(stop.clone())),
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

    /// Finishes or releases the work that was claimed.
    async fn drain(&self) {
        tokio::join!(self.callback_worker.drain(), self.campaign_worker.drain(), self.delivery_worker.drain());
    }
}

/// The OpenAPI document as text, the same for `openapi/ringback.json`, `ringback openapi` and `GET /openapi.json`.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn openapi_text() -> Result<String, serde_json::Error> {
    Ok(openapi().to_pretty_json()? + "\n")
}

fn openapi() -> utoipa::openapi::OpenApi {
    let mut api = http::describe();
    api.merge(callbacks::routes().into_openapi());
    api.merge(campaigns::routes().into_openapi());
    api.merge(campaigns::event_routes().into_openapi());
    api.merge(webhooks::routes().into_openapi());
    api.merge(audit::routes().into_openapi());
    api.merge(audit::log_routes().into_openapi());
    api.merge(privacy::routes().into_openapi());
    api.merge(Operations::routes().into_openapi());
    webhooks::describe_events(&mut api);
    http::complete(&mut api);
    api
}

impl App {
    /// Serves on the listener until the stop token is cancelled. Then it accepts no new request, answers those that
    /// run, finishes or releases claimed work, and returns.
    pub async fn run(self, listener: TcpListener) {
        let Self { router, services, time, changes, stop } = self;
        let last_request = CancellationToken::new();
        let tasks = services.start(time, changes, &stop, &last_request);
        serve(listener, router, &stop).await;
        stop.cancel();
        // After the last request, which may have started work on a callback.
        services.drain().await;
        last_request.cancel();
        end(tasks).await;
    }
}

/// Serves until `stop`, and at most [`REQUEST_DRAIN`] longer.
async fn serve(listener: TcpListener, router: Router, stop: &CancellationToken) {
    let cut_off = async {
        stop.cancelled().await;
        tokio::time::sleep(REQUEST_DRAIN).await;
    };
    tokio::select! {
        () = http::serve(listener, router, ConnectionLimits::default(), stop) => {}
        () = cut_off => tracing::warn!("closing the connections of requests that were not answered in time"),
    }
}

/// Waits for the background tasks. A task that does not end is abandoned.
async fn end(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        match tokio::time::timeout(TASK_DRAIN, task).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => tracing::error!("a background task panicked"),
            Err(_) => tracing::warn!("a background task did not end in time"),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_openapi_document_is_up_to_date() {
        let committed = include_str!("../openapi/ringback.json");
        assert!(openapi_text().unwrap() == committed, "openapi/ringback.json is out of date: run `make openapi`");
    }
}
