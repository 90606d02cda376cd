use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::{Value, json};

use super::contact::{ContactCreated, not_created};
use super::error::{CxoneError, Failed};
use super::forecasts::Range;
use super::reason::reason_of;
use super::token::Granted;
use super::wire::{self, Campaign, Forecast, SessionCreated, campaign_update};
use crate::fuzz_test::{fuzz, fuzz_bytes};
use crate::types::CampaignId;

const ID: &str = "0192f0c4-1111-7000-8000-000000000001";

#[test]
fn a_forecast_has_sorted_hours_in_the_range() {
    let range = Range { start: "2026-11-20T15:30:00Z".parse().unwrap(), end: "2026-11-20T19:00:00Z".parse().unwrap() };
    let hour =
        |hour: u8| json!({"hour": format!("2026-11-20T{hour}:00:00Z"), "availableAgents": 3, "expectedCalls": 1.5});
    let forecast = json!({"forecast": [hour(17), hour(15), hour(16), hour(20), {}]}).to_string();
    fuzz_bytes(&[&forecast], |body| {
        let Ok(Ok(hours)) = wire::read::<Forecast>(body).map(|forecast| forecast.hours_within(range)) else { return };
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
        let Ok(Ok(campaign)) = wire::read::<Campaign>(body).map(|campaign| campaign.read(&id)) else { return };
        let sent = campaign_update(&campaign).to_string();
        assert_eq!(wire::read::<Campaign>(sent.as_bytes()).unwrap().read(&id), Ok(campaign));
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
        if let Ok(Ok(id)) = wire::read::<SessionCreated>(body).map(SessionCreated::session_id) {
            assert!((1..=200).contains(&id.len()) && !id.contains('\0'));
        }
        if let Ok(granted) = wire::read::<Granted>(body) {
            assert!(granted.life().as_secs() <= 24 * 3600);
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
        let confirmed = wire::read::<ContactCreated>(body).is_ok_and(|created| created.confirm(contact).is_ok());
        let exists = not_created(Failed { error: conflict, body: body.to_vec().into() }, contact).is_ok();
        if confirmed || exists {
            // JSON can write any character as an escape sequence.
            let text = serde_json::from_slice::<Value>(body).unwrap().to_string().to_ascii_lowercase();
            assert!(text.replace(['-', '{', '}'], "").contains(&ID.replace('-', "")), "{text}");
        }
    });
}

#[test]
fn a_reason_is_one_short_line_without_phone_numbers() {
    let samples = [
        r#"{"error": "bad_request", "error_description": "phone +13125550142 is blocked"}"#,
        r#"{"message": ["+1 312-555-0142"]}"#,
        "<h1>Bad\r\nGateway for tel:+1(312)555-0142</h1>",
        "",
    ];
    fuzz_bytes(&samples, |body| {
        let reason = reason_of(body, &HeaderMap::new());
        assert!(reason.len() <= 503 && !reason.contains(char::is_control), "{reason}");
        assert!(!reason.contains("3125550142") && !reason.contains("312-555-0142"), "{reason}");
    });
}

#[test]
fn every_answer_is_an_error_with_a_bounded_wait() {
    let now: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
    fuzz(&["429 7", "503 Fri, 20 Nov 2026 15:00:09 GMT", "500 0", "401 x", "302 -1"], |text| {
        let (status, wait) = text.split_once(' ').unwrap_or((text, ""));
        let status = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
        let (Some(status), Ok(wait)) = (status, HeaderValue::from_str(wait)) else { return };
        let headers = HeaderMap::from_iter([(RETRY_AFTER, wait)]);
        let error = CxoneError::from_answer(status, &headers, text.as_bytes(), "a:scope", now);
        assert!(error.retry_after().is_none_or(|wait| wait.as_secs() <= 600), "{error}");
    });
}
