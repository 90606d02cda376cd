//! Opens connections, with the limits that the server enforces on them.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::Db;

/// The connections of a command that is not the service.
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

/// Opens the pool of connections to Postgres. Each is in use for a statement or two, never during a call to CXone.
///
/// # Errors
/// If Postgres is unavailable.
pub async fn connect(options: &PgConnectOptions, max_connections: u32) -> Result<Db, sqlx::Error> {
    let options = options.clone().application_name("ringback").options(LIMITS);
    let pool = PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(CONNECTION_WITHIN)
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
        .connect_with(options)
        .await?;
    Ok(Db::new(pool))
}
