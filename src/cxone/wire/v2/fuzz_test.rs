use std::time::Duration;

use serde_json::{Value, json};

use super::campaign::{Campaign, update_body};
use super::contact::{ContactCreated, not_created};
use super::forecast::Forecast;
use super::read::object;
use super::session::SessionCreated;
use crate::cxone::error::{CxoneError, Failed};
use crate::cxone::grant::Granted;
use crate::cxone::model::HourRange;
use crate::fuzz_test::fuzz_bytes;
use crate::types::CampaignId;

const ID: &str = "0192f0c4-1111-7000-8000-000000000001";

#[test]
fn a_forecast_has_sorted_hours_in_the_range() {
    let range =
        HourRange { start: "2026-11-20T15:30:00Z".parse().unwrap(), end: "2026-11-20T19:00:00Z".parse().unwrap() };
    let hour =
        |hour: u8| json!({"hour": format!("2026-11-20T{hour}:00:00Z"), "availableAgents": 3, "expectedCalls": 1.5});
    let forecast = json!({"forecast": [hour(17), hour(15), hour(16), hour(20), {}]}).to_string();
    fuzz_bytes(&[&forecast], |body| {
        let Ok(Ok(hours)) = object::<Forecast>(body).map(|forecast| forecast.hours_within(range)) else { return };
        assert!(hours.is_sorted_by(|one, other| one.hour < other.hour));
        assert!(hours.iter().all(|hour| hour.available_agents >= 0.0 && hour.expected_calls >= 0.0));
    });
}

#[test]
fn a_campaign_that_is_sent_is_read_as_the_same() {
    let id = CampaignId::parse(ID).unwrap();
    let campaign = json!({"id": ID, "state": "PAUSED", "maxAgents": 10, "scheduledResumeTime": "2026-11-20T15:00:00Z",
        "dialingMode": "PREDICTIVE", "pauseReason": "SCHEDULED"})
    .to_string();
    fuzz_bytes(&[&campaign], |body| {
        let Ok(Ok(campaign)) = object::<Campaign>(body).map(|campaign| campaign.read(&id)) else { return };
        let sent = update_body(&campaign).to_string();
        assert_eq!(object::<Campaign>(sent.as_bytes()).unwrap().read(&id), Ok(campaign));
    });
}

#[test]
fn a_session_id_and_a_token_have_limits() {
    let samples = [
        r#"{"sessionId": "0192f0c4-1111-7000-8000-000000000001"}"#,
        r#"{"sessionId": 4711}"#,
        r#"{"access_token": "eyJhbGciOi.J9", "token_type": "Bearer", "expires_in": 1800}"#,
        r#"{"access_token": "x", "expires_in": "1e3"}"#,
    ];
    fuzz_bytes(&samples, |body| {
        if let Ok(Ok(id)) = object::<SessionCreated>(body).map(SessionCreated::session_id) {
            assert!((1..=200).contains(&id.len()) && !id.contains('\0'));
        }
        if let Ok(granted) = Granted::read(body, Duration::from_mins(30), Duration::from_mins(1)) {
            assert!(granted.life.as_secs() <= 24 * 3600);
        }
    });
}

#[test]
fn a_contact_exists_only_if_its_whole_id_is_in_the_answer() {
    let samples = [
        json!({"contactId": ID}).to_string(),
        json!({"errors": [{"existing": {"contactId": ID, "scheduledStartDateTime": "2026-11-20T15:00:00Z"}}]})
            .to_string(),
        format!("<html>{ID}</html>"),
    ];
    let samples: Vec<&str> = samples.iter().map(String::as_str).collect();
    let contact = ID.parse().unwrap();
    fuzz_bytes(&samples, |body| {
        let conflict = CxoneError::Conflict { reason: String::new() };
        let confirmed = object::<ContactCreated>(body).is_ok_and(|created| created.confirm(contact).is_ok());
        let exists = not_created(Failed { error: conflict, body: body.to_vec().into() }, contact).is_ok();
        if confirmed || exists {
            // JSON can write any character as an escape sequence.
            let text = serde_json::from_slice::<Value>(body).unwrap().to_string().to_ascii_lowercase();
            assert!(text.replace(['-', '{', '}'], "").contains(&ID.replace('-', "")), "{text}");
        }
    });
}
