//! One token for all callers of a replica, whatever the token endpoint does.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Service, World, caller, eventually, payload_with, text};

/// For a caller of his own, `n`.
fn payload_of(n: usize) -> Value {
    payload_with(json!({"phoneNumber": caller(n)}))
}

fn payloads(numbers: std::ops::Range<usize>) -> Vec<Value> {
    numbers.map(payload_of).collect()
}

async fn revoke(world: &World) {
    world.cxone.control(Method::POST, "tokens/revoke", None).await;
}

#[tokio::test]
async fn two_hundred_concurrent_callers_share_one_token_request() {
    let world = World::start().await;
    for (round, before) in ["no token", "tokens/revoke", "tokens/expire"].into_iter().enumerate() {
        if round > 0 {
            world.cxone.control(Method::POST, before, None).await;
        }
        world.cxone.fault(json!({"route": "token", "kind": "latency", "latencyMs": 500, "times": 1})).await;

        let numbers = round * 1000..round * 1000 + 200;
        let asked = join_all(numbers.map(async |n| world.ask_with(&payload_of(n), &[("prefer", "wait=30")]).await));

        // 202 on a slow machine.
        assert!(asked.await.iter().all(|(status, _)| matches!(status, 201 | 202)), "{before}");
        world.all_settled().await;
        assert_eq!(world.cxone.count("token").await, u64::try_from(round + 1).unwrap(), "{before}");
    }
    world.assert_each_done_once(600).await;
    assert_eq!(world.cxone.counts().await["routes"]["token"]["statuses"], json!({"200": 3}));
    world.end().await;
}

#[tokio::test]
async fn a_token_revoked_under_load_is_replaced_once_by_each_replica_without_errors() {
    let world = World::start().await;
    let other = Service::start(&world.database, &world.cxone, &[]).await;
    world.cxone.control(Method::PUT, "limits", Some(json!({"latencyMs": 50}))).await;

    world.batch(&payloads(0..300)).await;
    eventually("work in full swing", async || match world.cxone.contacts().await.len() {
        made if made >= 60 => Ok(()),
        made => Err(format!("{made} contacts")),
    })
    .await;
    revoke(&world).await;
    world.all_settled_without_delay().await;

    world.assert_each_done_once(300).await;
    let tokens = world.cxone.count("token").await;
    assert!((2..=4).contains(&tokens), "{tokens} token requests of two replicas");
    assert_eq!(world.number("select count(*) from callbacks where attempts > 1").await, 0);
    other.kill().await;
    world.end().await;
}

#[tokio::test]
async fn a_second_401_is_cxone_unauthorized_and_recovers_without_a_restart() {
    for route in ["token", "forecast", "contact", "message"] {
        let world = World::start().await;
        let status = if route == "message" { "scheduled" } else { "accepted" };
        world.cxone.fault(json!({"route": route, "kind": "status", "status": 401})).await;

        let (answered, callback) = world.ask(&payload_of(1)).await;

        assert_eq!(answered, if route == "message" { 201 } else { 202 }, "{route}");
        assert_eq!(
            (text(&callback, "status"), text(&callback["failure"], "code")),
            (status.to_owned(), "cxone-unauthorized".to_owned()),
            "{route}"
        );
        assert!(text(&callback["failure"], "detail").contains("the simulator is configured to answer 401"), "{route}");
        assert!(world.cxone_condition().await.contains("refuses the OAuth client"), "{route}");
        assert_eq!(world.metric("ringback_cxone_unauthorized").await, Some(1.0), "{route}");
        assert_eq!(world.cxone.count(route).await, if route == "token" { 1 } else { 2 }, "{route}: retried once");
        assert!(world.cxone.count("token").await <= 2, "{route}");

        world.cxone.heal().await;
        world.all_settled_without_delay().await;

        world.assert_each_done_once(1).await;
        assert_eq!(world.cxone_condition().await, "ok", "{route}");
        assert_eq!(world.metric("ringback_cxone_unauthorized").await, Some(0.0), "{route}");
        world.end().await;
    }
}

