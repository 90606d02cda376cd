//! The expected wait of all calls of an hour, by the Erlang C formula.

const HOUR_SECONDS: f64 = 3600.0;
/// The share of the agents' time above which the cost continues as a straight line. The formula has no finite value from 1 on.
const STRAIGHT_FROM: f64 = 0.97;

/// What calls in an hour cost: a finite, convex and increasing function of their number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WaitCost {
    /// The agents of the hour.
    agents: f64,
    /// The average handle time in hours.
    handle_hours: f64,
}

impl WaitCost {
    /// Of an hour with these agents, more than none, whose calls take `handle_seconds` on average.
    pub fn new(agents: f64, handle_seconds: f64) -> Self {
        Self { agents, handle_hours: handle_seconds / HOUR_SECONDS }
    }

    /// The expected wait of all calls together, in seconds, if this many come.
    pub fn of(&self, calls: f64) -> f64 {
        let load = calls * self.handle_hours;
        if self.agents < 1.0 {
            // One agent who needs longer for each call.
            return HOUR_SECONDS * queue_length(1, load / self.agents);
        }
        // Between whole numbers of agents, both count by their distance, which keeps the function convex.
        let (fewer, share) = (whole(self.agents), self.agents.fract());
        let cost = queue_length(fewer, load);
        if share == 0.0 {
            return HOUR_SECONDS * cost;
        }
        HOUR_SECONDS * ((1.0 - share) * cost + share * queue_length(fewer + 1, load))
    }

    /// What one call more costs, in seconds.
    pub fn of_next(&self, calls: f64) -> f64 {
        self.of(calls + 1.0) - self.of(calls)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a forecast has at most u32::MAX agents")]
fn whole(agents: f64) -> u32 {
    agents.floor() as u32
}

/// The mean number of calls that wait, with this many agents and this offered load in erlangs.
fn queue_length(agents: u32, load: f64) -> f64 {
    let straight_from = f64::from(agents) * STRAIGHT_FROM;
    if load < straight_from {
        return queue_and_slope(agents, load).0;
    }
    let (queue, slope) = queue_and_slope(agents, straight_from);
    queue + slope * (load - straight_from)
}

/// The mean number of calls that wait, and its derivative by the load, for a load below the number of agents.
fn queue_and_slope(agents: u32, load: f64) -> (f64, f64) {
    let servers = f64::from(agents);
    let blocked = erlang_b(agents, load);
    let blocked_slope = blocked * (servers / load.max(f64::MIN_POSITIVE) - 1.0 + blocked);
    let spare = servers - load;
    // Erlang C: the probability that a call waits.
    let all = spare + load * blocked;
    let waits = servers * blocked / all;
    let all_slope = blocked - 1.0 + load * blocked_slope;
    let waits_slope = servers * (blocked_slope * all - blocked * all_slope) / (all * all);
    (waits * load / spare, (waits + load * waits_slope) / spare + waits * load / (spare * spare))
}

/// The probability that all agents are busy where no call waits.
fn erlang_b(agents: u32, load: f64) -> f64 {
    (1..=agents).fold(1.0, |blocked, agent| load * blocked / (f64::from(agent) + load * blocked))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_wait_is_that_of_published_tables() {
        // 10 agents, 8 erlangs: C = 0.4092, so 0.4092 * 8 / 2 = 1.6367 calls wait. One agent at 50%: C = 0.5.
        for (agents, load, queue) in [(10, 8.0, 1.6367), (1, 0.5, 0.5), (2, 1.0, 1.0 / 3.0), (100, 90.0, 1.9525)] {
            assert!(
                (queue_length(agents, load) - queue).abs() < 1e-3,
                "{agents} {load} {}",
                queue_length(agents, load)
            );
        }
        // An hour of 80 calls of 6 minutes.
        assert!((WaitCost::new(10.0, 360.0).of(80.0) - 3600.0 * 1.6367).abs() < 5.0);
        assert!(WaitCost::new(10.0, 360.0).of(0.0).abs() < f64::EPSILON);
    }

    proptest! {
        #[test]
        fn the_cost_is_finite_increasing_and_convex(
            agents in 0.05f64..300.0, handle_seconds in 1.0f64..3600.0, calls in 0.0f64..5000.0, step in 0.1f64..50.0,
        ) {
            let cost = WaitCost::new(agents, handle_seconds);
            let (low, middle, high) = (cost.of(calls), cost.of(calls + step), cost.of(calls + 2.0 * step));
            let tolerance = 1e-9 * (1.0 + high);
            prop_assert!(high.is_finite() && low >= 0.0);
            prop_assert!(middle >= low - tolerance);
            prop_assert!(high - middle >= middle - low - tolerance);
        }
    }
}
