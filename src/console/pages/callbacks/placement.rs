//! Why a callback is called in this hour.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use crate::console::page::Visit;
use crate::console::problem::ApiProblem;

const SECONDS_PER_HOUR: f64 = 3600.0;

/// `GET /v1/callbacks/{id}/placement`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    pub decided_at: Timestamp,
    pub dispatch_time: Timestamp,
    pub forecast_version: Option<String>,
    pub plan_version: Option<i64>,
    pub average_handle_time_seconds: f64,
    pub reason: String,
    pub hours: Vec<PlacementHour>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlacementHour {
    pub hour: Timestamp,
    available_agents: f64,
    expected_calls: f64,
    pub placed: u32,
    planned: f64,
    planned_for_window: f64,
    marginal_cost_seconds: Option<f64>,
    pub chosen: bool,
}

impl Placement {
    /// Reads it. None if the callback is not placed yet.
    ///
    /// # Errors
    /// The problem that the API answers.
    pub async fn read(visit: &Visit, id: Uuid) -> Result<Option<Self>, ApiProblem> {
        match visit.api.get(&format!("/v1/callbacks/{id}/placement")).await {
            Err(problem) if problem.status() == StatusCode::NOT_FOUND => Ok(None),
            read => read.map(Some),
        }
    }

    /// How much of the time of the agents the calls of the hour take, with those placed and planned. Such as `87%`.
    pub fn load(&self, hour: &PlacementHour) -> String {
        if hour.available_agents <= 0.0 {
            return "no agents".to_owned();
        }
        let calls = hour.expected_calls + f64::from(hour.placed) + hour.planned;
        let load = calls * self.average_handle_time_seconds / (hour.available_agents * SECONDS_PER_HOUR);
        crate::console::view::percent(&load)
    }
}

impl PlacementHour {
    pub fn agents(&self) -> String {
        rounded(self.available_agents)
    }

    pub fn expected(&self) -> String {
        rounded(self.expected_calls)
    }

    pub fn planned(&self) -> String {
        rounded(self.planned)
    }

    pub fn planned_for_window(&self) -> String {
        rounded(self.planned_for_window)
    }

    /// None without agents.
    pub fn cost(&self) -> Option<String> {
        self.marginal_cost_seconds.map(rounded)
    }
}

/// With one digit after the point where there is one.
fn rounded(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_load_of_an_hour_has_the_calls_that_are_placed_and_planned() {
        let hour = |agents: f64| {
            json!({"hour": "2026-11-20T15:00:00Z", "availableAgents": agents, "expectedCalls": 60.0, "placed": 10,
                "planned": 2.5, "plannedForWindow": 0.25, "marginalCostSeconds": null, "chosen": true})
        };
        let placement: Placement = serde_json::from_value(json!({
            "decidedAt": "2026-11-20T14:00:00Z", "dispatchTime": "2026-11-20T15:22:00Z",
            "averageHandleTimeSeconds": 360.0, "reason": "", "hours": [hour(10.0), hour(0.0)],
        }))
        .unwrap();
        let [some, none] = &placement.hours[..] else { panic!("{placement:?}") };
        assert_eq!((placement.load(some), placement.load(none)), ("72%".to_owned(), "no agents".to_owned()));
        assert_eq!((some.agents(), some.planned(), some.cost()), ("10".to_owned(), "2.5".to_owned(), None));
    }
}
