//! A service that uses the API that NICE publishes.

use super::{BINARY, Cxone, Database, Service, World, create_key, http_client, serve};
use crate::harness::nice_settings;

impl World {
    pub async fn nice(settings: &[(&str, &str)]) -> Self {
        Self::nice_at(Cxone::start_nice().await, settings).await
    }

    pub async fn nice_at(cxone: Cxone, settings: &[(&str, &str)]) -> Self {
        let database = Database::create().await;
        let service = start_service(&database, &cxone, settings).await;
        let key = create_key(&database, &["callbacks:write", "callbacks:read", "audit:read"]).await;
        Self { database, cxone, service, key, http: http_client() }
    }

    /// Another replica on the same database.
    pub async fn another_nice(&self, settings: &[(&str, &str)]) -> Service {
        start_service(&self.database, &self.cxone, settings).await
    }

    /// SIGKILL, and a new process with the same settings on the same database.
    pub async fn restart_nice(&mut self) {
        self.service.signal("KILL").await;
        self.service = start_service(&self.database, &self.cxone, &[]).await;
    }
}

async fn start_service(database: &Database, cxone: &Cxone, settings: &[(&str, &str)]) -> Service {
    let own = nice_settings(&cxone.base_url);
    let own = own.iter().map(|(name, value)| (*name, value.as_str()));
    // The first callback waits for the forecast, which takes a build without optimization a while.
    let own = own.chain([("CALLBACK_WAIT_MS", "15000")]);
    Service::start(database, cxone, &own.chain(settings.iter().copied()).collect::<Vec<_>>()).await
}

impl World {
    /// Runs `ringback cxone …` with the settings of the service.
    pub async fn cxone_command(&self, arguments: &[&str]) -> std::process::Output {
        let command = serve(&self.database.url, &self.cxone.base_url, &[]);
        let mut program = tokio::process::Command::new(BINARY);
        program.arg("cxone").args(arguments).kill_on_drop(true);
        for (name, value) in command.as_std().get_envs() {
            program.env(name, value.unwrap_or_default());
        }
        program.envs(nice_settings(&self.cxone.base_url));
        program.output().await.unwrap()
    }
}
