use serde_json::{Value, json};
use validator::Validate as _;

use super::batch::{Batch, parse_item};
use super::request::CallbackRequest;
use super::reschedule::RescheduleRequest;
use super::window::{ParseContext, RequestsWindow as _};
use crate::fuzz_test::fuzz_bytes;
use crate::http::{Problem, ProblemKind, parse_json};
use crate::types::Region;

const CALLBACK: &str = r#"{"phoneNumber": "+13125550142", "requestedStart": "2026-11-20T15:00:00Z",
    "requestedEnd": "2026-11-20T16:00:00Z", "campaignId": "a-1", "language": "en-US", "timezone": "America/New_York",
    "externalId": "ticket-4711", "metadata": {"queue": "billing"}}"#;

fn is_of_client(problem: &Problem) {
    let kinds = [ProblemKind::MalformedJson, ProblemKind::InvalidRequest];
    assert!(kinds.contains(&problem.kind), "{problem:?}");
}

fn parse(request: CallbackRequest) {
    let region = Region::parse("US").unwrap();
    let now = "2026-11-20T14:00:00Z".parse().unwrap();
    match request.parse(&ParseContext { region: &region, now, rules: None }) {
        Ok(callback) => assert!(callback.window.end() > now),
        Err(problem) => is_of_client(&problem),
    }
}

#[test]
fn a_callback_request_is_read_or_a_fault_of_the_client() {
    fuzz_bytes(&[CALLBACK], |body| match parse_json(body) {
        Ok(request) => parse(request),
        Err(problem) => is_of_client(&problem),
    });
}

#[test]
fn a_new_window_is_read_or_a_fault_of_the_client() {
    let window = r#"{"requestedStart": "2026-11-20T15:00:00Z", "requestedEnd": "2026-11-20T16:00:00Z"}"#;
    let (region, now) = (Region::parse("US").unwrap(), "2026-11-20T14:00:00Z".parse().unwrap());
    let context = ParseContext { region: &region, now, rules: None };
    fuzz_bytes(&[window], |body| match parse_json::<RescheduleRequest>(body) {
        Ok(request) => match request.valid_window(&context) {
            Ok(window) => assert!(window.end() > now),
            Err(problem) => is_of_client(&problem),
        },
        Err(problem) => is_of_client(&problem),
    });
}

#[test]
fn an_item_of_a_batch_is_read_or_a_fault_of_the_client() {
    let batch = json!({"callbacks": [serde_json::from_str::<Value>(CALLBACK).unwrap(), 7]}).to_string();
    fuzz_bytes(&[&batch], |body| match parse_json::<Batch>(body) {
        Ok(batch) if batch.validate().is_ok() => {
            for item in batch.callbacks.into_value().unwrap().0 {
                match parse_item(item) {
                    Ok(request) => parse(request),
                    Err(problem) => is_of_client(&problem),
                }
            }
        }
        Ok(_) => {}
        Err(problem) => is_of_client(&problem),
    });
}
