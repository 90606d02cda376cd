//! Callbacks that are cancelled or rescheduled after CXone has their contact, with `CXONE_API=nice`.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{
    Answer, DIALING, World, caller, create_key, eventually, instant, minutes_from_now, pause, pause_with, payload_with,
};

const ASYNC: [(&str, &str); 1] = [("prefer", "respond-async")];

fn new_window() -> Value {
    json!({"requestedStart": minutes_from_now(300), "requestedEnd": minutes_from_now(420)})
}

impl World {
    /// A callback whose contact CXone has, and whose SMS is sent.
    async fn at_cxone(&self, n: usize) -> String {
        let (status, callback) = self.ask(&payload_with(json!({"phoneNumber": caller(n), "campaignId": "101"}))).await;
        assert_eq!(status, 201, "{callback}");
        let id = callback["id"].as_str().unwrap().to_owned();
        self.settled(&id).await;
        id
    }

    async fn cancel_at_cxone(&self, id: &str, headers: &[(&str, &str)]) -> Answer {
        self.answer(&format!("/v1/callbacks/{id}/cancel"), &json!({}), headers).await
    }

    async fn reschedule_at_cxone(&self, id: &str, window: &Value, headers: &[(&str, &str)]) -> Answer {
        self.answer(&format!("/v1/callbacks/{id}/reschedule"), window, headers).await
    }

    /// The callback when its change has ended, without the delays between the attempts.
    async fn changed_soon(&self, id: &str) -> Value {
        let retry_now = format!(
            "update callbacks set due_at = now() where id = '{id}' and due_at > now() and change is not null
             and failure_code is not null"
        );
        eventually(&format!("the end of the change of callback {id}"), async || {
            self.sql(&retry_now).await;
            let callback = self.get(&format!("/v1/callbacks/{id}")).await;
            if callback["nextAttemptAt"].is_null() { Ok(callback) } else { Err(callback.to_string()) }
        })
        .await
    }

    /// The contacts in CXone that belong to a callback and were not deleted.
    async fn contacts_left(&self, id: &str) -> Vec<Value> {
        let contacts = self.cxone.contacts().await.into_iter();
        contacts.filter(|made| made["contact"]["contactId"] == id && made["deleted"] != true).collect()
    }

    async fn is_moved_once(&self, id: &str, n: usize, callback: &Value, window: &Value) {
        assert_eq!((&callback["status"], &callback["confirmation"]["status"]), (&json!("scheduled"), &json!("sent")));
        assert_eq!(instant(&callback["requestedStart"]), instant(&window["requestedStart"]));
        let contacts = self.contacts_left(id).await;
        assert_eq!(contacts.len(), 1, "{contacts:?}");
        let at = &contacts[0]["contact"]["scheduledStartDateTime"];
        assert_eq!(instant(at).as_second(), instant(&callback["dispatchTime"]).as_second());
        assert!(instant(at) >= instant(&window["requestedStart"]) && instant(at) <= instant(&window["requestedEnd"]));
        assert_eq!(self.messages_to(&caller(n)).await.len(), 2, "one for each time");
    }

    /// The time of the call has come, as far as Ringback knows.
    async fn make_past(&self, id: &str) {
        let past = format!(
            "update callbacks set requested_start = requested_start - interval '5 hours',
                 requested_end = requested_end - interval '5 hours', dispatch_time = dispatch_time - interval '5 hours'
             where id = '{id}'"
        );
        self.database.run(&past).await;
    }
}

#[tokio::test]
async fn a_callback_whose_contact_cxone_has_is_cancelled_there() {
    let world = World::nice(&[]).await;
    let id = world.at_cxone(0).await;

    let cancelled = world.cancel_at_cxone(&id, &[("x-request-id", "cancel")]).await;
    let again = world.cancel_at_cxone(&id, &[]).await;

    assert_eq!((cancelled.status, &cancelled.body["status"]), (200, &json!("cancelled")), "{cancelled:?}");
    assert_eq!((&cancelled.body["contactId"], &cancelled.body["outcome"]), (&Value::Null, &Value::Null));
    assert_eq!(cancelled.body["confirmation"]["status"], "sent");
    assert_eq!((again.status, &again.body["status"]), (200, &json!("cancelled")));
    assert_eq!((world.contacts_left(&id).await.len(), world.cxone.count("contactDelete").await), (0, 1));
    let audited = world.audited(&id).await;
    assert_eq!(audited[audited.len() - 2..], ["callback.change_requested", "callback.cancelled"]);
    let entries = world.entries_of("cancel").await;
    let actors: Vec<_> = entries.iter().map(|entry| &entry["actor"]).collect();
    assert_eq!(actors, ["api_key", "system"]);
    world.end().await;
}

