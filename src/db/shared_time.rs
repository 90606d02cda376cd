//! The service's clock. It follows Postgres, so that all replicas of one database agree on the time, whatever the clocks
//! of their machines show.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use parking_lot::RwLock;
use sqlx::Error;

use super::Db;
use super::error::no_response;
use crate::clock::Clock;

/// The interval between two queries for Postgres's time …
const QUERY_EVERY: Duration = Duration::from_secs(10);
/// … and the shorter one after a query that failed or had a long round trip. The error of the clock is at most the round
/// trip.
const QUERY_AGAIN_AFTER: Duration = Duration::from_secs(1);
const LONG_ROUND_TRIP: Duration = Duration::from_millis(100);
/// A query without an answer fails after this.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Queries before the service starts: the first on a connection takes longer than those after it.
const FIRST_QUERIES: usize = 3;
/// A larger difference between the machine's clock and Postgres's is logged.
const TOLERATED: SignedDuration = SignedDuration::from_secs(1);

/// A time of Postgres's clock. From there on, the machine's monotonic clock measures how much time has passed.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    at: Instant,
    time: Timestamp,
}

/// The answer to a query for Postgres's time.
#[derive(Clone, Copy, Debug)]
struct Answer {
    asked_at: Instant,
    answered_at: Instant,
    time: Timestamp,
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

    /// When the answer arrives, Postgres's time is between the one in the answer and a round trip later. A clock within
    /// this range is left alone; any other is corrected to the nearer end.
    fn corrected(self, answer: &Answer) -> Self {
        let ours = self.time_at(answer.answered_at);
        let nearest = ours.clamp(answer.time, answer.time + answer.round_trip());
        if nearest == ours { self } else { Self { at: answer.answered_at, time: nearest } }
    }
}

/// Follows Postgres's clock. While Postgres is unavailable, time continues from its last answer. The machine's own clock
/// has no effect.
pub struct SharedTime {
    db: Db,
    machine: Clock,
    anchor: Arc<RwLock<Anchor>>,
}

impl SharedTime {
    /// Starts with the machine's clock, and corrects it to Postgres's before this returns.
    ///
    /// # Errors
    /// If Postgres does not return its time.
    pub async fn follow(db: &Db, machine: Clock) -> Result<Self, Error> {
        let anchor = Anchor { at: Instant::now(), time: machine.now() };
        let time = Self { db: db.clone(), machine, anchor: Arc::new(RwLock::new(anchor)) };
        for _ in 0..FIRST_QUERIES {
            time.correct().await?;
        }
        Ok(time)
    }

    /// A clock that shows this time.
    pub fn clock(&self) -> Clock {
        let anchor = Arc::clone(&self.anchor);
        Clock::from_fn(move || {
            let anchor = *anchor.read();
            anchor.time_at(Instant::now())
        })
    }

    /// Queries Postgres repeatedly, and reports the difference to the machine's clock.
    pub async fn keep(&self) -> Infallible {
        let mut reported = SignedDuration::ZERO;
        loop {
            let pause = match self.correct().await {
                Ok(answer) => {
                    let offset = self.machine.now().duration_since(self.clock().now());
                    metrics::gauge!("ringback_clock_offset_seconds").set(offset.as_secs_f64());
                    reported = report(reported, offset);
                    if answer.round_trip() <= LONG_ROUND_TRIP { QUERY_EVERY } else { QUERY_AGAIN_AFTER }
                }
                Err(error) => {
                    tracing::debug!(error = %error, "could not read the time from Postgres");
                    QUERY_AGAIN_AFTER
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn correct(&self) -> Result<Answer, Error> {
        let answer = self.ask().await?;
        let mut anchor = self.anchor.write();
        *anchor = anchor.corrected(&answer);
        Ok(answer)
    }

    async fn ask(&self) -> Result<Answer, Error> {
        // The wait for a connection is not part of the round trip.
        let asked = self.db.run(async |connection| {
            let asked_at = Instant::now();
            let query = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#);
            let time = query.fetch_one(connection).await?.to_jiff();
            Ok(Answer { asked_at, answered_at: Instant::now(), time })
        });
        tokio::time::timeout(ANSWER_WITHIN, asked).await.map_err(|_| no_response())?
    }
}

/// Logs once that the machine's clock is off, again where the difference changes, and once that it agrees. Returns the
/// difference that is logged now.
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

    /// The answer to a query that takes these milliseconds to arrive and to return.
    fn answer(asked_at: Instant, there: u64, back: u64, time_when_asked: Timestamp) -> Answer {
        let time = time_when_asked + milliseconds(there);
        Answer { asked_at, answered_at: asked_at + milliseconds(there + back), time }
    }

    #[test]
    fn a_clock_is_corrected_to_the_nearer_end_of_the_range_that_the_round_trip_allows() {
        let start = Instant::now();
        let asked_at = start + milliseconds(1_000);
        let answer = answer(asked_at, 30, 50, at("2025-03-01T12:00:01Z"));
        let corrected = |time: &str| {
            let anchor = Anchor { at: start, time: at(time) };
            anchor.corrected(&answer).time_at(answer.answered_at)
        };

        assert_eq!(corrected("2025-03-01T12:00:10Z"), at("2025-03-01T12:00:01.11Z"));
        assert_eq!(corrected("2025-03-01T11:59:50Z"), at("2025-03-01T12:00:01.03Z"));
        assert_eq!(corrected("2025-03-01T12:00:00Z"), at("2025-03-01T12:00:01.08Z"), "within the range");
    }

    #[test]
    fn time_continues_from_the_last_answer_while_postgres_is_unavailable() {
        let start = Instant::now();
        let anchor = Anchor { at: start, time: at("2025-03-01T12:00:00Z") };
        assert_eq!(anchor.time_at(start + Duration::from_hours(1)), at("2025-03-01T13:00:00Z"));
    }

    #[tokio::test]
    async fn a_step_of_the_machines_clock_has_no_effect() {
        use std::sync::atomic::{AtomicI64, Ordering};

        let step = Arc::new(AtomicI64::new(0));
        let stepped = Arc::clone(&step);
        let machine = Clock::from_fn(move || {
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

        /// However wrong a clock is, and however long the query takes, the error is then at most the round trip; a correct
        /// clock is never changed.
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
