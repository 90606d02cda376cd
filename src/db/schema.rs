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
    #[error("cannot read the version of the schema from Postgres")]
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
    migrate_from(&Found::read(options).await?, options).await
}

/// Migrates the schema where the role of the service owns it. Any other role only checks its version.
///
/// # Errors
/// As [`migrate`], and if the version does not fit.
pub async fn migrate_or_check(options: &PgConnectOptions) -> Result<DatabaseRole, SchemaError> {
    let found = Found::read(options).await?;
    match found.role {
        DatabaseRole::Owner => migrate_from(&found, options).await?,
        DatabaseRole::Application => check(&found)?,
    }
    Ok(found.role)
}

/// Who this role is to Postgres. In a database without tables, the service creates and so owns them.
///
/// # Errors
/// If Postgres is unavailable.
pub async fn database_role(options: &PgConnectOptions) -> Result<DatabaseRole, SchemaError> {
    Ok(Found::read(options).await?.role)
}

/// Checks that this program works with the schema: it has the program's own version, or a newer one that says so.
///
/// # Errors
/// If it does not, or Postgres is unavailable.
pub async fn check_schema(options: &PgConnectOptions) -> Result<(), SchemaError> {
    check(&Found::read(options).await?)
}

async fn migrate_from(found: &Found, options: &PgConnectOptions) -> Result<(), SchemaError> {
    if found.compare()? != Ordering::Greater && !found.has_all_migrations() {
        Box::pin(super::migrate::migrate(&MIGRATIONS, options)).await?;
    }
    Ok(())
}

fn check(found: &Found) -> Result<(), SchemaError> {
    match found.compare()? {
        Ordering::Less => Err(SchemaError::Older { found: found.version(), needed: needed() }),
        Ordering::Equal | Ordering::Greater => Ok(()),
    }
}

/// The last version that this program knows.
fn needed() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// What the database has of the schema.
struct Found {
    role: DatabaseRole,
    /// In the order of their versions.
    migrations: Vec<Applied>,
    /// The version of the oldest program that works with the schema.
    oldest_program: Option<i64>,
}

/// A migration that was run, or begun.
#[derive(sqlx::FromRow)]
struct Applied {
    version: i64,
    checksum: Vec<u8>,
    success: bool,
}

impl Found {
    async fn read(options: &PgConnectOptions) -> Result<Self, SchemaError> {
        let mut connection = PgConnection::connect_with(options).await.map_err(SchemaError::Unreadable)?;
        let found = Self::read_from(&mut connection).await.map_err(SchemaError::Unreadable)?;
        connection.close().await.map_err(SchemaError::Unreadable)?;
        Ok(found)
    }

    async fn read_from(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let tables = sqlx::query!(
            r#"select to_regclass('_sqlx_migrations') is not null as "has_migrations!",
                to_regclass('schema_compatibility') is not null as "has_compatibility!",
                (select pg_has_role(relowner, 'usage') from pg_class where oid = to_regclass('audit_entries')) as owns"#
        )
        .fetch_one(&mut *connection)
        .await?;
        // Not checked at compile time: the table is sqlx's own.
        let migrations = "select version, checksum, success from _sqlx_migrations order by version";
        let migrations = if tables.has_migrations {
            sqlx::query_as(migrations).fetch_all(&mut *connection).await?
        } else {
            Vec::new()
        };
        let oldest_program = if tables.has_compatibility {
            let oldest = sqlx::query_scalar!("select oldest_program from schema_compatibility");
            Some(oldest.fetch_one(connection).await?)
        } else {
            None
        };
        let role = if tables.owns == Some(false) { DatabaseRole::Application } else { DatabaseRole::Owner };
        Ok(Self { role, migrations, oldest_program })
    }

    /// 0 where there is no schema.
    fn version(&self) -> i64 {
        self.migrations.iter().filter(|applied| applied.success).map(|applied| applied.version).max().unwrap_or(0)
    }

    /// Compares the version with the one that this program needs. A newer schema that does not work with it is an error.
    fn compare(&self) -> Result<Ordering, SchemaError> {
        let (found, needed) = (self.version(), needed());
        if found > needed {
            if self.oldest_program.is_none_or(|oldest| oldest > needed) {
                return Err(SchemaError::Newer { found, needed });
            }
            tracing::warn!(found, needed, "the schema is newer than this program, which works with it");
        }
        Ok(found.cmp(&needed))
    }

    /// Whether the database has exactly the migrations of this program, unchanged: nothing is left to do.
    fn has_all_migrations(&self) -> bool {
        let applied = self.migrations.iter().map(|applied| (applied.version, &*applied.checksum, applied.success));
        applied.eq(MIGRATIONS.iter().map(|known| (known.version, &*known.checksum, true)))
    }
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

    #[sqlx::test]
    async fn a_migration_that_is_missing_is_run_and_one_that_has_changed_is_refused(pool: PgPool) {
        let options = pool.connect_options();
        // It validates constraints, which may be done twice.
        sqlx::query("delete from _sqlx_migrations where version = 59").execute(&pool).await.unwrap();
        migrate(&options).await.unwrap();
        assert!(Found::read(&options).await.unwrap().has_all_migrations());

        sqlx::query("update _sqlx_migrations set checksum = '' where version = 59").execute(&pool).await.unwrap();
        let refused = migrate(&options).await.unwrap_err();
        assert!(matches!(refused, SchemaError::Migration(MigrateError::VersionMismatch(59))), "{refused}");
    }
}
