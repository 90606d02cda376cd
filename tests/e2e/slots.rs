//! The windows that an IVR can offer, and the report on promises.

use jiff::{Timestamp, ToSpan as _};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{CAMPAIGN, World, caller, create_key, eventually, payload_with};

/// The second full hour after now, so that it does not come while a test runs.
fn later_hour() -> Timestamp {
    Timestamp::from_second((Timestamp::now().as_second() / 3_600 + 2) * 3_600).unwrap()
}

/// Sets a forecast of five hours with two agents, who take 23.28 calls of five minutes in 97% of an hour, and one hour without.
async fn set_forecast(world: &World, first: Timestamp) {
    let hour =
        |n: i64| json!({"hour": first + n.hours(), "availableAgents": if n < 5 { 2 } else { 0 }, "expectedCalls": 0});
    let hours: Vec<_> = (0..6).map(hour).collect();
    world.cxone.control(Method::PUT, &format!("campaigns/{CAMPAIGN}/forecast"), Some(json!({"hours": hours}))).await;
}

fn path(first: Timestamp, minutes: u32) -> String {
    let (from, to) = (first, first + 48.hours());
    format!("/v1/callback-slots?campaignId={CAMPAIGN}&from={from}&to={to}&durationMinutes={minutes}")
}

#[tokio::test]
async fn slots_count_what_is_placed_and_a_thousand_calls_ask_cxone_at_most_twice() {
    let world = World::start().await;
    let first = later_hour();
    set_forecast(&world, first).await;

    let slots = world.get(&path(first, 120)).await;
    let slots = slots["data"].as_array().unwrap();
    let remaining: Vec<_> = slots.iter().map(|slot| slot["remaining"].as_u64().unwrap()).collect();
    assert_eq!(remaining, [46, 46, 46, 46, 23], "{slots:?}");
    assert_eq!(slots[0]["availability"], "good", "{slots:?}");
    assert_eq!(slots[0]["requestedStart"], json!(first));
    for _ in 0..1_000 {
        world.get(&path(first, 60)).await;
    }
    assert!(world.cxone.count("forecast").await <= 2);

    let window = json!({"phoneNumber": caller(1), "requestedStart": first, "requestedEnd": first + 1.hour()});
    let (status, _) = world.ask(&payload_with(window)).await;
    assert_eq!(status, 201);
    eventually("the callback is counted", async || {
        let slots = world.get(&path(first, 60)).await;
        if slots["data"][0]["remaining"] == 22 { Ok(()) } else { Err(slots.to_string()) }
    })
    .await;
    world.end().await;
}

#[tokio::test]
async fn a_refused_forecast_is_not_asked_for_again_at_once_and_others_are_not_affected() {
    let world = World::start().await;
    let first = later_hour();
    set_forecast(&world, first).await;
    assert!(!world.get(&path(first, 60)).await["data"].as_array().unwrap().is_empty());
    let known = world.cxone.count("forecast").await;
    world.cxone.fault(json!({"route": "forecast", "kind": "status", "status": 422})).await;

    let far = path(first + 240.hours(), 60);
    for _ in 0..3 {
        assert_eq!(world.request(Method::GET, &far).send().await.unwrap().status(), 503);
    }

    assert_eq!(world.cxone.count("forecast").await, known + 1);
    assert!(!world.get(&path(first, 60)).await["data"].as_array().unwrap().is_empty());
    world.end().await;
}

#[tokio::test]
async fn slots_lie_in_business_hours_and_their_query_is_validated() {
    let mut world = World::start().await;
    world.key = create_key(&world.database, &["callbacks:read", "campaigns:write"]).await;
    let first = later_hour();
    set_forecast(&world, first).await;
    let closed = json!({"businessHours": {"timezone": "UTC", "days": []}});
    let settings = format!("/v1/campaigns/{CAMPAIGN}/settings");
    world.request(Method::PUT, &settings).json(&closed).send().await.unwrap().error_for_status().unwrap();

    assert_eq!(world.get(&path(first, 60)).await["data"], json!([]));
    let (from, to) = (first, first + (15 * 24).hours());
    let query = format!("/v1/callback-slots?campaignId=%21&from={from}&to={to}&durationMinutes=30");
    let answer: Value = world.request(Method::GET, &query).send().await.unwrap().json().await.unwrap();
    let faults = answer["errors"].as_array().unwrap();
    assert_eq!((&answer["status"], faults.len()), (&json!(422), 3), "{answer}");
    world.end().await;
}

#[tokio::test]
async fn the_report_on_promises_has_what_became_of_callbacks_and_how_full_the_hours_are() {
    let world = World::start().await;
    let first = later_hour();
    set_forecast(&world, first).await;
    let window = |n| json!({"phoneNumber": caller(n), "requestedStart": first, "requestedEnd": first + 1.hour()});
    for n in 0..30 {
        let (status, callback) = world.ask(&payload_with(window(n))).await;
        assert_eq!(status, 201, "{callback}");
    }

    let (from, to) = (Timestamp::now() - 1.hour(), first + 5.hours());
    let report = world.get(&format!("/v1/reports/promises?campaignId={CAMPAIGN}&from={from}&to={to}")).await;

    let counts = ["accepted", "scheduled", "confirmed", "expired", "failed"].map(|name| report[name].as_u64().unwrap());
    assert_eq!(counts, [30, 30, 30, 0, 0], "{report}");
    assert!(report["p95SecondsToScheduled"].as_f64() >= report["medianSecondsToScheduled"].as_f64(), "{report}");
    let hour = &report["hours"][0];
    assert_eq!((&hour["placed"], &hour["capacity"]), (&json!(30), &json!(24.0)), "{report}");
    // Six calls of five minutes more than two agents can take.
    assert_eq!(hour["overloadAgentMinutes"], json!(30.0), "{report}");
    world.end().await;
}
