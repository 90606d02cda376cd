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
        db::migrate(&self.database.options()?).await.context("the schema could not be brought up to date")
    }
}
