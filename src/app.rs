//! Wiring: from the settings to a running service.

mod console;
mod gate;
mod listeners;
mod open_files;
mod tasks;
mod waiting_work;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;
use utoipa_axum::router::OpenApiRouter;

use self::console::ConsoleSource;
use self::gate::{Gate, pass};
pub use self::listeners::Listeners;
pub use self::open_files::raise_limit as raise_limit_on_open_files;
use crate::audit::{self, AuditLog, AuditStore, LogStore, Refusals};
use crate::callbacks::{
    self, Attempts, CallbackQueue, CallbackStore, Callbacks, OutcomeSettings, Slots, Waiters, Worker, Writer,
};
use crate::campaigns::{
    self, AnswerRateMonitor, AnswerRateStore, CampaignStore, CampaignWorker, Campaigns, CxoneGateway, IntervalStore,
    LiveStates, RulesCache, SettingsStore,
};
use crate::clock::Clock;
use crate::config::{AuditSettings, ServiceSettings};
use crate::console::{Api, Console, ConsoleStore, Live, Sessions};
use crate::cxone::Cxone;
use crate::db::{ChangeListener, Db, SharedTime};
use crate::http::{self, ConnectionLimits, Idempotency, Operations, RefusalLog, RequestLimits};
use crate::keys::{self, Authentication, KeyStore, Keys, UsageSharing};
use crate::oidc::{CodeFlow, TokenVerifier};
use crate::privacy::{self, Privacy};
use crate::statistics::{self, Statistics};
use crate::telemetry;
use crate::tls::ServerTls;
use crate::types::{TimeZone, TrustedProxies};
use crate::webhooks::{self, DeliveryQueue, DeliveryWorker, WebhookStore, Webhooks};

/// The time that running requests get after SIGTERM. Then their connections are closed.
const REQUEST_DRAIN: Duration = Duration::from_secs(6);
/// The time that each background task gets to end, after the workers have been drained.
const TASK_DRAIN: Duration = Duration::from_secs(5);

/// Creates or updates the webhook endpoint of the configuration, and removes an earlier one.
///
/// # Errors
/// If Postgres fails.
pub async fn configure(db: &Db, settings: &ServiceSettings, clock: &Clock) -> Result<(), sqlx::Error> {
    let url = settings.webhooks.configured.as_ref().map(|(url, _)| url.as_str());
    WebhookStore::new(db.clone()).configure(url, clock).await
}

/// The routes of each port.
struct Routers {
    public: Router,
    /// Where metrics and health checks have their own port.
    metrics: Option<Router>,
}

/// A service that is ready to run.
pub struct App {
    routers: Routers,
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
    let routers = services.routers(settings, db, &time.clock(), &stop);
    let changes = ChangeListener::new(&settings.direct_database, db.changes().clone(), time.clock().new_id());
    Ok(App { routers, services, time, changes, stop })
}

/// The stores, the CXone client and the workers, which the routes and the background tasks share.
struct Services {
    cxone: Arc<Cxone>,
    callback_store: Arc<CallbackStore>,
    campaign_store: CampaignStore,
    settings_store: SettingsStore,
    rules: RulesCache,
    rate_store: AnswerRateStore,
    interval_store: IntervalStore,
    webhook_store: WebhookStore,
    waiters: Waiters,
    callback_worker: Arc<Worker>,
    campaign_worker: Arc<CampaignWorker>,
    delivery_worker: Arc<DeliveryWorker>,
    rate_monitor: Arc<AnswerRateMonitor>,
    refusals: Arc<Refusals>,
    idempotency: Idempotency,
    keys: KeyStore,
    key_usage: UsageSharing,
    sessions: Sessions,
    tokens: Option<Arc<TokenVerifier>>,
    code_flow: Option<Arc<CodeFlow>>,
    console_address: Option<Url>,
    callback_retention: privacy::Retention,
    outcomes: OutcomeSettings,
    default_zone: TimeZone,
    answer_rate_poll: Duration,
    audit_log: LogStore,
    audit_retention: audit::Retention,
    audit: AuditSettings,
}

/// What verifies tokens, and what signs people in, where there is an identity provider.
type IdentityProvider = (Option<Arc<TokenVerifier>>, Option<Arc<CodeFlow>>);

fn identity_provider(settings: &ServiceSettings, clock: &Clock) -> anyhow::Result<IdentityProvider> {
    let Some(oidc) = &settings.oidc else { return Ok((None, None)) };
    let proxy = settings.outbound_proxy.as_ref();
    let tokens = TokenVerifier::new(oidc.clone(), proxy, clock.clone())?;
    let client = settings.console.oidc_client.clone();
    let code_flow = client.map(|client| CodeFlow::new(client, oidc, proxy, &tokens)).transpose()?;
    Ok((Some(Arc::new(tokens)), code_flow.map(Arc::new)))
}

