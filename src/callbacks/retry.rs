//! What a CXone failure means for the request that failed, and when the next attempt is made.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::cxone::CxoneError;

/// The first wait after a failure is drawn from this …
const SHORTEST_WAIT: Duration = Duration::from_secs(5);
/// … to this; later ones to twice as much each time …
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// … but to no more than this, unless CXone asks for a longer wait.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
const BACKOFF: Backoff = Backoff::doubling(FIRST_WAIT, LONGEST_WAIT).jittered_from(SHORTEST_WAIT);
/// Spreads the next attempts of callbacks that got the same `Retry-After`.
const RETRY_AFTER_SPREAD: Duration = Duration::from_secs(1);

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request fails again each time it is sent.
    Final,
    /// The request had no effect, and may be sent again.
    NotDone { wait: Duration },
    /// The request may have had its effect.
    Unknown { wait: Duration },
}

/// The verdict on a failure to create the contact or to send the SMS. The client has made its own retry already. `is_up` is
/// false while no request is sent to CXone at all: the callback is not postponed then, so that the backlog keeps its order. If
/// its own request was sent and failed, it waits for a short time, so that the next probe can be about another callback.
pub fn verdict(error: &CxoneError, attempts: i32, is_up: bool, clock: &Clock) -> Verdict {
    let wait = || if is_up { backoff(attempts, clock) } else { Duration::ZERO };
    let wait_of_sent = || backoff(if is_up { attempts } else { 1 }, clock);
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
        // The credentials can be corrected within the window: an expired secret must not fail callbacks.
        CxoneError::Unauthorized { .. } => Verdict::NotDone { wait: wait() },
        CxoneError::ServerError { retry_after, .. } => {
            Verdict::Unknown { wait: wait_of_sent().max(retry_after.filter(|_| is_up).unwrap_or_default()) }
        }
        CxoneError::OutcomeUnknown { .. } | CxoneError::UnexpectedAnswer { .. } => {
            Verdict::Unknown { wait: wait_of_sent() }
        }
        CxoneError::Forbidden { .. }
        | CxoneError::NotFound { .. }
        | CxoneError::Conflict { .. }
        | CxoneError::Rejected { .. }
        | CxoneError::ContactRefused { .. } => Verdict::Final,
    }
}

/// The wait after an attempt, by the number of attempts so far.
pub fn backoff(attempts: i32, clock: &Clock) -> Duration {
    BACKOFF.wait(attempts.max(1).unsigned_abs(), clock)
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
            (CxoneError::Unavailable { retry_after: Some(retry_after), reason: reason() }, "not done"),
            (CxoneError::NotSentInTime, "not done"),
            (CxoneError::Superseded, "not done"),
            (CxoneError::Unauthorized { reason: reason() }, "not done"),
            (CxoneError::ServerError { retry_after: Some(retry_after), reason: reason() }, "unknown"),
            (CxoneError::OutcomeUnknown { reason: reason() }, "unknown"),
            (CxoneError::UnexpectedAnswer { reason: reason() }, "unknown"),
            (CxoneError::Forbidden { permission: "s", reason: reason() }, "final"),
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
    fn each_failure_has_its_verdict() {
        let clock = Clock::manual(|| Timestamp::UNIX_EPOCH, 1);
        for (error, meaning) in errors(Duration::from_secs(2)) {
            assert_eq!(name(verdict(&error, 1, true, &clock)), meaning, "{error:?}");
        }
    }

    proptest! {
        /// Whatever the random numbers are: the first wait is 5 to 30 s, none is longer than 5 minutes unless CXone asks
        /// for it, no attempt is made before `Retry-After`, and while no request is sent to CXone, only what was sent is postponed.
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
                        let longest = if attempts == 1 { FIRST_WAIT } else { LONGEST_WAIT };
                        let asked_for = match error {
                            CxoneError::Unavailable { .. } | CxoneError::ServerError { .. } => retry_after,
                            _ => Duration::ZERO,
                        };
                        prop_assert!(wait >= asked_for.max(SHORTEST_WAIT) && wait <= asked_for.max(longest));
                        let down = self::wait(verdict(&error, attempts, false, &clock)).unwrap();
                        let was_sent = name(verdict(&error, attempts, false, &clock)) == "unknown";
                        prop_assert_eq!(down > Duration::ZERO, was_sent);
                        prop_assert!(down <= FIRST_WAIT);
                    }
                }
            }
        }
    }
}
