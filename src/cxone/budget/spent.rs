//! Counts of granted requests over time. Pure.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The length of a bucket. A bucket counts until all of it is outside of the window.
const BUCKET_MS: i64 = 250;

/// The number of each bucket and its requests, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent(VecDeque<(i64, u32)>);

impl Spent {
    /// Adds requests that were granted at a time, which may be in the past.
    pub fn add(&mut self, at_ms: i64, count: u32) {
        let bucket = at_ms.div_euclid(BUCKET_MS);
        let place = self.0.partition_point(|(number, _)| *number < bucket);
        match self.0.get_mut(place) {
            Some((number, spent)) if *number == bucket => *spent = spent.saturating_add(count),
            _ => self.0.insert(place, (bucket, count)),
        }
    }

    /// The requests since a time.
    pub fn since(&self, since_ms: i64) -> u32 {
        let inside = self.0.iter().filter(|(bucket, _)| bucket_end(*bucket) > since_ms);
        inside.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// When the last request was granted, to the precision of a bucket.
    pub fn last_at(&self) -> Option<i64> {
        self.0.back().map(|(bucket, _)| bucket * BUCKET_MS)
    }

    /// The milliseconds until fewer than `limit` requests are in the `window` that ends then.
    pub fn wait_until_below(&self, limit: u32, window: i64, now: i64) -> i64 {
        let since = now - window;
        let mut left = self.since(since);
        if left < limit {
            return 0;
        }
        for &(bucket, count) in &self.0 {
            if bucket_end(bucket) > since {
                left = left.saturating_sub(count);
                if left < limit {
                    return bucket_end(bucket) + window - now;
                }
            }
        }
        window
    }

    /// The difference to a part of these requests.
    pub fn without(&self, part: &Self) -> Self {
        let place_of = |bucket| part.0.binary_search_by_key(bucket, |(number, _)| *number).ok();
        let count_of = |bucket| place_of(bucket).and_then(|place| part.0.get(place)).map_or(0, |(_, count)| *count);
        Self(self.0.iter().map(|(bucket, count)| (*bucket, count.saturating_sub(count_of(bucket)))).collect())
    }

    /// Removes the buckets that ended before a time.
    pub fn forget_before(&mut self, before_ms: i64) {
        while self.0.front().is_some_and(|(bucket, _)| bucket_end(*bucket) <= before_ms) {
            self.0.pop_front();
        }
    }
}

fn bucket_end(bucket: i64) -> i64 {
    (bucket + 1) * BUCKET_MS
}
