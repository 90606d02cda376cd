//! A database, a simulator and a service, each a separate process as in production.

use std::time::{Duration, Instant};

use super::Outcome;
use super::commands::Commands;
use super::cores::Cores;
use super::cxone::Cxone;
use super::load::Posting;
use crate::harness::{Database, Service, create_key, eventually, processes};

const SCOPES: [&str; 4] = ["callbacks:write", "campaigns:write", "campaigns:override", "events:write"];

/// Everything that one part needs, shared with no other part.
pub struct World {
    pub cxone: Cxone,
    pub service: Service,
    pub load: Posting,
    pub commands: Commands,
    /// From the start of the process to the first answer that it is ready.
    pub started_in: Duration,
    pub key: String,
    pub database: Database,
    settings: Vec<(&'static str, String)>,
}

impl World {
    /// `quota` is the service's setting, in requests a minute.
    pub async fn start(quota: &str) -> Outcome<Self> {
        Self::with(vec![("CXONE_REQUESTS_PER_MINUTE", quota.to_owned())]).await
    }

    /// With these settings of the service.
    pub async fn with(settings: Vec<(&'static str, String)>) -> Outcome<Self> {
        let database = Database::create_empty().await;
        let cxone = Cxone::start().await;
        let (service, started_in) = start_service(&database, &cxone, &settings).await?;
        let key = create_key(&database, &SCOPES).await;
        let load = Posting::new(&service.base_url, &key)?;
        let commands = Commands::new(&service.base_url, &key);
        Ok(Self { cxone, service, load, commands, started_in, key, database, settings })
    }

    pub async fn restart_service(&mut self) -> Outcome {
        self.service.signal("KILL").await;
        (self.service, self.started_in) = start_service(&self.database, &self.cxone, &self.settings).await?;
        Ok(())
    }

    pub async fn end(self) -> Outcome {
        self.service.kill().await;
        self.database.drop().await;
        Ok(())
    }

    pub async fn cores(&self) -> Outcome<Cores> {
        let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&self.database.pool).await?;
        Cores::now(&[("service", self.service.id()), ("simulator", self.cxone.id())], u32::try_from(backend)?)
    }

    /// The resident memory of the service, in KiB.
    pub fn memory_kib(&self) -> u64 {
        processes::resident_kib(self.service.id())
    }

    /// Callbacks in the database.
    pub async fn kept(&self) -> Outcome<u64> {
        self.count("select count(*) from callbacks").await
    }

    /// Callbacks whose text message was sent.
    pub async fn confirmed(&self) -> Outcome<u64> {
        self.count("select count(*) from callbacks where confirmation = 'sent'").await
    }

    pub async fn wait_for_confirmed(&self, wanted: usize) -> Outcome {
        eventually(&format!("{wanted} confirmed callbacks"), async || {
            let confirmed = self.confirmed().await.map_err(|error| error.to_string())?;
            if confirmed >= wanted as u64 { Ok(()) } else { Err(confirmed.to_string()) }
        })
        .await;
        Ok(())
    }

    async fn count(&self, query: &'static str) -> Outcome<u64> {
        let count: i64 = sqlx::query_scalar(query).fetch_one(&self.database.pool).await?;
        Ok(u64::try_from(count)?)
    }
}

async fn start_service(
    database: &Database,
    cxone: &Cxone,
    settings: &[(&'static str, String)],
) -> Outcome<(Service, Duration)> {
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let started_at = Instant::now();
    let service = Service::start(database, cxone, &settings).await;
    reqwest::get(format!("{}/readyz", service.base_url)).await?.error_for_status()?;
    Ok((service, started_at.elapsed()))
}
