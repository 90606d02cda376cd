//! The number of requests in the last minute, and the quota.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_mins(1);

/// The times of the requests in the last 60 s, oldest first.
#[derive(Default)]
pub(in crate::simulator) struct Minute(VecDeque<Instant>);

impl Minute {
    /// Adds a request. Returns how many there are now. Each time is added and removed once, so that the cost of a
    /// request does not grow with the traffic.
    pub(in crate::simulator) fn add(&mut self, now: Instant) -> usize {
        while self.0.front().is_some_and(|&oldest| now.duration_since(oldest) >= MINUTE) {
            self.0.pop_front();
        }
        self.0.push_back(now);
        self.0.len()
    }

    pub(in crate::simulator) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The client's quota in any sliding 60 s. Refused requests count too: a client that keeps sending waits longer.
pub(in crate::simulator) struct Quota {
    /// `None` means no limit.
    pub(in crate::simulator) limit: Option<u32>,
    minute: Minute,
}

impl Quota {
    pub(in crate::simulator) fn new(limit: Option<u32>) -> Self {
        Self { limit, minute: Minute::default() }
    }

    /// Counts one request. One over the limit gets the seconds to wait.
    pub(in crate::simulator) fn admit(&mut self) -> Result<(), u64> {
        let now = Instant::now();
        let count = self.minute.add(now);
        let Some(limit) = self.limit.map(|limit| limit as usize).filter(|&limit| count > limit) else {
            return Ok(());
        };
        // When this one is 60 s old, one more request is allowed.
        let blocking = self.minute.0.get(count - limit).copied().unwrap_or(now);
        let wait = MINUTE.saturating_sub(now.duration_since(blocking));
        Err(wait.as_millis().div_ceil(1000).try_into().unwrap_or(60))
    }

    /// Resets the quota used.
    pub(in crate::simulator) fn clear(&mut self) {
        self.minute.clear();
    }
}
