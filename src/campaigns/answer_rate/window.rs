//! Attempts and answers over a sliding window. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::campaigns::model::Counts;

/// The number of buckets of a window. An event leaves the window early by one bucket at most.
const BUCKETS: i64 = 60;

/// A sliding window. Recording an event and reading the total cost the same for any length and any number of events.
///
/// The window is divided into 60 buckets, aligned to the Unix epoch, each a sixtieth of the length (rounded up to a
/// millisecond). An event counts from when it is recorded until its bucket leaves the window: never longer than the
/// window, and at most one bucket less. The total is exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    bucket_ms: i64,
    /// By bucket number modulo [`BUCKETS`].
    buckets: Vec<Counts>,
    /// The number of the newest bucket.
    newest: i64,
    total: Counts,
}

/// One bucket of a window, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub starts_at: Timestamp,
    /// The first instant at which the bucket is no longer in the window.
    pub counts_until: Timestamp,
    pub counts: Counts,
}

impl Window {
    /// An empty window.
    pub fn new(length: Duration) -> Self {
        let length_ms = i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1);
        Self {
            bucket_ms: length_ms / BUCKETS + i64::from(length_ms % BUCKETS > 0),
            buckets: vec![Counts::default(); usize::try_from(BUCKETS).unwrap_or_default()],
            newest: i64::MIN / 2,
            total: Counts::default(),
        }
    }

    /// Adds `counts` at the instant `at`. Counts that are older than the window are dropped; counts in the future are added
    /// at `now`.
    pub fn record(&mut self, at: Timestamp, now: Timestamp, counts: Counts) {
        self.advance_to(self.number(now));
        let number = self.number(at).min(self.newest);
        if number <= self.newest - BUCKETS {
            return;
        }
        let bucket = self.bucket(number);
        *bucket = bucket.saturating_add(counts);
        self.total = self.total.saturating_add(counts);
    }

    /// The total of the window.
    pub fn counts(&mut self, now: Timestamp) -> Counts {
        self.advance_to(self.number(now));
        self.total
    }

    /// Empties the window and returns the buckets that were not empty, oldest first.
    pub fn drain(&mut self) -> Vec<Bucket> {
        let (newest, bucket_ms) = (self.newest, self.bucket_ms);
        let start_of =
            |number: i64| Timestamp::from_millisecond(number.saturating_mul(bucket_ms)).unwrap_or(Timestamp::MAX);
        let mut drained = Vec::new();
        for number in newest - BUCKETS + 1..=newest {
            let counts = std::mem::take(self.bucket(number));
            if counts != Counts::default() {
                let (starts_at, counts_until) = (start_of(number), start_of(number + BUCKETS));
                drained.push(Bucket { starts_at, counts_until, counts });
            }
        }
        self.total = Counts::default();
        drained
    }

    /// Drops the buckets that leave the window when `number` is the newest bucket.
    fn advance_to(&mut self, number: i64) {
        if number - self.newest >= BUCKETS {
            self.buckets.fill(Counts::default());
            (self.total, self.newest) = (Counts::default(), number);
        }
        while self.newest < number {
            self.newest += 1;
            let dropped = std::mem::take(self.bucket(self.newest));
            self.total = self.total.saturating_sub(dropped);
        }
    }

    fn number(&self, at: Timestamp) -> i64 {
        at.as_millisecond().div_euclid(self.bucket_ms)
    }

    fn bucket(&mut self, number: i64) -> &mut Counts {
        let index = usize::try_from(number.rem_euclid(BUCKETS)).unwrap_or_default();
        &mut self.buckets[index]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
    }

    fn counts(attempts: u64, answers: u64) -> Counts {
        Counts { attempts, answers }
    }

    #[test]
    fn an_event_counts_until_its_bucket_leaves_the_window() {
        let mut window = Window::new(Duration::from_mins(1));
        window.record(at(0), at(0), counts(u64::from(u32::MAX), 1));
        window.record(at(500), at(30_000), counts(0, 1));
        assert_eq!(window.counts(at(59_999)), counts(u64::from(u32::MAX), 2));
        assert_eq!(window.counts(at(60_000)), counts(0, 0));
    }

    #[test]
    fn a_future_event_counts_as_of_now_and_an_old_one_does_not_count() {
        let mut window = Window::new(Duration::from_mins(1));
        window.record(at(60_000 + 5_000), at(60_000), counts(3, 0));
        assert_eq!(window.counts(at(60_000)), counts(3, 0));
        window.record(at(0), at(60_000), counts(9, 9));
        assert_eq!(window.counts(at(60_000)), counts(3, 0));
        assert_eq!(window.counts(at(10_000_000)), counts(0, 0));
    }

    #[test]
    fn a_drained_bucket_counts_as_long_as_it_would_have_in_the_window() {
        let mut window = Window::new(Duration::from_mins(1));
        window.record(at(1_700), at(1_700), counts(2, 1));
        let buckets = window.drain();
        assert_eq!(buckets, [Bucket { starts_at: at(1_000), counts_until: at(61_000), counts: counts(2, 1) }]);
        assert_eq!(window.counts(at(1_700)), counts(0, 0));
    }

    proptest! {
        /// The oracle keeps every event in a list. The window contains all events that are younger than its length less one
        /// bucket, and none that is older than its length.
        #[test]
        fn the_window_differs_from_a_list_of_events_by_at_most_one_bucket(
            length in 60i64..200_000,
            traffic in prop::collection::vec((0i64..3_000, -300_000i64..5_000, 0u32..1000, 0u32..1000), 1..300),
        ) {
            let mut window = Window::new(Duration::from_millis(length.unsigned_abs()));
            let (bucket_ms, mut list, mut now) = (window.bucket_ms, Vec::new(), 0);
            for (pause, offset, attempts, answers) in traffic {
                now += pause;
                let counts = counts(attempts.into(), answers.into());
                window.record(at(now + offset), at(now), counts);
                // A future event counts as of now.
                list.push((now + offset.min(0), counts));

                let younger_than = |age: i64| {
                    let events = list.iter().filter(|(at, _)| now - at < age);
                    events.fold(Counts::default(), |total, (_, counts)| total.saturating_add(*counts))
                };
                let (least, most) = (younger_than(bucket_ms * (BUCKETS - 1)), younger_than(bucket_ms * BUCKETS));
                let found = window.counts(at(now));
                prop_assert!((least.attempts..=most.attempts).contains(&found.attempts), "{found:?}");
                prop_assert!((least.answers..=most.answers).contains(&found.answers), "{found:?}");
                prop_assert!(found.rate().is_none_or(|rate| (0.0..=1.0).contains(&rate)));
            }
        }

        /// The buckets that several replicas drain add up to the window of a single replica.
        #[test]
        fn drained_buckets_add_up_to_one_window(
            traffic in prop::collection::vec((0i64..500, -10_000i64..0, 0u32..1000, any::<bool>()), 1..200),
        ) {
            let length = Duration::from_secs(30);
            let (mut whole, mut replicas) = (Window::new(length), [Window::new(length), Window::new(length)]);
            let (mut drained, mut now) = (Vec::new(), 0);
            for (index, (pause, offset, attempts, drains)) in traffic.into_iter().enumerate() {
                now += pause;
                let counts = counts(attempts.into(), 0);
                whole.record(at(now + offset), at(now), counts);
                replicas[index % 2].record(at(now + offset), at(now), counts);
                if drains {
                    drained.extend(replicas[index % 2].drain());
                }
            }
            drained.extend(replicas.iter_mut().flat_map(Window::drain));
            let in_window = drained.iter().filter(|bucket| at(now) < bucket.counts_until);
            let total: u64 = in_window.map(|bucket| bucket.counts.attempts).sum();
            prop_assert_eq!(total, whole.counts(at(now)).attempts);
        }
    }
}
