//! `ringback migrate`

use anyhow::Context as _;

use crate::app;
use crate::config::DatabaseArgs;

#[derive(clap::Args)]
pub struct Migrate {
    #[command(flatten)]
    database: DatabaseArgs,
}

impl Migrate {
    /// Brings the schema up to date and exits.
    pub async fn run(self) -> anyhow::Result<()> {
        let pool = app::connect(self.database.options()?).await.context("Postgres cannot be reached")?;
        app::migrate(&pool).await.context("the schema could not be brought up to date")?;
        pool.close().await;
        Ok(())
    }
}
