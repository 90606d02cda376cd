//! `ringback serve`

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::audit::Retention;
use crate::clock::Clock;
use crate::config::{ServiceArgs, ServiceSettings};
use crate::db::{DatabaseRole, Db, SharedTime};
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
        let database = &settings.database;
        let _logging = telemetry::start_logging(settings.log_format, telemetry::DEFAULT_FILTER);
        let stop = shutdown::on_signal()?;
        let db = db::connect(database, settings.max_connections).await.context("cannot connect to Postgres")?;
        let role = db::migrate_or_check(database).await?;
        let machine = Clock::shifted(settings.clock_offset);
        let time = SharedTime::follow(&db, machine).await.context("cannot read the time from Postgres")?;
        keep_audit_entries(role, &settings, &db, &time.clock()).await.context("cannot set AUDIT_RETENTION_DAYS")?;
        Retention::new(database.clone()).prepare().await;
        app::configure(&db, &settings, &time.clock()).await.context("cannot store the configured webhook")?;
        let app = app::build(&settings, &db, time, stop)?;
        let listener = TcpListener::bind(settings.listen_addr)
            .await
            .with_context(|| format!("cannot listen on {} (LISTEN_ADDR)", settings.listen_addr))?;
        tracing::info!(listen_addr = %listener.local_addr()?, "ready");
        app.run(listener).await;
        db.close().await;
        tracing::info!("stopped");
        Ok(())
    }
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
