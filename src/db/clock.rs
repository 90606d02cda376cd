//! The service's clock: Postgres's time, so that all replicas of one database agree, whatever their machines' clocks say.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sqlx::Error;

use super::Db;
use super::error::unanswered;
use crate::clock::Clock;

/// Postgres is asked for its time so often …
const ASK_EVERY: Duration = Duration::from_secs(10);
/// … and so soon again where it did not answer, or only after a long round trip, which is how far the clock may be off.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
const LONG_ROUND_TRIP: Duration = Duration::from_millis(100);
/// A question is given up after so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Questions before the service starts: the first on a connection takes longer than those after it.
const FIRST_QUESTIONS: usize = 3;
/// A machine's clock that differs from Postgres's by more than this is warned of.
const TOLERATED: SignedDuration = SignedDuration::from_secs(1);

/// What Postgres's clock said, and when: from there on time passes as the machine's monotonic clock counts it.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    at: Instant,
    time: Timestamp,
}

/// An answer of Postgres's to the question what time it is.
#[derive(Clone, Copy, Debug)]
struct Answer {
    asked_at: Instant,
    answered_at: Instant,
    told: Timestamp,
}

impl Answer {
    fn round_trip(&self) -> Duration {
        self.answered_at.saturating_duration_since(self.asked_at)
    }
}

impl Anchor {
    fn time_at(&self, at: Instant) -> Timestamp {
        self.time + at.saturating_duration_since(self.at)
    }

    /// At the answer, Postgres's clock is between what it told and a round trip later. A clock that is within this stays
    /// as it is; another is moved to the nearer end.
    fn corrected(self, answer: &Answer) -> Self {
        let ours = self.time_at(answer.answered_at);
        let nearest = ours.clamp(answer.told, answer.told + answer.round_trip());
        if nearest == ours { self } else { Self { at: answer.answered_at, time: nearest } }
    }
}

/// Follows Postgres's clock. While Postgres is away, time goes on from its last answer; the machine's own clock is of no
/// effect.
pub struct SharedTime {
    db: Db,
    machine: Clock,
    anchor: Arc<RwLock<Anchor>>,
}

impl SharedTime {
    /// Starts from the machine's clock, and is corrected by Postgres's before this returns.
    ///
    /// # Errors
    /// Where Postgres does not say what time it is.
    pub async fn follow(db: &Db, machine: Clock) -> Result<Self, Error> {
        let anchor = Anchor { at: Instant::now(), time: machine.now() };
        let time = Self { db: db.clone(), machine, anchor: Arc::new(RwLock::new(anchor)) };
        for _ in 0..FIRST_QUESTIONS {
            time.correct().await?;
        }
        Ok(time)
    }

    /// The clock that tells this time.
    pub fn clock(&self) -> Clock {
        let anchor = Arc::clone(&self.anchor);
        Clock::told_by(move || {
            let anchor = *anchor.read().unwrap_or_else(PoisonError::into_inner);
            anchor.time_at(Instant::now())
        })
    }

