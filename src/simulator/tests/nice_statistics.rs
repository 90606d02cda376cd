//! Statistics, Digital messages and the do-not-call group.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::nice::{SKILL, callback, hours_from_now, with};
use super::{TestServer, body, sent};

const CHANNEL: &str = "/dfo/3.0/channels/sms_1/outbound";

#[tokio::test]
async fn intervals_are_the_same_each_time_and_end_at_the_oldest_week() {
    let server = TestServer::nice().await;
    let contacts = |from, to| {
        let (start, end) = (hours_from_now(from), hours_from_now(to));
        format!("wfm-data/skills/contacts?startDate={start}&endDate={end}&mediaTypeId=4")
    };
    let week = contacts(-168, 0);
    let answer = body(server.read(&week).await, 200).await;
    assert_eq!(body(server.read(&week).await, 200).await, answer);
    for row in answer["contactStats"].as_array().expect("a list") {
        assert!((240..=360).contains(&row["averageHandleTime"].as_u64().expect("seconds")), "{row}");
    }
    body(server.read(&contacts(-168 * 10, -168 * 9)).await, 204).await;
    body(server.read(&contacts(-168 * 10, -168)).await, 400).await;
    body(server.read(&week.replace("mediaTypeId=4", "mediaTypeId=2")).await, 400).await;
    body(server.read(&week.replace("&mediaTypeId=4", "")).await, 400).await;

    let history = format!("/_control/skills/{SKILL}/history");
    body(server.put(&history, json!({ "weeks": 1, "contactsPerInterval": 3, "agents": 50 })).await, 204).await;
    let rows = body(server.read(&contacts(-168 * 2, 0)).await, 200).await;
    let of_skill = rows["contactStats"].as_array().expect("a list").iter().filter(|row| row["skillId"] == SKILL);
    assert!((670..=672).contains(&of_skill.count()));
    let agents = body(server.read("skills/agents?skills=4001").await, 200).await;
    assert_eq!(agents["agentSkillAssignments"].as_array().map(Vec::len), Some(50));
    let activity = body(server.read("skills/4001/activity").await, 200).await;
    assert_eq!(activity["skillActivity"][0]["agentsAvailable"], 50);
    let range = format!("startDate={}&endDate={}", hours_from_now(-24), hours_from_now(0));
    let summary = body(server.read(&format!("skills/4001/summary?{range}")).await, 200).await;
    assert!(summary["skillSummaries"][0]["contactsHandled"].is_string(), "{summary}");

    body(server.put(&history, json!({ "raw": [{ "skillId": "x" }] })).await, 204).await;
    let raw = body(server.read(&contacts(-1, 0)).await, 200).await;
    assert!(raw["contactStats"].as_array().expect("a list").contains(&json!({ "skillId": "x" })));
}

#[tokio::test]
async fn the_intervals_of_dialers_are_those_of_the_calls_or_those_that_were_set() {
    let server = TestServer::nice().await;
    let (start, end) = (hours_from_now(-2), hours_from_now(1));
    let path = format!("wfm-data/skills/dialer-contacts?startDate={start}&endDate={end}&mediaTypeId=4");
    body(server.read(&path).await, 204).await;
    server.behave(json!({ "outcomes": { "+4930901821": "not-reached", "+4930901822": "agent-only" } })).await;
    for phone in ["+4930901820", "+4930901821", "+4930901822"] {
        server.schedule(with(callback(&hours_from_now(-1)), "phoneNumber", json!(phone))).await;
    }
    let rows = body(server.read(&path).await, 200).await["wfM_OB_StatsV9"].clone();
    let sum = |name: &str| {
        let number = |row: &Value| row[name].as_str().and_then(|text| text.parse::<u64>().ok()).expect("a number");
        rows.as_array().expect("a list").iter().map(number).sum::<u64>()
    };
    assert_eq!((sum("dials"), sum("connects")), (2, 1));

    let set = json!({ "intervals": [{ "start": hours_from_now(-1), "dials": 40, "connects": 4 },
        { "start": hours_from_now(-5), "dials": 7, "connects": 7 }] });
    body(server.put(&format!("/_control/skills/{SKILL}/dialer"), set).await, 204).await;
    let rows = body(server.read(&path).await, 200).await["wfM_OB_StatsV9"].clone();
    assert_eq!((rows.as_array().map(Vec::len), &rows[0]["dials"]), (Some(1), &json!("40")));
}

fn message(thread: &str, text: &str) -> Value {
    json!({
        "thread": { "idOnExternalPlatform": thread },
        "messageContent": { "type": "TEXT", "payload": { "text": text } },
        "recipients": [{ "idOnExternalPlatform": "+4930901820", "isPrimary": true, "isPrivate": false }],
    })
}

