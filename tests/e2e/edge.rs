//! What every route shares: keys, problems, idempotency, pages, operations.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{World, create_key, eventually, faults, payload, payload_with};

#[tokio::test]
async fn a_route_needs_a_key_with_its_scope() {
    let mut world = World::start().await;
    let ask = async |key: &str| {
        let request = world.http.get(format!("{}/v1/audit", world.service.base_url)).header("authorization", key);
        let answer = request.send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.headers().contains_key("www-authenticate"),
            answer.json::<Value>().await.unwrap(),
        )
    };
    let reader = create_key(&world.database, &["callbacks:read"]).await;

    for key in ["", "Bearer", "Bearer ", "Basic abc", "Bearer nonsense", "Bearer rbk_nonsense"] {
        let (status, challenged, problem) = ask(key).await;
        assert_eq!((status, challenged, &problem["type"]), (401, true, &json!("/problems/unauthorized")), "{key:?}");
    }
    let (status, _, problem) = ask(&format!("Bearer {reader}")).await;
    assert_eq!((status, &problem["scope"]), (403, &json!("audit:read")));
    assert!(problem["detail"].as_str().unwrap().contains("audit:read"));

    let valid = world.key.clone();
    assert_eq!(ask(&format!("bearer {valid}")).await.0, 200);
    sqlx::query("update api_keys set revoked_at = now()").execute(&world.database.pool).await.unwrap();
    let bearer = format!("Bearer {valid}");
    eventually("the key to be refused", async || match ask(&bearer).await.0 {
        401 => Ok(()),
        status => Err(status.to_string()),
    })
    .await;
    world.key = valid;
    world.end().await;
}

#[tokio::test]
async fn every_error_is_a_problem_with_its_request_id() {
    let world = World::start().await;
    let url = |path: &str| format!("{}{path}", world.service.base_url);
    let post = |body: Vec<u8>, kind: &str| {
        world.http.post(url("/v1/callbacks")).bearer_auth(&world.key).header("content-type", kind).body(body)
    };
    let json = "application/json";
    let cases = [
        (world.http.get(url("/nowhere")), 404, "not-found"),
        (world.http.get(url("/v1/callbacks/not-a-uuid")).bearer_auth(&world.key), 404, "not-found"),
        (world.http.delete(url("/v1/callbacks")).bearer_auth(&world.key), 405, "method-not-allowed"),
        (post(b"{".to_vec(), json), 400, "malformed-json"),
        (post(vec![0xff, 0xfe], json), 400, "malformed-json"),
        (post(b"{}".to_vec(), "text/plain"), 415, "unsupported-media-type"),
        (post(vec![b' '; 2_000_000], json), 413, "payload-too-large"),
        (post(b"[]".to_vec(), json), 422, "invalid-request"),
        (
            post(format!("{{\"phoneNumber\":{}1{}}}", "[".repeat(500), "]".repeat(500)).into_bytes(), json),
            422,
            "invalid-request",
        ),
        (world.request(Method::GET, "/v1/callbacks?colour=red"), 422, "invalid-request"),
        (world.request(Method::GET, "/v1/callbacks?limit=0"), 422, "invalid-request"),
        (world.request(Method::GET, "/v1/audit?cursor=nonsense"), 422, "invalid-request"),
    ];
    for (request, status, slug) in cases {
        let answer = request.header("x-request-id", "test-42").send().await.unwrap();

        assert_eq!(answer.status(), status, "{slug}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{slug}");
        assert_eq!(answer.headers()["x-request-id"], "test-42");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["type"], format!("/problems/{slug}"));
        assert_eq!((&problem["status"], &problem["requestId"]), (&json!(status), &json!("test-42")));
        assert!(problem["instance"].is_string() && problem["title"].is_string() && problem["detail"].is_string());
        let page = world.http.get(url(&format!("/problems/{slug}"))).send().await.unwrap();
        assert_eq!(page.status(), 200);
    }
    world.end().await;
}

#[tokio::test]
async fn all_errors_of_invalid_input_are_reported_together() {
    let world = World::start().await;
    let bad = payload_with(json!({
        "phoneNumber": 12_025_550_198_u64, "requestedEnd": payload()["requestedStart"], "campaignId": "",
        "language": "klingon", "timezone": "Mars", "colour": "red\u{0}",
    }));

    let (status, problem) = world.ask(&bad).await;

    assert_eq!(status, 422);
    assert_eq!(
        faults(&problem),
        [
            "/campaignId not-a-campaign-id",
            "/colour unknown-member",
            "/language not-a-language",
            "/phoneNumber wrong-type",
            "/requestedEnd window-backwards",
            "/timezone not-a-time-zone",
        ]
    );
    world.end().await;
}

