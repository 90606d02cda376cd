//! What has been spent of CXone's quota, and who may spend next. Pure: the same ledger, question and moment give the
//! same answer.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// CXone counts requests in any 60 seconds as they arrive. A second more covers what a request may need to get there.
const WINDOW_MS: i64 = 61_000;
/// Requests are counted in steps of so long; a step counts until all of it is out of the window.
const STEP_MS: i64 = 250;
/// Work in the background is spread over the window in pieces of so long.
const PACE_MS: i64 = 3_000;
/// Whole callbacks of a few requests must fit a piece, whatever the rounding.
const PACE_SLACK: u64 = 2;
/// Until so much of the quota is used, in percent, there is no need to.
const UNPACED_PERCENT: u64 = 25;
/// So much of the quota is kept for campaign control, and as much again for callers who wait, in percent.
const RESERVE_PERCENT: u64 = 3;
/// A token, a read and a write: what a pause needs at most, and is kept of any quota that is large enough.
const ONE_PAUSE: u32 = 3;
/// After a caller who waits was refused, the background holds off for so long …
const YIELD_MS: i64 = 2_000;
/// … but never for longer than this at a time.
const STARVED_MS: i64 = 10_000;

/// Who asks, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A campaign is to be paused or resumed.
    Control,
    /// Someone waits for the answer.
    Waiting,
    /// Nobody waits.
    Background,
}

impl Class {
    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Waiting => "waiting",
            Self::Background => "background",
        }
    }
}

/// The answer to a question for requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send now.
    Granted,
    /// Not before so long from now.
    NotFor(Duration),
}

/// Requests by the step in which they were granted, and until when nobody may send.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// `(step, requests)`, oldest first.
    spent: VecDeque<(i64, u32)>,
    /// In milliseconds of the epoch, as all that follows.
    back_off_until: i64,
    waiting_refused_at: i64,
    background_granted_at: i64,
}

impl Ledger {
    /// A ledger of which only is known that there was another before it.
    pub fn all_spent(quota: u32, now: Timestamp) -> Self {
        Self { spent: VecDeque::from([(step(now), quota)]), ..Self::default() }
    }

    /// Takes `count` requests of a quota of so many a minute.
    pub fn take(&mut self, class: Class, count: u32, quota: u32, now: Timestamp) -> Decision {
        self.forget(now);
        let now_ms = now.as_millisecond();
        let wait = self.wait_for(class, count, quota, now_ms);
        if wait > 0 {
            if class == Class::Waiting {
                self.waiting_refused_at = now_ms;
            }
            return not_for(wait);
        }
        let step = step(now);
        match self.spent.back_mut() {
            Some((last, spent)) if *last >= step => *spent = spent.saturating_add(count),
            _ => self.spent.push_back((step, count)),
        }
        if class == Class::Background {
            self.background_granted_at = now_ms;
        }
        Decision::Granted
    }

    /// Whether work that will need `count` requests may be started in the background.
    pub fn may_start(&self, count: u32, quota: u32, now: Timestamp) -> Decision {
        let now_ms = now.as_millisecond();
        let wait = self.wait_for(Class::Background, count, quota, now_ms);
        // At rest nothing is slowed.
        if u64::from(self.used(now)) + u64::from(count) <= u64::from(quota) * UNPACED_PERCENT / 100 {
            return not_for(wait);
        }
        let pace = u64::from(allowance(Class::Background, quota)) * PACE_MS.unsigned_abs();
        let pace = u32::try_from(pace.div_ceil(WINDOW_MS.unsigned_abs()) + PACE_SLACK).unwrap_or(u32::MAX);
        let paced = self.wait_until_below(now_ms - PACE_MS, pace.saturating_sub(count.min(pace - 1)), PACE_MS, now_ms);
        not_for(wait.max(paced))
    }

    /// CXone said 429: nobody sends for so long.
    pub fn back_off(&mut self, wait: Duration, now: Timestamp) {
        let until = now.as_millisecond().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        self.back_off_until = self.back_off_until.max(until);
    }

    /// Requests of the last minute.
    pub fn used(&self, now: Timestamp) -> u32 {
        self.spent_since(now.as_millisecond() - WINDOW_MS)
    }

