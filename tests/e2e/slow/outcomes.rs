//! What an answer of CXone's, or the lack of one, means for a callback.

use jiff::{SignedDuration, Timestamp, ToSpan as _};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{CAMPAIGN, Service, World, caller, instant, payload, payload_with, text};

/// A window that began half an hour ago: callbacks in it are placed at once.
fn begun() -> Value {
    let now = Timestamp::now();
    json!({"requestedStart": now - 30.minutes(), "requestedEnd": now + 90.minutes()})
}

fn with(mut change: Value, number: usize) -> Value {
    change["phoneNumber"] = json!(caller(number));
    payload_with(change)
}

impl World {
    async fn contact_fault(&self, fault: Value) {
        let mut fault = fault;
        for (name, value) in [("route", json!("contact")), ("times", json!(1))] {
            fault[name] = value;
        }
        self.cxone.fault(fault).await;
    }

    /// Makes the callback due, and gives it once that attempt has ended with this failure, which is not the one before.
    async fn attempted_again(&self, id: &str, code: &str) -> Value {
        let before = self.get(&format!("/v1/callbacks/{id}")).await;
        assert_ne!(before["failure"]["code"], code, "the end of the attempt cannot be recognized");
        self.sql(&format!("update callbacks set due_at = now() where id = '{id}' and due_at is not null")).await;
        self.callback_when(id, |callback| callback["failure"]["code"] == code).await
    }

    /// As if so many minutes had passed for the callback.
    async fn age(&self, id: &str, minutes: u32) {
        self.sql(&format!(
            "update callbacks set requested_start = requested_start - interval '{minutes} min',
                 requested_end = requested_end - interval '{minutes} min',
                 dispatch_time = dispatch_time - interval '{minutes} min' where id = '{id}'"
        ))
        .await;
    }
}

#[tokio::test]
async fn an_unknown_contact_stays_unknown_until_cxone_resolves_it() {
    let world = World::start().await;
    world.contact_fault(json!({"kind": "drop", "afterWork": true})).await;
    let (status, first) = world.ask(&payload()).await;
    let id = text(&first, "id");
    assert_eq!((status, &first["failure"]["code"]), (202, &json!("cxone-outcome-unknown")));

    for (refusal, code) in [
        (400, "cxone-rejected"),
        (403, "cxone-forbidden"),
        (404, "cxone-rejected"),
        (409, "cxone-outcome-unknown"),
        (422, "cxone-rejected"),
    ] {
        world.contact_fault(json!({"kind": "status", "status": refusal})).await;
        let callback = world.attempted_again(&id, code).await;

        let state = (&callback["status"], &callback["dispatchTime"]);
        assert_eq!(state, (&json!("accepted"), &first["dispatchTime"]), "after {refusal}: {callback}");
        let (again, problem) = world.ask(&payload()).await;
        assert_eq!((again, &problem["existingId"]), (409, &first["id"]), "after {refusal}");
    }
    let settled = world.settled_soon(&id).await;
    assert_eq!((&settled["status"], &settled["dispatchTime"]), (&json!("scheduled"), &first["dispatchTime"]));
    assert_eq!(world.cxone.contacts().await[0]["contact"]["scheduledStartDateTime"], settled["dispatchTime"]);
    world.end().await;
}

#[tokio::test]
async fn an_unknown_contact_without_another_hour_keeps_its_time_and_expires() {
    let world = World::start().await;
    world.cxone.flatten_forecast(CAMPAIGN).await;
    world.contact_fault(json!({"kind": "drop"})).await;
    let (status, callback) = world.ask(&payload()).await;
    let id = text(&callback, "id");
    assert_eq!(status, 202);
    // Its time passes, CXone refuses it, and there is no hour left to place it in.
    world.age(&id, 70).await;
    let path = format!("campaigns/{CAMPAIGN}/forecast");
    world.cxone.control(Method::PUT, &path, Some(json!({"hours": []}))).await;
    let before = world.get(&format!("/v1/callbacks/{id}")).await;
    world.service.kill().await;
    let world = World { service: Service::start(&world.database, &world.cxone, &[]).await, ..world };
    let callback = world.attempted_again(&id, "no-forecast").await;
    assert_eq!((&callback["status"], &callback["dispatchTime"]), (&json!("accepted"), &before["dispatchTime"]));

    world.age(&id, 240).await;
    let expired = world.settled_soon(&id).await;

    assert_eq!((&expired["status"], &expired["failure"]["code"]), (&json!("expired"), &json!("window-passed")));
    assert!(text(&expired["failure"], "detail").contains("may have it"), "{expired}");
    world.end().await;
}

