//! The answer rate of a campaign over a sliding window: how much was attempted and answered lately. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A window is kept in so many steps; by one of them, at most, an event is forgotten early.
const BUCKETS: i64 = 60;
/// The length of the window where operations have not set one.
pub const DEFAULT_WINDOW: Duration = Duration::from_secs(300);

/// When the answer rate pauses a campaign
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AnswerRateGuard)]
pub struct Guard {
    /// Whether it does; the figures are kept all the same.
    pub enabled: bool,
    /// The length of the sliding window.
    #[schema(minimum = 1_000, maximum = 86_400_000, example = 300_000)]
    pub window_ms: u32,
    /// Answers by attempts; below it the campaign is paused.
    #[schema(minimum = 0, maximum = 1, example = 0.35)]
    pub min_answer_rate: f64,
    /// With fewer in the window it never is.
    #[schema(minimum = 1, example = 100)]
    pub min_attempts: u32,
    /// How long the campaign is paused.
    #[schema(minimum = 100, maximum = 86_400_000, example = 600_000)]
    pub pause_for_ms: u32,
}

impl Guard {
    /// The length of the window.
    pub fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms.into())
    }

    /// How long the campaign is paused.
    pub fn pause_for(&self) -> Duration {
        Duration::from_millis(self.pause_for_ms.into())
    }

    /// Whether figures like these pause the campaign.
    pub fn trips(&self, counts: Counts) -> bool {
        let enough = counts.attempts >= u64::from(self.min_attempts.max(1));
        self.enabled && enough && counts.rate().is_some_and(|rate| rate < self.min_answer_rate)
    }
}

/// What was attempted, and what was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub attempts: u64,
    pub answers: u64,
}

impl Counts {
    /// Answers by attempts, 0 to 1; none without an attempt. Answers whose attempts have left the window do not make it
    /// more than 1.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    pub fn rate(self) -> Option<f64> {
        (self.attempts > 0).then(|| (self.answers as f64 / self.attempts as f64).min(1.0))
    }

    fn add(&mut self, other: Self) {
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.answers = self.answers.saturating_add(other.answers);
    }

    fn subtract(&mut self, other: Self) {
        self.attempts = self.attempts.saturating_sub(other.attempts);
        self.answers = self.answers.saturating_sub(other.answers);
    }

    fn is_zero(self) -> bool {
        self == Self::default()
    }
}

/// A sliding window. An event costs the same whatever the window's length and whatever is in it, and so does a look.
///
/// It is kept in 60 steps, aligned to the epoch, each a sixtieth of the length (rounded up to a millisecond). An event
/// counts from when it is recorded until its step leaves the window: never longer than the window, and at most one
/// step less. Sums are exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    step_ms: i64,
    /// By number modulo [`BUCKETS`].
    steps: Vec<Counts>,
    /// The number of the newest step that was reached.
    newest: i64,
    sum: Counts,
}

/// One step of a window, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub starts_at: Timestamp,
    /// The first instant at which it no longer counts.
    pub counts_until: Timestamp,
    pub counts: Counts,
}

