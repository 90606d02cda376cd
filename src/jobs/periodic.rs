//! Work that is repeated at an interval.

use std::time::Duration;

use sqlx::Error;
use tokio_util::sync::CancellationToken;

/// When work is repeated.
#[derive(Clone, Copy, Debug)]
pub struct Periodic {
    /// The interval. The first run is at once.
    pub every: Duration,
    /// The shorter interval after a failure.
    pub after_failure: Duration,
}

/// When rows that have expired are deleted.
pub const PURGE: Periodic = Periodic { every: Duration::from_mins(10), after_failure: Duration::from_secs(15) };

impl Periodic {
    /// Runs `work` at the interval until `stop`, which also cancels a run. `failure` is logged where a run fails.
    pub async fn run<F: Future<Output = Result<(), Error>>>(
        self,
        stop: &CancellationToken,
        failure: &str,
        work: impl Fn() -> F,
    ) {
        let repeat = async {
            let mut timer = tokio::time::interval(self.every);
            loop {
                timer.tick().await;
                if let Err(error) = work().await {
                    tracing::error!(error = %error, "{failure}");
                    timer.reset_after(self.after_failure);
                }
            }
        };
        let _: Option<std::convert::Infallible> = stop.run_until_cancelled(repeat).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_purge_is_repeated_soon_but_not_at_once() {
        assert!((Duration::from_secs(1)..PURGE.every).contains(&PURGE.after_failure));
    }
}