#[tokio::test]
async fn a_callback_whose_contact_cxone_has_is_moved_there_and_announced_once() {
    let world = World::nice(&[]).await;
    let (id, new) = (world.at_cxone(0).await, new_window());

    let moved = world.reschedule_at_cxone(&id, &new, &[]).await;
    let again = world.reschedule_at_cxone(&id, &new, &[]).await;

    assert_eq!((moved.status, again.status), (200, 200), "{moved:?} {again:?}");
    world.is_moved_once(&id, 0, &moved.body, &new).await;
    assert_eq!(world.cxone.count("contactUpdate").await, 1);
    let actions = [
        "callback.accepted",
        "callback.scheduled",
        "callback.confirmed",
        "callback.change_requested",
        "callback.rescheduled",
        "callback.confirmed",
    ];
    assert_eq!(world.audited(&id).await, actions);
    let taken = json!({"phoneNumber": caller(0), "campaignId": "101", "requestedStart": new["requestedStart"],
        "requestedEnd": new["requestedEnd"]});
    assert_eq!(world.ask(&payload_with(taken)).await.0, 409, "the new window is taken");
    world.end().await;
}

#[tokio::test]
async fn a_callback_that_cxone_has_called_is_not_changed() {
    let world = World::nice(&[]).await;
    let ids = [world.at_cxone(0).await, world.at_cxone(1).await];
    for route in ["contactDelete", "contactUpdate"] {
        world.cxone.fault(json!({"route": route, "kind": "status", "status": 404})).await;
    }
    world.cxone.fault(json!({"route": "contactList", "kind": "body", "body": {"callbacks": []}})).await;
    for (n, id) in ids.into_iter().enumerate() {
        world.make_past(&id).await;
        let refused = match n {
            0 => world.cancel_at_cxone(&id, &[]).await,
            _ => world.reschedule_at_cxone(&id, &new_window(), &[]).await,
        };
        assert_eq!(refused.problem(), (409, "already-scheduled"), "{refused:?}");
        let callback = world.get(&format!("/v1/callbacks/{id}")).await;
        assert_eq!((&callback["status"], &callback["nextAttemptAt"]), (&json!("scheduled"), &Value::Null));
        assert_eq!(callback["failure"]["code"], "already-called");
        assert_eq!(world.audited(&id).await.last().map(String::as_str), Some("callback.change_refused"));
        assert_eq!(world.messages_to(&caller(n)).await.len(), 1);
    }
    world.end().await;
}

#[tokio::test]
async fn after_a_lost_answer_a_change_is_carried_out_once() {
    let world = World::nice(&[]).await;
    let new = new_window();
    for (n, after_work) in [true, false].into_iter().enumerate() {
        let (moved, cancelled) = (world.at_cxone(2 * n).await, world.at_cxone(2 * n + 1).await);
        for route in ["contactDelete", "contactUpdate"] {
            let fault = json!({"route": route, "kind": "drop", "afterWork": after_work, "times": 1});
            world.cxone.fault(fault).await;
        }
        let pending = world.reschedule_at_cxone(&moved, &new, &ASYNC).await;
        assert_eq!((pending.status, &pending.body["status"]), (202, &json!("scheduled")), "{pending:?}");
        let callback = world.changed_soon(&moved).await;
        world.is_moved_once(&moved, 2 * n, &callback, &new).await;

        let pending = world.cancel_at_cxone(&cancelled, &ASYNC).await;
        assert_eq!(pending.status, 202, "{pending:?}");
        assert_eq!(world.changed_soon(&cancelled).await["status"], "cancelled");
        assert_eq!(world.contacts_left(&cancelled).await.len(), 0);
        assert_eq!(world.messages_to(&caller(2 * n + 1)).await.len(), 1);
    }
    world.end().await;
}

#[tokio::test]
async fn a_contact_that_cxone_does_not_find_but_lists_is_still_there() {
    let world = World::nice(&[]).await;
    let (cancelled, moved, new) = (world.at_cxone(0).await, world.at_cxone(1).await, new_window());
    for route in ["contactDelete", "contactUpdate"] {
        world.cxone.fault(json!({"route": route, "kind": "status", "status": 404, "times": 1})).await;
    }
    let answer = world.cancel_at_cxone(&cancelled, &[]).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("cancelled")), "{answer:?}");
    assert_eq!(world.contacts_left(&cancelled).await.len(), 0);

    let answer = world.reschedule_at_cxone(&moved, &new, &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    world.is_moved_once(&moved, 1, &answer.body, &new).await;
    world.end().await;
}

#[tokio::test]
async fn cancels_while_the_text_is_sent_wait_for_both() {
    let world = World::nice(&[]).await;
    // What is learned about the tenant is known then.
    world.at_cxone(0).await;
    world.cxone.clear_received().await;
    world.cxone.fault(json!({"route": "message", "kind": "latency", "latencyMs": 1500, "times": 1})).await;
    let id = world.accept(&payload_with(json!({"phoneNumber": caller(1), "campaignId": "101"}))).await;
    world.cxone.wait_for_request("message").await;

    let (first, second) = tokio::join!(world.cancel_at_cxone(&id, &[]), world.cancel_at_cxone(&id, &[]));
    for answer in [first, second] {
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("cancelled")), "{answer:?}");
        assert_eq!(answer.body["confirmation"]["status"], "sent");
    }
    assert_eq!((world.contacts_left(&id).await.len(), world.messages_to(&caller(1)).await.len()), (0, 1));
    world.end().await;
}

