//! `ringback cxone`

mod check;
mod fence;

use std::sync::Arc;

use anyhow::Context as _;
use clap::Subcommand;

use crate::campaigns::SettingsStore;
use crate::clock::Clock;
use crate::config::ServiceSettings;
use crate::cxone;
use crate::db::{self, Db};

/// Two connections: one for the shared quota, one for the settings of campaigns.
const CONNECTIONS: u32 = 2;

#[derive(clap::Args)]
pub struct Cxone {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Check the credentials, their permissions and what the tenant answers. Changes nothing
    Check(Box<check::Check>),
    /// Write the regulatory window of a campaign into the hours of its skills in CXone
    Fence(Box<fence::Fence>),
}

impl Cxone {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::Check(check) => check.run().await,
            Action::Fence(fence) => fence.run().await,
        }
    }
}

/// Connects to the database and to CXone, with the settings of the service.
async fn connected(settings: ServiceSettings) -> anyhow::Result<(Db, cxone::Cxone, Clock)> {
    let db = db::connect(&settings.database, CONNECTIONS).await.context("cannot connect to Postgres")?;
    let clock = Clock::shifted(settings.clock_offset);
    let cxone = of_service(settings, &db, clock.clone())?;
    Ok((db, cxone, clock))
}

/// The client of the service with these settings.
pub(super) fn of_service(settings: ServiceSettings, db: &Db, clock: Clock) -> anyhow::Result<cxone::Cxone> {
    let skills = Arc::new(SettingsStore::new(db.clone()));
    let proxy = settings.outbound_proxy.as_ref();
    Ok(cxone::Cxone::through(proxy, settings.cxone, skills, db.pool().clone(), clock)?)
}
