//! The verdict of `make chaos` finds each kind of violation, and none where there is none.

#![cfg(test)]

#[path = "../benches/chaos/verdict/mod.rs"]
mod verdict;

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use verdict::{Ack, Activation, Evidence, Intent, Kind, judge};

#[path = "chaos_verdict/campaigns.rs"]
mod campaigns;

use campaigns::{campaign, changes, hold, log, webhooks};

const ID: &str = "0195d4c8-7b5e-7c3a-9f00-123456789abc";
const OTHER: &str = "0195d4c8-7b5e-7c3a-9f00-123456789abd";
const PHONE: &str = "+12025550198";
const COMMANDED: &str = "0192f0c4-1111-7000-8000-00000000000a";

/// Seconds after the run began.
fn at(seconds: i64) -> Timestamp {
    "2026-11-20T15:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn contact(id: &str) -> Value {
    json!({ "at": at(2), "repeats": 0, "contact": {
        "contactId": id, "campaignId": "chaos-a", "phone": PHONE, "scheduledStartDateTime": at(1800),
    }})
}

fn message(id: &str) -> Value {
    json!({ "at": at(3), "sessionId": "s", "to": PHONE, "message": format!("Confirmed for 10:30. Reference: {id}") })
}

fn callback() -> Value {
    json!({
        "id": ID, "status": "scheduled", "phoneNumber": PHONE, "campaignId": "chaos-a",
        "requestedStart": at(0), "requestedEnd": at(3600), "dispatchTime": at(1800), "contactId": ID,
        "confirmation": { "status": "sent" }, "failure": null, "nextAttemptAt": null,
    })
}

/// The callback with another status, and what belongs to that.
fn callback_that_is(status: &str, failure: Value) -> Value {
    let mut callback = callback();
    (callback["status"], callback["failure"]) = (json!(status), failure);
    (callback["contactId"], callback["confirmation"]["status"]) = (Value::Null, json!("pending"));
    callback
}

fn ack(id: &str, status: u16) -> Ack {
    Ack { id: id.to_owned(), status, at: at(5) }
}

/// A run in which everything went well.
fn good() -> Evidence {
    let intent = Intent {
        phone: PHONE.to_owned(),
        campaign: "chaos-a".to_owned(),
        key: Some("k".to_owned()),
        acks: vec![ack(ID, 201), ack(ID, 201)],
        ..Intent::default()
    };
    let audited = ["callback.accepted", "callback.scheduled"];
    Evidence {
        intents: vec![intent],
        callbacks: vec![callback()],
        contacts: vec![contact(ID)],
        messages: vec![message(ID)],
        audited: audited.map(|action| (action.to_owned(), HashSet::from([ID.to_owned()]))).into(),
        campaigns: vec![campaign("ACTIVE", &[], 200)],
        holds: vec![hold()],
        activations: vec![Activation { campaign: COMMANDED.to_owned(), at: at(100) }],
        resumes: Vec::new(),
        pauses_sent: [(COMMANDED.to_owned(), 1)].into(),
        changes: changes(),
        log: log(),
        webhooks: webhooks(),
    }
}

/// Asserts that this change to a good run is found, as this and nothing else.
#[track_caller]
fn assert_found(kind: Kind, what: &str, change: impl FnOnce(&mut Evidence)) {
    let mut evidence = good();
    change(&mut evidence);
    let found: Vec<_> = judge(&evidence).into_iter().map(|violation| (violation.kind, violation.what)).collect();
    assert!(found.iter().any(|(other, text)| *other == kind && text.contains(what)), "{what}: {found:?}");
    assert!(found.iter().all(|(_, text)| text.contains(what)), "{what}: {found:?}");
}

#[track_caller]
fn assert_good(change: impl FnOnce(&mut Evidence)) {
    let mut evidence = good();
    change(&mut evidence);
    assert_eq!(judge(&evidence), []);
}

/// The run's only callback is this one, and CXone was never asked for it.
fn only(evidence: &mut Evidence, callback: Value) {
    evidence.intents[0].acks = vec![ack(ID, 202)];
    evidence.callbacks = vec![callback];
    (evidence.contacts, evidence.messages) = (Vec::new(), Vec::new());
}

#[test]
fn a_correct_run_has_no_violations() {
    assert_good(|_| {});
    assert_good(|evidence| only(evidence, callback_that_is("expired", json!({ "code": "window-passed" }))));
    assert_good(|evidence| {
        only(evidence, callback_that_is("cancelled", Value::Null));
        (evidence.intents[0].cancelled, evidence.intents[0].cancel_sent) = (true, true);
    });
    assert_good(|evidence| {
        evidence.callbacks[0]["confirmation"]["status"] = json!("unknown");
        evidence.messages.clear();
    });
    assert_good(|evidence| {
        let detail = "the window passed; CXone may have the contact";
        only(evidence, callback_that_is("expired", json!({ "code": "window-passed", "detail": detail })));
        evidence.contacts = vec![contact(ID)];
    });
    // Never acknowledged, and not there.
    assert_good(|evidence| evidence.intents.push(Intent { phone: "+12025550199".to_owned(), ..Intent::default() }));
}

#[test]
fn an_acknowledged_callback_that_does_not_exist_is_lost() {
    assert_found(Kind::Lost, "does not exist", |evidence| {
        only(evidence, callback());
        evidence.callbacks.clear();
    });
}