#[tokio::test]
async fn a_request_repeated_with_its_key_gets_the_first_answer() {
    let world = World::start().await;
    let body = payload();
    let send = async |key: &str, body: &Value| {
        let request = world.request(Method::POST, "/v1/callbacks").header("idempotency-key", key).json(body);
        let answer = request.send().await.unwrap();
        let replayed = answer.headers().get("idempotency-replayed").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), replayed, answer.text().await.unwrap())
    };

    let invalid = send("k-1", &json!({})).await;
    let first = send("k-1", &body).await;
    let again = send("\"k-1\"", &body).await;
    let other = send("k-1", &payload_with(json!({"phoneNumber": "+12025550123"}))).await;
    let duplicate = send("k-2", &body).await;
    let duplicate_again = send("k-2", &body).await;
    let too_long = send(&"k".repeat(256), &body).await;

    assert_eq!(invalid.0, 422, "a request that failed validation keeps nothing");
    assert_eq!((first.0, first.1), (201, None));
    assert_eq!((again.0, again.1.as_deref(), &again.2), (201, Some("true"), &first.2));
    assert_eq!(other.0, 422);
    assert!(other.2.contains("/problems/idempotency-key-reused"));
    assert_eq!((duplicate.0, duplicate_again.0), (409, 409));
    assert_eq!(duplicate_again.1.as_deref(), Some("true"));
    assert_eq!(too_long.0, 422);
    assert_eq!(world.cxone.contacts().await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn concurrent_requests_with_one_key_are_one_and_a_disconnected_client_can_get_its_answer() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "contact", "kind": "latency", "latencyMs": 1500, "times": 1})).await;
    let body = payload();
    let send = || world.request(Method::POST, "/v1/callbacks").header("idempotency-key", "k").json(&body).send();
    let hangs_up = tokio::spawn(send());
    world.cxone.wait_for_request("contact").await;

    let second = send().await.unwrap().status();
    hangs_up.abort();
    let answered = crate::support::eventually("the answer is kept", async || {
        let answer = send().await.unwrap();
        if answer.status() == 201 { Ok(answer) } else { Err(answer.status().to_string()) }
    })
    .await;

    assert_eq!(second, 409);
    assert_eq!(answered.headers()["idempotency-replayed"], "true");
    assert_eq!(world.cxone.contacts().await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn pages_contain_every_callback_once_newest_first() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "*", "kind": "hang"})).await;
    let numbers = (100..200).map(|n| payload_with(json!({"phoneNumber": format!("+12025550{n}")}))).collect::<Vec<_>>();
    world.post("/v1/callbacks/batch", &json!({"callbacks": numbers})).await;

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/v1/callbacks?limit=30&cursor={cursor}")).await;
        let ids = page["data"].as_array().unwrap().iter().map(|callback| callback["id"].as_str().unwrap().to_owned());
        seen.extend(ids);
        match page["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    seen.sort_unstable();
    seen.dedup();

    assert_eq!(seen.len(), 100);
    let one = world.get("/v1/callbacks?phoneNumber=(202)%20555-0142").await;
    assert_eq!(one["data"].as_array().unwrap().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn operational_routes_need_no_key_and_the_trace_is_propagated() {
    let world = World::start().await;
    let url = |path: &str| format!("{}{path}", world.service.base_url);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    world.ask_with(&payload(), &[("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"))]).await;

    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs/"] {
        assert_eq!(world.http.get(url(path)).send().await.unwrap().status(), 200, "{path}");
    }
    let ready: Value = world.http.get(url("/readyz")).send().await.unwrap().json().await.unwrap();
    assert_eq!(ready, json!({"status": "ok", "cxone": "ok"}));
    let metrics = world.http.get(url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("ringback_callbacks_total{status=\"confirmed\"} 1"), "{metrics}");
    for route in ["forecast", "contact", "message"] {
        let received = world.cxone.received(route).await;
        assert!(received[0]["headers"]["traceparent"].as_str().unwrap().contains(trace), "{route}");
    }
    world.end().await;
}

#[tokio::test]
async fn the_database_refuses_to_change_the_audit_log_and_phone_numbers_in_it_are_masked() {
    let world = World::start().await;
    let (_, callback) = world.ask(&payload()).await;

    for statement in [
        "update audit_entries set action = 'callback.failed'",
        "update audit_entries set action = 'x.y' where false",
        "delete from audit_entries",
        "truncate audit_entries",
        "set session_replication_role = replica; delete from audit_entries",
    ] {
        let refused = sqlx::raw_sql(statement).execute(&world.database.pool).await;
        assert!(refused.unwrap_err().to_string().contains("never changed or deleted"), "{statement}");
    }
    let log = world.get("/v1/audit?action=callback.accepted&outcome=succeeded&actor=test").await;
    let entry = &log["data"][0];
    assert_eq!((&entry["callbackId"], &entry["detail"]["phoneNumber"]), (&callback["id"], &json!("+1202•••0198")));
    assert!(!world.get("/v1/audit").await.to_string().contains("2025550198"));
    world.end().await;
}
