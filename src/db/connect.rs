//! How connections are opened, and the limits that the server itself keeps on them.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection};

use super::Db;

/// The schema, from its first version on.
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Connections of one replica. Each is held for a statement or two, never across a call to CXone.
const CONNECTIONS: u32 = 24;
/// Who waits longer than this for a connection is told to come back. A fifth of it is the longest pause between two
/// tries to connect.
const CONNECTION_WITHIN: Duration = Duration::from_millis(2500);
/// A connection that was used within this time is taken to be alive …
const ASK_AFTER_IDLE: Duration = Duration::from_secs(1);
/// … one that was not is asked, and closed where it does not answer within this.
const ALIVE_WITHIN: Duration = Duration::from_millis(500);

/// What the server enforces on every connection, in milliseconds where no other unit is named.
const LIMITS: [(&str, &str); 8] = [
    ("statement_timeout", "5000"),
    ("lock_timeout", "2000"),
    // A replica that is frozen in a transaction holds its locks for so long.
    ("idle_in_transaction_session_timeout", "1500"),
    // A statement whose client is gone is stopped.
    ("client_connection_check_interval", "1000"),
    // In seconds; of no effect on a Unix socket.
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
];

/// Opens the pool of connections to Postgres.
///
/// # Errors
/// Where Postgres cannot be reached.
pub async fn connect(options: &PgConnectOptions) -> Result<Db, sqlx::Error> {
    let options = options.clone().application_name("ringback").options(LIMITS);
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(CONNECTION_WITHIN)
        // By default each statement would cost a round trip more, to ask whether its connection still lives.
        .test_before_acquire(false)
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for <= ASK_AFTER_IDLE {
                    return Ok(true);
                }
                let alive = tokio::time::timeout(ALIVE_WITHIN, connection.ping()).await;
                alive.map_err(|_| super::error::unanswered())?.map(|()| true)
            })
        })
        .connect_with(options)
        .await?;
    Ok(Db::new(pool))
}

/// Brings the schema up to date, on a connection of its own without the limits: replicas that do so at the same time wait
/// for each other, and a change of a large table takes its time.
///
/// # Errors
/// Where Postgres cannot be reached, a migration fails, or the database was made by a newer version.
pub async fn migrate(options: &PgConnectOptions) -> Result<(), sqlx::migrate::MigrateError> {
    let options = options.clone().application_name("ringback-migrate").options([
        ("statement_timeout", "0"),
        ("lock_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
    ]);
    let mut connection = PgConnection::connect_with(&options).await?;
    MIGRATIONS.run(&mut connection).await?;
    connection.close().await.map_err(Into::into)
}
