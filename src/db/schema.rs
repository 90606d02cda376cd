//! The version of the schema.

use std::cmp::Ordering;

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

/// Migrates the schema to the latest version, while replicas use it. A newer schema that works with this program is left as
/// it is.
///
/// # Errors
/// If Postgres is unavailable, a migration fails or does not get its locks for some minutes, or the schema is too new.
pub async fn migrate(options: &PgConnectOptions) -> Result<(), SchemaError> {
    if compare(options).await?.ordering() != Ordering::Greater {
        Box::pin(super::migrate::migrate(&MIGRATIONS, options)).await?;
    }
    Ok(())
}

/// Migrates the schema where the role of the service owns it. Any other role only checks its version.
///
/// # Errors
/// As [`migrate`], and if the version does not fit.
pub async fn migrate_or_check(options: &PgConnectOptions) -> Result<DatabaseRole, SchemaError> {
    let role = database_role(options).await.map_err(SchemaError::Unreadable)?;
    match role {
        DatabaseRole::Owner => migrate(options).await?,
        DatabaseRole::Application => check_schema(options).await?,
    }
    Ok(role)
}

/// Who this role is to Postgres. In a database without tables, the service creates and so owns them.
///
/// # Errors
/// If Postgres is unavailable.
pub async fn database_role(options: &PgConnectOptions) -> Result<DatabaseRole, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let owns = sqlx::query_scalar!(
        r#"select pg_has_role(relowner, 'usage') as "owns!" from pg_class where oid = to_regclass('audit_entries')"#
    )
    .fetch_optional(&mut connection)
    .await?;
    connection.close().await?;
    Ok(if owns == Some(false) { DatabaseRole::Application } else { DatabaseRole::Owner })
}

/// Checks that this program works with the schema: it has the program's own version, or a newer one that says so.
///
/// # Errors
/// If it does not, or Postgres is unavailable.
pub async fn check_schema(options: &PgConnectOptions) -> Result<(), SchemaError> {
    let versions = compare(options).await?;
    let Versions { found, needed } = versions;
    match versions.ordering() {
        Ordering::Less => Err(SchemaError::Older { found, needed }),
        Ordering::Equal | Ordering::Greater => Ok(()),
    }
}

/// The version of the schema, and the last one that this program knows.
struct Versions {
    found: i64,
    needed: i64,
}

impl Versions {
    fn ordering(&self) -> Ordering {
        self.found.cmp(&self.needed)
    }
}

/// Compares the schema with this program. A newer schema that does not work with it is an error.
async fn compare(options: &PgConnectOptions) -> Result<Versions, SchemaError> {
    let needed = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let (found, oldest_program) = version(options).await.map_err(SchemaError::Unreadable)?;
    if found > needed {
        if oldest_program.is_none_or(|oldest| oldest > needed) {
            return Err(SchemaError::Newer { found, needed });
        }
        tracing::warn!(found, needed, "the schema is newer than this program, which works with it");
    }
    Ok(Versions { found, needed })
}

/// The version of the schema, 0 where there is none, and that of the oldest program that works with it.
async fn version(options: &PgConnectOptions) -> Result<(i64, Option<i64>), sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    // Not checked at compile time: the first table is sqlx's own, and either may not exist.
    let found = if exists("_sqlx_migrations", &mut connection).await? {
        let found = "select coalesce(max(version), 0) from _sqlx_migrations where success";
        sqlx::query_scalar(found).fetch_one(&mut connection).await?
    } else {
        0
    };
    let oldest_program = if exists("schema_compatibility", &mut connection).await? {
        Some(sqlx::query_scalar("select oldest_program from schema_compatibility").fetch_one(&mut connection).await?)
    } else {
        None
    };
    connection.close().await?;
    Ok((found, oldest_program))
}

async fn exists(table: &str, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select to_regclass($1) is not null").bind(table).fetch_one(connection).await
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;

    use super::*;

    #[sqlx::test]
    async fn a_program_starts_on_a_newer_schema_only_if_that_works_with_it(pool: PgPool) {
        let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                     values (9999, 'newer', true, '', 0)";
        sqlx::query(newer).execute(&pool).await.unwrap();
        let options = pool.connect_options();
        check_schema(&options).await.unwrap();
        assert_eq!(migrate_or_check(&options).await.unwrap(), DatabaseRole::Owner);

        sqlx::query("update schema_compatibility set oldest_program = 9999").execute(&pool).await.unwrap();
        let refused = check_schema(&options).await.unwrap_err();
        assert!(matches!(refused, SchemaError::Newer { found: 9999, .. }), "{refused}");
        let refused = migrate(&options).await.unwrap_err();
        assert!(matches!(refused, SchemaError::Newer { found: 9999, .. }), "{refused}");
    }
}