impl Window {
    /// Empty, of this length.
    pub fn new(length: Duration) -> Self {
        let length_ms = i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1);
        Self {
            step_ms: length_ms / BUCKETS + i64::from(length_ms % BUCKETS > 0),
            steps: vec![Counts::default(); usize::try_from(BUCKETS).unwrap_or_default()],
            newest: i64::MIN / 2,
            sum: Counts::default(),
        }
    }

    /// Adds what happened at `at`. What is older than the window does not count; what lies ahead counts as of now.
    pub fn record(&mut self, at: Timestamp, now: Timestamp, counts: Counts) {
        self.reach(self.number(now));
        let number = self.number(at).min(self.newest);
        if number <= self.newest - BUCKETS {
            return;
        }
        self.step(number).add(counts);
        self.sum.add(counts);
    }

    /// What is in the window now.
    pub fn counts(&mut self, now: Timestamp) -> Counts {
        self.reach(self.number(now));
        self.sum
    }

    /// Takes everything out, step by step.
    pub fn drain(&mut self) -> Vec<Step> {
        let (newest, step_ms) = (self.newest, self.step_ms);
        let mut drained = Vec::new();
        for number in newest - BUCKETS + 1..=newest {
            let counts = std::mem::take(self.step(number));
            if counts.is_zero() {
                continue;
            }
            let at =
                |number: i64| Timestamp::from_millisecond(number.saturating_mul(step_ms)).unwrap_or(Timestamp::MAX);
            drained.push(Step { starts_at: at(number), counts_until: at(number + BUCKETS), counts });
        }
        self.sum = Counts::default();
        drained
    }

    /// Lets the steps go that have left the window.
    fn reach(&mut self, number: i64) {
        if number - self.newest >= BUCKETS {
            self.steps.fill(Counts::default());
            (self.sum, self.newest) = (Counts::default(), number);
        }
        while self.newest < number {
            self.newest += 1;
            let left = std::mem::take(self.step(self.newest));
            self.sum.subtract(left);
        }
    }

    fn number(&self, at: Timestamp) -> i64 {
        at.as_millisecond().div_euclid(self.step_ms)
    }

    fn step(&mut self, number: i64) -> &mut Counts {
        let index = usize::try_from(number.rem_euclid(BUCKETS)).unwrap_or_default();
        &mut self.steps[index]
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

    fn guard() -> Guard {
        Guard { enabled: true, window_ms: 60_000, min_answer_rate: 0.35, min_attempts: 100, pause_for_ms: 1_000 }
    }

    #[test]
    fn a_campaign_is_paused_only_by_enough_attempts_and_too_few_answers() {
        for (figures, trips) in [
            (counts(100, 20), true),
            (counts(100, 34), true),
            (counts(100, 35), false),
            (counts(99, 0), false),
            (counts(0, 0), false),
            (counts(0, 50), false),
            (counts(100, 200), false),
            (counts(u64::MAX, 0), true),
        ] {
            assert_eq!(guard().trips(figures), trips, "{figures:?}");
        }
        assert!(!Guard { enabled: false, ..guard() }.trips(counts(100, 0)));
        assert!(!Guard { min_attempts: 0, min_answer_rate: 1.0, ..guard() }.trips(counts(0, 0)));
        assert_eq!(counts(0, 7).rate(), None);
        assert_eq!(counts(5, 7).rate(), Some(1.0));
    }

    #[test]
    fn an_event_counts_until_its_step_leaves_the_window() {
        let mut window = Window::new(Duration::from_secs(60));
        window.record(at(0), at(0), counts(u64::from(u32::MAX), 1));
        window.record(at(500), at(30_000), counts(0, 1));
        assert_eq!(window.counts(at(59_999)), counts(u64::from(u32::MAX), 2));
        assert_eq!(window.counts(at(60_000)), counts(0, 0));

        window.record(at(60_000 + 5_000), at(60_000), counts(3, 0));
        assert_eq!(window.counts(at(60_000)), counts(3, 0), "ahead counts as of now");
        window.record(at(0), at(60_000), counts(9, 9));
        assert_eq!(window.counts(at(60_000)), counts(3, 0), "what is too old does not count");
        assert_eq!(window.counts(at(10_000_000)), counts(0, 0));
    }

    #[test]
    fn what_is_drained_counts_as_long_as_it_would_have() {
        let mut window = Window::new(Duration::from_secs(60));
        window.record(at(1_700), at(1_700), counts(2, 1));
        let steps = window.drain();
        assert_eq!(steps, [Step { starts_at: at(1_000), counts_until: at(61_000), counts: counts(2, 1) }]);
        assert_eq!(window.counts(at(1_700)), counts(0, 0));
    }

    proptest! {
        /// The oracle keeps every event in a list. The window has all that are younger than its length less one step,
        /// and none that is older than its length.
        #[test]
        fn it_is_the_plain_list_but_for_one_step(
            length in 60i64..200_000,
            traffic in prop::collection::vec((0i64..3_000, -300_000i64..5_000, 0u32..1000, 0u32..1000), 1..300),
        ) {
            let mut window = Window::new(Duration::from_millis(length.unsigned_abs()));
            let (step, mut list, mut now) = (window.step_ms, Vec::new(), 0);
            for (pause, offset, attempts, answers) in traffic {
                now += pause;
                let counts = counts(attempts.into(), answers.into());
                window.record(at(now + offset), at(now), counts);
                // Ahead counts as of now.
                list.push((now + offset.min(0), counts));

                let in_last = |age: i64| {
                    let inside = list.iter().filter(|(at, _)| now - at < age);
                    inside.fold(Counts::default(), |mut sum, (_, counts)| {
                        sum.add(*counts);
                        sum
                    })
                };
                let (least, most) = (in_last(step * (BUCKETS - 1)), in_last(step * BUCKETS));
                let found = window.counts(at(now));
                prop_assert!((least.attempts..=most.attempts).contains(&found.attempts), "{found:?}");
                prop_assert!((least.answers..=most.answers).contains(&found.answers), "{found:?}");
                prop_assert!(found.rate().is_none_or(|rate| (0.0..=1.0).contains(&rate)));
            }
        }

        /// Two replicas that hand each other what they have see what one would have seen.
        #[test]
        fn parts_of_a_window_add_up(
            traffic in prop::collection::vec((0i64..500, -10_000i64..0, 0u32..1000, any::<bool>()), 1..200),
        ) {
            let length = Duration::from_secs(30);
            let (mut whole, mut parts) = (Window::new(length), [Window::new(length), Window::new(length)]);
            let (mut kept, mut now) = (Vec::new(), 0);
            for (index, (pause, offset, attempts, drains)) in traffic.into_iter().enumerate() {
                now += pause;
                let counts = counts(attempts.into(), 0);
                whole.record(at(now + offset), at(now), counts);
                parts[index % 2].record(at(now + offset), at(now), counts);
                if drains {
                    kept.extend(parts[index % 2].drain());
                }
            }
            kept.extend(parts.iter_mut().flat_map(Window::drain));
            let counting = kept.iter().filter(|step| at(now) < step.counts_until);
            let sum: u64 = counting.map(|step| step.counts.attempts).sum();
            prop_assert_eq!(sum, whole.counts(at(now)).attempts);
        }
    }
}
