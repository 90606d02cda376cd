//! Repeating a change that may be repeated: whoever repeats it finds what an earlier try has committed.

use std::time::Duration;

use sqlx::Error;
use tokio::time::{Instant, sleep};

use super::error::{is_conflict, is_transient};

/// A caller waits: after this, it had better come back.
const UNKNOWN_WITHIN: Duration = Duration::from_millis(700);
/// Postgres lives, and takes a second to see a deadlock.
const CONFLICTS_WITHIN: Duration = Duration::from_secs(5);
/// In sum longer than Postgres is usually away.
const GIVE_BACK_AFTER: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Runs a change again where another transaction was in its way, or where Postgres went away for a moment and it is unknown
/// whether it was committed. `jitter` tells those who collide apart: any number that differs between them.
///
/// # Errors
/// What it last failed with.
pub async fn repeated<T, F: Future<Output = Result<T, Error>>>(
    jitter: u64,
    change: impl Fn() -> F,
) -> Result<T, Error> {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE + Duration::from_millis(jitter % 40);
    loop {
        let error = match change().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let within = if is_conflict(&error) { CONFLICTS_WITHIN } else { UNKNOWN_WITHIN };
        if !is_transient(&error) || started.elapsed() + pause > within {
            return Err(error);
        }
        tracing::warn!(error = %error, "a change is tried again");
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE + Duration::from_millis(jitter % 40));
    }
}

/// Runs what gives back a claim, now and a few times more: the statement that is to be undone may still be on its way to a
/// Postgres that did not answer. It must do nothing where there is nothing to give back.
pub fn give_back<F: Future<Output = Result<(), Error>> + Send>(give_back: impl Fn() -> F + Send + 'static) {
    tokio::spawn(async move {
        for pause in GIVE_BACK_AFTER {
            sleep(pause).await;
            if let Err(error) = give_back().await {
                tracing::warn!(error = %error, "a claim is not given back yet");
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Runs a change that fails so until its try of this number; gives how often it was tried.
    async fn tries(fail: impl Fn() -> Error, succeeds_at: u32) -> (Result<(), Error>, u32) {
        let tries = AtomicU32::new(0);
        let change = || async {
            let number = tries.fetch_add(1, Ordering::Relaxed) + 1;
            if number < succeeds_at { Err(fail()) } else { Ok(()) }
        };
        let done = repeated(7, change).await;
        (done, tries.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_change_is_repeated_while_that_may_help_and_a_caller_can_wait() {
        let (done, count) = tries(|| Error::PoolClosed, 3).await;
        assert!(done.is_ok() && count == 3);

        let (failed, count) = tries(|| Error::PoolClosed, u32::MAX).await;
        assert!(failed.is_err() && count > 2);

        let (failed, count) = tries(|| Error::RowNotFound, u32::MAX).await;
        assert!(failed.is_err() && count == 1);
    }
}
