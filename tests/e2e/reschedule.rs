//! Another window for a callback that CXone does not have yet.

use serde_json::{Value, json};

use crate::support::{
    Answer, CALLER, CAMPAIGN, DIALING, Receiver, World, caller, eventually, faults, instant, minutes_from_now,
    pause_with, payload, payload_from, payload_with, window,
};

/// A window given in minutes from now.
fn in_minutes(from: i64, to: i64) -> Value {
    json!({"requestedStart": minutes_from_now(from), "requestedEnd": minutes_from_now(to)})
}

impl World {
    async fn reschedule(&self, id: &str, window: &Value, headers: &[(&str, &str)]) -> Answer {
        self.answer(&format!("/v1/callbacks/{id}/reschedule"), window, headers).await
    }

    /// A callback that waits after a failure of CXone.
    async fn waiting(&self, payload: &Value) -> String {
        let id = self.accept(payload).await;
        self.callback_when(&id, |callback| !callback["failure"].is_null()).await;
        id
    }

    /// There is one contact and one SMS, both for a time in the window.
    async fn is_called_once_in(&self, window: &Value, callback: &Value) {
        let contacts = self.cxone.contacts().await;
        assert_eq!((contacts.len(), self.messages_to(CALLER).await.len()), (1, 1));
        assert_eq!(contacts[0]["contact"]["scheduledStartDateTime"], callback["dispatchTime"]);
        let (start, end) = (instant(&window["requestedStart"]), instant(&window["requestedEnd"]));
        assert_eq!((instant(&callback["requestedStart"]), instant(&callback["requestedEnd"])), (start, end));
        let dispatch = instant(&callback["dispatchTime"]);
        assert!(start <= dispatch && dispatch <= end, "{callback}");
    }
}

#[tokio::test]
async fn a_callback_that_waits_for_cxone_is_rescheduled_and_called_in_its_new_window() {
    let world = World::of_webhooks(&[]).await;
    let receiver = Receiver::start(&[]).await;
    world.hook(json!({"url": receiver.url, "events": ["callback.rescheduled"]})).await;
    world.cxone.fault(json!({"route": "*", "kind": "status", "status": 503})).await;
    let before = payload();
    let id = world.waiting(&before).await;
    let new = in_minutes(180, 300);

    let rescheduled = world.reschedule(&id, &new, &[("x-request-id", "move")]).await;
    let again = world.reschedule(&id, &new, &[("x-request-id", "again")]).await;
    let event = receiver.received_when(1).await[0].event();
    world.cxone.heal().await;
    let callback = world.settled_soon(&id).await;

    assert_eq!((rescheduled.status, &rescheduled.body["status"]), (200, &json!("accepted")), "{rescheduled:?}");
    assert_eq!((&rescheduled.body["failure"], &rescheduled.body["outcome"]), (&Value::Null, &Value::Null));
    assert_eq!(rescheduled.body["confirmation"]["status"], "pending");
    assert_eq!((again.status, &again.body["requestedStart"]), (200, &new["requestedStart"]));
    world.is_called_once_in(&new, &callback).await;
    assert_eq!((&event["event"], &event["callbackId"]), (&json!("CALLBACK_RESCHEDULED"), &json!(id)));
    assert_eq!((&event["requestedStart"], &event["requestedEnd"]), (&new["requestedStart"], &new["requestedEnd"]));
    let actions = ["callback.accepted", "callback.rescheduled", "callback.scheduled", "callback.confirmed"];
    assert_eq!(world.audited(&id).await, actions);
    let entry = &world.entries_of("move").await[0];
    assert_eq!((&entry["action"], &entry["actor"]), (&json!("callback.rescheduled"), &json!("api_key")));
    let windows = ["previousStart", "previousEnd", "requestedStart", "requestedEnd"].map(|name| &entry["detail"][name]);
    let expected = [&before, &new].map(|window| [&window["requestedStart"], &window["requestedEnd"]]).concat();
    assert_eq!(windows.to_vec(), expected);
    assert_eq!(world.entries_of("again").await, [Value::Null; 0], "it changed nothing");
    world.end().await;
}

