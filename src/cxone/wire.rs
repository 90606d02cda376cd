//! The format of requests and answers in the `v2` contract.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::error::CxoneError;
use super::forecasts::Range;
use super::model::{CampaignState, DialerCampaign, ForecastHour};
use crate::types::CampaignId;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// The most characters of a session id.
const MAX_SESSION_ID: usize = 200;

/// Parses an answer, which must be an object: serde by itself also accepts an array of the members' values.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    let members: Map<String, Value> = serde_json::from_slice(body)?;
    serde_json::from_value(Value::Object(members))
}

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
    pub fn hours_within(self, range: Range) -> Result<Vec<ForecastHour>, CxoneError> {
        let given = self.forecast.len();
        let mut hours: Vec<_> = self.forecast.into_iter().filter_map(Hour::read).collect();
        if hours.len() < given {
            tracing::warn!(given, understood = hours.len(), "CXone sent a forecast with invalid hours");
        }
        if hours.is_empty() && given > 0 {
            return Err(unexpected("no hour of the forecast is valid"));
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Campaign {
    id: Option<String>,
    state: CampaignState,
    pause_reason: Option<String>,
    scheduled_resume_time: Option<String>,
    max_agents: Option<u32>,
    dialing_mode: Option<String>,
}

impl Campaign {
    /// An answer about another campaign is an error. An invalid resume time counts as none: it must not prevent a pause.
    pub fn read(self, asked: &CampaignId) -> Result<DialerCampaign, CxoneError> {
        if self.id.is_some_and(|id| !id.eq_ignore_ascii_case(asked.as_str())) {
            return Err(unexpected("the answer is about another campaign"));
        }
        Ok(DialerCampaign {
            state: self.state,
            pause_reason: self.pause_reason,
            resume_at: self.scheduled_resume_time.and_then(|time| time.parse().ok()),
            max_agents: self.max_agents,
            dialing_mode: self.dialing_mode,
        })
    }
}

/// The body of an update. What is absent is left out, never null.
pub fn campaign_update(wanted: &DialerCampaign) -> Value {
    let members = [
        ("state", Some(json!(wanted.state))),
        ("pauseReason", wanted.pause_reason.as_ref().map(|reason| json!(reason))),
        ("scheduledResumeTime", wanted.resume_at.map(|at| json!(at))),
        ("maxAgents", wanted.max_agents.map(|agents| json!(agents))),
        ("dialingMode", wanted.dialing_mode.as_ref().map(|mode| json!(mode))),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>().into()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionCreated {
    session_id: Value,
}

impl SessionCreated {
    pub fn session_id(self) -> Result<String, CxoneError> {
        let id = match self.session_id {
            Value::String(id) => id,
            Value::Number(id) => id.to_string(),
            _ => return Err(unexpected("sessionId is not an id")),
        };
        if (1..=MAX_SESSION_ID).contains(&id.len()) && !id.contains('\0') {
            return Ok(id);
        }
        Err(unexpected("sessionId is not an id"))
    }
}

fn unexpected(reason: &str) -> CxoneError {
    CxoneError::UnexpectedAnswer { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> Range {
        let at = |text: &str| text.parse().unwrap();
        Range { start: at("2026-11-20T15:30:00Z"), end: at("2026-11-20T17:00:00Z") }
    }

    #[test]
    fn a_campaign_is_sent_as_it_was_read_without_absent_members() {
        let id = CampaignId::parse("0192f0c4-1111-7000-8000-000000000001").unwrap();
        let read = |json: &str| serde_json::from_str::<Campaign>(json).map(|campaign| campaign.read(&id));
        let shown = r#"{"id": "0192F0C4-1111-7000-8000-000000000001", "state": "PAUSED", "maxAgents": 10,
            "scheduledResumeTime": "soon", "dialingMode": "PREDICTIVE"}"#;

        let campaign = read(shown).unwrap().unwrap();

        assert_eq!((campaign.state, campaign.resume_at), (CampaignState::Paused, None));
        let sent = json!({"state": "PAUSED", "maxAgents": 10, "dialingMode": "PREDICTIVE"});
        assert_eq!(campaign_update(&campaign), sent);
        assert!(read(r#"{"id": "another", "state": "ACTIVE"}"#).unwrap().is_err());
        assert!(read(r#"{"state": "DIALING"}"#).is_err() && read(r#"{"state": "ACTIVE", "maxAgents": -1}"#).is_err());
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
