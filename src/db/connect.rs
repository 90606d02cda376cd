//! Opens connections, with the limits that the server enforces on them.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool};

use super::Db;

/// The connections of a command that runs one statement after the other.
pub const ONE_CONNECTION: u32 = 1;
/// Those of a command that runs some at once.
pub const FEW_CONNECTIONS: u32 = 4;
/// A request that waits longer than this for a connection is answered with a 503. The longest pause between two
/// attempts to connect is a fifth of it.
const CONNECTION_WITHIN: Duration = Duration::from_millis(2500);
/// A connection that was used within this time is assumed to work …
const CHECK_AFTER_IDLE: Duration = Duration::from_secs(1);
/// … any other is checked, and closed where it does not respond within this time.
const RESPONDS_WITHIN: Duration = Duration::from_millis(500);

/// What the server enforces on every connection, in milliseconds unless another unit is named.
const LIMITS: [(&str, &str); 8] = [
    ("statement_timeout", "5000"),
    ("lock_timeout", "2000"),
    // The time for which a replica that freezes during a transaction holds its locks.
    ("idle_in_transaction_session_timeout", "1500"),
    // Stops a statement whose client has disconnected.
    ("client_connection_check_interval", "1000"),
    // In seconds. They have no effect on a Unix socket.
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
];

/// The statements that store new callbacks at the same time: [`super::Db::for_new_callbacks`].
pub const INSERT_CONNECTIONS: u32 = 3;
/// Reports that are read at the same moment. Each takes a connection for one statement.
const REPORT_CONNECTIONS: u32 = 3;
/// A report that waits longer than this for its turn is refused.
const REPORT_WITHIN: Duration = Duration::from_secs(1);
/// On the connections for reports.
const REPORT_LIMITS: [(&str, &str); 6] = [
    ("statement_timeout", "4000"),
    ("default_transaction_read_only", "on"),
    // A query with optional filters is planned for those that are given: a generic plan reads the whole table.
    ("plan_cache_mode", "force_custom_plan"),
    // Rows are read in the order of an index, until the page is full. A bitmap would be made of all that match.
    ("enable_bitmapscan", "off"),
    // Workers take longer to start than a page takes. Postgres starts them even for the branch of an actor that is not given.
    ("max_parallel_workers_per_gather", "0"),
    // Compiling takes longer, too.
    ("jit", "off"),
];

/// Opens the pool of connections to Postgres. Each is in use for a statement or two, never during a call to CXone.
///
/// # Errors
/// If Postgres is unavailable.
pub async fn connect(options: &PgConnectOptions, max_connections: u32) -> Result<Db, sqlx::Error> {
    let options = options.clone().application_name("ringback").options(LIMITS);
    let pool = pool_of(max_connections).acquire_timeout(CONNECTION_WITHIN).connect_with(options).await?;
    Ok(Db::new(pool))
}

/// Limits without which a statement or a lock may wait for ever. A pooler drops what a client asks for; then they must be
/// set for the role.
const NEEDED: [&str; 3] = ["idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout"];

/// The limits that are not in force on a connection of the pool.
///
/// # Errors
/// If Postgres is unavailable.
pub async fn missing_limits(db: &Db) -> Result<Vec<String>, sqlx::Error> {
    let needed = NEEDED.map(str::to_owned);
    sqlx::query_scalar!(
        r#"select name as "name!" from unnest($1::text[]) as needed (name)
        where current_setting(name) = '0' order by name"#,
        &needed[..]
    )
    .fetch_all(db)
    .await
}

/// Opens a connection for work in the background that may take minutes. It waits for a lock no longer than others.
///
/// # Errors
/// If Postgres is unavailable.
pub async fn connect_for_maintenance(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let options = options.clone().application_name("ringback-maintenance").options(LIMITS);
    PgConnection::connect_with(&options.options([("statement_timeout", "600000")])).await
}

/// A pool for the statements that store new callbacks, with these options of another pool.
pub(super) fn inserts_pool(options: &PgConnectOptions) -> PgPool {
    pool_of(INSERT_CONNECTIONS).acquire_timeout(CONNECTION_WITHIN).connect_lazy_with(options.clone())
}

/// A pool for reports, on the same server.
pub(super) fn reports_pool(options: &PgConnectOptions) -> PgPool {
    let options = options.clone().application_name("ringback-reports").options(LIMITS).options(REPORT_LIMITS);
    pool_of(REPORT_CONNECTIONS).acquire_timeout(REPORT_WITHIN).connect_lazy_with(options)
}

fn pool_of(max_connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max_connections)
        // The default costs each statement another round trip, to test its connection.
        .test_before_acquire(false)
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for <= CHECK_AFTER_IDLE {
                    return Ok(true);
                }
                let response = tokio::time::timeout(RESPONDS_WITHIN, connection.ping()).await;
                response.map_err(|_| super::error::no_response())?.map(|()| true)
            })
        })
}
