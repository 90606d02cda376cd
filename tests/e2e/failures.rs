//! CXone refuses, fails, or never answers: nothing is lost, nothing is doubled, and what is said is true.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{CALLER, INACTIVE_CAMPAIGN, World, eventually, payload, payload_with};

/// Makes deferred work due now.
async fn retry_now(world: &World) {
    let now = "update callbacks set due_at = now() where due_at is not null";
    sqlx::query(now).execute(&world.database.pool).await.unwrap();
}

#[tokio::test]
async fn a_callback_refused_by_cxone_is_a_422_with_cxones_error_and_fails() {
    let world = World::start().await;
    let cases = [
        (json!({"campaignId": INACTIVE_CAMPAIGN}), None, "cxone-rejected", "inactive"),
        (json!({"campaignId": "nobody-knows"}), None, "cxone-rejected", "no such campaign"),
        (
            json!({}),
            Some(json!({"route": "contact", "kind": "status", "status": 400, "times": 1,
            "body": {"error_description": "the number (202) 555-0198 is blocked"}})),
            "cxone-rejected",
            "is blocked",
        ),
        (
            json!({}),
            Some(json!({"route": "contact", "kind": "status", "status": 403, "times": 1})),
            "cxone-rejected",
            "outbound:contact:write",
        ),
    ];
    for (change, fault, slug, words) in cases {
        if let Some(fault) = fault {
            world.cxone.fault(fault).await;
        }
        let (status, problem) = world.ask(&payload_with(change)).await;

        assert_eq!((status, &problem["type"]), (422, &json!(format!("/problems/{slug}"))), "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words) && !detail.contains("0198"), "{detail}");
        let callback = world.get(&format!("/v1/callbacks/{}", problem["callbackId"].as_str().unwrap())).await;
        assert_eq!((&callback["status"], &callback["failure"]["detail"]), (&json!("failed"), &json!(detail)));
    }
    assert_eq!((world.cxone.contacts().await.len(), world.cxone.messages().await.len()), (0, 0));
    world.end().await;
}

#[tokio::test]
async fn without_a_forecast_a_callback_fails_or_is_placed_at_its_windows_start_as_configured() {
    let (reject, place) = tokio::join!(World::start(), World::with(&[("CALLBACK_WITHOUT_FORECAST", "window-start")]));
    let asked = payload();
    for world in [&reject, &place] {
        let path = format!("campaigns/{}/forecast", crate::support::CAMPAIGN);
        world.cxone.control(Method::PUT, &path, Some(json!({"hours": []}))).await;
    }

    let (refused, problem) = reject.ask(&asked).await;
    let (accepted, callback) = place.ask(&asked).await;

    assert_eq!((refused, &problem["type"]), (422, &json!("/problems/no-forecast")));
    assert_eq!((accepted, &callback["dispatchTime"]), (201, &asked["requestedStart"]));
    reject.end().await;
    place.end().await;
}

#[tokio::test]
async fn after_a_429_on_any_route_the_callback_is_retried_without_duplicates() {
    for route in ["token", "forecast", "contact", "message"] {
        let world = World::start().await;
        let fault = json!({"route": route, "kind": "status", "status": 429, "retryAfter": "1", "times": 1});
        world.cxone.fault(fault).await;

        let (status, callback) = world.ask_with(&payload(), &[("prefer", "wait=20")]).await;

        assert_eq!((status, &callback["confirmation"]["status"]), (201, &json!("sent")), "{route}: {callback}");
        assert_eq!((world.cxone.contacts().await.len(), world.cxone.messages().await.len()), (1, 1), "{route}");
        world.end().await;
    }
}

#[tokio::test]
async fn a_5xx_is_retried_later_and_shown_as_the_failure() {
    let world = World::start().await;
    for (index, (route, status)) in [("forecast", 503), ("contact", 500), ("message", 503)].into_iter().enumerate() {
        world.cxone.fault(json!({"route": route, "kind": "status", "status": status, "times": 1})).await;
        let asked = payload_with(json!({"phoneNumber": format!("+1202555012{index}")}));

        let (_, callback) = world.ask(&asked).await;
        assert_eq!(callback["failure"]["code"], "cxone-unavailable", "{route}: {callback}");
        assert!(callback["nextAttemptAt"].is_string());
        retry_now(&world).await;

        let callback = world.settled(callback["id"].as_str().unwrap()).await;
        assert_eq!(
            (&callback["confirmation"]["status"], &callback["failure"]),
            (&json!("sent"), &Value::Null),
            "{route}"
        );
    }
    assert_eq!((world.cxone.contacts().await.len(), world.cxone.messages().await.len()), (3, 3));
    world.end().await;
}

#[tokio::test]
async fn a_revoked_token_is_replaced_once_without_an_error() {
    let world = World::start().await;
    world.ask(&payload()).await;
    world.cxone.control(Method::POST, "tokens/revoke", None).await;

    let (status, _) = world.ask(&payload_with(json!({"phoneNumber": "+12025550123"}))).await;

    assert_eq!(status, 201);
    assert_eq!(world.cxone.received("token").await.len(), 2);
    world.end().await;
}

#[tokio::test]
async fn an_unanswered_contact_is_sent_again_with_its_id_and_created_once() {
    let world = World::with(&[("CXONE_TIMEOUT_MS", "2000")]).await;
    for kind in ["hang", "drop"] {
        world.cxone.control(Method::POST, "reset", None).await;
        world.cxone.fault(json!({"route": "contact", "kind": kind, "afterWork": true, "times": 1})).await;
        let number = if kind == "hang" { "+12025550123" } else { "+12025550124" };

        let (status, callback) = world.ask(&payload_with(json!({"phoneNumber": number}))).await;
        let id = callback["id"].as_str().unwrap();
        let cancelled = world.post(&format!("/v1/callbacks/{id}/cancel"), &json!({})).await;
        retry_now(&world).await;
        let settled = world.settled(id).await;

        assert_eq!((status, &callback["failure"]["code"]), (202, &json!("cxone-outcome-unknown")), "{kind}");
        assert_eq!(cancelled.status(), 409, "what CXone may have cannot be cancelled");
        assert_eq!((&settled["status"], &settled["confirmation"]["status"]), (&json!("scheduled"), &json!("sent")));
        let contacts = world.cxone.contacts().await;
        assert_eq!((contacts.len(), contacts[0]["repeats"].as_u64()), (1, Some(1)), "{kind}");
        assert_eq!(contacts[0]["contact"]["scheduledStartDateTime"], settled["dispatchTime"]);
    }
    world.end().await;
}

#[tokio::test]
async fn an_unanswered_text_is_unknown_and_not_sent_again() {
    let world = World::with(&[("CXONE_TIMEOUT_MS", "2000")]).await;
    for (kind, number) in [("hang", "+12025550123"), ("drop", "+12025550124")] {
        world.cxone.fault(json!({"route": "message", "kind": kind, "afterWork": true, "times": 1})).await;

        let (status, callback) = world.ask(&payload_with(json!({"phoneNumber": number}))).await;
        retry_now(&world).await;

        assert_eq!((status, &callback["status"]), (201, &json!("scheduled")));
        let callback = world.settled(callback["id"].as_str().unwrap()).await;
        assert_eq!(callback["confirmation"]["status"], "unknown", "{kind}");
        let texts = world.cxone.messages().await;
        assert_eq!(texts.iter().filter(|text| text["to"] == number).count(), 1, "{kind}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_refused_text_fails_and_the_callback_stays_scheduled() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "message", "kind": "status", "status": 422})).await;

    let (status, callback) = world.ask(&payload()).await;

    assert_eq!((status, &callback["status"]), (201, &json!("scheduled")));
    assert_eq!(
        (&callback["confirmation"]["status"], &callback["failure"]["code"]),
        (&json!("failed"), &json!("cxone-rejected"))
    );
    assert_eq!(world.cxone.messages().await.len(), 0);
    world.end().await;
}

#[tokio::test]
async fn while_cxone_is_down_callbacks_are_kept_and_those_whose_window_passes_expire() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "*", "kind": "status", "status": 503})).await;
    let mut ids = Vec::new();
    for n in 0..8 {
        let (status, callback) = world
            .ask_with(&payload_with(json!({"phoneNumber": format!("+1202555010{n}")})), &[("prefer", "wait=0")])
            .await;
        assert_eq!(status, 202);
        ids.push(callback["id"].as_str().unwrap().to_owned());
    }

    // It may have been placed already.
    let passed = "update callbacks set due_at = now(), requested_start = requested_start - interval '3 hours',
                      requested_end = requested_end - interval '3 hours',
                      dispatch_time = dispatch_time - interval '3 hours' where id = $1::uuid";
    sqlx::query(passed).bind(&ids[0]).execute(&world.database.pool).await.unwrap();
    let expired = world.settled(&ids[0]).await;
    world.cxone.heal().await;
    let called = eventually("all others are scheduled", async || {
        retry_now(&world).await;
        let scheduled = world.get("/v1/callbacks?status=scheduled").await["data"].as_array().unwrap().len();
        if scheduled == 7 { Ok(scheduled) } else { Err(format!("{scheduled} scheduled")) }
    })
    .await;

    assert_eq!((&expired["status"], &expired["failure"]["code"]), (&json!("expired"), &json!("window-passed")));
    assert!(expired["contactId"].is_null());
    assert_eq!((called, world.cxone.contacts().await.len()), (7, 7));
    world.end().await;
}

