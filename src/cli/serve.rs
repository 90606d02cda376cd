//! `ringback serve`

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::audit::Retention;
use crate::clock::Clock;
use crate::config::{ServiceArgs, ServiceSettings};
use crate::db::{DatabaseRole, Db, SharedTime};
use crate::trace::TraceExport;
use crate::{app, audit, db, shutdown, telemetry};

#[derive(clap::Args)]
pub struct Serve {
    #[command(flatten)]
    service: ServiceArgs,
}

impl Serve {
    /// Migrates the database, or checks its version where another role owns it, serves until SIGTERM, and drains.
    pub async fn run(self) -> anyhow::Result<()> {
        let settings = self.service.settings()?;
        let _logging = telemetry::start_logging(settings.log_format, telemetry::DEFAULT_FILTER);
        app::raise_limit_on_open_files();
        let stop = shutdown::on_signal()?;
        // The start waits for Postgres, and while another replica migrates.
        let started = stop.run_until_cancelled(Box::pin(start(&settings, stop.clone()))).await;
        let Some(started) = started else {
            tracing::info!("stopped before it was ready");
            return Ok(());
        };
        let Started { db, traces, app, listeners } = started?;
        app.run(listeners).await;
        traces.end().await;
        db.close().await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// A service that is ready to run, and what is closed after it.
struct Started {
    db: Db,
    traces: TraceExport,
    app: app::App,
    listeners: app::Listeners,
}

/// May be dropped at any time: the database is then as after a crash.
async fn start(settings: &ServiceSettings, stop: CancellationToken) -> anyhow::Result<Started> {
    let (database, direct) = (&settings.database, &settings.direct_database);
    // First: a migration closes all connections.
    let role = db::migrate_or_check(direct).await?;
    let db = db::connect(database, settings.max_connections).await.context("cannot connect to Postgres")?;
    let db = db.with_direct(direct);
    report_missing_limits(&db).await?;
    let machine = Clock::shifted(settings.clock_offset);
    let time = SharedTime::follow(&db, machine).await.context("cannot read the time from Postgres")?;
    keep_audit_entries(role, settings, &db, &time.clock()).await.context("cannot set AUDIT_RETENTION_DAYS")?;
    Retention::new(direct.clone()).prepare().await;
    app::configure(&db, settings, &time.clock()).await.context("cannot store the configured webhook")?;
    let traces = TraceExport::start(settings.traces.as_deref(), time.clock().new_id())
        .context("cannot export traces (OTEL_ variables)")?;
    let app = app::build(settings, &db, time, stop)?;
    let listeners = app::Listeners::bind(&settings.listen).await?;
    let metrics_addr = listeners.metrics.as_ref().and_then(|metrics| metrics.local_addr().ok());
    let metrics_addr = metrics_addr.map(tracing::field::display);
    tracing::info!(listen_addr = %listeners.public.local_addr()?, metrics_addr, "ready");
    Ok(Started { db, traces, app, listeners })
}

/// A pooler drops the limits that the service asks for.
async fn report_missing_limits(db: &Db) -> Result<(), sqlx::Error> {
    let missing = db::missing_limits(db).await?;
    if !missing.is_empty() {
        let missing = missing.join(", ");
        tracing::warn!(
            missing,
            "Postgres does not limit the statements of the service: see docs/scaling.md, PgBouncer"
        );
    }
    Ok(())
}

/// Sets for how long audit entries are kept, which only the owner of the tables can do.
async fn keep_audit_entries(
    role: DatabaseRole,
    settings: &ServiceSettings,
    db: &Db,
    clock: &Clock,
) -> Result<(), sqlx::Error> {
    let wanted = settings.audit.retention_days;
    match role {
        DatabaseRole::Owner => {
            tracing::warn!("the database role owns the audit log and could change it: see docs/database-roles.sql");
            audit::set_retention(db, wanted, clock).await
        }
        DatabaseRole::Application => {
            let kept = audit::retention(db).await?;
            if wanted.is_some() && kept != wanted {
                tracing::warn!(kept, wanted, "AUDIT_RETENTION_DAYS has no effect: run `ringback migrate` with it");
            }
            Ok(())
        }
    }
}