#[tokio::test]
async fn after_a_kill_during_a_change_another_process_carries_it_out() {
    for route in ["contactDelete", "contactUpdate"] {
        let mut world = World::nice(&[]).await;
        let (id, new) = (world.at_cxone(0).await, new_window());
        world.cxone.fault(json!({"route": route, "kind": "hang", "afterWork": true, "times": 1})).await;
        let pending = match route {
            "contactDelete" => world.cancel_at_cxone(&id, &ASYNC).await,
            _ => world.reschedule_at_cxone(&id, &new, &ASYNC).await,
        };
        assert_eq!(pending.status, 202, "{pending:?}");
        world.cxone.wait_for_request(route).await;
        world.restart_nice().await;
        world.database.end_leases().await;

        let callback = world.changed_soon(&id).await;
        if route == "contactUpdate" {
            world.is_moved_once(&id, 0, &callback, &new).await;
        } else {
            assert_eq!((&callback["status"], world.contacts_left(&id).await.len()), (&json!("cancelled"), 0));
        }
        world.end().await;
    }
}

impl World {
    /// With a key that pauses campaigns, and a callback of the dialing campaign in this window, given in minutes from now.
    async fn nice_with_holds(from: i64, to: i64) -> (Self, String) {
        let mut world = Self::nice(&[]).await;
        let scopes = ["callbacks:write", "callbacks:read", "campaigns:write", "campaigns:read", "audit:read"];
        world.key = create_key(&world.database, &scopes).await;
        let path = format!("/v1/campaigns/{DIALING}/settings");
        let settings = json!({"nice": {"skillId": 4002}});
        let set = world.request(reqwest::Method::PUT, &path).json(&settings).send().await.unwrap();
        assert_eq!(set.status(), 200);
        let window = json!({"phoneNumber": caller(0), "campaignId": DIALING,
            "requestedStart": minutes_from_now(from), "requestedEnd": minutes_from_now(to)});
        let (status, callback) = world.ask(&payload_with(window)).await;
        assert_eq!(status, 201, "{callback}");
        let id = callback["id"].as_str().unwrap().to_owned();
        world.settled(&id).await;
        (world, id)
    }
}

#[tokio::test]
async fn under_a_compliance_hold_a_contact_is_moved_behind_its_end() {
    let (world, id) = World::nice_with_holds(60, 180).await;
    let before = world.get(&format!("/v1/callbacks/{id}")).await;
    let end = instant(&before["dispatchTime"]) + SignedDuration::from_secs(30);
    let hold = json!({"pauseReason": "COMPLIANCE_HOLD", "complianceHold": true, "scheduledResumeTime": end});
    let (status, paused) = world.command("pause", &pause_with(hold)).await;
    assert_eq!(status, 200, "{paused}");

    world.callback_when(&id, |callback| callback["dispatchTime"] != before["dispatchTime"]).await;
    let moved = world.settled(&id).await;
    assert!(instant(&moved["dispatchTime"]) >= end, "{moved}");
    world.is_moved_once(&id, 0, &moved, &before).await;
    assert_eq!(moved["atRisk"], false);
    world.end().await;
}

#[tokio::test]
async fn under_a_hold_without_an_end_a_contact_is_withdrawn_and_created_again_after_it() {
    // Such a hold clears the next 15 minutes, so the call must be in them.
    let (world, id) = World::nice_with_holds(-48, 12).await;
    let (status, paused) = world.command("pause", &pause()).await;
    assert_eq!(status, 200, "{paused}");

    let waiting = world.callback_when(&id, |callback| callback["status"] == "accepted").await;
    assert_eq!((&waiting["contactId"], &waiting["failure"]["code"]), (&Value::Null, &json!("campaign-held")));
    assert_eq!(world.contacts_left(&id).await.len(), 0);
    assert!(world.audited(&id).await.contains(&"callback.withdrawn".to_owned()));

    let (status, resumed) = world.command("resume", &json!({})).await;
    assert_eq!(status, 200, "{resumed}");
    let again = world.settled_soon(&id).await;
    world.is_moved_once(&id, 0, &again, &waiting).await;
    world.end().await;
}

#[tokio::test]
async fn a_callback_that_was_erased_after_its_window_cannot_be_changed() {
    let mut world = World::nice(&[]).await;
    let id = world.at_cxone(0).await;
    world.make_past(&id).await;
    world.key = create_key(&world.database, &["callbacks:write", "callbacks:read", "privacy:write"]).await;
    let erased = world.answer("/v1/privacy/erase", &json!({"phoneNumber": caller(0)}), &[]).await;
    assert_eq!((erased.status, &erased.body["callbacksErased"]), (200, &json!(1)), "{erased:?}");

    for refused in [world.cancel_at_cxone(&id, &[]).await, world.reschedule_at_cxone(&id, &new_window(), &[]).await] {
        assert_eq!(
            (refused.status, &refused.body["type"]),
            (409, &json!("/problems/already-scheduled")),
            "{refused:?}"
        );
    }
    world.end().await;
}