#[tokio::test]
async fn a_callback_rescheduled_during_its_attempt_is_called_once_in_its_new_window() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "forecast", "kind": "latency", "latencyMs": 1000, "times": 1})).await;
    let id = world.accept(&payload()).await;
    world.cxone.wait_for_request("forecast").await;
    let new = in_minutes(180, 300);
    let key = [("idempotency-key", "k")];

    let rescheduled = world.reschedule(&id, &new, &key).await;
    let callback = world.settled(&id).await;
    eventually("the answer that the first attempt waits for", async || {
        let asked = world.cxone.received("forecast").await;
        if asked[0]["status"] == 200 { Ok(()) } else { Err(asked[0].to_string()) }
    })
    .await;
    let replayed = world.reschedule(&id, &new, &key).await;
    let lost = "update idempotency_keys set answer_status = null, answer_headers = null, answer_body = null,
                leased_until = now() - interval '1 second'";
    world.database.run(lost).await;
    let taken_on = world.reschedule(&id, &new, &key).await;

    assert_eq!(rescheduled.status, 200, "{rescheduled:?}");
    world.is_called_once_in(&new, &callback).await;
    assert_eq!((replayed.header("idempotency-replayed"), &replayed.body), (Some("true"), &rescheduled.body));
    assert_eq!((taken_on.status, taken_on.header("idempotency-replayed")), (200, None), "{taken_on:?}");
    assert_eq!(taken_on.body["status"], "scheduled");
    let rescheduled = "from audit_entries where action = 'callback.rescheduled'";
    assert_eq!(world.database.count(rescheduled).await, 1);
    world.end().await;
}

#[tokio::test]
async fn a_callback_that_has_ended_or_that_cxone_may_have_keeps_its_window() {
    let world = World::start().await;
    let new = in_minutes(180, 300);
    let (_, scheduled) = world.ask(&payload_from(1)).await;
    world.cxone.add_campaign("without-forecast");
    world.cxone.fault(json!({"route": "forecast", "kind": "status", "status": 503})).await;
    let ended = world.waiting(&payload_with(json!({"campaignId": "without-forecast"}))).await;
    world.answer(&format!("/v1/callbacks/{ended}/cancel"), &json!({}), &[]).await;
    world.cxone.heal().await;
    world.cxone.fault(json!({"route": "contact", "kind": "drop", "afterWork": true})).await;
    let unknown = world.waiting(&payload_from(2)).await;

    let scheduled = scheduled["id"].as_str().unwrap();
    for (id, slug) in [(scheduled, "already-scheduled"), (&unknown, "already-scheduled"), (&ended, "already-ended")] {
        let before = world.get(&format!("/v1/callbacks/{id}")).await;
        let refused = world.reschedule(id, &new, &[]).await;
        let after = world.get(&format!("/v1/callbacks/{id}")).await;
        assert_eq!(refused.problem(), (409, slug), "{before}");
        assert_eq!(after["requestedStart"], before["requestedStart"]);
        assert!(!world.audited(id).await.contains(&"callback.rescheduled".to_owned()));
    }
    for nothing in ["01a1fcff-84aa-720d-83ca-60abacb44d8c", "no-uuid"] {
        assert_eq!(world.reschedule(nothing, &new, &[]).await.problem(), (404, "not-found"), "{nothing}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_new_window_has_the_rules_of_the_window_of_a_new_callback() {
    let world = World::of_webhooks(&[]).await;
    world.cxone.fault(json!({"route": "forecast", "kind": "status", "status": 503})).await;
    let of_dialing = |n, from, to| {
        let mut payload = payload_with(in_minutes(from, to));
        (payload["campaignId"], payload["phoneNumber"]) = (json!(DIALING), json!(caller(n)));
        payload
    };
    let id = world.waiting(&of_dialing(1, 60, 120)).await;
    let other = world.waiting(&of_dialing(1, 400, 520)).await;

    let mut body = in_minutes(120, 60);
    body["campaignId"] = json!(CAMPAIGN);
    let invalid = world.reschedule(&id, &body, &[]).await;
    assert_eq!(invalid.problem(), (422, "invalid-request"));
    assert_eq!(faults(&invalid.body), ["/campaignId unknown-member", "/requestedEnd window-backwards"]);

    let overlapping = world.reschedule(&id, &in_minutes(300, 420), &[]).await;
    assert_eq!(overlapping.problem(), (409, "duplicate-callback"));
    assert_eq!(overlapping.body["existingId"], other);

    world.set(&json!({"regulatoryWindow": window(360, 600), "enforceRegulatoryWindow": true})).await;
    let key = [("idempotency-key", "k")];
    let new = in_minutes(150, 220);
    let closed = world.reschedule(&id, &new, &key).await;
    assert_eq!(closed.problem(), (422, "outside-regulatory-window"));
    assert!(instant(&closed.body["earliestStart"]) > instant(&new["requestedEnd"]));

    world.set(&json!({})).await;
    let end = minutes_from_now(240);
    let hold = json!({"pauseReason": "COMPLIANCE_HOLD", "complianceHold": true, "scheduledResumeTime": end});
    world.command("pause", &pause_with(hold)).await;
    let held = world.reschedule(&id, &new, &key).await;
    assert_eq!((held.problem(), &held.body["earliestStart"]), ((422, "campaign-held"), &json!(end)));
    assert_eq!(world.audited(&id).await[1..], ["request.refused"; 4]);

    world.command("resume", &json!({"force": true})).await;
    let rescheduled = world.reschedule(&id, &new, &key).await;
    assert_eq!((rescheduled.status, &rescheduled.body["requestedStart"]), (200, &new["requestedStart"]));
    world.end().await;
}
