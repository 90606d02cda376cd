//! The hourly forecast: how many agents are there, how many calls are expected.

use std::f64::consts::TAU;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};

use super::Simulator;
use super::answer::{Answer, Refusal};
use super::fields::{only, pairs};
use super::settings::Settings;
use super::state::lock;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const LONGEST: SignedDuration = SignedDuration::from_hours(48);

/// The day that the default forecast describes: a bell around its busiest hour, the same every day, with a wobble of
/// up to a tenth that belongs to the campaign and the hour. Calls peak two hours before agents do, so that hours
/// differ in how long a caller would wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForecastShape {
    /// Agents in the quietest hour.
    pub quiet_agents: u32,
    /// Agents in the busiest hour.
    pub busy_agents: u32,
    /// Calls in the quietest hour.
    pub quiet_calls: u32,
    /// Calls in the busiest hour.
    pub busy_calls: u32,
    /// The hour of the day, in UTC, with the most agents.
    pub busiest_hour: u8,
}

impl Default for ForecastShape {
    fn default() -> Self {
        Self { quiet_agents: 3, busy_agents: 40, quiet_calls: 10, busy_calls: 300, busiest_hour: 14 }
    }
}

/// A forecast that somebody set for a campaign.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Forecast {
    /// These hours, as far as they overlap what is asked for.
    Hours(Vec<Hour>),
    /// This, as it is.
    Raw(Value),
}

/// One hour of a forecast.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Hour {
    hour: Timestamp,
    available_agents: Number,
    expected_calls: Number,
}

/// `GET /api/v2/outbound/forecast`
pub(super) async fn read(State(simulator): State<Simulator>, RawQuery(query): RawQuery) -> Answer {
    let state = simulator.state();
    let query = pairs(&query.unwrap_or_default())?;
    let required = |name: &str| only(&query, name)?.ok_or_else(|| Refusal::bad(format!("{name} is missing")));
    let campaign = required("campaignId")?;
    let (start, end) = (required("startTime")?, required("endTime")?);
    if required("granularity")? != "hourly" {
        return Err(Refusal::bad("granularity must be hourly"));
    }
    let (start, end) = (instant("startTime", start)?, instant("endTime", end)?);
    if end <= start {
        return Err(Refusal::unprocessable("endTime must be after startTime"));
    }
    if end.duration_since(start) > LONGEST {
        return Err(Refusal::unprocessable("a forecast covers at most 48 hours"));
    }
    if lock(&state.campaigns).get(campaign).is_none() {
        return Err(Refusal::no_campaign(campaign));
    }
    let set = lock(&state.forecasts).get(campaign).cloned();
    let hours = match set {
        Some(Forecast::Raw(raw)) => return Ok((StatusCode::OK, Json(raw))),
        Some(Forecast::Hours(hours)) => hours.into_iter().filter(|hour| hour.overlaps(start, end)).collect(),
        None => default_hours(&state.settings, campaign, start, end),
    };
    Ok((StatusCode::OK, Json(json!({ "startTime": start, "endTime": end, "forecast": hours }))))
}

fn instant(name: &str, value: &str) -> Result<Timestamp, Refusal> {
    let malformed = |_| Refusal::unprocessable(format!("{name} must be an ISO 8601 instant, percent-encoded"));
    value.parse().map_err(malformed)
}

impl Hour {
    fn overlaps(&self, start: Timestamp, end: Timestamp) -> bool {
        self.hour < end && self.hour.duration_until(start) < HOUR
    }
}

/// Every clock hour that overlaps what is asked for: the first may begin before it.
fn default_hours(settings: &Settings, campaign: &str, start: Timestamp, end: Timestamp) -> Vec<Hour> {
    let seconds = HOUR.as_secs();
    let first = start.as_second().div_euclid(seconds);
    let hours = (first..).map_while(|hour| Timestamp::from_second(hour * seconds).ok());
    hours.take_while(|&hour| hour < end).map(|hour| default_hour(settings, campaign, hour)).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "levels are small and not negative")]
fn default_hour(settings: &Settings, campaign: &str, hour: Timestamp) -> Hour {
    let shape = &settings.forecast;
    let hour_of_day = hour.as_second().div_euclid(HOUR.as_secs()).rem_euclid(24);
    let seed = campaign.bytes().fold(settings.seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let mut dice = fastrand::Rng::with_seed(seed.wrapping_mul(24).wrapping_add(hour_of_day.unsigned_abs()));
    let mut level = |quiet: u32, busy: u32, busiest: f64| {
        let bell = 0.5 + 0.5 * ((hour_of_day as f64 - busiest) / 24.0 * TAU).cos();
        let wobble = 0.9 + 0.2 * dice.f64();
        let level = (f64::from(quiet) + (f64::from(busy) - f64::from(quiet)) * bell * bell) * wobble;
        Number::from(level.round() as u64)
    };
    let busiest = f64::from(shape.busiest_hour);
    Hour {
        hour,
        available_agents: level(shape.quiet_agents, shape.busy_agents, busiest),
        expected_calls: level(shape.quiet_calls, shape.busy_calls, busiest - 2.0),
    }
}