#[tokio::test]
async fn the_dispatch_time_is_that_of_the_contact_also_after_a_second_placement() {
    let world = World::start().await;
    world.cxone.flatten_forecast(CAMPAIGN).await;
    world.contact_fault(json!({"kind": "status", "status": 502})).await;
    let (status, first) = world.ask(&payload()).await;
    let id = text(&first, "id");
    assert_eq!(status, 202);
    world.age(&id, 65).await;
    // CXone refuses the start that has passed; the next one is made, and its answer is lost.
    world.contact_fault(json!({"kind": "latency", "latencyMs": 1})).await;
    world.contact_fault(json!({"kind": "drop", "afterWork": true})).await;
    world.attempted_again(&id, "cxone-outcome-unknown").await;

    let settled = world.settled_soon(&id).await;

    let contacts = world.cxone.contacts().await;
    assert_eq!((contacts.len(), &settled["status"]), (1, &json!("scheduled")), "{settled}");
    assert_eq!(contacts[0]["contact"]["scheduledStartDateTime"], settled["dispatchTime"]);
    world.end().await;
}

#[tokio::test]
async fn no_sms_is_sent_while_the_time_in_cxone_is_unknown() {
    let world = World::start().await;
    world.cxone.flatten_forecast(CAMPAIGN).await;
    world.contact_fault(json!({"kind": "status", "status": 502})).await;
    let (status, first) = world.ask(&payload()).await;
    let id = text(&first, "id");
    assert_eq!(status, 202);
    world.age(&id, 65).await;
    let before = world.get(&format!("/v1/callbacks/{id}")).await;
    world.contact_fault(json!({"kind": "latency", "latencyMs": 1})).await;
    world.contact_fault(json!({"kind": "drop", "afterWork": true})).await;
    world.attempted_again(&id, "cxone-outcome-unknown").await;
    // This CXone says that the contact exists, and looks at the start before it looks for the contact.
    world.contact_fault(json!({"kind": "latency", "latencyMs": 1})).await;
    world.contact_fault(json!({"kind": "status", "status": 400})).await;

    let callback = world.attempted_again(&id, "cxone-time-unknown").await;

    assert_eq!((&callback["status"], &callback["dispatchTime"]), (&json!("accepted"), &before["dispatchTime"]));
    world.age(&id, 240).await;
    let expired = world.settled_soon(&id).await;
    assert!(text(&expired["failure"], "detail").contains("may have it"), "{expired}");
    assert_eq!((world.cxone.contacts().await.len(), world.cxone.messages().await.len()), (1, 0));
    world.end().await;
}

#[tokio::test]
async fn a_start_that_passes_before_the_request_leads_to_a_new_placement() {
    let world = World::with(&[("CXONE_TIMEOUT_MS", "20000")]).await;
    world.cxone.flatten_forecast(CAMPAIGN).await;
    // CXone finds that the start is not in the future.
    world.contact_fault(json!({"kind": "status", "status": 400})).await;
    let (status, callback) = world.ask_with(&with(begun(), 1), &[("prefer", "wait=20")]).await;
    assert_eq!(status, 201, "{callback}");
    let ahead = instant(&callback["dispatchTime"]).duration_since(instant(&callback["createdAt"]));
    assert!(ahead >= SignedDuration::from_secs(60), "{ahead:#}");

    // A token takes so long that the start is near: nothing is sent for that time.
    world.cxone.control(Method::POST, "tokens/revoke", None).await;
    world.contact_fault(json!({"kind": "status", "status": 401})).await;
    world.cxone.fault(json!({"route": "token", "kind": "latency", "latencyMs": 12_000, "times": 1})).await;
    let (status, callback) = world.ask_with(&with(begun(), 2), &[("prefer", "wait=30")]).await;

    assert_eq!(status, 201, "{callback}");
    let contacts = world.cxone.contacts().await;
    assert_eq!(contacts.len(), 2);
    assert_eq!(contacts[1]["contact"]["scheduledStartDateTime"], callback["dispatchTime"]);
    assert!(instant(&callback["dispatchTime"]) > instant(&contacts[1]["at"]));
    world.end().await;
}

