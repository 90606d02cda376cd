//! The rules that the service is compared with, and the cost of a day.

use jiff::SignedDuration;
use ringback::cxone::ForecastHour;
use ringback::placement::{Candidate, HourPlaces, Inputs, PlanVersion, WaitCost};
use ringback::types::Interval;

use super::days::{Day, HANDLE_SECONDS, Request, as_f64, hours_of};
use super::optimum::least_cost;

/// How an hour is chosen.
#[derive(Clone, Copy)]
pub enum Rule {
    MostAgents,
    /// The service without a plan.
    MostRoom,
    /// The service with a plan that expects nothing.
    LeastWait,
}

/// What became of a day.
#[derive(Clone, Copy, Default)]
pub struct Result {
    /// The expected wait of all calls, in seconds.
    pub cost: f64,
    /// What the agents cannot do in the hours, in minutes.
    pub overload: f64,
    pub calls: f64,
}

/// What a placement is decided by, before the hours are known.
pub fn inputs(day: &Day, request: &Request) -> Inputs {
    let part = Interval { start: request.window.start(), end: request.window.end() };
    let earliest = request.at + SignedDuration::from_secs(15);
    Inputs::by_forecast(&day.forecast[hours_of(request)], f64::from(day.handle_seconds), &[part], earliest)
}

/// The callbacks placed in each hour of a day by a rule.
pub fn place(rule: Rule, day: &Day) -> Vec<u32> {
    let mut placed = vec![0; day.forecast.len()];
    for request in &day.requests {
        let hours = hours_of(request);
        let plan = PlanVersion { version: 1, planned_at: request.at };
        let places: Vec<_> =
            placed[hours.clone()].iter().map(|&placed| HourPlaces { placed, ..HourPlaces::default() }).collect();
        let inputs = inputs(day, request);
        let inputs = match rule {
            Rule::MostAgents => agents_only(inputs),
            Rule::MostRoom => inputs.with_places(None, &places),
            Rule::LeastWait => inputs.with_places(Some(plan), &places),
        };
        let chosen = inputs.decide().map(|decision| decision.choice.hour);
        if let Some(hour) = hours.into_iter().find(|hour| Some(day.forecast[*hour].hour) == chosen) {
            placed[hour] += 1;
        }
    }
    placed
}

fn agents_only(inputs: Inputs) -> Inputs {
    let hours = inputs.hours.iter().map(|hour| Candidate { expected_calls: 0.0, placed: 0, ..*hour });
    Inputs { hours: hours.collect(), ..inputs }
}

/// The result of a day with so many callbacks in each hour.
pub fn result(day: &Day, placed: &[u32]) -> Result {
    let mut result = Result::default();
    for (hour, placed) in day.actual.iter().zip(placed) {
        let calls = hour.expected_calls + f64::from(*placed);
        result.cost += wait_cost(hour).of(calls);
        result.overload += (calls * f64::from(HANDLE_SECONDS) / 60.0 - hour.available_agents * 60.0).max(0.0);
        result.calls += calls;
    }
    result
}

fn wait_cost(hour: &ForecastHour) -> WaitCost {
    WaitCost::new(hour.available_agents, f64::from(HANDLE_SECONDS))
}

/// The least cost of all ways to place the callbacks of a day, for what comes and not for the forecast.
pub fn optimum(day: &Day) -> Option<Result> {
    let mut demands: Vec<(std::ops::Range<usize>, u32)> = Vec::new();
    for request in &day.requests {
        let hours = hours_of(request);
        match demands.iter_mut().find(|(range, _)| *range == hours) {
            Some((_, units)) => *units += 1,
            None => demands.push((hours, 1)),
        }
    }
    let cost = |hour: usize, units: u32| {
        let hour = &day.actual[hour];
        wait_cost(hour).of(hour.expected_calls + f64::from(units))
    };
    let next = |hour: usize, units: u32| cost(hour, units + 1) - cost(hour, units);
    let added = least_cost(day.actual.len(), &demands, next)?;
    let without = result(day, &vec![0; day.actual.len()]);
    let calls = without.calls + as_f64(day.requests.len());
    Some(Result { cost: without.cost + added, overload: f64::NAN, calls })
}

impl Result {
    /// Of a call, in seconds.
    pub fn mean_wait(self) -> f64 {
        self.cost / self.calls
    }
}

impl std::ops::AddAssign for Result {
    fn add_assign(&mut self, other: Self) {
        self.cost += other.cost;
        self.overload += other.overload;
        self.calls += other.calls;
    }
}
