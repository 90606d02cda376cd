use serde_json::{Value, json};
use uuid::Uuid;

use super::super::command::test_support::{ID, fault_codes, rules};
use super::*;
use crate::campaigns::model::CampaignSettings;
use crate::clock::Clock;
use crate::http::{Caller, Credential, ResourceId};
use crate::trace::Traceparent;
use crate::types::{AllowedCampaigns, DailyWindow, TimeZone, parse_time_of_day};

fn context() -> RequestContext {
    let now: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
    RequestContext {
        caller: Caller {
            credential: Credential::ApiKey,
            key_id: Uuid::nil(),
            name: "wfo".into(),
            scopes: [].into(),
            campaigns: AllowedCampaigns::all(),
        },
        request_id: "r-1".into(),
        traceparent: Traceparent::root(Uuid::nil()),
        arrived_at: now,
        resource: ResourceId { id: Uuid::nil(), repeated: false },
        clock: Clock::manual(move || now, 0),
    }
}

fn parse_with(settings: CampaignSettings, body: Value) -> Result<Pause, Vec<String>> {
    let request: PauseRequest = serde_json::from_value(body).unwrap();
    let faults = fault_codes(request.validate_with_args(&rules(settings.clone())));
    if !faults.is_empty() {
        return Err(faults);
    }
    let known = CommandContext { settings, ..CommandContext::default() };
    Ok(request.into_pause(&known, &context()).unwrap())
}

fn parse(body: Value) -> Result<Pause, Vec<String>> {
    parse_with(CampaignSettings::default(), body)
}

fn pause() -> Value {
    json!({
        "pauseReason": "CARRIER_THROTTLE", "complianceHold": false, "maxAgents": 25,
        "scheduledResumeTime": "2026-11-20T18:00:00-05:00",
        "regulatoryWindow": {"startTime": "9:00", "endTime": "21:00", "timezone": "America/New_York"},
        "carrierLimit": {"maxConcurrentCalls": 100, "maxAgents": 30},
    })
}

fn pause_with(members: Value) -> Value {
    let mut body = pause();
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_resume_time_outside_the_window_is_moved_to_its_next_opening() {
    assert_eq!(parse(pause()).unwrap().resume_deferred_from, None);
    let late = parse(pause_with(json!({"scheduledResumeTime": "2026-11-20T22:30:00-05:00"}))).unwrap();
    assert_eq!(late.hold.ends_at, Some(at("2026-11-21T14:00:00Z")));
    assert_eq!(late.resume_deferred_from, Some(at("2026-11-21T03:30:00Z")));
}

#[test]
fn the_reason_compliance_hold_implies_a_compliance_hold() {
    let compliance = |members| parse(pause_with(members)).unwrap().hold.compliance;
    assert!(!compliance(json!({})));
    assert!(compliance(json!({"complianceHold": true})));
    assert!(compliance(json!({"pauseReason": "COMPLIANCE_HOLD"})));
    let endless = json!({"pauseReason": "COMPLIANCE_HOLD", "scheduledResumeTime": null});
    assert_eq!(parse(pause_with(endless)).unwrap_err(), ["/scheduledResumeTime required"]);
}

#[test]
fn the_settings_replace_what_a_pause_leaves_out() {
    let time = |text| parse_time_of_day(text).unwrap();
    let window = DailyWindow::new(time("9:00"), time("21:00"), TimeZone::parse("UTC").unwrap()).unwrap();
    let settings = CampaignSettings {
        max_agents: Some(20),
        carrier_limit: Some(CarrierLimit { max_concurrent_calls: 100, max_agents: 30 }),
        regulatory_window: Some(window),
        ..CampaignSettings::default()
    };
    let pause = |members: Value| {
        let mut body = json!({"pauseReason": "SCHEDULED"});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        parse_with(settings.clone(), body)
    };
    let hold = pause(json!({"scheduledResumeTime": "2026-11-20T21:30:00Z"})).unwrap().hold;
    assert_eq!((hold.max_agents, hold.ends_at), (Some(20), Some(at("2026-11-21T09:00:00Z"))));
    assert_eq!(pause(json!({"maxAgents": 31})).unwrap_err(), ["/maxAgents over-carrier-limit"]);
    let lower = json!({"carrierLimit": {"maxConcurrentCalls": 1, "maxAgents": 10}});
    assert_eq!(pause(lower).unwrap_err(), ["/maxAgents over-carrier-limit"]);
}

#[test]
fn every_fault_of_a_pause_is_found_at_once() {
    let bad = json!({
        "campaignId": "0192f0c4-1111-7000-8000-000000000002", "pauseReason": "TIRED", "complianceHold": true,
        "maxAgents": -1, "regulatoryWindow": {"startTime": "24:00", "endTime": "9:5", "timezone": "Mars"},
        "carrierLimit": {"maxConcurrentCalls": 0, "maxAgents": 0}, "scheduledResumeTime": null, "why": 1,
    });
    assert_eq!(
        parse(bad).unwrap_err(),
        [
            "/campaignId another-campaign",
            "/carrierLimit/maxAgents out-of-range",
            "/carrierLimit/maxConcurrentCalls out-of-range",
            "/maxAgents wrong-type",
            "/pauseReason not-a-pause-reason",
            "/regulatoryWindow/endTime not-a-time-of-day",
            "/regulatoryWindow/startTime not-a-time-of-day",
            "/regulatoryWindow/timezone not-a-time-zone",
            "/scheduledResumeTime required",
            "/why unknown-member",
        ]
    );
    for (members, fault) in [
        (json!({"maxAgents": 31}), "/maxAgents over-carrier-limit"),
        (json!({"maxAgents": null}), "/maxAgents required"),
        (json!({"carrierLimit": null}), "/carrierLimit required"),
        (json!({"carrierLimit": []}), "/carrierLimit wrong-type"),
        (json!({"regulatoryWindow": null}), "/regulatoryWindow required"),
        (json!({"regulatoryWindow": 7}), "/regulatoryWindow wrong-type"),
        (
            json!({"regulatoryWindow": {"startTime": "9:00", "endTime": "09:00", "timezone": "UTC"}}),
            "/regulatoryWindow/endTime daily-window-empty",
        ),
        (json!({"scheduledResumeTime": "2026-11-20T10:00:00-05:00"}), "/scheduledResumeTime in-the-past"),
        (json!({"scheduledResumeTime": "2026-11-20T18:00:00"}), "/scheduledResumeTime no-offset"),
        (json!({"complianceHold": "yes"}), "/complianceHold wrong-type"),
    ] {
        assert_eq!(parse(pause_with(members)).unwrap_err(), [fault]);
    }
    assert!(parse(pause_with(json!({"campaignId": ID.to_uppercase()}))).is_ok());
}
