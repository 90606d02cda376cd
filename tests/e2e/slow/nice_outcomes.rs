//! What became of the calls, and contacts that must not be called, with `CXONE_API=nice`.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{World, caller, eventually_within, instant, minutes_from_now, payload_from, payload_with};

/// A callback is called at the latest when its window ends, two minutes after the request.
const CALLED_WITHIN: Duration = Duration::from_mins(3);
const POLL: (&str, &str) = ("CXONE_OUTCOME_POLL_MS", "1000");
/// Nobody listens there. Events are stored for it.
const HOOK: [(&str, &str); 3] = [
    ("WEBHOOKS_ALLOW_LOOPBACK", "true"),
    ("WFO_WEBHOOK_URL", "http://127.0.0.1:9/hooks"),
    ("WFO_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
];
const AT_ONCE: (&str, &str) = ("CALLBACK_WITHOUT_FORECAST", "window-start");

impl World {
    async fn with_outcomes() -> Self {
        let world = Self::nice(&Self::outcome_settings()).await;
        // No skill has a forecast today: to make one takes a build without optimization a while.
        let forecast = "insert into cxone_forecast (due_at, refreshed_at, time_zone)
                        values (now() + interval '1 day', now(), 'UTC') on conflict (only_one) do nothing";
        world.database.run(forecast).await;
        world
    }

    fn outcome_settings() -> Vec<(&'static str, &'static str)> {
        [&[POLL, AT_ONCE], &HOOK[..]].concat()
    }

    /// Requests a callback for which there is no time but the next minutes.
    async fn call_soon(&self, n: usize) -> String {
        self.call_soon_by(n, "101").await
    }

    async fn call_soon_by(&self, n: usize, campaign: &str) -> String {
        let (start, end) = (minutes_from_now(-58), minutes_from_now(2));
        let window =
            json!({"phoneNumber": caller(n), "requestedStart": start, "requestedEnd": end, "campaignId": campaign});
        let (status, callback) = self.ask(&payload_with(window)).await;
        assert_eq!((status, &callback["outcome"]["status"]), (201, &json!("pending")), "{callback}");
        callback["id"].as_str().unwrap().to_owned()
    }

    /// Callbacks that CXone has called, each by a campaign of its own. The service learns of all calls at the same time, when it is
    /// continued.
    async fn calls_while_stopped(&self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for n in 0..count {
            let campaign = (2_001 + n).to_string();
            self.cxone.add_campaign(&campaign);
            ids.push(self.call_soon_by(n, &campaign).await);
        }
        for id in &ids {
            self.settled(id).await;
        }
        self.service.signal("STOP").await;
        eventually_within(CALLED_WITHIN, "the calls", async || {
            let contacts = self.cxone.contacts().await;
            let called = contacts.iter().filter(|contact| contact["dialled"] == true).count();
            if called == count { Ok(()) } else { Err(format!("{contacts:?}")) }
        })
        .await;
        ids
    }

    /// Each call has one audit entry and one event.
    async fn assert_reported_once(&self, ids: &[String]) {
        for id in ids {
            self.outcome_when(id, "reached").await;
            let audited = self.audited(id).await;
            assert_eq!(audited.iter().filter(|action| *action == "callback.called").count(), 1, "{audited:?}");
        }
        let events = "select count(*) from webhook_events where type = 'callback.called'";
        let events: i64 = sqlx::query_scalar(events).fetch_one(&self.database.pool).await.unwrap();
        assert_eq!(usize::try_from(events).unwrap(), ids.len());
    }

    /// Whether CXone was asked for the completed contacts after the first one.
    async fn has_asked_for_page(&self, skip: &str) -> Result<(), String> {
        let received = self.cxone.received("outcome").await;
        let asked = received.iter().any(|request| request["query"]["skip"] == skip);
        if asked { Ok(()) } else { Err(format!("{received:?}")) }
    }

    async fn outcome_when(&self, id: &str, status: &str) -> Value {
        eventually_within(CALLED_WITHIN, &format!("callback {id} to be {status}"), async || {
            let callback = self.get(&format!("/v1/callbacks/{id}")).await;
            if callback["outcome"]["status"] == status { Ok(callback) } else { Err(callback.to_string()) }
        })
        .await
    }

    /// What the audit log has of the contact that was deleted in CXone: one entry.
    async fn deleted_when(&self, id: &str) -> Value {
        eventually_within(CALLED_WITHIN, "the entry of the deleted contact", async || {
            let log = self.get(&format!("/v1/audit?callbackId={id}&action=callback.contact_deleted")).await;
            match log["data"].as_array().unwrap().as_slice() {
                [entry] => Ok(entry["detail"].clone()),
                entries => Err(format!("{entries:?}")),
            }
        })
        .await
    }

    async fn live_numbers_when(&self, created: usize, live: usize) -> Vec<Value> {
        eventually_within(CALLED_WITHIN, "the contacts in CXone", async || {
            let contacts = self.cxone.contacts().await;
            let left: Vec<_> = contacts.iter().filter(|contact| contact["deleted"] != true).collect();
            if contacts.len() == created && left.len() == live {
                return Ok(left.iter().map(|contact| contact["contact"]["callbackId"].clone()).collect());
            }
            Err(format!("{contacts:?}"))
        })
        .await
    }
}

#[tokio::test]
async fn the_outcome_of_a_call_is_that_of_its_contact_and_a_callback_without_one_is_missing() {
    let world = World::with_outcomes().await;
    let expected = ["reached", "not-reached", "agent-only", "missing"];
    let outcomes: serde_json::Map<String, Value> = (0..4).map(|n| (caller(n), json!(expected[n]))).collect();
    world.cxone.control(Method::PUT, "nice", Some(json!({ "outcomes": outcomes }))).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(world.call_soon(n).await);
    }

    let reached = world.outcome_when(&ids[0], "reached").await;
    world.outcome_when(&ids[1], "not-reached").await;
    world.outcome_when(&ids[2], "agent-only").await;
    world.outcome_when(&ids[3], "pending").await;
    let long_ago = format!(
        "update callbacks set requested_start = requested_start - interval '2 hours',
             requested_end = requested_end - interval '2 hours', dispatch_time = dispatch_time - interval '2 hours'
         where id = '{}'",
        ids[3]
    );
    world.database.run(&long_ago).await;
    let missing = world.outcome_when(&ids[3], "missing").await;

    let outcome = &reached["outcome"];
    assert_eq!((&outcome["disposition"], &outcome["agentSeconds"]), (&json!("Reached"), &json!(120)));
    let second = |at: &Value| instant(at).as_second();
    assert_eq!(second(&outcome["calledAt"]), second(&reached["dispatchTime"]));
    assert!(outcome["contactId"].as_str().is_some_and(|id| id.starts_with("5000000000")), "{outcome}");
    assert_eq!((&missing["outcome"]["contactId"], &missing["status"]), (&Value::Null, &json!("scheduled")));
    for (id, last) in [(&ids[0], "callback.called"), (&ids[2], "callback.missed"), (&ids[3], "callback.missed")] {
        let audited = world.audited(id).await;
        assert_eq!(audited.last().map(String::as_str), Some(last));
        assert_eq!(audited.iter().filter(|action| *action == last).count(), 1, "{audited:?}");
    }
    let dispositions = world.cxone.received("outcome").await;
    let read = dispositions.iter().filter(|request| request["path"].as_str().unwrap().ends_with("/dispositions"));
    assert_eq!(read.count(), 1, "once a day");
    world.end().await;
}

