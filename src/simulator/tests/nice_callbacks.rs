//! Scheduled callbacks: what is accepted, how times are read, lost answers.

use reqwest::Method;
use serde_json::{Value, json};

use super::nice::{MARKER, OLD_SKILL, SKILL, callback, hours_from_now, reason, with};
use super::{CONTACT_ID, TestServer, body, sent};

const CALLBACKS: &str = "scheduled-callbacks";

#[tokio::test]
async fn a_callback_is_listed_until_it_is_deleted() {
    let server = TestServer::nice().await;
    body(server.read(&format!("skills/{SKILL}/{CALLBACKS}")).await, 204).await;
    let id = server.schedule(callback("2030-01-01T10:00:00Z")).await;
    assert_eq!(id, 9_000_000_001);
    let expected = json!({
        "callbackId": id, "target": "S", "agentId": -1, "skillId": SKILL, "dialNumber": "+4930901820",
        "origNumber": "", "firstName": "Callback", "lastName": "1820", "notes": format!("de-DE {MARKER}"),
        "callbackTime": "2030-01-01T10:00:00",
    });
    assert_eq!(server.waiting().await, [expected]);

    let path = format!("{CALLBACKS}/{id}");
    let moved = with(callback("2030-01-01T11:00:00Z"), "targetAgentId", json!("77"));
    body(server.send(Method::PUT, &path, moved).await, 200).await;
    let listed = server.waiting().await;
    assert_eq!((&listed[0]["callbackTime"], &listed[0]["agentId"]), (&json!("2030-01-01T11:00:00"), &json!(77)));
    let of_agent = body(server.read(&format!("agents/77/{CALLBACKS}")).await, 200).await;
    assert_eq!(of_agent["callbacks"][0]["target"], "A");

    let remove = |query: &'static str, member: Value| {
        sent(server.service(Method::DELETE, &format!("{path}{query}")).json(&member))
    };
    let description = json!({ "description": "cancelled" });
    body(remove("", description.clone()).await, 400).await;
    body(remove("?description=cancelled", json!({})).await, 400).await;
    body(remove("?description=cancelled", description.clone()).await, 200).await;
    body(remove("?description=cancelled", description).await, 404).await;
    body(server.send(Method::PUT, &path, callback("2030-01-01T11:00:00Z")).await, 404).await;
    assert!(server.waiting().await.is_empty());
    let shown = &server.list("contacts").await[0];
    assert_eq!((&shown["deleted"], &shown["contact"]["campaignId"]), (&json!(true), &json!("sales")));
}

#[tokio::test]
async fn invalid_callbacks_are_refused_with_a_reason() {
    let server = TestServer::nice().await;
    for (id, change) in [(5001, json!({ "isOutbound": false })), (5002, json!({ "mediaTypeId": 3 }))] {
        body(server.put(&format!("/_control/skills/{id}"), change).await, 200).await;
    }
    let refusals = [
        ("phoneNumber", json!("4930901820"), "Phone Number is not valid."),
        ("skillId", json!(99), "InvalidSkillId"),
        ("skillId", json!(OLD_SKILL), "Skill is not valid."),
        ("skillId", json!(5001), "Skill is not valid."),
        ("skillId", json!(5002), "Skill is not valid."),
        ("targetAgentId", json!("anyone"), "Invalid targetAgentId"),
        ("scheduleDate", json!("01/02/2030 10:00 am"), "Invalid scheduleDate"),
        ("scheduleDate", json!("2030-01-01T10:00:00+01:00"), "Invalid scheduleDate"),
        ("scheduleDate", json!("2030-01-01"), "Invalid scheduleDate"),
        ("notes", json!("x".repeat(251)), "Invalid notes"),
        ("firstName", json!(""), "firstName is empty"),
        ("lastName", Value::Null, "lastName is missing"),
        ("retryCount", json!(3), "retryCount is not known here"),
    ];
    for (member, value, words) in refusals {
        let bad = with(callback("2030-01-01T10:00:00Z"), member, value);
        let refused = server.send(Method::POST, CALLBACKS, bad).await;
        assert_eq!(reason(&refused), words);
        assert_eq!(body(refused, 400).await["error_description"], words);
    }
    let in_query = server.service(Method::POST, &format!("{CALLBACKS}?phoneNumber=%2B4930901820&skillId=4001"));
    body(sent(in_query).await, 400).await;
    assert!(server.list("contacts").await.is_empty());
    server.schedule(with(callback("2030-01-01T10:00:00Z"), "skillId", json!("4001"))).await;
}