#[test]
fn a_callback_that_never_reaches_a_final_state_is_lost() {
    assert_found(Kind::Lost, "a callback never reached a final state", |evidence| {
        let mut callback = callback_that_is("accepted", Value::Null);
        callback["nextAttemptAt"] = json!(at(60));
        only(evidence, callback);
    });
    assert_found(Kind::Lost, "a callback never reached a final state", |evidence| {
        only(evidence, callback_that_is("accepted", Value::Null));
    });
    assert_found(Kind::Lost, "a confirmation never reached a final state", |evidence| {
        evidence.callbacks[0]["confirmation"]["status"] = json!("pending");
        evidence.messages.clear();
    });
}

#[test]
fn a_repeated_contact_or_message_is_duplicated() {
    assert_found(Kind::Duplicated, "more than one text message", |evidence| evidence.messages.push(message(ID)));
}

#[test]
fn one_key_with_two_callbacks_and_one_caller_with_two_contacts_are_each_found() {
    let mut evidence = good();
    let mut second = callback();
    (second["id"], second["contactId"]) = (json!(OTHER), json!(OTHER));
    evidence.callbacks.push(second);
    evidence.intents[0].acks.push(ack(OTHER, 201));
    evidence.contacts.push(contact(OTHER));
    evidence.messages.push(message(OTHER));
    for ids in evidence.audited.values_mut() {
        ids.insert(OTHER.to_owned());
    }
    let mut found: Vec<_> = judge(&evidence).into_iter().map(|violation| violation.what).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "a caller has more than one contact",
            "one idempotency key made two callbacks",
            "one request was acknowledged under two ids",
        ]
    );
}

#[test]
fn a_status_that_cxone_contradicts_is_wrong() {
    let refused = || json!({ "code": "cxone-rejected", "detail": "CXone refused" });
    assert_found(Kind::Wrong, "scheduled and CXone has no contact", |evidence| {
        evidence.contacts.clear();
        evidence.messages.clear();
        evidence.callbacks[0]["confirmation"]["status"] = json!("unknown");
        evidence.intents[0].acks = vec![ack(ID, 202)];
    });
    assert_found(Kind::Wrong, "failed and CXone has the contact", |evidence| {
        only(evidence, callback_that_is("failed", refused()));
        evidence.contacts = vec![contact(ID)];
    });
    assert_found(Kind::Wrong, "CXone refuses nothing", |evidence| {
        only(evidence, callback_that_is("failed", refused()));
    });
    assert_found(Kind::Wrong, "cancelled and CXone has the contact", |evidence| {
        only(evidence, callback_that_is("cancelled", Value::Null));
        (evidence.intents[0].cancelled, evidence.intents[0].cancel_sent) = (true, true);
        evidence.contacts = vec![contact(ID)];
    });
    assert_found(Kind::Wrong, "failure does not say", |evidence| {
        let detail = "the window passed; the last attempt: no answer";
        only(evidence, callback_that_is("expired", json!({ "code": "window-passed", "detail": detail })));
        evidence.contacts = vec![contact(ID)];
    });
}

#[test]
fn a_contact_that_differs_from_its_callback_is_wrong() {
    assert_found(Kind::Wrong, "dispatchTime differs", |evidence| {
        evidence.contacts[0]["contact"]["scheduledStartDateTime"] = json!(at(1801));
    });
    assert_found(Kind::Wrong, "another number or campaign", |evidence| {
        evidence.contacts[0]["contact"]["campaignId"] = json!("chaos-b");
    });
    assert_found(Kind::Wrong, "outside of the requested window", |evidence| {
        evidence.callbacks[0]["requestedEnd"] = json!(at(1799));
    });
    assert_found(Kind::Wrong, "no callback", |evidence| {
        let mut stray = contact(OTHER);
        stray["contact"]["phone"] = json!("+12025550100");
        evidence.contacts.push(stray);
    });
    assert_found(Kind::Wrong, "answered 201", |evidence| {
        (evidence.contacts[0]["at"], evidence.messages[0]["at"]) = (json!(at(6)), json!(at(7)));
    });
    assert_found(Kind::Wrong, "another caller's", |evidence| {
        evidence.intents[0].campaign = "chaos-b".to_owned();
    });
}

#[test]
fn a_message_that_contradicts_its_callback_is_wrong() {
    assert_found(Kind::Wrong, "sent and CXone has no message", |evidence| evidence.messages.clear());
    for status in ["failed", "skipped"] {
        assert_found(Kind::Wrong, "has the message", |evidence| {
            evidence.callbacks[0]["confirmation"]["status"] = json!(status);
        });
    }
    assert_found(Kind::Wrong, "names no callback", |evidence| evidence.messages.push(message(OTHER)));
    assert_found(Kind::Wrong, "another number", |evidence| evidence.messages[0]["to"] = json!("+12025550199"));
    assert_found(Kind::Wrong, "before, or without, its contact", |evidence| {
        evidence.messages[0]["at"] = json!(at(1));
    });
    assert_found(Kind::Wrong, "no fixed line", |evidence| {
        evidence.callbacks[0]["confirmation"]["status"] = json!("skipped");
        evidence.messages.clear();
    });
    assert_good(|evidence| {
        evidence.callbacks[0]["confirmation"]["status"] = json!("skipped");
        evidence.messages.clear();
        evidence.intents[0].landline = true;
    });
}

#[test]
fn a_cancelled_callback_that_is_scheduled_is_wrong() {
    assert_found(Kind::Wrong, "is not cancelled", |evidence| {
        (evidence.intents[0].cancelled, evidence.intents[0].cancel_sent) = (true, true);
    });
    assert_found(Kind::Wrong, "nobody cancelled", |evidence| {
        only(evidence, callback_that_is("cancelled", Value::Null));
    });
}

#[test]
fn a_callback_without_its_audit_entries_is_wrong() {
    for action in ["callback.accepted", "callback.scheduled"] {
        assert_found(Kind::Wrong, action, |evidence| {
            evidence.audited.remove(action);
        });
    }
}