#[tokio::test]
async fn a_contact_that_a_late_effect_creates_twice_is_deleted() {
    let world = World::with_outcomes().await;
    let payload = |n| {
        let mut payload = payload_from(n);
        payload["campaignId"] = json!("101");
        payload
    };
    // Longer than the wait for the second attempt, which creates the other contact.
    let late = json!({"route": "contact", "kind": "late", "status": 504, "latencyMs": 45_000, "times": 1});
    world.cxone.fault(late).await;
    let (_, callback) = world.ask(&payload(1)).await;
    let callback = world.outcome_when(callback["id"].as_str().unwrap(), "pending").await;

    let live = world.live_numbers_when(2, 1).await;

    assert_eq!(live[0].to_string(), callback["contactId"].as_str().unwrap());
    let deleted = world.deleted_when(callback["id"].as_str().unwrap()).await;
    assert_eq!(deleted["reason"], "duplicate");
    assert!(deleted["contactId"] != callback["contactId"] && deleted["contactId"].is_string(), "{deleted}");
    assert!(deleted["phoneNumber"].as_str().unwrap().contains('•'), "{deleted}");
    world.end().await;
}

#[tokio::test]
async fn the_contact_of_a_callback_that_has_ended_is_deleted_and_others_are_left_alone() {
    let world = World::with_outcomes().await;
    let (mut ended, mut open) = (payload_from(1), payload_from(2));
    (ended["campaignId"], open["campaignId"]) = (json!("101"), json!("101"));
    let ((_, ended), (_, open)) = (world.ask(&ended).await, world.ask(&open).await);
    for callback in [&ended, &open] {
        world.settled(callback["id"].as_str().unwrap()).await;
    }
    let cancel = format!(
        "update callbacks set status = 'cancelled', contact_id = null, contact_number = null, dispatch_time = null,
             confirmation = 'pending', sms_session_id = null, confirmation_started_at = null where id = '{}'",
        ended["id"].as_str().unwrap()
    );
    world.database.run(&cancel).await;

    let live = world.live_numbers_when(2, 1).await;

    assert_eq!(live[0].to_string(), open["contactId"].as_str().unwrap());
    assert_eq!(world.deleted_when(ended["id"].as_str().unwrap()).await["reason"], "ended");
    world.end().await;
}

