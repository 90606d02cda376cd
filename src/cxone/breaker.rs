//! The circuit breaker of one endpoint: while the endpoint is down, requests fail at once, and only a probe is sent from
//! time to time. Written by hand: no maintained crate has one with an injected clock and single probes.

use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::endpoint::Endpoint;
use crate::backoff::Backoff;

/// The endpoint counts as down after this many failures in a row.
const FAILURES_TO_OPEN: u32 = 5;
/// The waits before each probe. The limit makes sure that a recovery is noticed.
const PROBE_WAITS: Backoff = Backoff::doubling(Duration::from_secs(2), Duration::from_secs(30));
/// Work that was started to be the probe has sent its request by then, or needs none.
const PROBE_STARTS_WITHIN: Duration = Duration::from_secs(1);

/// The breaker of one endpoint.
#[derive(Debug)]
pub struct Breaker {
    endpoint: Endpoint,
    state: Mutex<State>,
    /// A probe without a result by then is ignored. Longer than any request takes.
    probe_within: Duration,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Requests are sent.
    Closed { failures: u32 },
    /// Requests fail until then. After that, the work for one request at a time may start, to be the probe.
    Open { until: Timestamp, failed_probes: u32, started_at: Option<Timestamp> },
    /// One request is sent. Its result decides.
    Probing { until: Timestamp, failed_probes: u32 },
}

impl Breaker {
    /// A closed breaker. A request takes no longer than `probe_within`.
    pub fn new(endpoint: Endpoint, probe_within: Duration) -> Self {
        let state = State::Closed { failures: 0 };
        report(endpoint, state);
        Self { endpoint, state: Mutex::new(state), probe_within }
    }

    /// Admits a request, or returns how long none will be admitted.
    pub fn admit(&self, now: Timestamp) -> Result<(), Duration> {
        let mut state = self.state.lock();
        match *state {
            State::Closed { .. } => Ok(()),
            State::Open { until, failed_probes, .. } | State::Probing { until, failed_probes } if until <= now => {
                *state = State::Probing { until: now + self.probe_within, failed_probes };
                Ok(())
            }
            State::Open { until, .. } | State::Probing { until, .. } => Err(left(until, now)),
        }
    }

    /// How long no request will be admitted; none where one would be admitted now. Admits none itself.
    pub fn closed_for(&self, now: Timestamp) -> Option<Duration> {
        match *self.state.lock() {
            State::Open { until, .. } | State::Probing { until, .. } if until > now => Some(left(until, now)),
            State::Open { .. } | State::Probing { .. } | State::Closed { .. } => None,
        }
    }

    /// Whether work may start, or how long to wait. While the endpoint counts as down, only the work whose request will be
    /// the probe starts. Where it sends no request, other work may start a second later.
    pub fn may_start(&self, now: Timestamp) -> Result<(), Duration> {
        let mut state = self.state.lock();
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

    /// The endpoint responded.
    pub fn succeeded(&self) {
        let mut state = self.state.lock();
        if !matches!(*state, State::Closed { .. }) {
            tracing::info!(cxone.endpoint = self.endpoint.as_str(), "the endpoint of CXone responds again");
        }
        *state = State::Closed { failures: 0 };
        report(self.endpoint, *state);
    }

    /// The endpoint is down, or did not respond.
    pub fn failed(&self, now: Timestamp) {
        let mut state = self.state.lock();
        *state = match *state {
            State::Closed { failures } if failures + 1 < FAILURES_TO_OPEN => State::Closed { failures: failures + 1 },
            State::Closed { .. } => {
                let endpoint = self.endpoint.as_str();
                tracing::error!(
                    cxone.endpoint = endpoint,
                    "the endpoint of CXone is down; requests fail until a probe succeeds"
                );
                opened(now, 0)
            }
            State::Probing { failed_probes, .. } => opened(now, failed_probes.saturating_add(1)),
            // A request from before it opened.
            open @ State::Open { .. } => open,
        };
        report(self.endpoint, *state);
    }
}

fn opened(now: Timestamp, failed_probes: u32) -> State {
    State::Open { until: now + PROBE_WAITS.base(failed_probes.saturating_add(1)), failed_probes, started_at: None }
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
            breaker.succeeded();
        }
        assert_eq!(breaker.admit(at(0)), Ok(()));
        assert_eq!(broken().admit(at(1)), Err(Duration::from_secs(1)));
    }

    #[test]
    fn one_probe_at_a_time_is_sent_and_decides() {
        let breaker = broken();
        assert_eq!(breaker.admit(at(2)), Ok(()));
        assert_eq!(breaker.admit(at(2)), Err(Duration::from_secs(40)));
        breaker.failed(at(3));
        assert_eq!(breaker.admit(at(6)), Err(Duration::from_secs(1)));
        assert_eq!(breaker.admit(at(7)), Ok(()));
        breaker.succeeded();
        assert_eq!(breaker.admit(at(7)), Ok(()));
        assert_eq!(breaker.closed_for(at(7)), None);
    }

    #[test]
    fn work_is_started_for_one_probe_at_a_time() {
        let breaker = broken();
        assert_eq!(breaker.may_start(at(1)), Err(Duration::from_secs(1)));
        assert_eq!(breaker.may_start(at(2)), Ok(()));
        assert_eq!(breaker.may_start(at(2)), Err(Duration::from_secs(1)));
        assert_eq!(breaker.may_start(at(3)), Ok(()), "the first one sent no request");
        assert_eq!(breaker.admit(at(3)), Ok(()));
        assert_eq!(breaker.may_start(at(4)), Err(Duration::from_secs(39)));
        breaker.succeeded();
        assert_eq!(breaker.may_start(at(4)), Ok(()));
    }

    #[test]
    fn a_probe_without_a_result_does_not_block_the_next() {
        let breaker = broken();
        assert_eq!(breaker.admit(at(2)), Ok(()));
        assert_eq!(breaker.admit(at(42)), Ok(()));
    }

    proptest! {
        /// While the endpoint is down, however often requests are made: at most one probe in each wait, and always another one.
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
