//! The slowest request of late. Pure, but for the lock.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many minutes are remembered, the one that runs among them.
const MINUTES: u8 = 10;

/// The slowest request of each of the last minutes.
pub struct Slowest {
    since: Instant,
    /// The number of a minute, and the slowest request that ended in it.
    minutes: Mutex<[(u64, Duration); MINUTES as usize]>,
}

impl Slowest {
    /// Of an endpoint that was not asked yet.
    pub fn new(since: Instant) -> Self {
        Self { since, minutes: Mutex::default() }
    }

    /// A request that took so long has ended.
    pub fn add(&self, took: Duration, now: Instant) {
        let minute = self.minute(now);
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let place = usize::try_from(minute % u64::from(MINUTES)).unwrap_or(0);
        let (kept, slowest) = minutes[place];
        minutes[place] = (minute, if kept == minute { slowest.max(took) } else { took });
    }

    /// The slowest that ended in the last nine to ten minutes; zero where none did.
    pub fn lately(&self, now: Instant) -> Duration {
        let oldest = self.minute(now).saturating_sub(u64::from(MINUTES) - 1);
        let minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = minutes.iter().filter(|(minute, _)| *minute >= oldest);
        lately.map(|(_, slowest)| *slowest).max().unwrap_or_default()
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
        assert_eq!(slowest.lately(start), Duration::ZERO);
        for (took, ended_at) in [(2, 30), (5, 70), (1, 80), (3, 300)] {
            slowest.add(seconds(took), start + seconds(ended_at));
        }
        for (now, expected) in [(300, 5), (659, 5), (660, 3), (899, 3), (900, 0), (90_000, 0)] {
            assert_eq!(slowest.lately(start + seconds(now)), seconds(expected), "after {now} s");
        }
        // The ring comes round.
        slowest.add(seconds(1), start + seconds(670));
        assert_eq!(slowest.lately(start + seconds(670)), seconds(3));
        assert_eq!(slowest.lately(start + seconds(900)), seconds(1));
    }
}
