use serde_json::json;

use super::*;

fn parse(body: Value) -> Result<CampaignSettings, Vec<String>> {
    let request: SettingsRequest = serde_json::from_value(body).unwrap();
    request.parse(&Region::parse("US").unwrap()).map_err(|problem| problem.fault_codes())
}

#[test]
fn settings_are_kept_as_they_are_shown() {
    let body = json!({
        "businessHours": {"timezone": "Europe/Berlin", "days": [
            {"day": "MONDAY", "startTime": "08:00", "endTime": "20:00"},
            {"day": "FRIDAY", "startTime": "22:00", "endTime": "02:00"},
        ]},
        "averageHandleTimeSeconds": 420, "smsFrom": "+18005551234",
        "maxAgents": 30, "carrierLimit": {"maxConcurrentCalls": 100, "maxAgents": 30},
        "regulatoryWindow": {"startTime": "21:00", "endTime": "02:00", "timezone": "Europe/Berlin"},
        "enforceRegulatoryWindow": true,
        "answerRate": {
            "enabled": true, "windowMs": 60000, "minAnswerRate": 0.35, "minAttempts": 100, "pauseForMs": 300_000,
            "source": "cxone",
        },
        "smsChannelId": "sms_1", "checkDoNotCall": true,
        "nice": {"skillId": 4001, "campaignId": 101, "skillIds": [4001, 4002]},
    });
    let settings = parse(body.clone()).unwrap();
    assert_eq!(json!(SettingsView::from(&settings)), body);
    assert_eq!(serde_json::from_value::<CampaignSettings>(json!(settings)).unwrap(), settings);
    assert_eq!(parse(json!({})), Ok(CampaignSettings::default()));
}

#[test]
fn every_fault_of_hours_and_limits_is_reported_at_its_pointer() {
    let body = json!({
        "businessHours": {"timezone": "Mars/Olympus", "open": 1, "days": [
            {"day": "Monday", "startTime": "24:00", "endTime": "9:5"},
            {"day": "MONDAY", "startTime": "08:00", "endTime": "08:00"},
            7,
        ]},
        "averageHandleTimeSeconds": 0, "smsFrom": "nobody", "enforceRegulatoryWindow": true, "maxAgents": 31,
        "carrierLimit": {"maxConcurrentCalls": 0, "maxAgents": 30, "calls": 1}, "dialer": "fast",
    });
    assert_eq!(
        parse(body).unwrap_err(),
        [
            "/averageHandleTimeSeconds out-of-range",
            "/businessHours/days/0/day not-a-day",
            "/businessHours/days/0/endTime not-a-time-of-day",
            "/businessHours/days/0/startTime not-a-time-of-day",
            "/businessHours/days/1/endTime daily-window-empty",
            "/businessHours/days/2 wrong-type",
            "/businessHours/open unknown-member",
            "/businessHours/timezone not-a-time-zone",
            "/carrierLimit/calls unknown-member",
            "/carrierLimit/maxConcurrentCalls out-of-range",
            "/dialer unknown-member",
            "/enforceRegulatoryWindow needs-regulatory-window",
            "/smsFrom not-a-phone-number",
        ]
    );
}

#[test]
fn every_fault_of_the_skills_is_reported_at_its_pointer() {
    let body = json!({
        "smsChannelId": "", "checkDoNotCall": "yes",
        "nice": {"campaignId": 0, "skillIds": [1, "two"], "skill": 4001},
    });
    assert_eq!(
        parse(body).unwrap_err(),
        [
            "/checkDoNotCall wrong-type",
            "/nice/campaignId out-of-range",
            "/nice/skill unknown-member",
            "/nice/skillId required",
            "/nice/skillIds/1 wrong-type",
            "/smsChannelId invalid-channel",
        ]
    );
}

#[test]
fn every_fault_of_the_guard_and_the_window_is_reported_at_its_pointer() {
    let limited = json!({
        "maxAgents": 31, "carrierLimit": {"maxConcurrentCalls": 1, "maxAgents": 30},
        "regulatoryWindow": {"startTime": "9:5", "endTime": "24:00", "timezone": "Mars"},
        "answerRate": {"enabled": 1, "windowMs": 0, "minAnswerRate": 1.5, "minAttempts": 0, "floor": 1, "source": "dialer"},
    });
    assert_eq!(
        parse(limited).unwrap_err(),
        [
            "/answerRate/enabled wrong-type",
            "/answerRate/floor unknown-member",
            "/answerRate/minAnswerRate out-of-range",
            "/answerRate/minAttempts out-of-range",
            "/answerRate/pauseForMs required",
            "/answerRate/source unknown-source",
            "/answerRate/windowMs out-of-range",
            "/maxAgents over-carrier-limit",
            "/regulatoryWindow/endTime not-a-time-of-day",
            "/regulatoryWindow/startTime not-a-time-of-day",
            "/regulatoryWindow/timezone not-a-time-zone",
        ]
    );
}

#[test]
fn the_window_and_the_pause_of_the_guard_are_bounded() {
    let guard = |window: u32, pause: u32| {
        json!({"answerRate": {
            "windowMs": window, "minAnswerRate": 0.35, "minAttempts": 100, "pauseForMs": pause,
        }})
    };
    assert_eq!(
        parse(guard(999, 99)).unwrap_err(),
        ["/answerRate/pauseForMs out-of-range", "/answerRate/windowMs out-of-range"]
    );
    assert!(parse(guard(1_000, 100)).is_ok() && parse(guard(DAY_MS + 1, 100)).is_err());
    // Stored before shorter windows were refused.
    let kept = json!({"answerRate": {"enabled": true, "windowMs": 100, "minAnswerRate": 0.5, "minAttempts": 1,
        "pauseForMs": 100}});
    assert_eq!(serde_json::from_value::<CampaignSettings>(kept).unwrap().answer_rate.unwrap().window_ms, 100);
}

#[test]
fn a_member_of_the_wrong_type_is_reported_once() {
    assert_eq!(
        parse(json!({"averageHandleTimeSeconds": -1, "businessHours": []})).unwrap_err(),
        ["/averageHandleTimeSeconds wrong-type", "/businessHours wrong-type"]
    );
}
