//! The current time and random numbers, injected so that tests control both.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use uuid::{NoContext, Uuid};

/// A source of the current time and of random numbers. Cheap to clone; clones share their state.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    rng: Arc<Mutex<fastrand::Rng>>,
}

impl Clock {
    /// The machine's clock, with random numbers. For code without a database: the service's clock follows Postgres.
    pub fn system() -> Self {
        Self::shifted(SignedDuration::ZERO)
    }

    /// The machine's clock, ahead by `offset`, with random numbers.
    pub fn shifted(offset: SignedDuration) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the only place that reads the machine's clock")]
        Self::from_fn(move || Timestamp::now() + offset)
    }

    /// A clock that reads the time from `now`, with random numbers.
    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the only place that seeds random numbers from the machine")]
        Self::new(now, fastrand::Rng::new())
    }

    /// A clock that reads the time from `now`, with random numbers that `seed` determines.
    pub fn manual(now: impl Fn() -> Timestamp + Send + Sync + 'static, seed: u64) -> Self {
        Self::new(now, fastrand::Rng::with_seed(seed))
    }

    fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static, rng: fastrand::Rng) -> Self {
        Self { now: Arc::new(now), rng: Arc::new(Mutex::new(rng)) }
    }

    /// The current time, in whole milliseconds: a timestamp that is stored equals the one that was compared.
    pub fn now(&self) -> Timestamp {
        let now = (self.now)();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// A new UUID v7 with the current time.
    pub fn new_id(&self) -> Uuid {
        let now = (self.now)();
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos))
    }

    /// A random duration from `shortest` to `longest`, evenly distributed.
    pub fn between(&self, shortest: Duration, longest: Duration) -> Duration {
        let share = self.rng.lock().f64();
        shortest + longest.saturating_sub(shortest).mul_f64(share)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}
