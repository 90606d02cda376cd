//! Changes the schema while replicas use it.

use std::time::Duration;

use sqlx::migrate::{Migrate as _, MigrateError, Migration, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::time::sleep;

use super::error::{is_conflict, is_lock_timeout};

/// How long a migration waits for a lock. All later statements on the table wait behind it, and the service gives up after 2 s.
const LOCK_WITHIN: &str = "500ms";
/// Lets statements run between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// Of one migration. With the pauses they last for five minutes, which is longer than any statement of the service.
const ATTEMPTS: u32 = 200;
/// About a minute.
const WAITS_UNTIL_WARNING: u32 = 40;

/// Runs the migrations that the database does not have. One that does not get its locks soon is rolled back and tried again.
/// Others that migrate at the same time wait for the first one. At the end it closes the connections of the replicas.
pub async fn migrate(migrator: &Migrator, options: &PgConnectOptions) -> Result<(), MigrateError> {
    let options = options.clone().application_name("ringback-migrate").options([
        ("statement_timeout", "0"),
        ("lock_timeout", LOCK_WITHIN),
        ("idle_in_transaction_session_timeout", "0"),
        // In milliseconds. A statement whose program has ended is stopped, and its locks are released.
        ("client_connection_check_interval", "1000"),
    ]);
    let (mut waits, mut failures) = (0_u32, 0);
    loop {
        // A new connection for each attempt: the old one may still have the lock of the migrations.
        let mut connection = PgConnection::connect_with(&options).await?;
        let done = migrate_once(migrator, &mut connection).await;
        if done.is_ok() {
            close_connections_of_replicas(&mut connection).await?;
        }
        connection.close().await?;
        let Err(error) = done else { return Ok(()) };
        match &error {
            MigrateError::Execute(cause) if is_lock_timeout(cause) || is_conflict(cause) => {
                waits += 1;
                if waits.is_multiple_of(WAITS_UNTIL_WARNING) {
                    tracing::warn!(
                        waits,
                        "another program migrates the database, or waits for a transaction that is open"
                    );
                }
            }
            MigrateError::ExecuteMigration(cause, version)
                if failures < ATTEMPTS && (is_lock_timeout(cause) || is_conflict(cause)) =>
            {
                failures += 1;
                tracing::warn!(version, failures, "a migration did not get its locks, and is tried again");
            }
            _ => return Err(error),
        }
        sleep(PAUSE).await;
    }
}

/// Holds the lock of the migrations until its connection is closed.
async fn migrate_once(migrator: &Migrator, connection: &mut PgConnection) -> Result<(), MigrateError> {
    connection.lock().await?;
    for migration in migrator.iter().filter(|migration| migration.no_tx) {
        migrator.run_to(migration.version - 1, &mut *connection).await?;
        if !is_applied(migration.version, connection).await? {
            drop_index_of(migration, connection).await?;
            // It waits for the transactions that are open, and blocks nobody while it waits.
            sqlx::query("set lock_timeout = 0").execute(&mut *connection).await?;
            migrator.run_to(migration.version, &mut *connection).await?;
            sqlx::query(AssertSqlSafe(format!("set lock_timeout = '{LOCK_WITHIN}'"))).execute(&mut *connection).await?;
        }
    }
    migrator.run(&mut *connection).await
}

/// Replicas connect again at once. On a connection from before the last migration, a prepared `select *` fails once the table has
/// another column. Those of a role that this one may not signal stay.
async fn close_connections_of_replicas(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let close = "select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and application_name in ('ringback', 'ringback-reports')
                   and backend_start < (select max(installed_on) from _sqlx_migrations)
                   and (pg_has_role(usesysid, 'member') or pg_has_role('pg_signal_backend', 'member'))";
    sqlx::query(close).execute(&mut *connection).await?;
    Ok(())
}

async fn is_applied(version: i64, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let applied = sqlx::query_scalar("select exists (select from _sqlx_migrations where version = $1)");
    applied.bind(version).fetch_one(connection).await
}

/// Drops the index that a migration creates concurrently. An attempt that was interrupted has left it, finished or not.
async fn drop_index_of(migration: &Migration, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let created = migration.sql.as_str().split_once("index concurrently ");
    let Some(name) = created.and_then(|(_, rest)| rest.split_whitespace().next()) else { return Ok(()) };
    let drop = format!("drop index concurrently if exists {name}");
    sqlx::query(AssertSqlSafe(drop)).execute(&mut *connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;
    use sqlx::SqlSafeStr as _;
    use sqlx::migrate::MigrationType;

    use super::*;
    use crate::db::is_transient;

    const PATIENCE: Duration = Duration::from_mins(1);

    fn migrator(migrations: &[(i64, &'static str)]) -> Migrator {
        let migration = |(version, sql): &(i64, &'static str)| {
            let no_tx = sql.starts_with("-- no-transaction");
            Migration::new(*version, "test".into(), MigrationType::Simple, sql.into_sql_str(), no_tx)
        };
        Migrator::with_migrations(migrations.iter().map(migration).collect())
    }

    /// The databases of tests have the schema where the server's template has it.
    async fn remove_schema(pool: &PgPool) {
        sqlx::raw_sql("drop schema public cascade; create schema public").execute(pool).await.unwrap();
    }

    const TABLE: (i64, &str) = (1, "create table numbers as select generate_series(1, 10) as number");

    #[sqlx::test(migrations = false)]
    async fn a_migration_lets_writers_pass_and_waits_for_a_reader(pool: PgPool) {
        remove_schema(&pool).await;
        let options = pool.connect_options();
        migrate(&migrator(&[TABLE]), &options).await.unwrap();
        let mut reader = pool.begin().await.unwrap();
        sqlx::query("select number from numbers").execute(&mut *reader).await.unwrap();

        let both = migrator(&[TABLE, (2, "alter table numbers add column name text")]);
        let mut migrating = Box::pin(migrate(&both, &options));
        let writer = async {
            // Behind the migration, until its first attempt has failed.
            loop {
                let waits = "select exists (select from pg_stat_activity
                    where application_name = 'ringback-migrate' and wait_event_type = 'Lock' and datname = current_database())";
                if sqlx::query_scalar(waits).fetch_one(&pool).await.unwrap() {
                    break;
                }
            }
            sqlx::query("insert into numbers values (11)").execute(&pool).await.unwrap();
        };
        tokio::select! {
            () = writer => {}
            done = &mut migrating => panic!("it did not wait for the reader: {done:?}"),
        }
        reader.rollback().await.unwrap();
        migrating.await.unwrap();
        sqlx::query("select name from numbers").execute(&pool).await.unwrap();
    }

    #[sqlx::test(migrations = false)]
    async fn a_statement_that_was_prepared_before_a_column_was_added_can_be_sent_again_after_the_migration(
        pool: PgPool,
    ) {
        remove_schema(&pool).await;
        let options = pool.connect_options();
        migrate(&migrator(&[TABLE]), &options).await.unwrap();
        let replica = crate::db::connect(&options, 1).await.unwrap();
        let read = async || sqlx::query("select * from numbers").fetch_all(&replica).await;
        read().await.unwrap();

        migrate(&migrator(&[TABLE, (2, "alter table numbers add column name text")]), &options).await.unwrap();
        let error = read().await.unwrap_err();
        assert!(is_transient(&error), "{error}");
        assert_eq!(read().await.unwrap().len(), 10);

        // As where the roles differ: the connection stays open.
        sqlx::query("alter table numbers add column note text").execute(&pool).await.unwrap();
        let error = read().await.unwrap_err();
        assert!(is_conflict(&error), "{error}");
        assert_eq!(read().await.unwrap().len(), 10);
        let mut transaction = replica.begin().await.unwrap();
        sqlx::query("alter table numbers add column more text").execute(&pool).await.unwrap();
        let error = sqlx::query("select * from numbers").fetch_all(&mut transaction).await.unwrap_err();
        assert!(is_conflict(&error), "{error}");
        drop(transaction);
        assert_eq!(read().await.unwrap().len(), 10);
    }

    #[sqlx::test(migrations = false)]
    async fn a_migration_whose_program_has_ended_is_stopped(pool: PgPool) {
        remove_schema(&pool).await;
        let slow = migrator(&[(1, "select pg_sleep(3600)")]);
        let options = pool.connect_options();
        let until = async |is_running: bool| {
            let query = "select exists (select from pg_stat_activity
                where application_name = 'ringback-migrate' and state = 'active' and query like '%pg_sleep%'
                  and datname = current_database())";
            while sqlx::query_scalar::<_, bool>(query).fetch_one(&pool).await.unwrap() != is_running {}
        };
        let mut migrating = Box::pin(migrate(&slow, &options));
        tokio::select! {
            () = until(true) => {}
            done = &mut migrating => panic!("it was not slow: {done:?}"),
        }
        drop(migrating);
        tokio::time::timeout(PATIENCE, until(false)).await.expect("it goes on");
    }

    #[sqlx::test(migrations = false)]
    async fn an_index_is_created_concurrently_after_an_attempt_that_was_interrupted(pool: PgPool) {
        remove_schema(&pool).await;
        let index = (2, "-- no-transaction\ncreate unique index concurrently numbers_unique on numbers (number)");
        let all = migrator(&[TABLE, index, (3, "create table others ()")]);
        migrate(&migrator(&[TABLE]), &pool.connect_options()).await.unwrap();
        sqlx::query("insert into numbers values (1)").execute(&pool).await.unwrap();
        migrate(&all, &pool.connect_options()).await.unwrap_err();

        sqlx::query("delete from numbers where number = 1").execute(&pool).await.unwrap();
        migrate(&all, &pool.connect_options()).await.unwrap();
        // Interrupted between the end of the index and its record.
        sqlx::query("delete from _sqlx_migrations where version >= 2").execute(&pool).await.unwrap();
        sqlx::query("drop table others").execute(&pool).await.unwrap();
        migrate(&all, &pool.connect_options()).await.unwrap();
        let valid = "select indisvalid from pg_index where indexrelid = 'numbers_unique'::regclass";
        assert!(sqlx::query_scalar::<_, bool>(valid).fetch_one(&pool).await.unwrap());
        migrate(&all, &pool.connect_options()).await.unwrap();
    }
}
