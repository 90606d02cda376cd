//! The hourly forecast: available agents and expected calls.

use std::f64::consts::TAU;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The day that the default forecast describes: a bell curve around its busiest hour, the same every day, with a
/// random deviation of up to 10 % for each campaign and hour. Calls peak two hours before agents do, so that hours
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

/// A forecast set for a campaign through the control API.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::simulator) enum Forecast {
    /// These hours; a request gets those that overlap its range.
    Hours(Vec<Hour>),
    /// This JSON, unchanged.
    Raw(Value),
}

/// One hour of a forecast.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::simulator) struct Hour {
    hour: Timestamp,
    available_agents: Number,
    expected_calls: Number,
}

impl Hour {
    pub(in crate::simulator) fn overlaps(&self, start: Timestamp, end: Timestamp) -> bool {
        self.hour < end && self.hour.duration_until(start) < HOUR
    }
}

impl ForecastShape {
    /// Every clock hour that overlaps the range; the first may begin before it. The random deviations depend on the
    /// campaign and the seed.
    pub(in crate::simulator) fn hours(&self, seed: u64, campaign: &str, start: Timestamp, end: Timestamp) -> Vec<Hour> {
        let seconds = HOUR.as_secs();
        let seed = campaign.bytes().fold(seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let first = start.as_second().div_euclid(seconds);
        let hours = (first..).map_while(|hour| Timestamp::from_second(hour * seconds).ok());
        hours.take_while(|&hour| hour < end).map(|hour| self.hour(seed, hour)).collect()
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "levels are small and not negative")]
    fn hour(&self, seed: u64, hour: Timestamp) -> Hour {
        let hour_of_day = hour.as_second().div_euclid(HOUR.as_secs()).rem_euclid(24) as u8;
        let mut rng = fastrand::Rng::with_seed(seed.wrapping_mul(24).wrapping_add(hour_of_day.into()));
        let mut level = |quiet: u32, busy: u32, busiest: f64| {
            let bell = 0.5 + 0.5 * ((f64::from(hour_of_day) - busiest) / 24.0 * TAU).cos();
            let deviation = 0.9 + 0.2 * rng.f64();
            let level = (f64::from(quiet) + (f64::from(busy) - f64::from(quiet)) * bell * bell) * deviation;
            Number::from(level.round() as u64)
        };
        let busiest = f64::from(self.busiest_hour);
        Hour {
            hour,
            available_agents: level(self.quiet_agents, self.busy_agents, busiest),
            expected_calls: level(self.quiet_calls, self.busy_calls, busiest - 2.0),
        }
    }
}
