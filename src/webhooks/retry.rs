//! When a delivery is attempted again. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::model::Verdict;
use crate::backoff::Schedule;
use crate::clock::Clock;

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

const fn hours(hours: u64) -> Duration {
    minutes(hours * 60)
}

/// The waits after each failure, as Standard Webhooks suggests. After the last of them a delivery is dead.
const WAITS: [Duration; 9] =
    [Duration::from_secs(5), minutes(5), minutes(30), hours(2), hours(5), hours(10), hours(14), hours(20), hours(24)];
/// The jitter, in percent, keeps deliveries that failed together from being repeated together.
static SCHEDULE: Schedule = Schedule::new(&WAITS, 10);
/// A receiver may ask for a longer wait, up to this.
const LONGEST_WAIT: Duration = hours(24);
/// An endpoint that has done nothing but fail for so long is disabled, when one of its deliveries has used up all waits. One
/// that gets few events would be disabled by its first failure otherwise.
const FAILS_FOR: SignedDuration = SignedDuration::from_hours(5 * 24);

/// What the receiver answered, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// None where there was no whole answer in time.
    pub status: Option<u16>,
    pub retry_after: Option<Duration>,
}

/// What follows from an attempt; `attempts` are those before it.
pub fn verdict(answered: Answered, attempts: u32, failing_since: Option<Timestamp>, clock: &Clock) -> Verdict {
    let now = clock.now();
    match answered.status {
        Some(200..=299) => return Verdict::Succeeded,
        Some(410) => return Verdict::Disabled { reason: "it answered 410: it is gone", failing_since: None },
        _ => {}
    }
    let Some(wait) = SCHEDULE.wait(attempts, clock) else {
        let has_failed_long = failing_since.is_some_and(|since| now.duration_since(since) >= FAILS_FOR);
        let reason = "it has done nothing but fail for five days";
        return if has_failed_long { Verdict::Disabled { reason, failing_since } } else { Verdict::Dead };
    };
    Verdict::Again(now + wait.max(answered.retry_after.unwrap_or_default().min(LONGEST_WAIT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(status: Option<u16>, attempts: u32, retry_after: Option<u64>, failing_hours: Option<i64>) -> Verdict {
        let now: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
        let clock = Clock::manual(move || now, 7);
        let answered = Answered { status, retry_after: retry_after.map(Duration::from_secs) };
        verdict(answered, attempts, failing_hours.map(|hours| now - SignedDuration::from_hours(hours)), &clock)
    }

    #[test]
    fn waits_follow_the_schedule_and_then_a_delivery_is_dead() {
        let now: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
        let mut total = 0;
        for (attempts, seconds) in (0..).zip(WAITS.map(|wait| wait.as_secs())) {
            let Verdict::Again(at) = after(Some(500), attempts, None, None) else { panic!("attempt {attempts}") };
            let wait = at.duration_since(now).as_secs();
            assert!((i64::try_from(seconds).unwrap()..=i64::try_from(seconds + seconds / 10).unwrap()).contains(&wait));
            total += seconds;
        }
        assert_eq!(after(None, 9, None, None), Verdict::Dead);
        assert!(total > hours(3 * 24).as_secs(), "a delivery is attempted for days");
    }

    #[test]
    fn every_answer_has_its_verdict() {
        let is_again = |verdict| matches!(verdict, Verdict::Again(_));
        assert_eq!(after(Some(200), 0, None, None), Verdict::Succeeded);
        assert_eq!(after(Some(204), 9, None, Some(999)), Verdict::Succeeded);
        assert!(matches!(after(Some(410), 0, None, Some(999)), Verdict::Disabled { failing_since: None, .. }));
        for status in [None, Some(302), Some(400), Some(401), Some(404), Some(429), Some(500), Some(503)] {
            assert!(is_again(after(status, 8, None, Some(119))), "{status:?}");
            assert_eq!(after(status, 9, None, Some(119)), Verdict::Dead, "{status:?}");
            let disabled = after(status, 9, None, Some(120));
            assert!(matches!(disabled, Verdict::Disabled { failing_since: Some(_), .. }), "{status:?}");
        }
        let Verdict::Again(at) = after(Some(429), 0, Some(3600), None) else { panic!() };
        assert_eq!(at.to_string(), "2026-11-20T16:00:00Z");
    }

    #[test]
    fn an_endpoint_that_gets_few_events_is_not_disabled_before_a_delivery_has_used_up_its_waits() {
        for attempts in 0..9 {
            assert!(matches!(after(Some(500), attempts, None, Some(999)), Verdict::Again(_)), "{attempts}");
        }
        assert!(matches!(after(Some(500), 9, None, Some(999)), Verdict::Disabled { .. }));
    }
}
