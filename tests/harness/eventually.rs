//! Waiting for a condition.

use std::time::{Duration, Instant};

/// The default time limit: far longer than anything takes on a busy machine, unless something is broken.
pub const PATIENCE: Duration = Duration::from_secs(90);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Polls until `check` succeeds. Panics with its last error after [`PATIENCE`].
pub async fn eventually<T, F: Future<Output = Result<T, String>>>(what: &str, check: impl Fn() -> F) -> T {
    eventually_within(PATIENCE, what, check).await
}

/// Like [`eventually`], with another time limit.
pub async fn eventually_within<T, F: Future<Output = Result<T, String>>>(
    patience: Duration,
    what: &str,
    check: impl Fn() -> F,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match check().await {
            Ok(found) => return found,
            Err(last) => assert!(Instant::now() < deadline, "timed out waiting for {what}; last seen: {last}"),
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
