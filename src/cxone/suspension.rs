//! Suspends requests to an endpoint that refused the client, or that returned no token.

use std::time::Duration;

use jiff::Timestamp;

use super::error::CxoneError;
use crate::backoff::Backoff;

/// A refused client, or a broken token endpoint, uses almost nothing of the quota.
const BACKOFF: Backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(30));

/// The state of one endpoint.
#[derive(Default)]
pub struct Suspension {
    /// The reason, and the end of the suspension. Kept after the end, until a request succeeds.
    failure: Option<(CxoneError, Timestamp)>,
    failures: u32,
}

impl Suspension {
    /// Suspends the endpoint, each time for longer, and returns the end. Requests that are refused while it is suspended
    /// do not extend it.
    pub fn extend(&mut self, error: &CxoneError, now: Timestamp) -> Timestamp {
        if let Some((_, until)) = self.failure.as_ref().filter(|(_, until)| now < *until) {
            return *until;
        }
        self.failures = self.failures.saturating_add(1);
        let until = now + BACKOFF.base(self.failures);
        self.failure = Some((error.clone(), until));
        until
    }

    /// How long it lasts from now on; none where the endpoint is not suspended.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        let (_, until) = self.failure.as_ref()?;
        Duration::try_from(until.duration_since(now)).ok().filter(|wait| !wait.is_zero())
    }

    /// The reason, where the endpoint is suspended.
    pub fn reason(&self, now: Timestamp) -> Option<&CxoneError> {
        self.left(now).and(self.failure.as_ref()).map(|(error, _)| error)
    }

    /// Whether the last failure is not followed by a success.
    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Whether CXone refused the client, and has not accepted it since.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self.failure, Some((CxoneError::Unauthorized { .. }, _)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_at_the_same_time_are_one_and_later_ones_last_longer() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let error = CxoneError::Unauthorized { reason: String::new() };
        let mut suspension = Suspension::default();
        assert_eq!(suspension.extend(&error, at(0)), at(1));
        assert_eq!(suspension.extend(&error, at(0)), at(1));
        assert_eq!(suspension.left(at(1)), None);
        assert!(suspension.is_unauthorized());
        for (now, end) in [(1, 3), (3, 7), (7, 15), (15, 31), (31, 61), (61, 91)] {
            assert_eq!(suspension.extend(&error, at(now)), at(end));
        }
    }
}
