//! What can go wrong with a campaign's changes alone.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::super::state::now;
use super::{CAMPAIGN, Settings, Stand, body};

const PATIENCE: Duration = Duration::from_secs(10);

fn change(state: &str) -> Value {
    json!({ "state": state, "maxAgents": 10, "dialingMode": "PREDICTIVE" })
}

fn pause_with(name: &str, value: Value) -> Value {
    let mut pause = change("PAUSED");
    pause[name] = value;
    pause
}

impl Stand {
    async fn campaign(&self) -> Value {
        self.made("campaigns").await.into_iter().find(|campaign| campaign["id"] == "sales").expect("the campaign")
    }

    /// Somebody else changes the campaign.
    async fn change(&self, change: Value) -> Response {
        self.put("/_control/campaigns/sales", change).await
    }

    /// Returns once the campaign is in this state.
    async fn is(&self, state: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.campaign().await["state"] != state {
            assert!(Instant::now() < deadline, "the campaign is never {state}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn a_late_change_takes_effect_over_a_later_one() {
    let stand = Stand::new().await;
    stand
        .fault(json!({ "route": "campaignUpdate", "kind": "late", "status": 504, "latencyMs": 200, "times": 1 }))
        .await;
    body(stand.put(CAMPAIGN, change("PAUSED")).await, 504).await;
    assert_eq!(stand.campaign().await["state"], "ACTIVE");
    body(stand.put(CAMPAIGN, pause_with("maxAgents", json!(3))).await, 200).await;
    body(stand.put(CAMPAIGN, change("ACTIVE")).await, 200).await;
    stand.is("PAUSED").await;

    let changes = stand.made("changes?campaign=sales").await;
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
async fn a_late_change_without_a_status_is_not_answered_and_opens_no_closed_campaign() {
    let stand = Stand::new().await;
    stand.fault(json!({ "route": "campaignUpdate", "kind": "late", "latencyMs": 50 })).await;
    let request = stand.request(Method::PUT, CAMPAIGN).json(&change("PAUSED"));
    let mut hung = tokio::spawn(request.send());
    stand.is("PAUSED").await;
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut hung).await.is_err());
    hung.abort();

    body(stand.change(json!({ "state": "ACTIVE" })).await, 200).await;
    body(stand.get(CAMPAIGN).await, 200).await;
    let hung = tokio::spawn(stand.request(Method::PUT, CAMPAIGN).json(&change("PAUSED")).send());
    while stand.made("received?route=campaignUpdate&campaign=sales").await.len() < 2 {}
    body(stand.change(json!({ "state": "SUSPENDED" })).await, 200).await;
    // What must not happen can only be given the time to.
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(stand.campaign().await["state"], "SUSPENDED");
    hung.abort();
}

/// The same instant with another offset; other values as they are.
fn written_otherwise(value: Value) -> Value {
    if value == "2030-01-01T10:00:00Z" { json!("2030-01-01T11:00:00+01:00") } else { value }
}

#[tokio::test]
async fn a_change_can_be_ignored() {
    let stand = Stand::new().await;
    stand.fault(json!({ "route": "campaignUpdate", "kind": "ignore", "times": 1 })).await;
    assert_eq!(body(stand.put(CAMPAIGN, change("PAUSED")).await, 200).await["state"], "ACTIVE");
    assert_eq!(stand.campaign().await["state"], "ACTIVE");
    assert_eq!(body(stand.put(CAMPAIGN, change("PAUSED")).await, 200).await["state"], "PAUSED");
}

#[tokio::test]
async fn an_attribute_can_be_refused_where_it_would_change() {
    let stand = Stand::new().await;
    let cases = [
        (json!({ "attribute": "maxAgents" }), "maxAgents", json!(4), 422),
        (json!({ "attribute": "pauseReason", "status": 400 }), "pauseReason", json!("storm"), 400),
        (json!({ "attribute": "scheduledResumeTime" }), "scheduledResumeTime", json!("2030-01-01T10:00:00Z"), 422),
    ];
    for (mut fault, name, value, status) in cases {
        body(stand.request(Method::DELETE, "/_control/faults").send().await.expect("an answer"), 204).await;
        (fault["route"], fault["kind"]) = (json!("campaignUpdate"), json!("refuseAttribute"));
        stand.fault(fault).await;
        body(stand.put(CAMPAIGN, pause_with(name, value.clone())).await, status).await;
        body(stand.put(CAMPAIGN, change("PAUSED")).await, 200).await;

        // Sent as the campaign has it, and then left out or taken back, which nobody refuses but of maxAgents.
        body(stand.change(json!({ "state": "PAUSED", name: value })).await, 200).await;
        body(stand.get(CAMPAIGN).await, 200).await;
        body(stand.put(CAMPAIGN, pause_with(name, written_otherwise(value))).await, 200).await;
        body(stand.change(json!({ "maxAgents": 10 })).await, 200).await;
        body(stand.get(CAMPAIGN).await, 200).await;
        body(stand.put(CAMPAIGN, change("ACTIVE")).await, 200).await;
    }
    for bad in [
        json!({ "route": "campaignUpdate", "kind": "refuseAttribute" }),
        json!({ "route": "*", "kind": "ignore" }),
        json!({ "route": "campaignUpdate", "kind": "late" }),
        json!({ "route": "campaignUpdate", "kind": "late", "latencyMs": 1, "afterWork": true }),
    ] {
        body(stand.post("/_control/faults", bad).await, 400).await;
    }
}

#[tokio::test]
async fn a_paused_campaign_can_start_itself_and_that_is_a_conflict_until_it_is_read() {
    let stand = Stand::with(Settings { resumes_itself: true, ..Settings::default() }).await;
    body(stand.get(CAMPAIGN).await, 200).await;
    let due = (now() + SignedDuration::from_millis(200)).to_string();
    let mut pause = pause_with("scheduledResumeTime", json!(due));
    pause["pauseReason"] = json!("storm");
    body(stand.put(CAMPAIGN, pause).await, 200).await;
    assert_eq!(stand.campaign().await["state"], "PAUSED");
    stand.is("ACTIVE").await;

    body(stand.put(CAMPAIGN, change("PAUSED")).await, 409).await;
    let read = body(stand.get(CAMPAIGN).await, 200).await;
    assert_eq!(read, json!({ "id": "sales", "state": "ACTIVE", "maxAgents": 10, "dialingMode": "PREDICTIVE" }));
    let started = stand.made("changes?campaign=sales").await.pop().expect("a change");
    assert_eq!((&started["by"], &started["at"]), (&json!("schedule"), &json!(due)));

    body(stand.put("/_control/behaviour", json!({ "resumesItself": false })).await, 204).await;
    body(stand.put(CAMPAIGN, pause_with("scheduledResumeTime", json!("2020-01-01T10:00:00Z"))).await, 200).await;
    assert_eq!(stand.campaign().await["state"], "PAUSED");
}

#[tokio::test]
async fn a_fault_can_be_of_one_campaign_and_answer_with_a_page() {
    let stand = Stand::new().await;
    let page = "<html>nginx</html>";
    let fault = json!({ "route": "campaignRead", "campaign": "sales", "kind": "status", "status": 404, "body": page });
    stand.fault(fault).await;
    let answer = stand.get(CAMPAIGN).await;
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(body(answer, 404).await, page);
    body(stand.get("/api/v2/outbound/campaigns/old").await, 200).await;
    body(stand.put(CAMPAIGN, change("PAUSED")).await, 200).await;
    assert_eq!(stand.made("received?route=campaignRead&campaign=sales").await.len(), 1);
}