#[tokio::test]
async fn a_message_with_a_lost_answer_is_found_by_its_text_and_its_thread() {
    let server = TestServer::nice().await;
    let channels = body(server.get("/dfo/3.0/channels").await, 200).await;
    assert_eq!((&channels[0]["id"], &channels[0]["hasOutboundFlow"]), (&json!("sms_1"), &json!(true)));
    server.fault(json!({ "route": "message", "kind": "status", "status": 502, "afterWork": true, "times": 1 })).await;
    body(server.post(CHANNEL, message("t-1", "Code AB12")).await, 502).await;
    let hits = async |path: &str| body(server.get(path).await, 200).await["hits"].as_u64();
    let search = "/dfo/3.0/messages?contentContains=AB12&direction=outbound&channel%5B%5D=sms_1";
    assert_eq!(hits(search).await, Some(1));
    assert_eq!(hits("/dfo/3.0/threads?query=t-1").await, Some(1));
    assert_eq!(hits("/dfo/3.0/messages?contentContains=CD34").await, Some(0));

    server.behave(json!({ "messageIndexDelayMs": 600_000 })).await;
    let sent = body(server.post(CHANNEL, message("t-2", "Code CD34")).await, 200).await;
    assert!(sent["message"]["id"].is_string(), "{sent}");
    assert_eq!(hits("/dfo/3.0/messages?contentContains=CD34").await, Some(0));
    let shown = server.list("messages").await;
    assert_eq!((shown.len(), &shown[0]["from"], &shown[0]["message"]), (2, &json!("sms_1"), &json!("Code AB12")));
}

#[tokio::test]
async fn invalid_messages_are_refused_in_the_form_of_the_digital_api() {
    let server = TestServer::nice().await;
    let refusals = [
        ("/thread", json!({})),
        ("/messageContent/type", json!("HTML")),
        ("/messageContent/payload/text", json!("")),
        ("/recipients", json!([])),
        ("/recipients/0/isPrimary", json!(false)),
        ("/recipients/0/idOnExternalPlatform", json!("4930901820")),
    ];
    for (member, value) in refusals {
        let mut bad = message("t-1", "Hello");
        *bad.pointer_mut(member).expect("a member") = value;
        let refused = body(server.post(CHANNEL, bad).await, 400).await;
        assert!(refused["errors"][0]["message"].is_string() && refused["uid"].is_string(), "{member}: {refused}");
    }
    let mut unknown = message("t-1", "Hello");
    unknown["idempotencyKey"] = json!("x");
    body(server.post(CHANNEL, unknown).await, 400).await;
    body(server.post(&CHANNEL.replace("sms_1", "sms_2"), message("t-1", "Hello")).await, 404).await;
    assert!(server.list("messages").await.is_empty());
}

#[tokio::test]
async fn the_do_not_call_group_answers_for_each_number_on_its_own() {
    let server = TestServer::nice().await;
    let records =
        |method, records: Value| server.send(method, "dnc-groups/1/records", json!({ "dncGroupRecords": records }));
    let search = async |phone: &str| -> Response {
        sent(server.service(Method::POST, &format!("dnc-groups/search?phoneNumber={phone}"))).await
    };
    let found = async |phone: &str| body(search(phone).await, 200).await["searchResults"].as_array().map(Vec::len);
    let (number, short) = (json!({ "phoneNumber": 4_930_901_820_u64 }), json!({ "phoneNumber": 12 }));
    let added = body(records(Method::POST, json!([number, number, short])).await, 200).await;
    assert_eq!(added["resultSet"]["errorCount"], 2);
    assert_eq!(added["resultSet"]["recordResults"][0]["success"], true);
    assert_eq!(found("4930901820").await, Some(1));
    body(search("%2B4930901820").await, 400).await;

    let text = json!({ "phoneNumber": "4930901820" });
    body(records(Method::POST, json!([text])).await, 400).await;
    body(records(Method::POST, json!(vec![number; 101])).await, 400).await;
    assert_eq!(body(records(Method::DELETE, json!([text, text])).await, 200).await["errorCount"], 1);
    body(server.put("/_control/do-not-call", json!({ "numbers": ["+4930901821"] })).await, 204).await;
    assert_eq!((found("4930901820").await, found("4930901821").await), (Some(0), Some(1)));
    let groups = body(server.read("dnc-groups").await, 200).await;
    assert_eq!(groups["resultSet"]["totalGroups"], 1);
    body(server.read("dnc-groups/1/scrubbed-skills").await, 200).await;
    body(server.read("dnc-groups/2/scrubbed-skills").await, 404).await;
}
