//! The decision about one callback. Pure: what it is decided by is stored, so that it can be explained and decided again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use strum::EnumMessage;

use super::erlang::WaitCost;
use super::plan::{HourLoad, HourTime, best_hour, earliest_hour};
use crate::cxone::ForecastHour;
use crate::types::Interval;

/// What is known of an hour in the moment of a placement.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HourPlaces {
    /// The callbacks that are placed in it.
    pub placed: u32,
    /// The places that are kept in it for expected requests, of all windows.
    pub planned: f64,
    /// Those of them for windows that overlap the same hours as the window of this callback.
    pub own: f64,
}

/// The plan that a placement goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanVersion {
    /// Counts the plans of the campaign.
    pub version: i64,
    /// When it was made.
    pub planned_at: Timestamp,
}

/// An hour that is a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    pub hour: Timestamp,
    pub available_agents: f64,
    pub expected_calls: f64,
    pub placed: u32,
    pub planned: f64,
    pub own: f64,
}

/// What a placement is decided by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inputs {
    /// Names the forecast. None where CXone has none, so that the earliest time is chosen.
    pub forecast: Option<String>,
    /// None where the campaign has no plan, or an old one.
    pub plan: Option<PlanVersion>,
    pub handle_seconds: f64,
    /// The parts of the window in which the campaign may call.
    pub parts: Vec<Interval>,
    /// The dispatch time is not before this.
    pub earliest: Timestamp,
    pub hours: Vec<Candidate>,
}

/// Why an hour was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumMessage)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    #[strum(message = "The plan keeps the most places for windows like this one in this hour.")]
    PlannedPlace,
    #[strum(
        message = "The plan keeps no place for windows like this one; a call more costs the least wait in this hour, with all \
            expected requests counted."
    )]
    LeastWait,
    #[strum(message = "The campaign has no current plan; this hour has the most room.")]
    MostRoom,
    #[strum(message = "CXone has no forecast; this is the earliest possible hour.")]
    Earliest,
}

/// The result of a placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// One of the candidates.
    pub hour: Timestamp,
    /// In the hour, and in a part of the window.
    pub dispatch_time: Timestamp,
    pub reason: Reason,
}

/// A decision with all that it was made by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    pub inputs: Inputs,
    pub choice: Choice,
}

impl Inputs {
    /// Of a placement by this forecast, before the hours are known.
    pub fn by_forecast(
        forecast: &[ForecastHour],
        handle_seconds: f64,
        parts: &[Interval],
        earliest: Timestamp,
    ) -> Self {
        let hours = forecast.iter().map(|forecast| Candidate {
            hour: forecast.hour,
            available_agents: forecast.available_agents,
            expected_calls: forecast.expected_calls,
            placed: 0,
            planned: 0.0,
            own: 0.0,
        });
        let version = Some(forecast_version(forecast));
        Self { forecast: version, plan: None, handle_seconds, parts: parts.to_vec(), earliest, hours: hours.collect() }
    }

    /// Of a placement without a forecast, in these hours.
    pub fn without_forecast(hours: &[Timestamp], parts: &[Interval], earliest: Timestamp) -> Self {
        let empty = |&hour: &Timestamp| ForecastHour { hour, available_agents: 0.0, expected_calls: 0.0 };
        let hours: Vec<_> = hours.iter().map(empty).collect();
        Self { forecast: None, ..Self::by_forecast(&hours, 0.0, parts, earliest) }
    }

    /// With the plan, and what is placed and planned in each of the hours.
    #[must_use]
    pub fn with_places(mut self, plan: Option<PlanVersion>, places: &[HourPlaces]) -> Self {
        self.plan = plan;
        for (candidate, places) in self.hours.iter_mut().zip(places) {
            let HourPlaces { placed, planned, own } = *places;
            *candidate = Candidate { placed, planned, own, ..*candidate };
        }
        self
    }

    /// Decides. None if no hour is possible.
    pub fn decide(self) -> Option<Decision> {
        let (HourTime { index, dispatch_time }, reason) = self.choose()?;
        let choice = Choice { hour: self.hours.get(index)?.hour, dispatch_time, reason };
        Some(Decision { inputs: self, choice })
    }

    fn choose(&self) -> Option<(HourTime, Reason)> {
        let loads: Vec<_> = self.hours.iter().map(Candidate::load).collect();
        if self.forecast.is_none() {
            return earliest_hour(&loads, &self.parts, self.earliest).map(|found| (found, Reason::Earliest));
        }
        let best = |score: &dyn Fn(usize) -> Option<f64>| best_hour(&loads, &self.parts, self.earliest, score);
        if self.plan.is_none() {
            let found = best(&|index| Some(loads[index].spare_capacity(self.handle_seconds)));
            return found.map(|found| (found, Reason::MostRoom));
        }
        let own = best(&|index| Some(self.hours[index].own).filter(|places| *places > 0.0));
        let own = own.map(|found| (found, Reason::PlannedPlace));
        let least = || best(&|index| self.hours[index].marginal_cost(self.handle_seconds).map(|cost| -cost));
        own.or_else(|| least().map(|found| (found, Reason::LeastWait)))
    }
}

impl Candidate {
    fn load(&self) -> HourLoad {
        let Self { hour, available_agents, expected_calls, placed, .. } = *self;
        HourLoad { forecast: ForecastHour { hour, available_agents, expected_calls }, placed }
    }

    /// What a call more in the hour costs: the seconds that it makes all calls wait, with all expected requests counted. None
    /// without agents.
    pub fn marginal_cost(&self, handle_seconds: f64) -> Option<f64> {
        let calls = self.expected_calls + f64::from(self.placed) + self.planned;
        (self.available_agents > 0.0).then(|| WaitCost::new(self.available_agents, handle_seconds).of_next(calls))
    }
}

/// Names what a forecast says: equal forecasts have the same version.
pub fn forecast_version(forecast: &[ForecastHour]) -> String {
    let mut hash = Sha256::new();
    for hour in forecast {
        hash.update(hour.hour.as_second().to_be_bytes());
        hash.update(hour.available_agents.to_be_bytes());
        hash.update(hour.expected_calls.to_be_bytes());
    }
    let first = hash.finalize().first_chunk().copied().map_or(0, u64::from_be_bytes);
    format!("{first:016x}")
}

#[cfg(test)]
#[path = "decision_test.rs"]
mod tests;