#[tokio::test]
async fn a_failing_token_endpoint_gets_few_requests_and_work_continues_when_it_recovers() {
    let cases = [
        ("status 500", json!({"kind": "status", "status": 500}), "cxone-unavailable"),
        ("status 503", json!({"kind": "status", "status": 503}), "cxone-unavailable"),
        ("status 404", json!({"kind": "status", "status": 404}), "cxone-unavailable"),
        ("status 302", json!({"kind": "status", "status": 302}), "cxone-unavailable"),
        ("status 400", json!({"kind": "status", "status": 400}), "cxone-unauthorized"),
        ("no JSON", json!({"kind": "body", "body": "<html>maintenance</html>"}), "cxone-unavailable"),
        ("nothing", json!({"kind": "body", "body": ""}), "cxone-unavailable"),
        ("another shape", json!({"kind": "body", "body": ["access_token"]}), "cxone-unavailable"),
        ("an error inside", json!({"kind": "body", "body": {"error": "server_error"}}), "cxone-unavailable"),
        ("no text", json!({"kind": "body", "body": {"access_token": 7}}), "cxone-unavailable"),
        ("an empty token", json!({"kind": "body", "body": {"access_token": ""}}), "cxone-unavailable"),
        ("two lines", json!({"kind": "body", "body": {"access_token": "a\nb"}}), "cxone-unavailable"),
        ("300 KB", json!({"kind": "body", "body": {"access_token": "x".repeat(300_000)}}), "cxone-unavailable"),
        ("no answer", json!({"kind": "hang"}), "cxone-unavailable"),
        ("a broken connection", json!({"kind": "drop"}), "cxone-unavailable"),
        ("an answer too late", json!({"kind": "latency", "latencyMs": 5_000}), "cxone-unavailable"),
    ];
    let cases = cases.into_iter().map(|(case, fault, code)| endure(case, fault, code));
    futures::stream::iter(cases).buffer_unordered(6).collect::<()>().await;
}

/// Counted over a time in which a client that tries and tries again would show.
async fn token_requests_of_three_seconds(world: &World) -> u64 {
    let started = Instant::now();
    eventually("three seconds", async || match started.elapsed() {
        passed if passed >= Duration::from_secs(3) => Ok(()),
        passed => Err(format!("{passed:?}")),
    })
    .await;
    world.cxone.count("token").await
}

async fn endure(case: &str, mut fault: Value, code: &str) {
    let world = World::with(&[("CXONE_TIMEOUT_MS", "3000")]).await;
    fault["route"] = json!("token");
    world.cxone.fault(fault).await;

    world.batch(&payloads(0..40)).await;
    let requests = token_requests_of_three_seconds(&world).await;

    assert!((1..=3).contains(&requests), "{case}: {requests} token requests");
    let others = world.cxone.counts().await["total"].as_u64().unwrap().saturating_sub(world.cxone.count("token").await);
    assert_eq!(others, 0, "{case}: requests without a token");
    // An attempt that has just run out of time may still be on its way into its row.
    eventually("a failed attempt", async || {
        match world.number("select count(*) from callbacks where failure_code is not null").await {
            0 => Err(case.to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    let otherwise = format!("select count(*) from callbacks where failure_code <> '{code}'");
    assert_eq!(world.number(&otherwise).await, 0, "{case}: failed otherwise than with {code}");

    world.cxone.heal().await;
    world.all_settled_without_delay().await;

    world.assert_each_done_once(40).await;
    world.end().await;
}

#[tokio::test]
async fn no_expires_in_causes_a_loop_of_token_requests() {
    let world = World::start().await;
    let mut cases = vec![json!({"lifetimeSeconds": null})];
    let lives = [
        json!(0),
        json!(0.001),
        json!(1),
        json!(-5),
        json!(1e308),
        json!("1800"),
        json!("0"),
        json!("soon"),
        json!(""),
        json!(null),
        json!(true),
        json!({}),
        json!([]),
    ];
    cases.extend(lives.map(|life| json!({"rawExpiresIn": life})));
    for (round, said) in cases.iter().enumerate() {
        world.cxone.control(Method::PUT, "tokens", Some(said.clone())).await;
        revoke(&world).await;
        let before = world.cxone.count("token").await;

        for n in 0..4 {
            let (status, _) = world.ask(&payload_of(round * 10 + n)).await;
            assert_eq!(status, 201, "{said}");
        }

        assert_eq!(world.cxone.count("token").await, before + 1, "{said}");
    }
    world.assert_each_done_once(cases.len() * 4).await;
    world.end().await;
}

#[tokio::test]
async fn tokens_that_expire_at_once_are_not_requested_in_a_loop() {
    let world = World::start().await;
    world.cxone.control(Method::PUT, "tokens", Some(json!({"lifetimeSeconds": 0}))).await;

    world.batch(&payloads(0..100)).await;
    let requests = token_requests_of_three_seconds(&world).await;

    assert!((2..=6).contains(&requests), "{requests} token requests");
    assert!(world.cxone.count("forecast").await <= 2 * requests, "each token was tried twice at most");
    let codes = "select count(*) from callbacks where failure_code <> 'cxone-unauthorized'";
    assert_eq!(world.number(codes).await, 0);
    assert!(world.cxone_condition().await.contains("refuses the OAuth client"));

    world.cxone.control(Method::PUT, "tokens", Some(json!({"lifetimeSeconds": 1800}))).await;
    world.all_settled_without_delay().await;
    world.assert_each_done_once(100).await;
    world.end().await;
}
