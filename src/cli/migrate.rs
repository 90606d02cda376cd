//! `ringback migrate`

use anyhow::Context as _;

use crate::clock::Clock;
use crate::config::{DatabaseArgs, RetentionArgs, SettingErrors};
use crate::{audit, db};

#[derive(clap::Args)]
pub struct Migrate {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    retention: RetentionArgs,
}

impl Migrate {
    /// Updates the schema, stores for how long audit entries are kept, and exits.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut errors = SettingErrors::default();
        let given = self.database.read(&mut errors).zip(self.retention.read(&mut errors));
        let (database, retention_days) = errors.finish(given)?;
        db::migrate(&database).await.context("cannot update the schema")?;
        let db = db::connect(&database, db::ONE_CONNECTION).await.context("cannot connect to Postgres")?;
        audit::set_retention(&db, retention_days, &Clock::system())
            .await
            .context("cannot store AUDIT_RETENTION_DAYS")?;
        db.close().await;
        Ok(())
    }
}
