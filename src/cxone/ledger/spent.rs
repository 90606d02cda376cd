//! Requests by the step in which they were granted. Pure.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Requests are counted in steps of so long; a step counts until all of it is out of the window.
const STEP_MS: i64 = 250;

/// `(step, requests)`, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent(VecDeque<(i64, u32)>);

impl Spent {
    /// Adds requests that were granted at a moment, which may have passed.
    pub fn add(&mut self, at_ms: i64, count: u32) {
        let step = at_ms.div_euclid(STEP_MS);
        let place = self.0.partition_point(|(other, _)| *other < step);
        match self.0.get_mut(place) {
            Some((other, spent)) if *other == step => *spent = spent.saturating_add(count),
            _ => self.0.insert(place, (step, count)),
        }
    }

    /// How many there are since a moment.
    pub fn since(&self, since_ms: i64) -> u32 {
        let inside = self.0.iter().filter(|(step, _)| step_end(*step) > since_ms);
        inside.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// When the last one was granted, to a step.
    pub fn last_at(&self) -> Option<i64> {
        self.0.back().map(|(step, _)| step * STEP_MS)
    }

    /// In milliseconds: until fewer than `limit` lie in the `window` that ends now.
    pub fn wait_until_below(&self, limit: u32, window: i64, now: i64) -> i64 {
        let since = now - window;
        let mut left = self.since(since);
        if left < limit {
            return 0;
        }
        for &(step, count) in &self.0 {
            if step_end(step) > since {
                left = left.saturating_sub(count);
                if left < limit {
                    return step_end(step) + window - now;
                }
            }
        }
        window
    }

    /// All but a part of them.
    pub fn without(&self, part: &Self) -> Self {
        let place_of = |step| part.0.binary_search_by_key(step, |(other, _)| *other).ok();
        let count_of = |step| place_of(step).and_then(|place| part.0.get(place)).map_or(0, |(_, count)| *count);
        Self(self.0.iter().map(|(step, count)| (*step, count.saturating_sub(count_of(step)))).collect())
    }

    /// Drops what ended before a moment.
    pub fn forget_before(&mut self, before_ms: i64) {
        while self.0.front().is_some_and(|(step, _)| step_end(*step) <= before_ms) {
            self.0.pop_front();
        }
    }
}

fn step_end(step: i64) -> i64 {
    (step + 1) * STEP_MS
}
