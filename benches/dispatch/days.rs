//! Simulated days: 12 hours in which callbacks may be placed, a forecast, and requests with windows of 1 to 4 hours.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use ringback::cxone::ForecastHour;
use ringback::types::TimeWindow;

/// The hours of a day.
pub const HOURS: usize = 12;
/// The first of them.
const OPENS_AT: i8 = 8;
/// How long the calls take on average.
pub const HANDLE_SECONDS: u16 = 360;
/// The share of the agents' time that is used, if callbacks come as expected and are spread as the staff is.
const LOAD: f64 = 0.9;
/// Requests come up to so many hours before their window.
const LONGEST_LEAD_SECONDS: f64 = 12.0 * 3600.0;
/// A Friday.
pub const TODAY: Date = date(2026, 11, 20);

/// What differs from an average day.
#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    /// The requests of this day, as a share of what is expected.
    pub demand: f64,
    /// The agents and calls that come differ from the forecast by up to this share.
    pub forecast_error: f64,
    /// Most windows begin in two hours of the day.
    pub is_spiky: bool,
    pub campaigns: usize,
    /// The earlier days that are known, each a week apart.
    pub history: i32,
    /// What the campaign's settings say of the handle time.
    pub handle_seconds: u16,
}

const USUAL: Scenario = Scenario {
    name: "as expected",
    demand: 1.0,
    forecast_error: 0.0,
    is_spiky: false,
    campaigns: 1,
    history: 4,
    handle_seconds: HANDLE_SECONDS,
};

pub const SCENARIOS: [Scenario; 9] = [
    USUAL,
    Scenario { name: "demand 0.7x", demand: 0.7, ..USUAL },
    Scenario { name: "demand 0.9x", demand: 0.9, ..USUAL },
    Scenario { name: "demand 1.2x", demand: 1.2, ..USUAL },
    Scenario { name: "forecast errors of 10%", forecast_error: 0.1, ..USUAL },
    Scenario { name: "spiky day", is_spiky: true, ..USUAL },
    Scenario { name: "three campaigns", campaigns: 3, ..USUAL },
    Scenario { name: "cold start", history: 0, ..USUAL },
    Scenario { name: "handle time 300 s in the settings", handle_seconds: 300, ..USUAL },
];

/// A request for a callback.
#[derive(Clone, Copy)]
pub struct Request {
    pub at: Timestamp,
    pub window: TimeWindow,
}

/// The day of one campaign.
pub struct Day {
    /// What the service reads.
    pub forecast: Vec<ForecastHour>,
    /// What comes.
    pub actual: Vec<ForecastHour>,
    /// In the order in which they come.
    pub requests: Vec<Request>,
    /// Those of earlier days.
    pub history: Vec<Request>,
    /// What the campaign's settings say.
    pub handle_seconds: u16,
}

/// How often windows begin in each hour.
type Shape = [f64; HOURS];

impl Day {
    /// A day with about this many callbacks, if they come as expected.
    pub fn new(scenario: &Scenario, callbacks: usize, rng: &mut fastrand::Rng) -> Self {
        let shape: Shape = std::array::from_fn(|hour| match hour {
            3 | 7 if scenario.is_spiky => 5.0,
            _ => 1.0 + 0.4 * (as_f64(hour) * 0.7).cos(),
        });
        let forecast = forecast(&shape, callbacks, rng);
        let mut error = || 1.0 + scenario.forecast_error * (2.0 * rng.f64() - 1.0);
        let actual = forecast.iter().map(|hour| ForecastHour {
            available_agents: (hour.available_agents * error()).round(),
            expected_calls: hour.expected_calls * error(),
            ..*hour
        });
        let actual = actual.collect();
        let history = (1..=scenario.history).flat_map(|week| {
            let share = 0.95 + 0.1 * rng.f64();
            requests(TODAY - (7 * week).days(), &shape, share * as_f64(callbacks), rng)
        });
        let history = history.collect();
        let requests = requests(TODAY, &shape, scenario.demand * as_f64(callbacks), rng);
        Self { forecast, actual, requests, history, handle_seconds: scenario.handle_seconds }
    }
}

/// Agents for the calls, and for callbacks that are spread over their windows at random, so that all can be kept.
fn forecast(shape: &Shape, callbacks: usize, rng: &mut fastrand::Rng) -> Vec<ForecastHour> {
    let weights: Shape = std::array::from_fn(|_| 0.5 + rng.f64());
    let calls: Shape = std::array::from_fn(|hour| 1.0 + 0.5 * (as_f64(hour) * 0.9).sin() + 0.3 * (rng.f64() - 0.5));
    let all_calls: f64 = calls.iter().sum();
    let mut load: Shape = calls.map(|calls| calls / all_calls * as_f64(callbacks));
    let expected_calls = load;
    let sample = requests(TODAY, shape, 20_000.0, &mut fastrand::Rng::with_seed(0));
    for request in &sample {
        let hours = hours_of(request);
        let sum: f64 = weights[hours.clone()].iter().sum();
        hours.for_each(|hour| load[hour] += weights[hour] / sum * as_f64(callbacks) / as_f64(sample.len()));
    }
    let hours = (0..HOURS).map(|hour| ForecastHour {
        hour: hour_of(TODAY, hour),
        available_agents: (load[hour] * f64::from(HANDLE_SECONDS) / 3600.0 / LOAD).ceil(),
        expected_calls: expected_calls[hour],
    });
    hours.collect()
}

/// The requests for windows of one day. Half of the windows begin on the half hour.
fn requests(day: Date, shape: &Shape, count: f64, rng: &mut fastrand::Rng) -> Vec<Request> {
    let all: f64 = shape.iter().sum();
    let mut requests = Vec::new();
    while as_f64(requests.len()) < count.round() {
        let mut left = rng.f64() * all;
        let first = shape.iter().position(|share| {
            left -= share;
            left <= 0.0
        });
        let (first, length, half) = (first.unwrap_or(0), rng.i64(1..=4), rng.bool());
        let start = hour_of(day, first) + SignedDuration::from_mins(if half { 30 } else { 0 });
        let end = (start + SignedDuration::from_hours(length)).min(hour_of(day, HOURS));
        let at = hour_of(day, first) - SignedDuration::from_secs_f64((rng.f64() * LONGEST_LEAD_SECONDS).round());
        // Windows that would end after the day are shorter, and those that would be too short are left out.
        requests.extend(TimeWindow::parse(start, end).ok().map(|window| Request { at, window }));
    }
    requests.sort_by_key(|request| request.at);
    requests
}

/// The hours of the day that the window of a request overlaps.
pub fn hours_of(request: &Request) -> std::ops::Range<usize> {
    let opens = hour_of(request.window.start().to_zoned(TimeZone::UTC).date(), 0);
    let seconds = |at: Timestamp| usize::try_from(at.as_second() - opens.as_second()).unwrap_or(0);
    seconds(request.window.start()) / 3600..seconds(request.window.end()).div_ceil(3600)
}

fn hour_of(day: Date, hour: usize) -> Timestamp {
    let opens = day.at(OPENS_AT, 0, 0, 0).to_zoned(TimeZone::UTC).map_or(Timestamp::UNIX_EPOCH, |at| at.timestamp());
    opens + SignedDuration::from_hours(i64::try_from(hour).unwrap_or(0))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark")]
pub fn as_f64(count: usize) -> f64 {
    count as f64
}
