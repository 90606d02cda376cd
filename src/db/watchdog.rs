//! Distinguishes a slow Postgres from a frozen one, whose sockets stay open.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Error, PgConnection};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use super::error::{is_answer_of_running_server, is_prepared_for_old_table, no_response};

/// After this long without an answer, the watchdog opens a connection of its own to see whether Postgres responds …
const PROBE_AFTER: Duration = Duration::from_secs(1);
/// … and takes it for frozen when it does not within this time. The sum stays well below the 2 s within which a request
/// is answered.
const RESPONDS_WITHIN: Duration = Duration::from_millis(500);
/// A result is reused for this long: all that wait share one probe.
const RESULT_KEPT_FOR: Duration = Duration::from_millis(300);
/// The longest that work on a connection may take. The server stops a statement after 5 s, and a wait for a connection
/// ends sooner.
pub const LONGEST: Duration = Duration::from_secs(8);

/// Bounds every wait for Postgres.
#[derive(Debug)]
pub struct Watchdog {
    options: Arc<PgConnectOptions>,
    /// The last probe: when it ended, and whether Postgres responded.
    last_probe: Mutex<Option<(Instant, bool)>>,
}

/// Postgres does not respond: the connection must be closed.
pub struct Unresponsive;

/// Whether the connection of a statement cannot be used again.
pub fn ends_connection<T>(done: &Result<Result<T, Error>, Unresponsive>) -> bool {
    match done {
        Ok(Ok(_)) => false,
        Ok(Err(error)) => is_prepared_for_old_table(error),
        Err(Unresponsive) => true,
    }
}

impl Watchdog {
    pub fn new(options: Arc<PgConnectOptions>) -> Self {
        Self { options, last_probe: Mutex::default() }
    }

    /// Waits for work on a connection, until Postgres stops responding or the deadline passes.
    pub async fn guard<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, Unresponsive> {
        let mut work = pin!(work);
        let probe_at = deadline.min(Instant::now() + PROBE_AFTER);
        if let Ok(done) = timeout_at(probe_at, &mut work).await {
            return Ok(done);
        }
        while Instant::now() < deadline {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                responds = self.responds() => if !responds { return Err(Unresponsive) },
            }
            if let Ok(done) = timeout(PROBE_AFTER, &mut work).await {
                return Ok(done);
            }
        }
        Err(Unresponsive)
    }

    /// Whether Postgres responds. A refused connection counts as a response, unless Postgres is starting or stopping.
    async fn responds(&self) -> bool {
        let mut last_probe = self.last_probe.lock().await;
        if let Some((at, responded)) = *last_probe
            && at.elapsed() < RESULT_KEPT_FOR
        {
            return responded;
        }
        let responded = match timeout(RESPONDS_WITHIN, PgConnection::connect_with(&self.options)).await {
            Ok(Ok(connection)) => {
                drop(connection);
                true
            }
            Ok(Err(error)) => is_answer_of_running_server(&error),
            Err(_) => false,
        };
        *last_probe = Some((Instant::now(), responded));
        responded
    }
}

impl From<Unresponsive> for Error {
    fn from(_: Unresponsive) -> Self {
        no_response()
    }
}
