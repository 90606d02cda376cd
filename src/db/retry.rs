//! Repeating changes that are safe to repeat: each repetition finds what an earlier one committed.

use std::time::Duration;

use sqlx::Error;
use tokio::time::{Instant, sleep};

use super::error::{is_conflict, is_transient};
use crate::backoff::Backoff;

/// A client is waiting: after this it is better answered with a 503.
const UNKNOWN_WITHIN: Duration = Duration::from_millis(700);
/// Postgres is up, and takes a second to detect a deadlock.
const CONFLICTS_WITHIN: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// Pauses are longer by less than this many milliseconds, by `jitter`.
const JITTER_MS: u64 = 40;
/// The pauses before each release. Their sum is longer than Postgres is usually unavailable.
const RELEASE_PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// Runs a change, and runs it again while another transaction conflicts with it, or Postgres is briefly unavailable and
/// it is unknown whether the change was committed. `jitter` spreads the repetitions of concurrent callers: any number
/// that differs between them.
///
/// # Errors
/// The last failure.
pub async fn retry<T, F: Future<Output = Result<T, Error>>>(jitter: u64, change: impl Fn() -> F) -> Result<T, Error> {
    let started = Instant::now();
    let extra = Duration::from_millis(jitter % JITTER_MS);
    let backoff = Backoff::doubling(FIRST_PAUSE + extra, LONGEST_PAUSE + extra);
    let mut failures = 0;
    loop {
        let error = match change().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        failures += 1;
        let pause = backoff.base(failures);
        let within = if is_conflict(&error) { CONFLICTS_WITHIN } else { UNKNOWN_WITHIN };
        if !is_transient(&error) || started.elapsed() + pause > within {
            return Err(error);
        }
        tracing::warn!(error = %error, "retrying a change in the database");
        sleep(pause).await;
    }
}

/// Releases a claim in the background, several times: the statement that claimed it may still reach a Postgres that did
/// not respond. `release` must do nothing where the claim is not held.
pub fn release_in_background<F: Future<Output = Result<(), Error>> + Send>(release: impl Fn() -> F + Send + 'static) {
    tokio::spawn(async move {
        for pause in RELEASE_PAUSES {
            sleep(pause).await;
            if let Err(error) = release().await {
                tracing::warn!(error = %error, "a claim could not be released yet");
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Runs a change that fails until attempt number `succeeds_at`; returns the result and the number of attempts.
    async fn attempts(fail: impl Fn() -> Error, succeeds_at: u32) -> (Result<(), Error>, u32) {
        let attempts = AtomicU32::new(0);
        let change = || async {
            let number = attempts.fetch_add(1, Ordering::Relaxed) + 1;
            if number < succeeds_at { Err(fail()) } else { Ok(()) }
        };
        let done = retry(7, change).await;
        (done, attempts.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_change_is_retried_while_the_failure_is_transient() {
        let (done, count) = attempts(|| Error::PoolClosed, 3).await;
        assert!(done.is_ok() && count == 3);

        let (failed, count) = attempts(|| Error::PoolClosed, u32::MAX).await;
        assert!(failed.is_err() && count > 2);

        let (failed, count) = attempts(|| Error::RowNotFound, u32::MAX).await;
        assert!(failed.is_err() && count == 1);
    }
}