#[tokio::test]
async fn a_schedule_date_is_read_as_the_tenant_is_configured_to_read_it() {
    let server = TestServer::nice().await;
    let berlin = "W. Europe Standard Time";
    let cases = [
        ("utc", "Eastern Standard Time", "2030-07-01T10:00:00Z", "2030-07-01T10:00:00"),
        ("utc", "Eastern Standard Time", "2030-07-01 10:00:00", "2030-07-01T10:00:00"),
        ("utc", "Eastern Standard Time", "2030-07-01T10:00:00.250Z", "2030-07-01T10:00:00"),
        ("business-unit", "Eastern Standard Time", "2030-07-01T10:00:00Z", "2030-07-01T14:00:00"),
        ("business-unit", "Eastern Standard Time", "2030-01-01T10:00:00", "2030-01-01T15:00:00"),
        ("business-unit", berlin, "2030-01-01 10:00:00", "2030-01-01T09:00:00"),
        ("business-unit", "India Standard Time", "2030-01-01T10:00:00", "2030-01-01T04:30:00"),
        ("wrong", berlin, "2030-07-01T10:00:00Z", "2030-07-01T10:37:00"),
    ];
    for (mode, zone, sent, listed) in cases {
        server.behave(json!({ "scheduleDates": mode, "timeZone": zone })).await;
        server.schedule(callback(sent)).await;
        assert_eq!(server.waiting().await[0]["callbackTime"], listed, "{mode} {zone} {sent}");
        body(server.post("/_control/reset", Value::Null).await, 204).await;
    }
    body(server.put("/_control/nice", json!({ "timeZone": "Europe/Berlin" })).await, 400).await;
    body(server.put("/_control/nice", json!({ "colour": "red" })).await, 400).await;
}

#[tokio::test]
async fn a_create_with_a_lost_answer_took_effect_and_a_second_one_makes_a_second_callback() {
    let server = TestServer::nice().await;
    let fault = json!({ "route": "contact", "campaign": "sales", "kind": "drop", "times": 1, "afterWork": true });
    server.fault(fault).await;
    let request = server.service(Method::POST, CALLBACKS).json(&callback("2030-01-01T10:00:00Z"));
    assert!(request.send().await.expect_err("no answer").is_request());
    server.schedule(callback("2030-01-01T10:00:00Z")).await;
    let shown = server.list("contacts").await;
    let seen: Vec<_> = shown.iter().map(|entry| (&entry["contact"]["contactId"], &entry["repeats"])).collect();
    assert_eq!(seen, [(&json!(CONTACT_ID), &json!(1)), (&json!(CONTACT_ID), &json!(0))]);
    assert_eq!(server.waiting().await.len(), 2);
}

#[tokio::test]
async fn a_late_create_is_answered_504_and_its_callback_exists_later() {
    let server = TestServer::nice().await;
    server.fault(json!({ "route": "contact", "kind": "late", "status": 504, "latencyMs": 100, "times": 1 })).await;
    body(server.send(Method::POST, CALLBACKS, callback("2030-01-01T10:00:00Z")).await, 504).await;
    assert!(server.waiting().await.is_empty());
    server.wait_until("the callback", async || !server.waiting().await.is_empty()).await;
    let bad = json!({ "route": "contactList", "kind": "late", "status": 504, "latencyMs": 100 });
    body(server.post("/_control/faults", bad).await, 400).await;
}

#[tokio::test]
async fn faults_apply_to_the_campaign_of_the_skill_or_callback_of_a_call() {
    let server = TestServer::nice().await;
    body(server.put("/_control/campaigns/other", json!({})).await, 200).await;
    let other = with(callback(&hours_from_now(1)), "skillId", json!(4003));
    let (first, second) = (server.schedule(callback(&hours_from_now(1))).await, server.schedule(other.clone()).await);
    server.fault(json!({ "route": "*", "campaign": "sales", "kind": "status", "status": 503 })).await;
    let calls = [
        (Method::GET, format!("skills/{SKILL}"), "skills/4003".to_owned(), Value::Null),
        (Method::GET, "campaigns/101/skills".to_owned(), "campaigns/103/skills".to_owned(), Value::Null),
        (Method::PUT, format!("{CALLBACKS}/{first}"), format!("{CALLBACKS}/{second}"), other.clone()),
    ];
    for (method, of_sales, of_other, sent) in calls {
        body(server.send(method.clone(), &of_sales, sent.clone()).await, 503).await;
        body(server.send(method, &of_other, sent).await, 200).await;
    }
    body(server.send(Method::POST, CALLBACKS, callback(&hours_from_now(1))).await, 503).await;
    body(server.send(Method::POST, CALLBACKS, other).await, 200).await;
    assert_eq!(server.list("received?route=contactUpdate&campaign=sales").await.len(), 1);
}
