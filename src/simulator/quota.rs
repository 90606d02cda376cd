//! How many requests came in the last minute, and whether that was too many.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// The moments of the last 60 s, oldest first.
#[derive(Default)]
pub(super) struct Minute(VecDeque<Instant>);

impl Minute {
    /// Notes one more request and says how many there are now. Each moment is added and removed once, so the cost
    /// does not grow with the traffic.
    pub(super) fn note(&mut self, now: Instant) -> usize {
        while self.0.front().is_some_and(|&oldest| now.duration_since(oldest) >= MINUTE) {
            self.0.pop_front();
        }
        self.0.push_back(now);
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The client's quota in any sliding 60 s. Refused requests count too: hammering only makes it longer.
pub(super) struct Quota {
    /// `None` means no limit.
    pub(super) limit: Option<u32>,
    minute: Minute,
}

impl Quota {
    pub(super) fn new(limit: Option<u32>) -> Self {
        Self { limit, minute: Minute::default() }
    }

    /// Counts one request; one over the limit is told how many seconds to wait.
    pub(super) fn admit(&mut self) -> Result<(), u64> {
        let now = Instant::now();
        let count = self.minute.note(now);
        let Some(limit) = self.limit.map(|limit| limit as usize).filter(|&limit| count > limit) else {
            return Ok(());
        };
        // Once this one has left the minute, one more request fits into it.
        let blocking = self.minute.0.get(count - limit).copied().unwrap_or(now);
        let wait = MINUTE.saturating_sub(now.duration_since(blocking));
        Err(wait.as_millis().div_ceil(1000).try_into().unwrap_or(60))
    }

    /// Forgets what was spent.
    pub(super) fn clear(&mut self) {
        self.minute.clear();
    }
}
