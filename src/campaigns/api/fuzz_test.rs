use jiff::Timestamp;
use serde_json::json;
use validator::{ValidateArgs as _, ValidationErrors};

use super::command::test_support::rules;
use super::dialer_event_rules::all_faults;
use super::dialer_events::samples;
use super::pause::PauseRequest;
use super::resume::ResumeRequest;
use super::settings::SettingsRequest;
use super::settings_view::SettingsView;
use crate::campaigns::model::CampaignSettings;
use crate::fuzz_test::fuzz_bytes;
use crate::http::validation::valid;
use crate::http::{Problem, ProblemKind, parse_json};
use crate::types::Region;

/// A fault of the client, of which nothing that the client wrote is logged.
fn is_harmless(problem: &Problem) {
    let kinds = [ProblemKind::MalformedJson, ProblemKind::InvalidRequest];
    assert!(kinds.contains(&problem.kind), "{problem:?}");
    let audited = problem.audited_faults().join(" ");
    assert!(!audited.contains("5550142") && !audited.contains('\0'), "{audited}");
}

fn check(read: Result<Result<(), ValidationErrors>, Problem>) {
    if let Err(problem) = read.and_then(valid) {
        is_harmless(&problem);
    }
}

#[test]
fn a_command_is_read_or_a_fault_of_the_client() {
    let pause = r#"{"pauseReason": "CARRIER_THROTTLE", "complianceHold": false, "maxAgents": 25,
        "campaignId": "0192f0c4-1111-7000-8000-000000000001", "scheduledResumeTime": "2026-11-20T18:00:00-05:00",
        "regulatoryWindow": {"startTime": "9:00", "endTime": "21:00", "timezone": "America/New_York"},
        "carrierLimit": {"maxConcurrentCalls": 100, "maxAgents": 30.0}}"#;
    let resume = r#"{"pauseReason": "SCHEDULED", "holdId": "0192f0c4-1111-7000-8000-000000000001", "maxAgents": 5,
        "force": true, "campaignId": null}"#;
    let rules = rules(CampaignSettings::default());
    fuzz_bytes(&[pause, resume], |body| {
        check(parse_json::<PauseRequest>(body).map(|request| request.validate_with_args(&rules)));
        check(parse_json::<ResumeRequest>(body).map(|request| request.validate_with_args(&rules)));
    });
}

#[test]
fn settings_are_kept_as_they_were_sent_or_a_fault_of_the_client() {
    let settings = r#"{"businessHours": {"timezone": "UTC", "days": [{"day": "FRIDAY", "startTime": "22:00", "endTime": "2:00"}]},
        "averageHandleTimeSeconds": 420, "smsFrom": "+13125550142", "maxAgents": 30, "enforceRegulatoryWindow": true,
        "carrierLimit": {"maxConcurrentCalls": 100, "maxAgents": 30},
        "regulatoryWindow": {"startTime": "21:00", "endTime": "02:00", "timezone": "Europe/Berlin"},
        "answerRate": {"windowMs": 60000, "minAnswerRate": 0.35, "minAttempts": 100, "pauseForMs": 300000}}"#;
    let region = Region::parse("US").unwrap();
    fuzz_bytes(&[settings], |body| {
        match parse_json::<SettingsRequest>(body).and_then(|request| request.parse(&region)) {
            Ok(settings) => {
                let stored = serde_json::from_value::<CampaignSettings>(json!(settings)).unwrap();
                assert_eq!(stored, settings);
                // What a GET shows can be PUT.
                let shown: SettingsRequest = serde_json::from_value(json!(SettingsView::from(&settings))).unwrap();
                assert_eq!(shown.parse(&region).ok(), Some(settings));
            }
            Err(problem) => is_harmless(&problem),
        }
    });
}

#[test]
fn dialer_events_are_counted_or_have_a_fault() {
    let events = r#"{"events": [{"type": "ATTEMPT"}, {"type": "ANSWER", "timestamp": "2026-11-20T09:59:58-05:00", "count": 3},
        {"count": 1.0, "timestamp": null, "type": "AN\u0053WER"}]}"#;
    let now: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
    fuzz_bytes(&[events, r#"{"events": [["ATTEMPT", null, 1]]}"#, r#"[[{"type": "ATTEMPT"}]]"#], |body| match samples(
        body, now,
    ) {
        Some(samples) => assert!(samples.iter().all(|sample| sample.counts.attempts <= 1_000_000)),
        None => is_harmless(&all_faults(body, None, now)),
    });
}
