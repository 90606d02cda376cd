//! The slowest recent request to an endpoint. Pure, except for the lock.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The number of minutes that are kept, including the current one.
const MINUTES: u8 = 10;

/// The duration of the slowest request in each of the last minutes.
pub struct Slowest {
    since: Instant,
    /// Each minute by its number, with the slowest request that ended in it.
    minutes: Mutex<[(u64, Duration); MINUTES as usize]>,
}

impl Slowest {
    /// Of an endpoint without requests. Minutes are counted from `since`.
    pub fn new(since: Instant) -> Self {
        Self { since, minutes: Mutex::default() }
    }

    /// Adds a request that ended now.
    pub fn add(&self, took: Duration, now: Instant) {
        let minute = self.minute(now);
        let mut minutes = self.minutes.lock();
        let place = usize::try_from(minute % u64::from(MINUTES)).unwrap_or(0);
        let (kept, slowest) = minutes[place];
        minutes[place] = (minute, if kept == minute { slowest.max(took) } else { took });
    }

    /// The slowest request that ended in the last nine to ten minutes; zero where none did.
    pub fn recent(&self, now: Instant) -> Duration {
        let oldest = self.minute(now).saturating_sub(u64::from(MINUTES) - 1);
        let minutes = self.minutes.lock();
        let recent = minutes.iter().filter(|(minute, _)| *minute >= oldest);
        recent.map(|(_, slowest)| *slowest).max().unwrap_or_default()
    }

    fn minute(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_secs() / 60
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_slowest_counts_for_about_ten_minutes() {
        let start = Instant::now();
        let slowest = Slowest::new(start);
        assert_eq!(slowest.recent(start), Duration::ZERO);
        for (took, ended_at) in [(2, 30), (5, 70), (1, 80), (3, 300)] {
            slowest.add(seconds(took), start + seconds(ended_at));
        }
        for (now, expected) in [(300, 5), (659, 5), (660, 3), (899, 3), (900, 0), (90_000, 0)] {
            assert_eq!(slowest.recent(start + seconds(now)), seconds(expected), "after {now} s");
        }
        // This minute replaces the one ten minutes before it.
        slowest.add(seconds(1), start + seconds(670));
        assert_eq!(slowest.recent(start + seconds(670)), seconds(3));
        assert_eq!(slowest.recent(start + seconds(900)), seconds(1));
    }
}
