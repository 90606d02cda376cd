//! What operations set for a campaign, and what follows from it for its callbacks.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{CAMPAIGN, World, create_key, faults, payload};

const SETTINGS: &str = "/v1/campaigns/a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8/settings";

/// What is shown where only these members are set.
fn settings_with(members: Value) -> Value {
    let mut settings = json!({
        "maxAgents": null, "carrierLimit": null, "regulatoryWindow": null, "enforceRegulatoryWindow": false, "answerRate": null,
        "businessHours": null, "averageHandleTimeSeconds": null, "smsFrom": null, "smsChannelId": null, "checkDoNotCall": false, "nice": null,
    });
    settings.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    settings
}

#[tokio::test]
async fn settings_changes_need_the_current_etag_and_are_audited() {
    let mut world = World::start().await;
    world.key = create_key(&world.database, &["campaigns:write", "campaigns:read", "audit:read"]).await;
    let put = async |tag: Option<&str>, body: &Value| {
        let request = world.request(Method::PUT, SETTINGS).json(body);
        let answer =
            tag.into_iter().fold(request, |request, tag| request.header("if-match", tag)).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned()))
    };

    let unset = world.get(SETTINGS).await;
    let first = put(Some("\"0\""), &json!({"averageHandleTimeSeconds": 120})).await;
    let stale = put(Some("\"0\""), &json!({"averageHandleTimeSeconds": 240})).await;
    let second = put(Some("\"1\""), &json!({"smsFrom": "+18005550100"})).await;
    let blind = put(None, &json!({"averageHandleTimeSeconds": 360})).await;

    assert_eq!(unset, settings_with(json!({})));
    assert_eq!(first, (200, Some("\"1\"".into())));
    assert_eq!(stale, (412, None));
    assert_eq!(second, (200, Some("\"2\"".into())));
    assert_eq!(blind, (200, Some("\"3\"".into())));
    let now = world.get(SETTINGS).await;
    assert_eq!(now, settings_with(json!({"averageHandleTimeSeconds": 360})));
    let log = world.get(&format!("/v1/audit?campaignId={CAMPAIGN}&action=settings.updated")).await;
    assert_eq!(log["data"].as_array().unwrap().len(), 3);
    assert_eq!(log["data"][1]["detail"]["settings"]["smsFrom"], "+1800•••0100");
    world.end().await;
}

/// RFC 9110, section 13: lists, `*` and weak tags.
#[tokio::test]
async fn conditional_requests_for_settings_follow_rfc_9110() {
    let mut world = World::start().await;
    world.key = create_key(&world.database, &["campaigns:write", "campaigns:read"]).await;
    let send = async |method: Method, header: &'static str, value: &str| {
        let request = world.request(method.clone(), SETTINGS).header(header, value);
        let request = if method == Method::PUT { request.json(&json!({"maxAgents": 5})) } else { request };
        let answer = request.send().await.unwrap();
        let tag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        (answer.status().as_u16(), tag.unwrap_or_default(), answer.text().await.unwrap())
    };

    for (value, status) in [("\"7\", \"0\"", 304), ("W/\"0\"", 304), ("*", 304), ("\"1\"", 200), ("0", 200)] {
        let (answered, tag, body) = send(Method::GET, "if-none-match", value).await;
        assert_eq!((answered, tag.as_str(), body.is_empty()), (status, "\"0\"", status == 304), "{value}");
    }
    for (header, value) in [
        ("if-match", "W/\"0\""),
        ("if-match", "0"),
        ("if-match", "\"7\""),
        ("if-none-match", "\"0\""),
        ("if-none-match", "*"),
    ] {
        let (answered, _, problem) = send(Method::PUT, header, value).await;
        assert_eq!(answered, 412, "{header}: {value}");
        assert!(problem.contains("/problems/settings-changed"), "{problem}");
    }
    for (header, value, tag) in
        [("if-match", "\"7\", \"0\"", "\"1\""), ("if-match", "*", "\"2\""), ("if-none-match", "\"1\"", "\"3\"")]
    {
        let (answered, current, _) = send(Method::PUT, header, value).await;
        assert_eq!((answered, current.as_str()), (200, tag), "{header}: {value}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_callback_outside_business_hours_is_refused_and_one_inside_comes_from_the_campaigns_sender() {
    let mut world = World::start().await;
    let scopes = ["campaigns:write", "callbacks:write", "callbacks:read", "audit:read"];
    world.key = create_key(&world.database, &scopes).await;
    let set = async |body: Value| {
        assert_eq!(world.request(Method::PUT, SETTINGS).json(&body).send().await.unwrap().status(), 200);
    };

    set(json!({"businessHours": {"timezone": "UTC", "days": []}})).await;
    let (refused, problem) = world.ask(&payload()).await;
    let days = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];
    let halves = [("00:00", "12:00"), ("12:00", "00:00")];
    let always: Vec<Value> = days
        .iter()
        .flat_map(|day| halves.map(|(start, end)| json!({"day": day, "startTime": start, "endTime": end})))
        .collect();
    set(json!({"businessHours": {"timezone": "UTC", "days": always}, "smsFrom": "+18005550100"})).await;
    let (accepted, _) = world.ask(&payload()).await;

    assert_eq!((refused, faults(&problem)), (422, vec!["/requestedStart outside-business-hours".to_owned()]));
    assert_eq!(accepted, 201);
    assert_eq!(world.cxone.messages().await[0]["from"], "+18005550100");
    world.end().await;
}
