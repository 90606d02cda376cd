//! What clients can make the service answer, keep and count, whatever they send.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::{CAMPAIGN, World, create_key, payload, payload_from, text};

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let values: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(values.len(), 1, "{name}: {values:?}");
    values[0]
}

#[tokio::test]
async fn every_response_forbids_caching_sniffing_and_framing() {
    let world = World::start().await;
    let html = ["/docs/", "/problems/not-found"];
    let json = ["/v1/callbacks", "/v1/nowhere", "/openapi.json", "/healthz"];
    for path in html.into_iter().chain(json) {
        let answer = world.request(Method::GET, path).send().await.unwrap();
        let headers = answer.headers();
        assert_eq!(header(headers, "cache-control"), "no-store", "{path}");
        assert_eq!(header(headers, "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header(headers, "x-frame-options"), "DENY", "{path}");
        assert_eq!(header(headers, "content-type").starts_with("text/html"), html.contains(&path), "{path}");
        let policy = header(headers, "content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
    }
    world.end().await;
}

#[tokio::test]
async fn large_answers_are_compressed_for_clients_that_accept_it() {
    let world = World::start().await;
    let ask = async |path: &str, accepted: &str| {
        let answer = world.request(Method::GET, path).header("accept-encoding", accepted).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path} {accepted}");
        (answer.headers().clone(), answer.bytes().await.unwrap())
    };
    let (headers, body) = ask("/openapi.json", "gzip").await;
    assert_eq!((header(&headers, "content-encoding"), &body[..2]), ("gzip", &[0x1f, 0x8b][..]));
    assert_eq!(header(&headers, "vary"), "accept-encoding");
    let (headers, body) = ask("/openapi.json", "identity;q=0").await;
    assert!(!headers.contains_key("content-encoding") && body.starts_with(b"{"));
    let (headers, body) = ask("/healthz", "gzip").await;
    assert!(!headers.contains_key("content-encoding") && body.starts_with(b"{"));
    world.end().await;
}

#[tokio::test]
async fn routes_answer_head_and_name_their_methods() {
    let world = World::start().await;
    let head = world.request(Method::HEAD, "/v1/callbacks").send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(head.headers(), "content-type")), (200, "application/json"));
    for (method, path, status, allowed) in [
        (Method::OPTIONS, "/v1/callbacks", 204, ["GET", "HEAD", "POST"].as_slice()),
        (Method::PUT, "/v1/callbacks", 405, &["GET", "HEAD", "POST"]),
        (Method::TRACE, "/v1/callbacks/batch", 405, &["POST"]),
    ] {
        let answer = world.request(method.clone(), path).send().await.unwrap();
        let mut named: Vec<_> = header(answer.headers(), "allow").split(',').map(str::trim).collect();
        named.sort_unstable();
        assert_eq!((answer.status().as_u16(), named.as_slice()), (status, allowed), "{method} {path}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_replayed_answer_is_identical_to_the_first() {
    let world = World::start().await;
    let body = payload();
    let post = async || {
        let request = world.request(Method::POST, "/v1/callbacks").header("idempotency-key", "one").json(&body);
        let answer = request.send().await.unwrap();
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        for name in ["date", "x-request-id", "idempotency-replayed"] {
            headers.remove(name);
        }
        (status, headers, answer.bytes().await.unwrap())
    };
    let first = post().await;
    assert_eq!((first.0.as_u16(), header(&first.1, "content-type")), (201, "application/json"));
    assert_eq!(post().await, first);
    world.end().await;
}

#[tokio::test]
async fn a_request_that_takes_no_body_accepts_an_empty_object_and_refuses_members() {
    let world = World::start().await;
    let callback = text(&world.ask(&payload_from(1)).await.1, "id");
    for (body, kind, status) in [
        (r#"{"reason": "moved"}"#, "application/json", 422),
        ("{", "application/json", 400),
        ("{}", "text/plain", 415),
        ("{}", "application/json", 409),
    ] {
        let path = format!("/v1/callbacks/{callback}/cancel");
        let sent = world.request(Method::POST, &path).header("content-type", kind).body(body).send().await.unwrap();
        assert_eq!(sent.status(), status, "{body}");
    }
    world.end().await;
}

#[tokio::test]
async fn no_input_causes_a_500_and_no_text_of_a_client_is_in_the_audit_log() {
    let mut world = World::start().await;
    let scopes = [
        "callbacks:read",
        "callbacks:write",
        "campaigns:read",
        "campaigns:write",
        "audit:read",
        "events:write",
        "webhooks:write",
    ];
    world.key = create_key(&world.database, &scopes).await;
    let card = "4111111111111111";
    let long = "x".repeat(200_000);
    let bodies =
        [json!({"a\u{0}b": 1}), json!({card: 1}), json!({long: 1}), json!({"pauseReason": card, "maxAgents": "\u{0}"})];
    let routes = [
        (Method::POST, format!("/v1/campaigns/{CAMPAIGN}/pause")),
        (Method::POST, format!("/v1/campaigns/{CAMPAIGN}/resume")),
        (Method::PUT, format!("/v1/campaigns/{CAMPAIGN}/settings")),
        (Method::POST, format!("/v1/campaigns/{CAMPAIGN}/events")),
        (Method::POST, "/v1/callbacks".to_owned()),
        (Method::POST, "/v1/callbacks/batch".to_owned()),
        (Method::POST, "/v1/webhooks".to_owned()),
    ];
    for (method, path) in &routes {
        for body in &bodies {
            let answer = world.request(method.clone(), path).json(body).send().await.unwrap();
            assert_eq!(answer.status(), 422, "{method} {path}");
        }
    }
    let log = world.get("/v1/audit?limit=200").await.to_string();
    assert!(
        log.contains(" unknown-member") && !log.contains(card) && !log.contains("xxx") && !log.contains("a\\u0000b")
    );
    world.end().await;
}

#[tokio::test]
async fn cursors_and_parameters_are_checked_before_they_reach_postgres() {
    let mut world = World::start().await;
    world.key = create_key(&world.database, &["callbacks:read", "campaigns:read", "audit:read", "webhooks:read"]).await;
    let cursor = |position: Value| URL_SAFE_NO_PAD.encode(position.to_string());
    let id = "01912345-1234-7123-8123-123456789012";
    let cursors = [
        "!".to_owned(),
        cursor(json!({"created_at": "-009999-01-02T00:00:00Z", "id": id})),
        cursor(json!({"created_at": "2026-11-20T15:00:00Z", "id": "a\u{0}b"})),
        cursor(json!(1.5)),
        cursor(json!([])),
    ];
    for path in ["/v1/callbacks", "/v1/campaigns", "/v1/audit", "/v1/webhooks"] {
        for cursor in &cursors {
            let answer = world.request(Method::GET, &format!("{path}?cursor={cursor}")).send().await.unwrap();
            assert_eq!(answer.status(), 422, "{path} {cursor}");
        }
    }
    for path in [
        "/v1/audit?actor=a%00b",
        "/v1/audit?action=%00",
        "/v1/callbacks?campaignId=%00",
        "/v1/audit?campaignId=a%00",
        "/v1/callbacks?phoneNumber=",
        "/v1/webhooks?limit=",
    ] {
        assert_eq!(world.request(Method::GET, path).send().await.unwrap().status(), 422, "{path}");
    }
    world.end().await;
}

#[tokio::test]
async fn clients_cannot_add_metric_series() {
    let world = World::start().await;
    for (method, path) in
        [("BREW", "/v1/callbacks"), ("PROPFIND", "/a"), ("GET", "/b/c"), ("GET", "/v1/callbacks/card-4111")]
    {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        world.request(method, path).header("x-request-id", "r-4111").send().await.unwrap();
    }
    let metrics = world.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("method=\"other\""), "{metrics}");
    for text in ["BREW", "PROPFIND", "/a\"", "/b/c", "4111"] {
        assert!(!metrics.contains(text), "{text}");
    }
    world.end().await;
}
