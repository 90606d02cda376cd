//! Faults of campaign changes.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::{CAMPAIGN, Settings, TestServer, body};
use crate::simulator::clock::now;

const PATIENCE: Duration = Duration::from_secs(10);

fn change(state: &str) -> Value {
    json!({ "state": state, "maxAgents": 10, "dialingMode": "PREDICTIVE" })
}

fn pause_with(name: &str, value: Value) -> Value {
    let mut pause = change("PAUSED");
    pause[name] = value;
    pause
}

impl TestServer {
    async fn campaign(&self) -> Value {
        self.list("campaigns").await.into_iter().find(|campaign| campaign["id"] == "sales").expect("the campaign")
    }

    /// Another user changes the campaign.
    async fn change(&self, change: Value) -> Response {
        self.put("/_control/campaigns/sales", change).await
    }

    /// Returns once the campaign is in this state.
    async fn wait_for_state(&self, state: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.campaign().await["state"] != state {
            assert!(Instant::now() < deadline, "the campaign is never {state}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn a_late_change_takes_effect_over_a_later_one() {
    let server = TestServer::new().await;
    server
        .fault(json!({ "route": "campaignUpdate", "kind": "late", "status": 504, "latencyMs": 200, "times": 1 }))
        .await;
    body(server.put(CAMPAIGN, change("PAUSED")).await, 504).await;
    assert_eq!(server.campaign().await["state"], "ACTIVE");
    body(server.put(CAMPAIGN, pause_with("maxAgents", json!(3))).await, 200).await;
    body(server.put(CAMPAIGN, change("ACTIVE")).await, 200).await;
    server.wait_for_state("PAUSED").await;

    let changes = server.list("changes?campaign=sales").await;
    let seen: Vec<_> = changes.iter().map(|change| (&change["by"], &change["state"], &change["maxAgents"])).collect();
    let (somebody, client, paused, active) = (json!("somebody"), json!("client"), json!("PAUSED"), json!("ACTIVE"));
    let expected = [
        (&somebody, &active, &json!(10)),
        (&client, &paused, &json!(3)),
        (&client, &active, &json!(10)),
        (&client, &paused, &json!(10)),
    ];
    assert_eq!(seen, expected);
    let sent: Vec<_> = changes.iter().map(|change| change["sentAt"].as_str()).collect();
    assert!(sent[3] < sent[1] && sent[1] < sent[2], "{sent:?}");
}

#[tokio::test]
async fn a_late_change_without_a_status_is_not_answered_and_does_not_change_a_closed_campaign() {
    let server = TestServer::new().await;
    server.fault(json!({ "route": "campaignUpdate", "kind": "late", "latencyMs": 50 })).await;
    let request = server.request(Method::PUT, CAMPAIGN).json(&change("PAUSED"));
    let mut hung = tokio::spawn(request.send());
    server.wait_for_state("PAUSED").await;
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut hung).await.is_err());
    hung.abort();

    body(server.change(json!({ "state": "ACTIVE" })).await, 200).await;
    body(server.get(CAMPAIGN).await, 200).await;
    let hung = tokio::spawn(server.request(Method::PUT, CAMPAIGN).json(&change("PAUSED")).send());
    while server.list("received?route=campaignUpdate&campaign=sales").await.len() < 2 {}
    body(server.change(json!({ "state": "SUSPENDED" })).await, 200).await;
    // That it has no effect can only be seen after its latency.
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(server.campaign().await["state"], "SUSPENDED");
    hung.abort();
}

/// The same instant with another offset; other values unchanged.
fn with_other_offset(value: Value) -> Value {
    if value == "2030-01-01T10:00:00Z" { json!("2030-01-01T11:00:00+01:00") } else { value }
}

#[tokio::test]
async fn an_ignored_change_is_answered_200_and_has_no_effect() {
    let server = TestServer::new().await;
    server.fault(json!({ "route": "campaignUpdate", "kind": "ignore", "times": 1 })).await;
    assert_eq!(body(server.put(CAMPAIGN, change("PAUSED")).await, 200).await["state"], "ACTIVE");
    assert_eq!(server.campaign().await["state"], "ACTIVE");
    assert_eq!(body(server.put(CAMPAIGN, change("PAUSED")).await, 200).await["state"], "PAUSED");
}

#[tokio::test]
async fn an_attribute_is_refused_only_if_the_call_changes_it() {
    let server = TestServer::new().await;
    let cases = [
        (json!({ "attribute": "maxAgents" }), "maxAgents", json!(4), 422),
        (json!({ "attribute": "pauseReason", "status": 400 }), "pauseReason", json!("storm"), 400),
        (json!({ "attribute": "scheduledResumeTime" }), "scheduledResumeTime", json!("2030-01-01T10:00:00Z"), 422),
    ];
    for (mut fault, name, value, status) in cases {
        body(server.request(Method::DELETE, "/_control/faults").send().await.expect("an answer"), 204).await;
        (fault["route"], fault["kind"]) = (json!("campaignUpdate"), json!("refuseAttribute"));
        server.fault(fault).await;
        body(server.put(CAMPAIGN, pause_with(name, value.clone())).await, status).await;
        body(server.put(CAMPAIGN, change("PAUSED")).await, 200).await;

        // Sending the campaign's own value, or leaving the member out, is no change; only maxAgents cannot be left out.
        body(server.change(json!({ "state": "PAUSED", name: value })).await, 200).await;
        body(server.get(CAMPAIGN).await, 200).await;
        body(server.put(CAMPAIGN, pause_with(name, with_other_offset(value))).await, 200).await;
        body(server.change(json!({ "maxAgents": 10 })).await, 200).await;
        body(server.get(CAMPAIGN).await, 200).await;
        body(server.put(CAMPAIGN, change("ACTIVE")).await, 200).await;
    }
    for bad in [
        json!({ "route": "campaignUpdate", "kind": "refuseAttribute" }),
        json!({ "route": "*", "kind": "ignore" }),
        json!({ "route": "campaignUpdate", "kind": "late" }),
        json!({ "route": "campaignUpdate", "kind": "late", "latencyMs": 1, "afterWork": true }),
    ] {
        body(server.post("/_control/faults", bad).await, 400).await;
    }
}

#[tokio::test]
async fn a_campaign_resumed_by_cxone_is_a_conflict_until_the_client_reads_it() {
    let server = TestServer::with(Settings { resumes_itself: true, ..Settings::default() }).await;
    body(server.get(CAMPAIGN).await, 200).await;
    let due = (now() + SignedDuration::from_millis(200)).to_string();
    let mut pause = pause_with("scheduledResumeTime", json!(due));
    pause["pauseReason"] = json!("storm");
    body(server.put(CAMPAIGN, pause).await, 200).await;
    assert_eq!(server.campaign().await["state"], "PAUSED");
    server.wait_for_state("ACTIVE").await;

    body(server.put(CAMPAIGN, change("PAUSED")).await, 409).await;
    let read = body(server.get(CAMPAIGN).await, 200).await;
    assert_eq!(read, json!({ "id": "sales", "state": "ACTIVE", "maxAgents": 10, "dialingMode": "PREDICTIVE" }));
    let started = server.list("changes?campaign=sales").await.pop().expect("a change");
    assert_eq!((&started["by"], &started["at"]), (&json!("schedule"), &json!(due)));

    body(server.put("/_control/behaviour", json!({ "resumesItself": false })).await, 204).await;
    body(server.put(CAMPAIGN, pause_with("scheduledResumeTime", json!("2020-01-01T10:00:00Z"))).await, 200).await;
    assert_eq!(server.campaign().await["state"], "PAUSED");
}

#[tokio::test]
async fn a_fault_can_apply_to_one_campaign_and_answer_with_a_page() {
    let server = TestServer::new().await;
    let page = "<html>nginx</html>";
    let fault = json!({ "route": "campaignRead", "campaign": "sales", "kind": "status", "status": 404, "body": page });
    server.fault(fault).await;
    let answer = server.get(CAMPAIGN).await;
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(body(answer, 404).await, page);
    body(server.get("/api/v2/outbound/campaigns/old").await, 200).await;
    body(server.put(CAMPAIGN, change("PAUSED")).await, 200).await;
    assert_eq!(server.list("received?route=campaignRead&campaign=sales").await.len(), 1);
}
