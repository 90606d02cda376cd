//! How long entries are kept. They are dropped by the month; the log keeps their hashes.

use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;

use super::action::Action;
use super::model::{Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::db::{self, Db};
use crate::jobs::PURGE;

/// Checkpoints that are deleted in one statement.
const CHECKPOINTS: i32 = 1000;

/// Creates the partitions of the audit log before they are needed, and drops those whose retention has ended.
#[derive(Clone, Debug)]
pub struct Retention {
    database: PgConnectOptions,
}

impl Retention {
    /// In this database.
    pub fn new(database: PgConnectOptions) -> Self {
        Self { database }
    }

    /// Works until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        PURGE.run(&stop, "the partitions of the audit log were not maintained", || self.step()).await;
    }

    /// Creates partitions before entries need them. A failure is logged, and does not prevent a start: entries of a month without a
    /// partition are kept together.
    pub async fn prepare(&self) {
        let create = async {
            let mut connection = db::connect_for_maintenance(&self.database).await?;
            create_partitions(&mut connection).await?;
            sqlx::Connection::close(connection).await
        };
        if let Err(error) = create.await {
            tracing::warn!(error = %error, "no partitions of the audit log were created");
        }
    }

    /// Creates partitions, drops partitions, and deletes all checkpoints of an old hour but its last one.
    ///
    /// # Errors
    /// If Postgres fails, or others use the log for longer than this waits: 1 s to create a partition, 100 ms to drop one. What was
    /// done before stays done.
    pub async fn step(&self) -> Result<(), sqlx::Error> {
        let mut connection = db::connect_for_maintenance(&self.database).await?;
        create_partitions(&mut connection).await?;
        while let Some(partition) = expire(&mut connection).await? {
            tracing::info!(partition, "dropped audit entries whose retention has ended");
        }
        while thin_checkpoints(&mut connection).await? == Some(CHECKPOINTS) {}
        sqlx::Connection::close(connection).await
    }
}

async fn expire(connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("select audit_expire()").fetch_one(connection).await
}

async fn create_partitions(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("select audit_create_partitions()").fetch_one(connection).await?;
    Ok(())
}

async fn thin_checkpoints(connection: &mut PgConnection) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar!("select audit_thin_checkpoints($1)", CHECKPOINTS).fetch_one(connection).await
}

/// Sets for how many days entries are kept; none: for ever. Only the owner of the tables can do it. A change is recorded.
///
/// # Errors
/// If Postgres fails.
pub async fn set_retention(db: &Db, days: Option<u32>, clock: &Clock) -> Result<(), sqlx::Error> {
    #[derive(serde::Serialize)]
    struct Kept {
        days: Option<i32>,
    }
    let days = days.map(|days| i32::try_from(days).unwrap_or(i32::MAX));
    let (id, now) = (clock.new_id(), clock.now());
    let entry = Entry::new(id, now, Action::AuditRetentionChanged, Actor::operator(), Outcome::Succeeded)
        .with_detail(&Kept { days });
    sqlx::query!(
        "with changed as (update audit_retention set days = $1 where days is distinct from $1 returning days)
         select audit_record($2) from changed",
        days,
        entry.into_json()
    )
    .fetch_optional(db)
    .await?;
    Ok(())
}

/// For how many days entries are kept; none: for ever.
///
/// # Errors
/// If Postgres fails.
pub async fn retention(db: &Db) -> Result<Option<u32>, sqlx::Error> {
    let days = sqlx::query_scalar!("select days from audit_retention").fetch_one(db).await?;
    Ok(days.and_then(|days| u32::try_from(days).ok()))
}
