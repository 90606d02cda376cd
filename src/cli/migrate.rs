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
    /// Brings the schema up to date and exits.
    pub async fn run(self) -> anyhow::Result<()> {
        let database = self.database.options()?;
        let db = db::connect(&database).await.context("Postgres cannot be reached")?;
        db::migrate(&database).await.context("the schema could not be brought up to date")?;
        db.close().await;
        Ok(())
    }
}