#[tokio::test]
async fn a_thousand_callbacks_posted_at_once_are_all_kept_while_cxone_hangs() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "*", "kind": "hang"})).await;
    let posts = (0..1000).map(|n| {
        let asked = payload_with(json!({"phoneNumber": format!("+1212555{n:04}")}));
        let world = &world;
        async move {
            // As an IVR does: 503 means that nothing was done.
            loop {
                let status = world.ask_with(&asked, &[("prefer", "respond-async")]).await.0;
                if status != 503 {
                    return status;
                }
            }
        }
    });

    let statuses = futures::future::join_all(posts).await;

    let accepted = statuses.iter().filter(|status| **status == 202).count();
    let unlikely = statuses.iter().filter(|status| **status == 422).count();
    assert_eq!(accepted + unlikely, 1000, "every number is accepted, or is none");
    assert!(accepted > 900, "{accepted}");
    world.end().await;
}

#[tokio::test]
async fn no_log_line_contains_a_phone_number_or_a_secret() {
    let world = World::with(&[("RUST_LOG", "debug")]).await;
    world
        .cxone
        .fault(json!({"route": "contact", "kind": "status", "status": 400, "times": 1,
        "body": {"error_description": "blocked: +12025550198"}}))
        .await;
    world.ask(&payload()).await;
    world.ask(&payload_with(json!({"phoneNumber": "(202) 555-0123"}))).await;
    world.get("/v1/callbacks?phoneNumber=2025550123").await;

    let key = world.key.clone();
    let log = world.service.log_at_end().await;

    assert!(log.contains("callback confirmed"), "{log}");
    for secret in [CALLER, "2025550198", "5550123", key.as_str(), "simulator-secret"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    world.database.drop().await;
}
