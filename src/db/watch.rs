//! Tells a slow Postgres from one that answers nothing: a frozen server keeps its sockets open.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Error, PgConnection};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use super::error::unanswered;

/// After so long without an answer Postgres is asked, on a connection of its own, whether it lives …
const DOUBT_AFTER: Duration = Duration::from_millis(1000);
/// … and is taken to be frozen where it does not answer within this. The sum stays well under the 2 s in which a request
/// is to be answered.
const ALIVE_WITHIN: Duration = Duration::from_millis(500);
/// What was learned is good for so long: all who wait share one question.
const KNOWN_FOR: Duration = Duration::from_millis(300);
/// The server itself stops a statement after 5 s, and a wait for a connection ends before.
pub const LONGEST: Duration = Duration::from_secs(8);

/// Watches over statements.
#[derive(Debug)]
pub struct Watch {
    options: Arc<PgConnectOptions>,
    known: Mutex<Option<(Instant, bool)>>,
}

/// The connection of the work is not to be used any more.
pub struct GivenUp;

impl Watch {
    pub fn new(options: Arc<PgConnectOptions>) -> Self {
        Self { options, known: Mutex::default() }
    }

    /// Runs work on a connection, and gives it up where Postgres answers nothing, or at the deadline.
    pub async fn over<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, GivenUp> {
        let mut work = pin!(work);
        let doubt_at = deadline.min(Instant::now() + DOUBT_AFTER);
        if let Ok(done) = timeout_at(doubt_at, &mut work).await {
            return Ok(done);
        }
        while Instant::now() < deadline {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                alive = self.is_alive() => if !alive { return Err(GivenUp) },
            }
            if let Ok(done) = timeout(DOUBT_AFTER, &mut work).await {
                return Ok(done);
            }
        }
        Err(GivenUp)
    }

    /// Whether Postgres answers. Any answer counts, a refusal too, unless it says that it is starting or stopping.
    async fn is_alive(&self) -> bool {
        let mut known = self.known.lock().await;
        if let Some((at, alive)) = *known
            && at.elapsed() < KNOWN_FOR
        {
            return alive;
        }
        let alive = match timeout(ALIVE_WITHIN, PgConnection::connect_with(&self.options)).await {
            Ok(Ok(connection)) => {
                drop(connection);
                true
            }
            Ok(Err(Error::Database(error))) => error.code().is_none_or(|code| !code.starts_with("57P")),
            Ok(Err(_)) | Err(_) => false,
        };
        *known = Some((Instant::now(), alive));
        alive
    }
}

impl From<GivenUp> for Error {
    fn from(_: GivenUp) -> Self {
        unanswered()
    }
}
