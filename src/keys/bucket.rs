//! The token bucket of a key, as one number: the time at which it is full again (GCRA). Times are since the start of the process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::types::Rate;

const SECOND: u64 = 1_000_000_000;

/// What a request finds in its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Whether the request is accepted.
    pub accepted: bool,
    /// The requests that would be accepted at once after this one.
    pub remaining: u64,
    /// When the bucket is full again, in seconds.
    pub full_in: u64,
    /// When the next request is accepted, in seconds; at least 1.
    pub retry_in: u64,
}

/// A bucket of a rate `n` per `t`: holds `n` requests, and gains one each `t / n`.
#[derive(Debug, Default)]
pub struct Bucket {
    /// When it is full, in nanoseconds.
    full_at: AtomicU64,
}

impl Bucket {
    /// Takes a request, if there is one left.
    pub fn take(&self, rate: Rate, now: Duration) -> Allowance {
        let (now, window, interval) = (nanos(now), window(rate), interval(rate));
        let taken = |full_at: u64| Some(full_at.max(now) + interval).filter(|next| *next <= now + window);
        let before = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
        let full_at = match before {
            Ok(full_at) => full_at.max(now) + interval,
            Err(full_at) => full_at,
        };
        let used = full_at.saturating_sub(now);
        Allowance {
            accepted: before.is_ok(),
            remaining: window.saturating_sub(used) / interval,
            full_in: used.div_ceil(SECOND),
            retry_in: (used + interval).saturating_sub(window).div_ceil(SECOND).max(1),
        }
    }

    /// Takes what other replicas have accepted, also more than is left: the debt delays later requests. It is at most 10 seconds or
    /// the time of the rate, whichever is longer, so that a late report does not refuse a key for long.
    pub fn charge(&self, rate: Rate, requests: u64, now: Duration) {
        let (now, window) = (nanos(now), window(rate));
        let longest = now + window + window.max(10 * SECOND);
        let used = requests.saturating_mul(interval(rate));
        let charged = |full_at: u64| Some(full_at.max(now).saturating_add(used).min(longest.max(full_at)));
        let _ = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, charged);
    }

    /// Whether nothing is taken.
    pub fn is_full(&self, now: Duration) -> bool {
        self.full_at.load(Ordering::Relaxed) <= nanos(now)
    }
}

fn window(rate: Rate) -> u64 {
    u64::from(rate.seconds()) * SECOND
}

fn interval(rate: Rate) -> u64 {
    window(rate) / u64::from(rate.requests())
}

/// Fits for centuries.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn rate(text: &str) -> Rate {
        Rate::parse(text).unwrap()
    }

    /// How many of `count` requests are accepted at this time.
    fn accepted(bucket: &Bucket, rate: Rate, count: usize, now: Duration) -> usize {
        (0..count).filter(|_| bucket.take(rate, now).accepted).count()
    }

    #[test]
    fn so_many_requests_are_accepted_at_once_and_then_as_the_time_passes() {
        for text in ["10/s", "600/min", "7/h", "1000000/s"] {
            let (bucket, rate) = (Bucket::default(), rate(text));
            let (requests, window) = (rate.requests() as usize, Duration::from_secs(rate.seconds().into()));
            assert_eq!(accepted(&bucket, rate, requests + 5, MS), requests, "{text}");
            let later = MS + window / 2 + MS;
            assert_eq!(accepted(&bucket, rate, requests.min(3), later), requests.min(3), "{text}");
            assert_eq!(accepted(&bucket, rate, requests + 5, later + 3 * window), requests, "{text}");
        }
    }

    #[test]
    fn an_allowance_says_what_is_left_and_when_there_is_more() {
        let (bucket, rate) = (Bucket::default(), rate("2/min"));
        let found = |accepted, remaining, full_in, retry_in| Allowance { accepted, remaining, full_in, retry_in };
        assert_eq!(bucket.take(rate, MS), found(true, 1, 30, 1));
        assert_eq!(bucket.take(rate, MS), found(true, 0, 60, 30));
        assert_eq!(bucket.take(rate, MS), found(false, 0, 60, 30));
        assert!(!bucket.take(rate, MS * 29_000).accepted && bucket.take(rate, MS * 30_001).accepted);
    }

    #[test]
    fn what_other_replicas_accepted_is_missing_here_and_delays_later_requests_for_a_bounded_time() {
        let (bucket, rate) = (Bucket::default(), rate("10/s"));
        bucket.charge(rate, 4, MS);
        assert_eq!(accepted(&bucket, rate, 20, MS), 6);
        bucket.charge(rate, 10, MS);
        assert_eq!(accepted(&bucket, rate, 20, MS * 1002), 0);
        assert_eq!(accepted(&bucket, rate, 20, MS * 1102), 1);
        bucket.charge(rate, u64::MAX, MS);
        assert_eq!(accepted(&bucket, rate, 20, MS * 12_000), 10);
        assert!(!bucket.is_full(MS * 12_001) && bucket.is_full(MS * 14_000));
    }
}
