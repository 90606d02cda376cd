//! What becomes of callbacks at their time.

use reqwest::Method;
use serde_json::{Value, json};

use super::nice::{SKILL, callback, hours_from_now, reason, with};
use super::{TestServer, body};

/// Yesterday to tomorrow.
fn range() -> String {
    format!("startDate={}&endDate={}", hours_from_now(-24), hours_from_now(24))
}

impl TestServer {
    async fn completed(&self) -> Vec<Value> {
        let answer = self.read(&format!("contacts/completed?{}&skillId={SKILL}&mediaTypeId=4", range())).await;
        if answer.status() == 204 {
            return Vec::new();
        }
        body(answer, 200).await["completedContacts"].as_array().cloned().expect("a list")
    }
}

#[tokio::test]
async fn at_its_time_a_callback_leaves_the_list_and_becomes_a_contact_with_its_outcome() {
    let server = TestServer::nice().await;
    let cases = [
        ("reached", "+4930901820", Some((json!(1), 120, false))),
        ("not-reached", "+4930901821", Some((json!(2), 4, false))),
        ("agent-only", "+4930901822", Some((Value::Null, 20, true))),
        ("missing", "+4930901823", None),
    ];
    let outcomes: Value = cases.iter().map(|(outcome, phone, _)| (*phone, *outcome)).collect();
    server.behave(json!({ "outcomes": outcomes })).await;
    for (_, phone, _) in &cases {
        server.schedule(with(callback(&hours_from_now(-1)), "phoneNumber", json!(phone))).await;
    }
    assert!(server.waiting().await.is_empty());
    let contacts = server.completed().await;
    for (outcome, phone, expected) in cases {
        let seen = contacts.iter().find(|contact| contact["toAddress"] == phone).map(|contact| {
            let seconds = contact["agentSeconds"].as_u64().expect("seconds");
            assert!(contact["agentId"].as_u64().is_some() && contact["isOutbound"] == true, "{contact}");
            (contact["primaryDispositionId"].clone(), seconds, contact["isRefused"] == true)
        });
        assert_eq!(seen, expected, "{outcome}");
    }
    assert!(server.list("contacts").await.iter().all(|entry| entry["dialled"] == true));
    let disposition = body(server.read("dispositions/1").await, 200).await;
    assert_eq!(disposition["dispositionName"], "Reached");
    body(server.read("dispositions/9").await, 404).await;
}

#[tokio::test]
async fn a_contact_is_active_until_it_is_completed() {
    let server = TestServer::nice().await;
    body(server.read("contacts/active").await, 204).await;
    server.behave(json!({ "completedDelayMs": 600_000 })).await;
    server.schedule(callback(&hours_from_now(-1))).await;
    assert!(server.completed().await.is_empty());
    let active = body(server.read("contacts/active").await, 200).await;
    let id = active["activeContacts"][0]["contactId"].as_u64().expect("an id");
    assert!(id > u64::from(u32::MAX), "{id}");
    let one = body(server.read(&format!("contacts/{id}")).await, 200).await;
    assert_eq!((&one["toAddress"], one.get("agentSeconds")), (&json!("+4930901820"), None));
    let history = body(server.read(&format!("contacts/{id}/state-history")).await, 200).await;
    assert_eq!(history["contactStateHistory"][1]["duration"], "PT2M");
    body(server.read("contacts/7").await, 404).await;
}

#[tokio::test]
async fn a_stopped_skill_can_hold_its_callbacks_back() {
    let server = TestServer::nice().await;
    server.behave(json!({ "callbacksDialWhileStopped": false, "startDelayMs": 0 })).await;
    body(server.command("stop").await, 200).await;
    server.schedule(callback(&hours_from_now(-1))).await;
    assert_eq!(server.waiting().await.len(), 1);
    body(server.command("start").await, 202).await;
    assert!(server.waiting().await.is_empty());
    assert_eq!(server.completed().await.len(), 1);
}

#[tokio::test]
async fn completed_contacts_need_a_valid_range_and_come_in_pages() {
    let server = TestServer::nice().await;
    let refusals = [
        ("skillId=4001", "Invalid DateRange - No dates fields provided"),
        ("startDate=2026-11-20&endDate=2026-11-21T00:00:00Z", "Invalid startDate"),
        ("startDate=2026-11-20T00:00:00%2B01:00&endDate=2026-11-21T00:00:00Z", "Invalid startDate"),
        ("startDate=2026-11-20T00:00:00.000Z&endDate=2026-11-21T00:00:00Z", "Invalid startDate"),
        ("startDate=2026-11-20T00:00:00Z&endDate=2026-11-21", "Invalid endDate"),
        ("startDate=2026-11-20T00:00:00Z", "Invalid endDate"),
        ("updatedSince=yesterday", "Invalid updatedSince"),
        ("updatedSince=2026-11-20T00:00:00Z&top=10001", "Invalid top"),
        ("startDate=2026-11-21T00:00:00Z&endDate=2026-11-20T00:00:00Z", "Invalid DateRange - startDate must be"),
        ("startDate=2026-10-01T00:00:00Z&endDate=2026-11-20T00:00:00Z", "Invalid DateRange - The range must not"),
    ];
    for (query, words) in refusals {
        let refused = server.read(&format!("contacts/completed?{query}")).await;
        assert!(reason(&refused).starts_with(words), "{query}: {}", reason(&refused));
        body(refused, 400).await;
    }
    body(server.read(&format!("contacts/completed?{}", range())).await, 204).await;

    for _ in 0..3 {
        server.schedule(callback(&hours_from_now(-1))).await;
    }
    let page = |skip| format!("contacts/completed?{}&top=2&skip={skip}&toAddress=4930901820", range());
    let rows = async |skip| {
        let page = body(server.read(&page(skip)).await, 200).await;
        assert_eq!(page["totalRecords"], 3);
        page["completedContacts"].as_array().expect("a list").len()
    };
    assert_eq!((rows(0).await, rows(2).await), (2, 1));
    body(server.read(&page(3)).await, 204).await;
    let since = format!("contacts/completed?updatedSince={}", hours_from_now(-2));
    assert!(body(server.read(&since).await, 200).await["lastPollTime"].is_string());
    assert_eq!(body(server.send(Method::GET, &since, Value::Null).await, 200).await["totalRecords"], 3);
}
