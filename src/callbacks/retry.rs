//! What a failure of CXone's means for what was asked of it, and when it is asked again.

use std::time::Duration;

use crate::clock::Clock;
use crate::cxone::CxoneError;

/// The first wait after CXone was unavailable: from, and to.
const FIRST_WAIT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// No wait is longer than this, but where CXone itself asks for it.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// So that those who were all told the same `Retry-After` do not all come back in the same moment.
const RETRY_AFTER_SPREAD: Duration = Duration::from_secs(1);

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It will never work.
    Final,
    /// It was not done; it may be tried again.
    NotDone { wait: Duration },
    /// It may have been done.
    Unknown { wait: Duration },
}

/// The verdict on a failure of the contact or of the SMS. The call's own retry is behind it already. `is_up` is false
/// while CXone is not asked at all: nobody is put off then, for the backlog waits as a whole, and keeps its order.
pub fn verdict(error: &CxoneError, attempts: i32, is_up: bool, clock: &Clock) -> Verdict {
    let wait = || if is_up { backoff(attempts, clock) } else { Duration::ZERO };
    let wait_at_least = |asked_for: &Option<Duration>| match wait() {
        Duration::ZERO => Duration::ZERO,
        wait => wait.max(asked_for.unwrap_or_default()),
    };
    match error {
        CxoneError::RateLimited { retry_after } | CxoneError::OverBudget { retry_after } => {
            Verdict::NotDone { wait: *retry_after + clock.between(Duration::ZERO, RETRY_AFTER_SPREAD) }
        }
        CxoneError::Unavailable { retry_after, .. } => Verdict::NotDone { wait: wait_at_least(retry_after) },
        CxoneError::NotSentInTime | CxoneError::Superseded => Verdict::NotDone { wait: Duration::ZERO },
        // The credentials can be corrected while the window lasts: no callback is lost to an expired secret.
        CxoneError::Unauthorized { .. } => Verdict::NotDone { wait: wait() },
        CxoneError::ServerError { retry_after, .. } => Verdict::Unknown { wait: wait_at_least(retry_after) },
        CxoneError::OutcomeUnknown { .. } | CxoneError::UnexpectedAnswer { .. } => Verdict::Unknown { wait: wait() },
        CxoneError::Forbidden { .. }
        | CxoneError::NotFound { .. }
        | CxoneError::Conflict { .. }
        | CxoneError::Rejected { .. }
        | CxoneError::ContactRefused { .. } => Verdict::Final,
    }
}

/// Exponential, with full jitter above the shortest wait.
pub fn backoff(attempts: i32, clock: &Clock) -> Duration {
    let (shortest, first) = FIRST_WAIT;
    let doublings = u32::try_from(attempts.clamp(1, 10) - 1).unwrap_or(0);
    clock.between(shortest, (first * 2_u32.pow(doublings)).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn errors(retry_after: Duration) -> [(CxoneError, &'static str); 13] {
        let reason = String::new;
        [
            (CxoneError::RateLimited { retry_after }, "not done"),
            (CxoneError::OverBudget { retry_after }, "not done"),
            (CxoneError::Unavailable { retry_after: None, reason: reason() }, "not done"),
            (CxoneError::NotSentInTime, "not done"),
            (CxoneError::Superseded, "not done"),
            (CxoneError::Unauthorized { reason: reason() }, "not done"),
            (CxoneError::ServerError { retry_after: None, reason: reason() }, "unknown"),
            (CxoneError::OutcomeUnknown { reason: reason() }, "unknown"),
            (CxoneError::UnexpectedAnswer { reason: reason() }, "unknown"),
            (CxoneError::Forbidden { scope: "s", reason: reason() }, "final"),
            (CxoneError::NotFound { reason: reason() }, "final"),
            (CxoneError::Rejected { status: 400, reason: reason() }, "final"),
            (CxoneError::ContactRefused { status: 422, reason: reason() }, "final"),
        ]
    }

    fn name(verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::Final => "final",
            Verdict::NotDone { .. } => "not done",
            Verdict::Unknown { .. } => "unknown",
        }
    }

    fn wait(verdict: Verdict) -> Option<Duration> {
        match verdict {
            Verdict::Final => None,
            Verdict::NotDone { wait } | Verdict::Unknown { wait } => Some(wait),
        }
    }

    #[test]
    fn each_failure_means_what_may_safely_follow_from_it() {
        let clock = Clock::manual(|| Timestamp::UNIX_EPOCH, 1);
        for (error, meaning) in errors(Duration::from_secs(2)) {
            assert_eq!(name(verdict(&error, 1, true, &clock)), meaning, "{error:?}");
        }
    }

    proptest! {
        /// Whatever the random numbers are: the first wait is 5 to 30 s, none is longer than 5 minutes but where CXone asks
        /// for it, `Retry-After` is always waited out, and nobody is put off while CXone is not asked at all.
        #[test]
        fn waits_are_bounded_and_jittered(seed in any::<u64>(), attempts in 1i32..1000, retry_after in 0u64..600) {
            let clock = Clock::manual(|| Timestamp::UNIX_EPOCH, seed);
            let retry_after = Duration::from_secs(retry_after);
            for (error, _) in errors(retry_after) {
                let Some(wait) = self::wait(verdict(&error, attempts, true, &clock)) else { continue };
                match error {
                    CxoneError::RateLimited { .. } | CxoneError::OverBudget { .. } => {
                        prop_assert!(wait >= retry_after && wait <= retry_after + RETRY_AFTER_SPREAD);
                    }
                    CxoneError::NotSentInTime | CxoneError::Superseded => prop_assert_eq!(wait, Duration::ZERO),
                    _ => {
                        let longest = if attempts == 1 { FIRST_WAIT.1 } else { LONGEST_WAIT };
                        prop_assert!(wait >= FIRST_WAIT.0 && wait <= longest);
                        let down = verdict(&error, attempts, false, &clock);
                        prop_assert_eq!(self::wait(down), Some(Duration::ZERO));
                    }
                }
            }
        }
    }
}
