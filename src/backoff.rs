//! How long to wait before something is tried again. Pure: a [`Clock`] supplies the randomness.

use std::time::Duration;

use crate::clock::Clock;

/// Waits do not grow beyond the one after this many failures.
const MOST_FAILURES: u32 = 10;

/// Waits that double with each failure in a row, up to a limit.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    jitter: Jitter,
}

/// What a wait is drawn from, evenly. The upper end is the doubled wait, within the limit.
#[derive(Clone, Copy, Debug)]
enum Jitter {
    None,
    /// From this wait on.
    From(Duration),
    /// From a quarter of the doubled wait on, and no less than this.
    FromQuarter(Duration),
}

impl Backoff {
    /// `first` after the first failure, twice as long after each further one, and never longer than `longest`.
    pub const fn doubling(first: Duration, longest: Duration) -> Self {
        Self { first, longest, jitter: Jitter::None }
    }

    /// The same, with each wait drawn from `shortest` on, so that callers that failed together do not return together.
    #[must_use]
    pub const fn jittered_from(self, shortest: Duration) -> Self {
        Self { jitter: Jitter::From(shortest), ..self }
    }

    /// The same, with each wait drawn from a quarter of its length on, but from no less than `shortest`.
    #[must_use]
    pub const fn jittered_from_quarter(self, shortest: Duration) -> Self {
        Self { jitter: Jitter::FromQuarter(shortest), ..self }
    }

    /// The wait after this many failures in a row, without jitter. The first failure is number 1.
    pub fn base(&self, failures: u32) -> Duration {
        self.doubled(failures).min(self.longest)
    }

    /// The wait after this many failures in a row. The first failure is number 1.
    pub fn wait(&self, failures: u32, clock: &Clock) -> Duration {
        let base = self.base(failures);
        match self.jitter {
            Jitter::None => base,
            Jitter::From(shortest) => clock.between(shortest, base),
            Jitter::FromQuarter(shortest) => {
                clock.between(shortest.max(self.doubled(failures) / 4).min(self.longest), base)
            }
        }
    }

    fn doubled(&self, failures: u32) -> Duration {
        self.first.saturating_mul(2_u32.pow(failures.clamp(1, MOST_FAILURES) - 1))
    }
}

/// Waits that are listed one by one. After the last of them there is no further try.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    waits: &'static [Duration],
    jitter_percent: u32,
}

impl Schedule {
    /// Each wait is extended by a random part of up to `jitter_percent` of its length.
    pub const fn new(waits: &'static [Duration], jitter_percent: u32) -> Self {
        Self { waits, jitter_percent }
    }

    /// The wait after this many failures before the latest one; none where the list is exhausted.
    pub fn wait(&self, earlier_failures: u32, clock: &Clock) -> Option<Duration> {
        let wait = *self.waits.get(usize::try_from(earlier_failures).ok()?)?;
        Some(clock.between(wait, wait + wait * self.jitter_percent / 100))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn waits_double_up_to_the_limit() {
        let backoff = Backoff::doubling(seconds(2), seconds(30));
        let waits = [0, 1, 2, 3, 4, 5, 6, 1_000].map(|failures| backoff.base(failures).as_secs());
        assert_eq!(waits, [2, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn a_schedule_ends_after_its_last_wait() {
        static WAITS: [Duration; 2] = [seconds(5), seconds(300)];
        let (clock, schedule) = (Clock::manual(|| Timestamp::UNIX_EPOCH, 7), Schedule::new(&WAITS, 10));
        for (failures, shortest, longest) in [(0, 5_000, 5_500), (1, 300_000, 330_000)] {
            let wait = schedule.wait(failures, &clock).unwrap().as_millis();
            assert!((shortest..=longest).contains(&wait), "{wait}");
        }
        assert_eq!(schedule.wait(2, &clock), None);
    }

    proptest! {
        /// Whatever the random numbers are, a wait stays within its range.
        #[test]
        fn a_jittered_wait_stays_within_its_range(seed in any::<u64>(), failures in any::<u32>()) {
            let clock = Clock::manual(|| Timestamp::UNIX_EPOCH, seed);
            let backoff = Backoff::doubling(seconds(30), seconds(300));

            let wait = backoff.jittered_from(seconds(5)).wait(failures, &clock);
            prop_assert!(wait >= seconds(5) && wait <= backoff.base(failures));

            let wait = backoff.jittered_from_quarter(seconds(8)).wait(failures, &clock);
            prop_assert!(wait >= seconds(8).max(backoff.base(failures) / 4) && wait <= backoff.base(failures));
        }
    }
}
