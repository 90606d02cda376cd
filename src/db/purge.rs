//! Deletes old rows in steps, so that no statement takes long.

use std::time::Duration;

/// Lets other statements run between two steps.
const PAUSE: Duration = Duration::from_millis(20);

/// Repeats a step that deletes at most `limit` rows, until one deletes fewer. Returns the number of deleted rows.
///
/// # Errors
/// The failure of a step. The steps before it remain.
pub async fn purge_in_steps<F: Future<Output = Result<u64, sqlx::Error>>>(
    limit: u64,
    step: impl Fn(i64) -> F,
) -> Result<u64, sqlx::Error> {
    let rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut purged = 0;
    loop {
        let deleted = step(rows).await?;
        purged += deleted;
        if deleted < limit {
            return Ok(purged);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test]
    async fn steps_are_repeated_until_one_deletes_fewer_than_the_limit() {
        for rows in [0, 1, 9, 10, 11, 35, 40] {
            let (left, steps) = (AtomicU64::new(rows), AtomicU64::new(0));
            let step = |limit: i64| {
                let deleted = left.load(Ordering::Relaxed).min(limit.unsigned_abs());
                left.fetch_sub(deleted, Ordering::Relaxed);
                steps.fetch_add(1, Ordering::Relaxed);
                async move { Ok(deleted) }
            };
            assert_eq!(purge_in_steps(10, step).await.unwrap(), rows);
            assert_eq!((left.load(Ordering::Relaxed), steps.load(Ordering::Relaxed)), (0, rows / 10 + 1));
        }
    }

    #[tokio::test]
    async fn a_failed_step_ends_the_purge() {
        let failed = purge_in_steps(10, async |_| Err(sqlx::Error::PoolTimedOut)).await;
        assert!(failed.is_err());
    }
}
