//! The circuit breaker of one endpoint: while it is down, calls fail at once and only a probe now and then goes out.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::endpoint::Endpoint;

/// So many failures in a row, with no answer between them, and the endpoint counts as down.
const FAILURES_TO_OPEN: u32 = 5;
/// The wait before the first probe; it doubles with each probe that fails.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// A piece of work that was started as a probe has called by then, or needs no call.
const PROBE_STARTS_WITHIN: Duration = Duration::from_secs(1);
/// No wait for a probe is longer than this, so that recovery is noticed.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What is known of an endpoint's health.
#[derive(Debug)]
pub struct Breaker {
    endpoint: Endpoint,
    state: Mutex<State>,
    /// After so long, a probe that never came back is given up. Longer than any call takes.
    probe_within: Duration,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Calls go out.
    Closed { failures: u32 },
    /// Calls fail until then. After that, work is started one piece at a time, to be the probe.
    Open { until: Timestamp, wait: Duration, started_at: Option<Timestamp> },
    /// One call is out, and decides.
    Probing { until: Timestamp, wait: Duration },
}

impl Breaker {
    /// Closed. A call is over after `probe_within` at the latest.
    pub fn new(endpoint: Endpoint, probe_within: Duration) -> Self {
        let state = State::Closed { failures: 0 };
        report(endpoint, state);
        Self { endpoint, state: Mutex::new(state), probe_within }
    }

    /// Lets a call out, or says for how long none is.
    pub fn admit(&self, now: Timestamp) -> Result<(), Duration> {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => Ok(()),
            State::Open { until, wait, .. } | State::Probing { until, wait } if until <= now => {
                *state = State::Probing { until: now + self.probe_within, wait };
                Ok(())
            }
            State::Open { until, .. } | State::Probing { until, .. } => Err(left(until, now)),
        }
    }

    /// For how long no call would be let out; asks without letting one out.
    pub fn closed_for(&self, now: Timestamp) -> Option<Duration> {
        match *self.lock() {
            State::Open { until, .. } | State::Probing { until, .. } if until > now => Some(left(until, now)),
            State::Open { .. } | State::Probing { .. } | State::Closed { .. } => None,
        }
    }

    /// Whether a piece of work may be started, or for how long not. While the endpoint counts as down, one is, whose call will
    /// be the probe; where it makes none, the next one is after a moment.
    pub fn may_start(&self, now: Timestamp) -> Result<(), Duration> {
        let mut state = self.lock();
        match &mut *state {
            State::Open { until, started_at, .. } if *until <= now => {
                let again_at = started_at.map(|at| at + PROBE_STARTS_WITHIN);
                if let Some(again_at) = again_at.filter(|again_at| *again_at > now) {
                    return Err(left(again_at, now));
                }
                *started_at = Some(now);
                Ok(())
            }
            State::Open { until, .. } | State::Probing { until, .. } if *until > now => Err(left(*until, now)),
            State::Open { .. } | State::Probing { .. } | State::Closed { .. } => Ok(()),
        }
    }

    /// It answered, whatever it said.
    pub fn answered(&self) {
        let mut state = self.lock();
        if !matches!(*state, State::Closed { .. }) {
            tracing::info!(cxone.endpoint = self.endpoint.as_str(), "CXone is back");
        }
        *state = State::Closed { failures: 0 };
        report(self.endpoint, *state);
    }

    /// It was down, or never answered.
    pub fn failed(&self, now: Timestamp) {
        let mut state = self.lock();
        *state = match *state {
            State::Closed { failures } if failures + 1 < FAILURES_TO_OPEN => State::Closed { failures: failures + 1 },
            State::Closed { .. } => {
                let endpoint = self.endpoint.as_str();
                tracing::error!(
                    cxone.endpoint = endpoint,
                    "CXone is down; calls fail at once until a probe is answered"
                );
                State::Open { until: now + FIRST_WAIT, wait: FIRST_WAIT, started_at: None }
            }
            State::Probing { wait, .. } => {
                let wait = (wait * 2).min(LONGEST_WAIT);
                State::Open { until: now + wait, wait, started_at: None }
            }
            // A call from before it opened.
            open @ State::Open { .. } => open,
        };
        report(self.endpoint, *state);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn report(endpoint: Endpoint, state: State) {
    let open = if matches!(state, State::Closed { .. }) { 0.0 } else { 1.0 };
    metrics::gauge!("ringback_cxone_breaker_open", "endpoint" => endpoint.as_str()).set(open);
}

fn left(until: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn broken() -> Breaker {
        let breaker = Breaker::new(Endpoint::Contacts, Duration::from_secs(40));
        (0..FAILURES_TO_OPEN).for_each(|_| breaker.failed(at(0)));
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let breaker = Breaker::new(Endpoint::Contacts, Duration::from_secs(40));
        for _ in 0..10 {
            (1..FAILURES_TO_OPEN).for_each(|_| breaker.failed(at(0)));
            breaker.answered();
        }
        assert_eq!(breaker.admit(at(0)), Ok(()));
        assert_eq!(broken().admit(at(1)), Err(Duration::from_secs(1)));
    }

    #[test]
    fn one_probe_at_a_time_goes_out_and_decides() {
        let breaker = broken();
        assert_eq!(breaker.admit(at(2)), Ok(()));
        assert_eq!(breaker.admit(at(2)), Err(Duration::from_secs(40)));
        breaker.failed(at(3));
        assert_eq!(breaker.admit(at(6)), Err(Duration::from_secs(1)));
        assert_eq!(breaker.admit(at(7)), Ok(()));
        breaker.answered();
        assert_eq!(breaker.admit(at(7)), Ok(()));
        assert_eq!(breaker.closed_for(at(7)), None);
    }

    #[test]
    fn one_piece_of_work_is_started_for_each_probe() {
        let breaker = broken();
        assert_eq!(breaker.may_start(at(1)), Err(Duration::from_secs(1)));
        assert_eq!(breaker.may_start(at(2)), Ok(()));
        assert_eq!(breaker.may_start(at(2)), Err(Duration::from_secs(1)));
        assert_eq!(breaker.may_start(at(3)), Ok(()), "the first one made no call");
        assert_eq!(breaker.admit(at(3)), Ok(()));
        assert_eq!(breaker.may_start(at(4)), Err(Duration::from_secs(39)));
        breaker.answered();
        assert_eq!(breaker.may_start(at(4)), Ok(()));
    }

    #[test]
    fn a_probe_that_never_comes_back_does_not_block_the_next() {
        let breaker = broken();
        assert_eq!(breaker.admit(at(2)), Ok(()));
        assert_eq!(breaker.admit(at(42)), Ok(()));
    }

    proptest! {
        /// While it is down, however often it is asked: at most one probe in each wait, and always one in the end.
        #[test]
        fn probes_are_few_and_never_end(pauses in prop::collection::vec(0i64..10, 1..500)) {
            let breaker = broken();
            let (mut now, mut probes) = (0, Vec::new());
            for pause in pauses {
                now += pause;
                if breaker.admit(at(now)).is_ok() {
                    probes.push(now);
                    breaker.failed(at(now));
                }
            }
            prop_assert!(probes.windows(2).all(|pair| pair[1] - pair[0] >= 4));
            prop_assert!(probes.last().copied().unwrap_or(0) + 40 >= now || probes.is_empty());
        }
    }
}
