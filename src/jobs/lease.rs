//! Keeping a lease while work runs under it.

use std::time::Duration;

use sqlx::Error;

/// Runs `work`, and renews its lease at this interval until it ends.
pub async fn renewing<T, F: Future<Output = Result<(), Error>>>(
    every: Duration,
    renew: impl Fn() -> F,
    work: impl Future<Output = T>,
) -> T {
    let renewals = async {
        loop {
            tokio::time::sleep(every).await;
            if let Err(error) = renew().await {
                tracing::warn!(error = %error, "a lease could not be renewed");
            }
        }
    };
    tokio::select! {
        result = work => result,
        never = renewals => never,
    }
}