impl Services {
    fn new(settings: &ServiceSettings, db: &Db, clock: &Clock) -> anyhow::Result<Self> {
        let proxy = settings.outbound_proxy.as_ref();
        let skills = Arc::new(SettingsStore::new(db.clone()));
        let cxone = Cxone::through(proxy, settings.cxone.clone(), skills, db.pool().clone(), clock.clone())?;
        let cxone = Arc::new(cxone);
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
        let keys = KeyStore::new(db.clone());
        let (tokens, code_flow) = identity_provider(settings, clock)?;
        Ok(Self {
            callback_retention: privacy::Retention::new(db.clone(), callback_days, clock.clone()),
            cxone,
            outcomes: settings.outcomes.clone(),
            default_zone: settings.attempts.default_zone.clone(),
            answer_rate_poll: settings.answer_rate_poll,
            callback_store,
            campaign_store,
            settings_store: SettingsStore::new(db.clone()),
            rules: RulesCache::new(db),
            rate_store,
            interval_store: IntervalStore::new(db.clone()),
            webhook_store,
            waiters,
            callback_worker,
            campaign_worker,
            delivery_worker: Arc::new(DeliveryWorker::new(deliveries)),
            rate_monitor: Arc::new(rate_monitor),
            refusals,
            idempotency: Idempotency::new(db.clone(), refusal_log, clock.clone()),
            sessions: Sessions::new(ConsoleStore::new(db.clone()), keys.clone(), clock.clone()),
            keys,
            key_usage: UsageSharing::new(db.clone(), Arc::default()),
            code_flow,
            console_address: settings.console.address.clone(),
            tokens,
            audit_log: LogStore::new(db.clone()),
            audit_retention: audit::Retention::new(settings.direct_database.clone()),
            audit: settings.audit.clone(),
        })
    }

    /// All routes, with the layers that authenticate, record refusals and replay.
    fn routers(&self, settings: &ServiceSettings, db: &Db, clock: &Clock, stop: &CancellationToken) -> Routers {
        let authentication = Authentication {
            keys: self.keys.clone(),
            usage: self.key_usage.usage(),
            tokens: self.tokens.clone(),
            refusals: Arc::<Refusals>::clone(&self.refusals),
            clock: clock.clone(),
        };
        let gate = Gate { authentication, idempotency: Arc::new(self.idempotency.clone()) };
        let reports = db.for_reports();
        let callbacks = Arc::new(self.callbacks(settings, db, clock, stop));
        let source = self.console_source(db, &callbacks, clock);
        let v1 = OpenApiRouter::new()
            .merge(callbacks::routes().with_state(Arc::clone(&callbacks)))
            .merge(campaigns::routes().with_state(self.campaigns(settings, clock)))
            .merge(campaigns::event_routes().with_state(Arc::clone(&self.rate_monitor)))
            .merge(webhooks::routes().with_state(self.webhooks(settings)))
            .merge(keys::routes().with_state(Keys { store: self.keys.clone() }))
            .merge(statistics::routes().with_state(self.statistics(&reports)))
            .merge(audit::routes().with_state(AuditStore::new(reports.clone())))
            .merge(privacy::routes().with_state(Privacy::new(db.clone(), callbacks, reports.clone())))
            .merge(audit::log_routes().with_state(AuditLog::new(LogStore::new(reports), self.audit.keys.as_ref())))
            .layer(from_fn_with_state(Arc::new(gate), pass));
        let console = crate::console::routes(self.console(v1.clone(), source, db, clock, stop));
        let public =
            OpenApiRouter::from(http::docs(openapi_text).merge(console)).merge(v1).merge(http::problem_pages());
        let probes = Operations::routes().with_state(self.operations(db, stop));
        let wrap = |routes: OpenApiRouter| {
            let proxies = settings.trusted_proxies.clone();
            http::wrap(routes.split_for_parts().0, clock.clone(), RequestLimits::default(), proxies)
        };
        match settings.listen.metrics {
            Some(_) => Routers { public: wrap(public), metrics: Some(wrap(probes)) },
            None => Routers { public: wrap(public.merge(probes)), metrics: None },
        }
    }

