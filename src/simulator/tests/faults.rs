//! Faults of any call.

use reqwest::Method;
use serde_json::{Value, json};

use super::{CAMPAIGN, CONTACT_ID, CONTACTS, MESSAGES, TestServer, body, contact, message, sent};

#[tokio::test]
async fn a_status_or_body_fault_replaces_the_answer_and_the_call_has_no_effect() {
    let server = TestServer::new().await;
    server
        .fault(json!({ "route": "contact", "kind": "status", "status": 503, "times": 2, "retryAfter": "soon" }))
        .await;
    server.fault(json!({ "route": "*", "kind": "body", "body": "<html>", "times": 1 })).await;
    server.fault(json!({ "route": "message", "kind": "status", "status": 403, "rate": 0 })).await;
    for _ in 0..2 {
        let answer = server.post(CONTACTS, contact(CONTACT_ID)).await;
        assert_eq!(answer.headers()["retry-after"], "soon");
        assert_eq!(body(answer, 503).await["error"], "server_error");
    }
    assert_eq!(body(server.post(CONTACTS, contact(CONTACT_ID)).await, 200).await, "<html>");
    assert!(server.list("contacts").await.is_empty());
    body(server.post(CONTACTS, contact(CONTACT_ID)).await, 201).await;
    body(server.post(MESSAGES, message()).await, 201).await;

    let left = server.list("faults").await;
    assert_eq!((left.len(), &left[0]["id"]), (1, &json!(3)));
    body(sent(server.request(Method::DELETE, "/_control/faults/3")).await, 204).await;
    assert!(server.list("faults").await.is_empty());
    body(server.post("/_control/faults", json!({ "route": "contact", "kind": "status" })).await, 400).await;

    let received = server.list("received?route=contact").await;
    let outcomes: Vec<_> = received.iter().map(|entry| (&entry["status"], &entry["fault"])).collect();
    let (status, none) = (json!("status"), Value::Null);
    assert_eq!(outcomes[0], (&json!(503), &status));
    assert_eq!(outcomes[2], (&json!(200), &json!("body")));
    assert_eq!(outcomes[3], (&json!(201), &none));
    assert_eq!(received[3]["body"]["contact"]["contactId"], CONTACT_ID);
}

#[tokio::test]
async fn with_after_work_the_call_takes_effect_and_its_answer_is_lost() {
    let server = TestServer::new().await;
    server.fault(json!({ "route": "contact", "kind": "drop", "times": 1 })).await;
    server.fault(json!({ "route": "contact", "kind": "drop", "times": 1, "afterWork": true })).await;
    for made in 0..2 {
        let broken = server.request(Method::POST, CONTACTS).json(&contact(CONTACT_ID)).send().await;
        assert!(broken.expect_err("no answer").is_request());
        assert_eq!(server.list("contacts").await.len(), made);
    }
    server.fault(json!({ "route": "message", "kind": "hang", "times": 1, "afterWork": true })).await;
    let hung = tokio::spawn(server.request(Method::POST, MESSAGES).json(&message()).send());
    while server.list("messages").await.is_empty() {}
    hung.abort();
    let counts = body(server.get("/_control/counts").await, 200).await;
    assert_eq!(counts["routes"]["contact"]["unanswered"], 2);
    let received = server.list("received?route=message").await;
    assert_eq!((&received[0]["status"], &received[0]["fault"]), (&Value::Null, &json!("hang")));
}

#[tokio::test]
async fn a_dropped_connection_sends_no_byte() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let server = TestServer::new().await;
    server.fault(json!({ "route": "campaignRead", "kind": "drop" })).await;
    let address = server.base.trim_start_matches("http://");
    let mut socket = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET {CAMPAIGN} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("a request");
    let mut answer = Vec::new();
    // Whether it ends or is reset depends on the system; either way nothing came.
    drop(socket.read_to_end(&mut answer).await);
    assert_eq!(String::from_utf8_lossy(&answer), "");
}

#[tokio::test]
async fn latency_delays_the_answer() {
    let server = TestServer::new().await;
    server.fault(json!({ "route": "campaignRead", "kind": "latency", "latencyMs": 60_000, "times": 1 })).await;
    let late = tokio::spawn(server.request(Method::GET, CAMPAIGN).send());
    while server.list("received?route=campaignRead").await.is_empty() || !server.list("faults").await.is_empty() {}
    assert!(!late.is_finished());
    late.abort();
    server.fault(json!({ "route": "campaignRead", "kind": "latency", "latencyMs": 30, "times": 1 })).await;
    body(server.get(CAMPAIGN).await, 200).await;
}
