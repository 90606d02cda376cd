//! The version of the schema.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

/// Every version of the schema.
static MIGRATIONS: Migrator = sqlx::migrate!();

/// Who the service is to Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseRole {
    /// It owns the tables, or may act as their owner: it can change the audit log.
    Owner,
    /// It may only use them.
    Application,
}

/// Why the schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("cannot update the schema")]
    Migration(#[from] MigrateError),
    #[error("cannot read the version of the schema")]
    Unreadable(#[source] sqlx::Error),
    #[error(
        "the schema has version {found} and this program needs {needed}; run `ringback migrate` as the owner of the tables"
    )]
    Older { found: i64, needed: i64 },
    #[error(
        "the schema has version {found}, which is newer than this program ({needed}); run a newer version of Ringback"
    )]
    Newer { found: i64, needed: i64 },
}

/// Migrates the schema to the latest version, on a connection without limits: replicas that migrate at the same time wait
/// for each other, and a change of a large table takes long.
///
/// # Errors
/// If Postgres is unavailable, a migration fails, or a newer version migrated the database.
pub async fn migrate(options: &PgConnectOptions) -> Result<(), MigrateError> {
    let options = options.clone().application_name("ringback-migrate").options([
        ("statement_timeout", "0"),
        ("lock_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
    ]);
    let mut connection = PgConnection::connect_with(&options).await?;
    MIGRATIONS.run(&mut connection).await?;
    connection.close().await.map_err(Into::into)
}

/// Migrates the schema where the role of the service owns it. Any other role only checks its version.
///
/// # Errors
/// As [`migrate`], and if the version does not fit.
pub async fn migrate_or_check(options: &PgConnectOptions) -> Result<DatabaseRole, SchemaError> {
    let role = role(options).await.map_err(SchemaError::Unreadable)?;
    match role {
        DatabaseRole::Owner => migrate(options).await?,
        DatabaseRole::Application => check(options).await?,
    }
    Ok(role)
}

/// In a database without tables, the service creates and so owns them.
async fn role(options: &PgConnectOptions) -> Result<DatabaseRole, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let owns = sqlx::query_scalar!(
        r#"select pg_has_role(relowner, 'usage') as "owns!" from pg_class where oid = to_regclass('audit_entries')"#
    )
    .fetch_optional(&mut connection)
    .await?;
    connection.close().await?;
    Ok(if owns == Some(false) { DatabaseRole::Application } else { DatabaseRole::Owner })
}

async fn check(options: &PgConnectOptions) -> Result<(), SchemaError> {
    let needed = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let found = version(options).await.map_err(SchemaError::Unreadable)?;
    match found.cmp(&needed) {
        std::cmp::Ordering::Less => Err(SchemaError::Older { found, needed }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(SchemaError::Newer { found, needed }),
    }
}

async fn version(options: &PgConnectOptions) -> Result<i64, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    // Not checked at compile time: the table is sqlx's own.
    let version = sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations where success");
    let version = version.fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(version)
}
