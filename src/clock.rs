//! Time and chance, handed in: a test holds both still.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::{NoContext, Uuid};

/// What time it is, and what the dice say. Cheap to clone; all clones are the same clock.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    dice: Arc<Mutex<fastrand::Rng>>,
}

impl Clock {
    /// The machine's clock and real chance. For what has no database: the service's clock follows Postgres's.
    pub fn system() -> Self {
        Self::shifted(SignedDuration::ZERO)
    }

    /// The machine's clock, ahead by `offset`, and real chance.
    pub fn shifted(offset: SignedDuration) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place where ambient time comes in")]
        Self::told_by(move || Timestamp::now() + offset)
    }

    /// Time that `now` tells, and real chance.
    pub fn told_by(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place where ambient chance comes in")]
        Self::new(now, fastrand::Rng::new())
    }

    /// Time that `now` tells, and chance that `seed` decides.
    pub fn manual(now: impl Fn() -> Timestamp + Send + Sync + 'static, seed: u64) -> Self {
        Self::new(now, fastrand::Rng::with_seed(seed))
    }

    fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static, dice: fastrand::Rng) -> Self {
        Self { now: Arc::new(now), dice: Arc::new(Mutex::new(dice)) }
    }

    /// This moment, to the millisecond: what is stored is what was decided on.
    pub fn now(&self) -> Timestamp {
        let now = (self.now)();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// A new UUID v7 of this moment.
    pub fn new_id(&self) -> Uuid {
        let now = (self.now)();
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos))
    }

    /// A duration drawn evenly from `shortest` to `longest`.
    pub fn between(&self, shortest: Duration, longest: Duration) -> Duration {
        let share = self.dice.lock().unwrap_or_else(PoisonError::into_inner).f64();
        shortest + longest.saturating_sub(shortest).mul_f64(share)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}
