//! The format of forecasts.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::cxone::error::CxoneError;
use crate::cxone::model::{ForecastHour, HourRange};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[derive(Deserialize)]
pub struct Forecast {
    forecast: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hour {
    hour: Timestamp,
    available_agents: f64,
    expected_calls: f64,
}

impl Forecast {
    /// The hours within the range, in order of time. An invalid hour is left out; where all are invalid, the answer is in an
    /// unknown format. Of two entries for the same hour, the one with fewer agents counts.
    pub fn hours_within(self, range: HourRange) -> Result<Vec<ForecastHour>, CxoneError> {
        let given = self.forecast.len();
        let mut hours: Vec<_> = self.forecast.into_iter().filter_map(Hour::read).collect();
        if hours.len() < given {
            tracing::warn!(given, understood = hours.len(), "CXone sent a forecast with invalid hours");
        }
        if hours.is_empty() && given > 0 {
            return Err(CxoneError::unexpected("no hour of the forecast is valid"));
        }
        hours.retain(|hour| hour.hour < range.end && hour.hour + HOUR > range.start);
        hours.sort_by(|one, other| {
            one.hour.cmp(&other.hour).then(one.available_agents.total_cmp(&other.available_agents))
        });
        hours.dedup_by_key(|hour| hour.hour);
        Ok(hours)
    }
}

impl Hour {
    fn read(json: Value) -> Option<ForecastHour> {
        let Value::Object(members) = json else { return None };
        let hour: Self = serde_json::from_value(Value::Object(members)).ok()?;
        let is_valid = |number: f64| (0.0..=f64::from(u32::MAX)).contains(&number);
        let Self { hour, available_agents, expected_calls } = hour;
        (is_valid(available_agents) && is_valid(expected_calls)).then_some(ForecastHour {
            hour,
            available_agents,
            expected_calls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> HourRange {
        let at = |text: &str| text.parse().unwrap();
        HourRange { start: at("2026-11-20T15:30:00Z"), end: at("2026-11-20T17:00:00Z") }
    }

    fn hours(json: &str) -> Result<Vec<String>, CxoneError> {
        let forecast: Forecast = serde_json::from_str(json).unwrap();
        Ok(forecast.hours_within(range())?.iter().map(|hour| hour.hour.to_string()).collect())
    }

    #[test]
    fn hours_are_sorted_and_those_outside_the_range_left_out() {
        let hours = hours(
            r#"{"forecast": [
                {"hour": "2026-11-20T16:00:00Z", "availableAgents": 3, "expectedCalls": 1.5},
                {"hour": "2026-11-20T14:30:00Z", "availableAgents": 3, "expectedCalls": 0},
                {"hour": "2026-11-20T15:00:00Z", "availableAgents": 3.0, "expectedCalls": 0},
                {"hour": "2026-11-20T17:00:00Z", "availableAgents": 3, "expectedCalls": 0}
            ]}"#,
        );
        assert_eq!(hours.unwrap(), ["2026-11-20T15:00:00Z", "2026-11-20T16:00:00Z"]);
    }

    #[test]
    fn an_invalid_hour_is_left_out_and_the_others_count() {
        let good = r#"{"hour": "2026-11-20T16:00:00Z", "availableAgents": 2.5, "expectedCalls": 0.5}"#;
        for bad in [
            r#"{"hour": "2026-11-20T15:00:00Z", "availableAgents": -1, "expectedCalls": 0}"#,
            r#"{"hour": "2026-11-20T15:00:00Z", "availableAgents": "3", "expectedCalls": 0}"#,
            r#"{"hour": "2026-11-20T15:00:00Z", "availableAgents": 1e300, "expectedCalls": 0}"#,
            r#"{"hour": "2026-11-20T15:00:00Z", "availableAgents": 3, "expectedCalls": -0.5}"#,
            r#"{"hour": "2026-11-20T15:00:00Z", "availableAgents": null, "expectedCalls": 0}"#,
            r#"{"hour": "soon", "availableAgents": 3, "expectedCalls": 0}"#,
            r#"["2026-11-20T15:00:00Z", 3, 0]"#,
            "{}",
            "null",
            "7",
        ] {
            let left = hours(&format!(r#"{{"forecast": [{bad}, {good}]}}"#));
            assert_eq!(left.unwrap(), ["2026-11-20T16:00:00Z"], "{bad}");
            let none = hours(&format!(r#"{{"forecast": [{bad}]}}"#));
            assert!(matches!(none, Err(CxoneError::UnexpectedAnswer { .. })), "{bad}");
        }
        assert_eq!(hours(r#"{"forecast": []}"#), Ok(vec![]));
    }

    #[test]
    fn of_two_entries_for_an_hour_the_one_with_fewer_agents_counts() {
        let hour = |agents: u32| {
            format!(r#"{{"hour": "2026-11-20T16:00:00Z", "availableAgents": {agents}, "expectedCalls": 0}}"#)
        };
        let twice = format!(r#"{{"forecast": [{}, {}]}}"#, hour(5), hour(2));
        let forecast: Forecast = serde_json::from_str(&twice).unwrap();
        let hours = forecast.hours_within(range()).unwrap();
        assert_eq!(hours.iter().map(|hour| hour.available_agents).collect::<Vec<_>>(), [2.0]);
    }
}