    /// The console has the routes of the API for itself, with limits of their own.
    fn console(
        &self,
        v1: OpenApiRouter,
        source: Arc<ConsoleSource>,
        db: &Db,
        clock: &Clock,
        stop: &CancellationToken,
    ) -> Console {
        let routes = v1.split_for_parts().0;
        let api = http::wrap(routes, clock.clone(), RequestLimits::default(), TrustedProxies::default());
        let log = AuditStore::new(db.clone());
        Console {
            api: Api::new(api),
            sessions: self.sessions.clone(),
            live: Live::new(log, Arc::<ConsoleSource>::clone(&source), clock.clone(), stop.clone()),
            source,
            address: self.console_address.clone(),
            code_flow: self.code_flow.clone(),
            refusals: Arc::<Refusals>::clone(&self.refusals),
            clock: clock.clone(),
        }
    }

    fn console_source(&self, db: &Db, callbacks: &Callbacks, clock: &Clock) -> Arc<ConsoleSource> {
        Arc::new(ConsoleSource {
            db: db.clone(),
            cxone: Arc::clone(&self.cxone),
            callbacks: Arc::clone(&self.callback_store),
            slots: Arc::clone(&callbacks.slots),
            answer_rates: self.rate_store.clone(),
            webhooks: self.webhook_store.clone(),
            clock: clock.clone(),
        })
    }

    fn callbacks(&self, settings: &ServiceSettings, db: &Db, clock: &Clock, stop: &CancellationToken) -> Callbacks {
        let (store, cxone) = (Arc::clone(&self.callback_store), Arc::clone(&self.cxone));
        Callbacks {
            store: Arc::clone(&self.callback_store),
            writer: Writer::start(CallbackStore::new(db.for_new_callbacks()), &self.callback_worker),
            rules: self.rules.clone(),
            worker: Arc::clone(&self.callback_worker),
            waiters: self.waiters.clone(),
            slots: Arc::new(Slots::new(store, self.rules.clone(), cxone, clock.clone())),
            clock: clock.clone(),
            region: settings.region,
            days_zone: self.default_zone.clone(),
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
            cxone: Arc::clone(&self.cxone),
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

    fn statistics(&self, reports: &Db) -> Statistics {
        Statistics {
            callbacks: CallbackStore::new(reports.clone()),
            campaigns: CampaignStore::new(reports.clone()),
            webhooks: WebhookStore::new(reports.clone()),
            cxone: Arc::clone(&self.cxone),
        }
    }

    fn operations(&self, db: &Db, stop: &CancellationToken) -> Operations {
        let (cxone, rates, pool) = (Arc::clone(&self.cxone), Arc::clone(&self.rate_monitor), db.clone());
        Operations {
            pool: db.clone(),
            metrics: Arc::new(move || {
                pool.export_metrics();
                telemetry::render_metrics() + &rates.metrics()
            }),
            draining: stop.clone(),
            cxone: Arc::new(move || cxone.condition().to_string()),
        }
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
    api.merge(keys::routes().into_openapi());
    api.merge(statistics::routes().into_openapi());
    api.merge(audit::routes().into_openapi());
    api.merge(audit::log_routes().into_openapi());
    api.merge(privacy::routes().into_openapi());
    api.merge(Operations::routes().into_openapi());
    api.merge(http::problem_pages().into_openapi());
    webhooks::describe_events(&mut api);
    http::complete(&mut api);
    api
}

impl App {
    /// Serves on the listeners until the stop token is cancelled. Then it accepts no new request, answers those that
    /// run, finishes or releases claimed work, and returns.
    pub async fn run(self, listeners: Listeners) {
        let Self { routers, services, time, changes, stop } = self;
        let last_request = CancellationToken::new();
        let mut tasks = services.start(time, changes, &stop, &last_request);
        // Answers health checks until the end.
        tasks.extend(listeners.metrics.zip(routers.metrics).map(|(listener, router)| {
            let stop = last_request.clone();
            tokio::spawn(async move { http::serve(listener, router, ConnectionLimits::for_metrics(), &stop).await })
        }));
        tasks.extend(listeners.tls.clone().map(|tls| tokio::spawn(tls.follow_files(stop.clone()))));
        serve(listeners.public, listeners.tls, routers.public, &stop).await;
        stop.cancel();
        // After the last request, which may have started work on a callback.
        services.drain().await;
        last_request.cancel();
        end(tasks).await;
    }
}

/// Serves until `stop`, and at most [`REQUEST_DRAIN`] longer.
async fn serve(listener: TcpListener, tls: Option<ServerTls>, router: Router, stop: &CancellationToken) {
    let cut_off = async {
        stop.cancelled().await;
        tokio::time::sleep(REQUEST_DRAIN).await;
    };
    tokio::select! {
        () = http::serve_tls(listener, tls, router, ConnectionLimits::default(), stop) => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_openapi_document_is_up_to_date() {
        let committed = include_str!("../openapi/ringback.json");
        assert!(openapi_text().unwrap() == committed, "openapi/ringback.json is out of date: run `make openapi`");
    }
}
