//! CXone fails more than once, or in ways that are no outage: what is said of a callback stays true.

use serde_json::{Value, json};

use crate::support::{CAMPAIGN, INACTIVE_CAMPAIGN, World, caller, payload, payload_with};

fn once(route: &str, kind: Value) -> Value {
    let mut fault = kind;
    fault["route"] = json!(route);
    fault["times"] = json!(1);
    fault
}

/// CXone will call: a callback that says that it failed would be untrue, and would let a second one in.
#[tokio::test]
async fn a_contact_with_an_unknown_outcome_is_resolved_whatever_cxone_answers_next() {
    let world = World::start().await;
    let lost = || once("contact", json!({"kind": "drop", "afterWork": true}));
    let status = |route: &str, status: u16| once(route, json!({"kind": "status", "status": status}));
    let cases = [
        ("refused for its scope", vec![lost(), status("contact", 403)]),
        ("refused as unknown", vec![lost(), status("contact", 404)]),
        ("down", vec![lost(), status("contact", 503)]),
        ("over the quota", vec![lost(), status("contact", 429)]),
        ("without a token", vec![lost(), status("contact", 401), status("token", 401)]),
        ("lost again", vec![lost(), lost()]),
        ("not even made at first", vec![once("contact", json!({"kind": "drop"}))]),
        ("not even placed at first", vec![once("forecast", json!({"kind": "drop"}))]),
    ];

    for (n, (name, faults)) in cases.into_iter().enumerate() {
        // A campaign of its own: no forecast is remembered of it.
        let campaign = format!("case-{n}");
        world.cxone.add_campaign(&campaign);
        for fault in faults {
            world.cxone.fault(fault).await;
        }

        let id = world.accept(&payload_with(json!({"phoneNumber": caller(n), "campaignId": campaign}))).await;
        let callback = world.settled_soon(&id).await;

        let ends = (&callback["status"], &callback["confirmation"]["status"], &callback["failure"]);
        assert_eq!(ends, (&json!("scheduled"), &json!("sent"), &Value::Null), "{name}: {callback}");
        let contacts = world.contacts_of(&campaign).await;
        assert_eq!((contacts.len(), world.messages_to(&caller(n)).await.len()), (1, 1), "{name}");
        assert_eq!(contacts[0]["contact"]["scheduledStartDateTime"], callback["dispatchTime"], "{name}");
        let left = world.cxone.control(reqwest::Method::GET, "faults", None).await;
        assert_eq!(left, json!([]), "{name}: not every fault was met");
    }
    world.end().await;
}

#[tokio::test]
async fn an_inactive_campaign_does_not_count_as_an_outage() {
    let world = World::start().await;
    for n in 0..8 {
        let members = json!({"phoneNumber": caller(n), "campaignId": INACTIVE_CAMPAIGN});
        let answer = world.answer("/v1/callbacks", &payload_with(members), &[]).await;
        assert_eq!(answer.problem(), (422, "cxone-rejected"));
    }

    let (status, body) = world.ask(&payload()).await;

    assert_eq!(status, 201, "refusals do not count as failures of CXone: {body}");
    assert_eq!(world.cxone_condition().await, "ok");
    assert_eq!(world.contacts_of(CAMPAIGN).await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn the_oauth_client_is_sent_as_configured_and_never_logged() {
    for (style, header, in_form) in [("basic", json!("Basic"), false), ("form", Value::Null, true)] {
        let world = World::with(&[("CXONE_AUTH", style), ("RUST_LOG", "debug")]).await;
        // A token that is none of CXone's: it is refused, and another one is fetched.
        let issued = json!({"access_token": "a-token-to-look-for", "token_type": "Bearer", "expires_in": 1800});
        world.cxone.fault(once("token", json!({"kind": "body", "body": issued}))).await;

        let (status, body) = world.ask(&payload()).await;

        assert_eq!(status, 201, "{style}: {body}");
        for token in world.cxone.received("token").await {
            assert_eq!(token["headers"]["authorization"], header, "{style}");
            assert_eq!(token["body"].get("client_id").is_some(), in_form, "{style}");
            assert_eq!(token["body"]["grant_type"], "client_credentials", "{style}");
        }
        let log = world.service.log_at_end().await;
        // The last one is the client's id and secret as HTTP Basic has them.
        for secret in ["a-token-to-look-for", "simulator-secret", "c2ltdWxhdG9yOnNpbXVsYXRvci1zZWNyZXQ"] {
            assert!(!log.contains(secret), "{secret} is in the log");
        }
        world.database.drop().await;
    }
}