    /// Asks Postgres again and again, and tells how far the machine's clock is off.
    pub async fn keep(&self) -> Infallible {
        let mut reported = SignedDuration::ZERO;
        loop {
            let pause = match self.correct().await {
                Ok(answer) => {
                    let offset = self.machine.now().duration_since(self.clock().now());
                    metrics::gauge!("ringback_clock_offset_seconds").set(offset.as_secs_f64());
                    reported = report(reported, offset);
                    if answer.round_trip() <= LONG_ROUND_TRIP { ASK_EVERY } else { ASK_AGAIN_AFTER }
                }
                Err(error) => {
                    tracing::debug!(error = %error, "Postgres does not say what time it is");
                    ASK_AGAIN_AFTER
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn correct(&self) -> Result<Answer, Error> {
        let answer = self.ask().await?;
        let mut anchor = self.anchor.write().unwrap_or_else(PoisonError::into_inner);
        *anchor = anchor.corrected(&answer);
        Ok(answer)
    }

    async fn ask(&self) -> Result<Answer, Error> {
        // Without the wait for a connection, which is no part of the round trip.
        let asked = self.db.run(async |connection| {
            let asked_at = Instant::now();
            let question = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#);
            let told = question.fetch_one(connection).await?.to_jiff();
            Ok(Answer { asked_at, answered_at: Instant::now(), told })
        });
        tokio::time::timeout(ANSWER_WITHIN, asked).await.map_err(|_| unanswered())?
    }
}

/// Says once that the machine's clock is off, again where that changes, and once that it agrees. Gives what is said now.
fn report(reported: SignedDuration, offset: SignedDuration) -> SignedDuration {
    if (offset - reported).abs() <= TOLERATED {
        return reported;
    }
    let seconds = offset.as_secs_f64();
    if offset.abs() > TOLERATED {
        tracing::warn!(offset_seconds = seconds, "the machine's clock differs from Postgres's, which is the one used");
        return offset;
    }
    tracing::info!(offset_seconds = seconds, "the machine's clock agrees with Postgres's again");
    SignedDuration::ZERO
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn milliseconds(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// The answer to a question that takes so many milliseconds there and so many back.
    fn answer(asked_at: Instant, there: u64, back: u64, time_when_asked: Timestamp) -> Answer {
        let told = time_when_asked + milliseconds(there);
        Answer { asked_at, answered_at: asked_at + milliseconds(there + back), told }
    }

    #[test]
    fn a_clock_is_moved_to_the_nearer_end_of_what_postgres_may_say_and_not_further() {
        let start = Instant::now();
        let asked_at = start + milliseconds(1_000);
        let answer = answer(asked_at, 30, 50, at("2025-03-01T12:00:01Z"));
        let corrected = |time: &str| {
            let anchor = Anchor { at: start, time: at(time) };
            anchor.corrected(&answer).time_at(answer.answered_at)
        };

        assert_eq!(corrected("2025-03-01T12:00:10Z"), at("2025-03-01T12:00:01.11Z"));
        assert_eq!(corrected("2025-03-01T11:59:50Z"), at("2025-03-01T12:00:01.03Z"));
        assert_eq!(corrected("2025-03-01T12:00:00Z"), at("2025-03-01T12:00:01.08Z"), "it is within");
    }

    #[test]
    fn time_goes_on_from_the_last_answer_while_postgres_is_away() {
        let start = Instant::now();
        let anchor = Anchor { at: start, time: at("2025-03-01T12:00:00Z") };
        assert_eq!(anchor.time_at(start + Duration::from_secs(3_600)), at("2025-03-01T13:00:00Z"));
    }

    #[tokio::test]
    async fn a_step_of_the_machines_clock_is_of_no_effect() {
        use std::sync::atomic::{AtomicI64, Ordering};

        let step = Arc::new(AtomicI64::new(0));
        let stepped = Arc::clone(&step);
        let machine = Clock::told_by(move || {
            at("2025-03-01T12:00:00Z") + SignedDuration::from_hours(stepped.load(Ordering::Relaxed))
        });
        let pool = sqlx::postgres::PgPoolOptions::new().connect_lazy("postgres://nobody@localhost/nothing").unwrap();
        let anchor = Anchor { at: Instant::now(), time: machine.now() };
        let time = SharedTime { db: Db::new(pool), machine, anchor: Arc::new(RwLock::new(anchor)) };

        let before = time.clock().now();
        step.store(5, Ordering::Relaxed);
        let after = time.clock().now();

        assert!(after >= before && after.duration_since(before) < SignedDuration::from_mins(5), "{before} {after}");
        assert!(time.machine.now().duration_since(after) > SignedDuration::from_hours(4));
    }

    #[test]
    fn an_offset_is_reported_once_for_each_change() {
        let seconds = SignedDuration::from_secs_f64;
        let mut reported = SignedDuration::ZERO;
        let changes = [0.2, 1.5, 1.6, 1.4, 10.0, 10.1, 0.0, -0.4, -3.0, -3.1].map(|offset| {
            let before = reported;
            reported = report(before, seconds(offset));
            reported != before
        });
        assert_eq!(changes, [false, true, false, false, true, false, true, false, true, false]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// However wrong a clock is, and however long an answer is on its way there and back, the clock is then off by
        /// the round trip at most; and a clock that is right is never moved.
        #[test]
        fn after_an_answer_the_error_is_within_the_round_trip(
            wrong_by in -100_000_i64..100_000,
            trips in proptest::collection::vec((0_u64..5_000, 0_u64..5_000, 0_u64..20_000), 1..8),
            is_right in any::<bool>(),
        ) {
            let (start, truth) = (Instant::now(), at("2025-03-01T12:00:00Z"));
            let wrong_by = if is_right { 0 } else { wrong_by };
            let mut anchor = Anchor { at: start, time: truth + SignedDuration::from_millis(wrong_by) };
            let mut elapsed = 0;
            for (there, back, pause) in trips {
                let asked_at = start + milliseconds(elapsed);
                let answer = answer(asked_at, there, back, truth + milliseconds(elapsed));
                let before = anchor.time_at(answer.answered_at);
                anchor = anchor.corrected(&answer);
                elapsed += there + back;
                let (ours, postgres) = (anchor.time_at(answer.answered_at), truth + milliseconds(elapsed));
                let (error, error_before) = (ours.duration_since(postgres), before.duration_since(postgres));
                prop_assert!(error.unsigned_abs() <= answer.round_trip(), "{error}");
                prop_assert!(error.abs() <= error_before.abs(), "{error} after {error_before}");
                if is_right {
                    prop_assert_eq!(ours, before);
                }
                elapsed += pause;
            }
        }
    }
}
