//! `ringback migrate`

use anyhow::Context as _;

use crate::config::DatabaseArgs;
use crate::db;

#[derive(clap::Args)]
pub struct Migrate {
    #[command(flatten)]
    database: DatabaseArgs,
}

impl Migrate {
    /// Updates the schema and exits.
    pub async fn run(self) -> anyhow::Result<()> {
        let database = self.database.options()?;
        let db = db::connect(&database, db::FEW_CONNECTIONS).await.context("cannot connect to Postgres")?;
        db::migrate(&database).await.context("cannot update the schema")?;
        db.close().await;
        Ok(())
    }
}