#[tokio::test]
async fn a_replica_that_is_killed_while_it_reads_calls_loses_and_repeats_none() {
    let mut world = World::with_outcomes().await;
    let ids = world.calls_while_stopped(2).await;
    world.cxone.control(Method::PUT, "nice", Some(json!({ "largestPage": 1 }))).await;
    world.cxone.fault(json!({"route": "outcome", "kind": "latency", "latencyMs": 3_000})).await;
    world.service.signal("CONT").await;
    eventually_within(CALLED_WITHIN, "the second page", async || world.has_asked_for_page("1").await).await;

    world.service.signal("KILL").await;
    world.cxone.heal().await;
    world.database.run("update callback_outcome_poll set due_at = now()").await;
    world.service = world.another_nice(&World::outcome_settings()).await;

    world.assert_reported_once(&ids).await;
    world.end().await;
}

#[tokio::test]
async fn two_replicas_report_each_call_once() {
    let world = World::with_outcomes().await;
    let second = world.another_nice(&World::outcome_settings()).await;
    second.signal("STOP").await;
    let ids = world.calls_while_stopped(3).await;
    for replica in [&world.service, &second] {
        replica.signal("CONT").await;
    }

    world.assert_reported_once(&ids).await;
    second.kill().await;
    world.end().await;
}

#[tokio::test]
async fn calls_are_read_page_by_page() {
    let world = World::with_outcomes().await;
    world.cxone.control(Method::PUT, "nice", Some(json!({ "largestPage": 2 }))).await;
    let ids = world.calls_while_stopped(5).await;
    world.service.signal("CONT").await;

    world.assert_reported_once(&ids).await;
    assert_eq!(world.has_asked_for_page("4").await, Ok(()));
    world.end().await;
}