    /// In milliseconds; none or less where it may be granted now.
    fn wait_for(&self, class: Class, count: u32, quota: u32, now: i64) -> i64 {
        let backed_off = self.back_off_until - now;
        let room_for = allowance(class, quota).saturating_sub(count).saturating_add(1).max(1);
        let full = self.wait_until_below(now - WINDOW_MS, room_for, WINDOW_MS, now);
        backed_off.max(full).max(self.wait_for_waiting(class, now))
    }

    /// The background lets callers who wait go first, though not for ever.
    fn wait_for_waiting(&self, class: Class, now: i64) -> i64 {
        let starved = now - self.background_granted_at >= STARVED_MS;
        if class != Class::Background || starved { 0 } else { self.waiting_refused_at + YIELD_MS - now }
    }

    /// Until fewer than `limit` requests lie in the `window` that now begins at `since`.
    fn wait_until_below(&self, since: i64, limit: u32, window: i64, now: i64) -> i64 {
        let mut left = self.spent_since(since);
        if left < limit {
            return 0;
        }
        for &(step, count) in &self.spent {
            if step_end(step) > since {
                left = left.saturating_sub(count);
                if left < limit {
                    return step_end(step) + window - now;
                }
            }
        }
        window
    }

    fn spent_since(&self, since: i64) -> u32 {
        let inside = self.spent.iter().filter(|(step, _)| step_end(*step) > since);
        inside.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    fn forget(&mut self, now: Timestamp) {
        let since = now.as_millisecond() - WINDOW_MS;
        while self.spent.front().is_some_and(|(step, _)| step_end(*step) <= since) {
            self.spent.pop_front();
        }
    }
}

/// How much of the quota a class may use up; at least one request.
fn allowance(class: Class, quota: u32) -> u32 {
    let reserve = u32::try_from(u64::from(quota) * RESERVE_PERCENT / 100).unwrap_or(quota);
    let for_control = reserve.max(ONE_PAUSE.min(quota / 10));
    let for_waiting = reserve.max(1.min(quota / 10));
    let kept = match class {
        Class::Control => 0,
        Class::Waiting => for_control,
        Class::Background => for_control + for_waiting,
    };
    quota.saturating_sub(kept).max(1)
}

fn step(now: Timestamp) -> i64 {
    now.as_millisecond().div_euclid(STEP_MS)
}

fn step_end(step: i64) -> i64 {
    (step + 1) * STEP_MS
}

fn not_for(milliseconds: i64) -> Decision {
    match u64::try_from(milliseconds) {
        Ok(wait) if wait > 0 => Decision::NotFor(Duration::from_millis(wait)),
        _ => Decision::Granted,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
    }

    /// How many of `class` are granted at once at this moment.
    fn burst(ledger: &mut Ledger, class: Class, quota: u32, now: i64) -> u32 {
        let mut granted = 0;
        while ledger.take(class, 1, quota, at(now)) == Decision::Granted {
            granted += 1;
        }
        granted
    }

    #[test]
    fn a_part_is_kept_for_campaign_control_and_for_those_who_wait() {
        let mut ledger = Ledger::default();
        assert_eq!(burst(&mut ledger, Class::Background, 100, 0), 94);
        assert_eq!(burst(&mut ledger, Class::Waiting, 100, 0), 3);
        assert_eq!(burst(&mut ledger, Class::Control, 100, 0), 3);
        assert_eq!(ledger.used(at(0)), 100);
    }

    #[test]
    fn what_was_spent_comes_back_when_its_minute_is_over() {
        let mut ledger = Ledger::default();
        burst(&mut ledger, Class::Control, 100, 0);
        assert_eq!(ledger.take(Class::Control, 1, 100, at(1_000)), Decision::NotFor(Duration::from_millis(60_250)));
        assert_eq!(burst(&mut ledger, Class::Control, 100, 61_249), 0);
        assert_eq!(burst(&mut ledger, Class::Control, 100, 61_250), 100);
    }

    #[test]
    fn a_429_stops_everyone_until_it_is_over() {
        let mut ledger = Ledger::default();
        ledger.back_off(Duration::from_secs(7), at(0));
        ledger.back_off(Duration::from_secs(2), at(0));
        for class in [Class::Control, Class::Waiting, Class::Background] {
            assert_eq!(ledger.take(class, 1, 100, at(6_999)), Decision::NotFor(Duration::from_millis(1)));
            assert_eq!(ledger.take(class, 1, 100, at(7_000)), Decision::Granted);
        }
    }

    #[test]
    fn the_background_yields_to_those_who_wait_but_is_not_starved() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.take(Class::Background, 1, 100, at(0)), Decision::Granted);
        ledger.waiting_refused_at = at(100).as_millisecond();
        assert_eq!(ledger.take(Class::Background, 1, 100, at(200)), Decision::NotFor(Duration::from_millis(1_900)));
        ledger.waiting_refused_at = at(10_100).as_millisecond();
        assert_eq!(ledger.take(Class::Background, 1, 100, at(10_200)), Decision::Granted);
    }

    #[test]
    fn a_lost_ledger_lets_nothing_through_for_a_minute() {
        let mut ledger = Ledger::all_spent(100, at(0));
        assert_eq!(burst(&mut ledger, Class::Control, 100, 60_000), 0);
        assert_eq!(burst(&mut ledger, Class::Control, 100, 61_250), 100);
    }

    #[test]
    fn a_backlog_uses_nine_tenths_of_the_quota_evenly() {
        let (mut ledger, quota) = (Ledger::default(), 100);
        let mut sent = Vec::new();
        for now in (0..600_000).step_by(20) {
            if ledger.may_start(2, quota, at(now)) == Decision::Granted {
                for _ in 0..2 {
                    if ledger.take(Class::Background, 1, quota, at(now)) == Decision::Granted {
                        sent.push(now);
                    }
                }
            }
        }
        let in_minute = |from: i64| sent.iter().filter(|now| (from..from + 60_000).contains(*now)).count();
        for minute in 1..9 {
            assert!(
                (90..=100).contains(&in_minute(minute * 60_000)),
                "{} in minute {minute}",
                in_minute(minute * 60_000)
            );
        }
        // At first, out of rest, it may go faster.
        let most_in_six_seconds =
            (1..100).map(|i| sent.iter().filter(|now| (i * 6_000..(i + 1) * 6_000).contains(*now)).count()).max();
        assert!(most_in_six_seconds < Some(25), "{most_in_six_seconds:?}");
    }

    proptest! {
        /// Whoever asks, whenever, and however late the request arrives within the second that is allowed for it:
        /// CXone never counts more than the quota in any 60 seconds.
        #[test]
        fn the_quota_is_never_exceeded(
            quota in 1u32..200,
            questions in prop::collection::vec((0i64..2_000, 0u8..3, 0i64..1_000), 1..1_500),
        ) {
            let mut ledger = Ledger::default();
            let (mut now, mut arrivals) = (0, Vec::new());
            for (pause, class, delay) in questions {
                now += pause / 8;
                let class = [Class::Control, Class::Waiting, Class::Background][usize::from(class)];
                if ledger.take(class, 1, quota, at(now)) == Decision::Granted {
                    arrivals.push(now + delay);
                }
            }
            arrivals.sort_unstable();
            let quota = usize::try_from(quota).unwrap();
            prop_assert!(arrivals.windows(quota + 1).all(|many| many[quota] - many[0] >= 60_000));
        }

        /// Whoever is refused and comes back when it was told to is granted, where nobody else came.
        #[test]
        fn a_wait_is_as_long_as_it_says(
            quota in 1u32..50,
            spends in prop::collection::vec(0i64..3_000, 0..200),
            class in 0u8..3,
        ) {
            let mut ledger = Ledger::default();
            let mut now = 0;
            for pause in spends {
                now += pause;
                ledger.take(Class::Control, 1, quota, at(now));
            }
            let class = [Class::Control, Class::Waiting, Class::Background][usize::from(class)];
            if let Decision::NotFor(wait) = ledger.take(class, 1, quota, at(now)) {
                let later = now + i64::try_from(wait.as_millis()).unwrap();
                prop_assert_eq!(ledger.take(class, 1, quota, at(later)), Decision::Granted);
            }
        }
    }
}