#[tokio::test]
async fn an_sms_is_sent_again_only_if_it_was_certainly_not_sent() {
    let world = World::start().await;
    let cases = [
        (json!({"kind": "status", "status": 500, "afterWork": true}), "unknown"),
        (json!({"kind": "status", "status": 502, "afterWork": true}), "unknown"),
        (json!({"kind": "status", "status": 504, "afterWork": true}), "unknown"),
        (json!({"kind": "status", "status": 408, "afterWork": true}), "unknown"),
        (json!({"kind": "body", "body": "<html>", "afterWork": true}), "unknown"),
        (json!({"kind": "drop", "afterWork": true}), "unknown"),
        (json!({"kind": "status", "status": 503}), "sent"),
        (json!({"kind": "status", "status": 429, "retryAfter": "1"}), "sent"),
    ];
    for (number, (fault, confirmation)) in cases.into_iter().enumerate() {
        let mut order = fault.clone();
        for (name, value) in [("route", json!("message")), ("times", json!(1))] {
            order[name] = value;
        }
        world.cxone.fault(order).await;
        let (status, callback) = world.ask(&with(json!({}), number)).await;
        let callback = world.settled_soon(&text(&callback, "id")).await;

        assert_eq!((status, text(&callback["confirmation"], "status").as_str()), (201, confirmation), "{fault}");
        assert_eq!(world.messages_to(&caller(number)).await.len(), 1, "{fault}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_fixed_line_gets_no_sms() {
    let world = World::start().await;

    let (status, callback) = world.ask(&payload_with(json!({"phoneNumber": "+442079460958"}))).await;

    assert_eq!(status, 201);
    let skipped = json!({"status": "skipped", "reason": "landline", "smsSessionId": null});
    assert_eq!((&callback["confirmation"], &callback["nextAttemptAt"]), (&skipped, &Value::Null));
    assert_eq!(world.cxone.count("message").await, 0);
    assert_eq!(world.audited(&text(&callback, "id")).await, ["callback.accepted", "callback.scheduled"]);
    world.end().await;
}

#[tokio::test]
async fn no_callback_is_placed_in_an_hour_without_agents() {
    let world = World::start().await;
    let now = Timestamp::now();
    let first = Timestamp::from_second((now.as_second() / 3600 + 1) * 3600).unwrap();
    let path = format!("campaigns/{CAMPAIGN}/forecast");
    let hours = |agents: [f64; 3]| {
        let hour = |n: usize| {
            json!({"hour": first + SignedDuration::from_hours(i64::try_from(n).unwrap()),
            "availableAgents": agents[n], "expectedCalls": if agents[n] > 0.0 { 400 } else { 0 }})
        };
        json!({"hours": [hour(0), hour(1), hour(2)]})
    };
    let window = json!({"requestedStart": first, "requestedEnd": first + 3.hours()});
    world.cxone.control(Method::PUT, &path, Some(hours([0.0, 0.5, 0.0]))).await;
    for number in 0..5 {
        let (status, callback) = world.ask(&with(window.clone(), number)).await;
        assert_eq!(status, 201, "{callback}");
        let at = instant(&callback["dispatchTime"]);
        assert!(first + 1.hour() <= at && at < first + 2.hours(), "{at} is in an hour without agents");
    }

    world.cxone.add_campaign("nobody");
    world.cxone.control(Method::PUT, "campaigns/nobody/forecast", Some(hours([0.0, 0.0, 0.0]))).await;
    let mut payload = with(window, 9);
    payload["campaignId"] = json!("nobody");
    let (status, problem) = world.ask(&payload).await;
    assert_eq!((status, text(&problem, "type").as_str()), (422, "/problems/no-forecast"));
    world.end().await;
}

#[tokio::test]
async fn without_a_forecast_window_start_works_until_the_window_ends() {
    let world = World::with(&[("CALLBACK_WITHOUT_FORECAST", "window-start")]).await;
    let path = format!("campaigns/{CAMPAIGN}/forecast");
    world.cxone.control(Method::PUT, &path, Some(json!({"hours": []}))).await;
    for (number, began) in [70, 130, 180].into_iter().enumerate() {
        let now = Timestamp::now();
        let window = json!({"requestedStart": now - began.minutes(), "requestedEnd": now + 20.minutes()});

        let (status, callback) = world.ask(&with(window, number)).await;

        assert_eq!(status, 201, "a window that began {began} minutes ago: {callback}");
        assert!(instant(&callback["dispatchTime"]) < now + 20.minutes());
    }
    world.end().await;
}

#[tokio::test]
async fn a_lease_outlasts_the_slowest_attempt() {
    let world = World::with(&[("CXONE_TIMEOUT_MS", "9000")]).await;
    let other = Service::start(&world.database, &world.cxone, &[("CXONE_TIMEOUT_MS", "9000")]).await;
    world.ask(&with(json!({}), 1)).await;
    world.cxone.control(Method::POST, "tokens/revoke", None).await;
    for route in ["contact", "token", "contact"] {
        world.cxone.fault(json!({"route": route, "kind": "latency", "latencyMs": 7000, "times": 1})).await;
    }

    let (status, callback) = world.ask_with(&with(json!({}), 2), &[("prefer", "wait=30")]).await;

    assert_eq!((status, &callback["attempts"]), (201, &json!(1)), "{callback}");
    assert_eq!(world.cxone.contacts().await[1]["repeats"], 0);
    other.kill().await;
    world.end().await;
}
