//! What a failure of CXone's means for what was asked of it, and when it is asked again.

use std::time::Duration;

use super::model::{Callback, Status};
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

/// The verdict on a failure of the contact (while the callback is accepted) or of the text. The call's own retry is
/// behind it already. `is_up` is false while CXone is not asked at all: nobody is put off then, for the backlog waits
/// as a whole, and keeps its order.
pub fn verdict(error: &CxoneError, callback: &Callback, in_doubt: bool, is_up: bool, clock: &Clock) -> Verdict {
    let backoff = || if is_up { backoff(callback.attempts, clock) } else { Duration::ZERO };
    let backoff_after = |asked_for: &Option<Duration>| match backoff() {
        Duration::ZERO => Duration::ZERO,
        wait => wait.max(asked_for.unwrap_or_default()),
    };
    match error {
        CxoneError::RateLimited { retry_after } | CxoneError::OverBudget { retry_after } => {
            Verdict::NotDone { wait: *retry_after + clock.between(Duration::ZERO, RETRY_AFTER_SPREAD) }
        }
        CxoneError::Unavailable { retry_after, .. } => Verdict::NotDone { wait: backoff_after(retry_after) },
        // Nothing was done, by CXone's contract. A contact loses nothing where it is doubted all the same.
        CxoneError::ServerError { retry_after, .. } if callback.status == Status::Accepted => {
            Verdict::Unknown { wait: backoff_after(retry_after) }
        }
        CxoneError::ServerError { retry_after, .. } => Verdict::NotDone { wait: backoff_after(retry_after) },
        // The credentials can be mended while the window lasts: no callback is lost to an expired secret.
        CxoneError::Unauthorized { .. } => Verdict::NotDone { wait: backoff() },
        CxoneError::OutcomeUnknown { .. } | CxoneError::UnexpectedAnswer { .. } => Verdict::Unknown { wait: backoff() },
        // That the client may not ask, or finds no campaign, says nothing about a contact that may be there.
        CxoneError::Forbidden { .. } | CxoneError::NotFound { .. } if in_doubt => Verdict::Unknown { wait: backoff() },
        CxoneError::Forbidden { .. }
        | CxoneError::NotFound { .. }
        | CxoneError::Conflict { .. }
        | CxoneError::Rejected { .. } => Verdict::Final,
    }
}

/// Exponential, with full jitter above the shortest wait.
fn backoff(attempts: i32, clock: &Clock) -> Duration {
    let (shortest, first) = FIRST_WAIT;
    let doublings = u32::try_from(attempts.clamp(1, 10) - 1).unwrap_or(0);
    clock.between(shortest, (first * 2_u32.pow(doublings)).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::super::model::{Confirmation, Failure};
    use super::*;
    use crate::trace::Traceparent;
    use crate::types::{CampaignId, Language, PhoneNumber, TimeWindow};

    fn callback(status: Status, attempts: i32) -> Callback {
        let start: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
        let end = start + Duration::from_secs(3600);
        Callback {
            id: Uuid::nil(),
            status,
            phone_number: PhoneNumber::from_stored("+12025550198".into()).unwrap(),
            campaign_id: CampaignId::parse("c").unwrap(),
            window: TimeWindow::parse(start, end).unwrap(),
            language: Language::parse("en").unwrap(),
            timezone: None,
            dispatch_time: None,
            earlier_dispatch_time: None,
            contact_id: None,
            confirmation: Confirmation::Pending,
            confirmation_started_at: None,
            sms_session_id: None,
            at_risk: false,
            failure: None,
            attempts,
            due_at: Some(start),
            request_id: String::new(),
            trace: Traceparent::root(Uuid::from_u128(1)),
            created_at: start,
            updated_at: start,
        }
    }

    fn errors(retry_after: Duration) -> [(CxoneError, &'static str, &'static str); 10] {
        let reason = String::new;
        [
            (CxoneError::RateLimited { retry_after }, "not done", "not done"),
            (CxoneError::OverBudget { retry_after }, "not done", "not done"),
            (CxoneError::Unavailable { retry_after: None, reason: reason() }, "not done", "not done"),
            (CxoneError::ServerError { retry_after: None, reason: reason() }, "unknown", "not done"),
            (CxoneError::Unauthorized { reason: reason() }, "not done", "not done"),
            (CxoneError::OutcomeUnknown { reason: reason() }, "unknown", "unknown"),
            (CxoneError::UnexpectedAnswer { reason: reason() }, "unknown", "unknown"),
            (CxoneError::Forbidden { scope: "s", reason: reason() }, "final", "final"),
            (CxoneError::NotFound { reason: reason() }, "final", "final"),
            (CxoneError::Rejected { status: 400, reason: reason() }, "final", "final"),
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
        for (error, of_contact, of_text) in errors(Duration::from_secs(2)) {
            let judge = |status| name(verdict(&error, &callback(status, 1), false, true, &clock));
            assert_eq!((judge(Status::Accepted), judge(Status::Scheduled)), (of_contact, of_text), "{error:?}");
        }
        let forbidden = CxoneError::Forbidden { scope: "s", reason: String::new() };
        assert_eq!(name(verdict(&forbidden, &callback(Status::Accepted, 2), true, true, &clock)), "unknown");
    }

    proptest! {
        /// Whatever the dice say: the first wait is 5 to 30 s, none is longer than 5 minutes but where CXone asks for
        /// it, `Retry-After` is always waited out, nobody is put off while CXone is not asked at all, and no callback
        /// sleeps past its window.
        #[test]
        fn waits_are_bounded_jittered_and_end_with_the_window(
            seed in any::<u64>(),
            attempts in 1i32..1000,
            retry_after in 0u64..600,
            late in 0i64..3600,
        ) {
            let clock = Clock::manual(|| Timestamp::UNIX_EPOCH, seed);
            let retry_after = Duration::from_secs(retry_after);
            for (error, _, _) in errors(retry_after) {
                let mut callback = callback(Status::Accepted, attempts);
                let Some(wait) = self::wait(verdict(&error, &callback, false, true, &clock)) else { continue };
                match error {
                    CxoneError::RateLimited { .. } | CxoneError::OverBudget { .. } => {
                        prop_assert!(wait >= retry_after && wait <= retry_after + RETRY_AFTER_SPREAD);
                    }
                    _ => {
                        let longest = if attempts == 1 { FIRST_WAIT.1 } else { LONGEST_WAIT };
                        prop_assert!(wait >= FIRST_WAIT.0 && wait <= longest);
                        let down = verdict(&error, &callback, false, false, &clock);
                        prop_assert_eq!(self::wait(down), Some(Duration::ZERO));
                    }
                }
                let now = callback.window.start() + Duration::from_secs(late.unsigned_abs());
                callback.deferred(Failure::new(error.code(), "…"), now + wait);
                prop_assert!(callback.due_at.unwrap() <= callback.window.end());
            }
        }
    }
}
