//! The rest of the edge: keys that end, scopes, request ids, traces, and idempotency where several have a part in it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, BINARY, World, create_key, eventually, faults, payload, payload_from};

#[tokio::test]
async fn each_route_needs_its_own_scope_and_an_expired_key_has_none() {
    let world = World::start().await;
    let path = "/v1/callbacks/01935d3c-7f2a-7000-8000-000000000000";
    let routes = [
        (Method::POST, "/v1/callbacks".to_owned(), "callbacks:write"),
        (Method::POST, "/v1/callbacks/batch".into(), "callbacks:write"),
        (Method::POST, format!("{path}/cancel"), "callbacks:write"),
        (Method::POST, format!("{path}/reschedule"), "callbacks:write"),
        (Method::GET, path.into(), "callbacks:read"),
        (Method::GET, "/v1/callbacks".into(), "callbacks:read"),
        (Method::GET, "/v1/audit".into(), "audit:read"),
    ];
    for scope in ["callbacks:write", "callbacks:read", "audit:read"] {
        let key = create_key(&world.database, &[scope]).await;
        for (method, path, wanted) in &routes {
            let request = world.http.request(method.clone(), format!("{}{path}", world.service.base_url));
            let answer = Answer::to(request.bearer_auth(&key).json(&json!({}))).await;
            if scope == *wanted {
                assert_ne!(answer.status, 403, "{method} {path} with {scope}");
            } else {
                assert_eq!(answer.problem(), (403, "forbidden"), "{method} {path} with {scope}");
                assert!(answer.body["detail"].as_str().unwrap().contains(wanted), "{}", answer.body);
            }
        }
    }

    let arguments = ["keys", "create", "--name", "brief", "--scope", "callbacks:read", "--expires-in", "2s"];
    let mut command = tokio::process::Command::new(BINARY);
    let made = command.args(arguments).env("DATABASE_URL", &world.database.url).output().await.unwrap();
    let key = String::from_utf8(made.stdout).unwrap();
    let refused = eventually("the key's end", async || {
        let request = world.http.get(format!("{}/v1/callbacks", world.service.base_url)).bearer_auth(key.trim_end());
        let answer = Answer::to(request).await;
        if answer.status == 200 { Err("valid".to_owned()) } else { Ok(answer) }
    })
    .await;
    assert_eq!(refused.problem(), (401, "unauthorized"));
    world.end().await;
}

#[tokio::test]
async fn a_request_keeps_its_id_and_trace_or_gets_new_ones() {
    let world = World::start().await;
    let ask = async |headers: &[(&str, &str)]| {
        let request = world.request(Method::GET, "/v1/callbacks/nothing");
        Answer::to(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    };

    let taken = ask(&[("x-request-id", "ivr-42/a.b:c")]).await;
    assert_eq!(
        (taken.header("x-request-id"), &taken.body["requestId"]),
        (Some("ivr-42/a.b:c"), &json!("ivr-42/a.b:c"))
    );
    assert_eq!(taken.body["instance"], "/v1/callbacks/nothing");
    for bad in ["", "with space", "a\"quote", &"x".repeat(200)] {
        let made = ask(&[("x-request-id", bad)]).await;
        let id = made.header("x-request-id").unwrap();
        assert!(!id.is_empty() && id != bad && made.body["requestId"] == id, "{bad:?}: {made:?}");
    }
    assert_ne!(ask(&[]).await.header("x-request-id"), ask(&[]).await.header("x-request-id"));

    // Of a trace that is none, nothing is carried on.
    let (status, _) = world.ask_with(&payload(), &[("traceparent", "00-00000000000000000000000000000000-0-01")]).await;
    let trace = |received: &Value| received["headers"]["traceparent"].as_str().unwrap().to_owned();
    let [contact, message] =
        [&world.cxone.received("contact").await[0], &world.cxone.received("message").await[0]].map(trace);
    assert_eq!((status, &contact[3..35]), (201, &message[3..35]), "one trace for all of a callback");
    assert!(contact[3..35].bytes().any(|byte| byte != b'0') && contact != message, "{contact} {message}");
    world.end().await;
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_an_api_key_and_a_route() {
    let mut world = World::start().await;
    let key = [("idempotency-key", "k-1")];
    // One body: a window counted from now is another one a second later.
    let (new_callback, batch) = (payload_from(1), json!({"callbacks": [payload_from(2), {}]}));

    let first = world.answer("/v1/callbacks", &new_callback, &key).await;
    let elsewhere = world.answer("/v1/callbacks/batch", &batch, &key).await;
    let own = std::mem::replace(&mut world.key, create_key(&world.database, &["callbacks:write"]).await);
    let others = world.answer("/v1/callbacks", &payload_from(3), &key).await;
    world.key = own;
    let again = world.answer("/v1/callbacks", &new_callback, &key).await;

    assert_eq!(first.status, 201);
    assert_eq!(elsewhere.problem(), (422, "idempotency-key-reused"));
    assert_eq!((others.status, others.header("idempotency-replayed")), (201, None), "{}", others.body);
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!((&again.body, again.header("location")), (&first.body, first.header("location")));

    for bad in [String::new(), "k".repeat(256), "\"\"".into(), format!("\"{}\"", "k".repeat(256))] {
        let refused = world.answer("/v1/callbacks", &payload_from(4), &[("idempotency-key", &bad)]).await;
        assert_eq!(refused.problem(), (422, "invalid-request"), "{bad:?}");
        assert_eq!(faults(&refused.body), ["/Idempotency-Key bad-idempotency-key"], "{bad:?}");
    }
    let longest = world.answer("/v1/callbacks", &payload_from(4), &[("idempotency-key", &"k".repeat(255))]).await;
    assert_eq!(longest.status, 201, "{}", longest.body);
    world.end().await;
}

#[tokio::test]
async fn batches_and_cancellations_with_a_key_are_done_once() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "*", "kind": "status", "status": 503})).await;
    let batch = json!({"callbacks": [payload_from(1), {}, payload_from(1), payload_from(2)]});
    let send = async |path: &str, body: &Value, key: &str| world.answer(path, body, &[("idempotency-key", key)]).await;

    let first = send("/v1/callbacks/batch", &batch, "batch").await;
    let again = send("/v1/callbacks/batch", &batch, "batch").await;
    assert_eq!((first.status, again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(first.body, again.body);

    // The batch was kept, and its answer was not: the service had crashed in between.
    let lost = "update idempotency_keys set answer_status = null, answer_headers = null, answer_body = null,
                leased_until = now() - interval '1 second'";
    world.sql(lost).await;
    let taken_on = send("/v1/callbacks/batch", &batch, "batch").await;
    assert_eq!((taken_on.status, taken_on.header("idempotency-replayed")), (200, None));
    assert_eq!(taken_on.body["results"][3]["id"], first.body["results"][3]["id"]);
    assert_eq!(world.database.count("from callbacks").await, 2);

    let path = format!("/v1/callbacks/{}/cancel", first.body["results"][3]["id"].as_str().unwrap());
    world.sql("update callbacks set dispatch_time = null where status = 'accepted'").await;
    let cancelled = send(&path, &json!({}), "cancel").await;
    let again = send(&path, &json!({}), "cancel").await;
    assert_eq!((cancelled.status, &cancelled.body["status"]), (200, &json!("cancelled")));
    assert_eq!((again.header("idempotency-replayed"), &again.body), (Some("true"), &cancelled.body));
    world.end().await;
}
