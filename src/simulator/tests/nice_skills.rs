//! Skills, campaigns and their parameters.

use reqwest::Method;
use serde_json::{Value, json};

use super::nice::{OLD_SKILL, SKILL, reason};
use super::{TestServer, body, sent};

impl TestServer {
    async fn is_running(&self, skill: u64) -> bool {
        body(self.read(&format!("skills/{skill}")).await, 200).await["isRunning"] == true
    }
}

#[tokio::test]
async fn starting_and_stopping_the_skill_of_a_campaign_changes_the_campaign() {
    let server = TestServer::nice().await;
    let shown = server.list("campaigns").await;
    let numbers: Vec<_> = shown.iter().map(|entry| (&entry["skillId"], &entry["niceCampaignId"])).collect();
    assert_eq!(numbers, [(&json!(OLD_SKILL), &json!(102)), (&json!(SKILL), &json!(101))]);

    body(server.command("stop").await, 200).await;
    assert!(!server.is_running(SKILL).await);
    server.behave(json!({ "startDelayMs": 100 })).await;
    body(server.command("start").await, 202).await;
    assert!(!server.is_running(SKILL).await);
    server.wait_until("the start", async || server.is_running(SKILL).await).await;
    body(server.put("/_control/campaigns/sales", json!({ "state": "PAUSED" })).await, 200).await;
    assert!(!server.is_running(SKILL).await);
    let changes = server.list("changes?campaign=sales").await;
    let seen: Vec<_> = changes.iter().map(|change| (&change["by"], &change["state"])).collect();
    let (somebody, client, active, paused) = (json!("somebody"), json!("client"), json!("ACTIVE"), json!("PAUSED"));
    let expected = [(&somebody, &active), (&client, &paused), (&client, &active), (&somebody, &paused)];
    assert_eq!(seen, expected);
    assert_eq!(server.list("received?route=campaignUpdate&campaign=sales").await.len(), 2);
}

#[tokio::test]
async fn a_stop_after_a_start_wins_and_an_ignored_command_has_no_effect() {
    let server = TestServer::nice().await;
    server.behave(json!({ "startDelayMs": 0 })).await;
    server.fault(json!({ "route": "campaignUpdate", "kind": "ignore", "times": 1 })).await;
    body(server.command("stop").await, 200).await;
    assert!(server.is_running(SKILL).await);
    body(server.command("stop").await, 200).await;
    server.behave(json!({ "startDelayMs": 60_000 })).await;
    body(server.command("start").await, 202).await;
    body(server.command("stop").await, 200).await;
    server.behave(json!({ "startDelayMs": 0 })).await;
    assert!(!server.is_running(SKILL).await);
    server.fault(json!({ "route": "campaignUpdate", "kind": "late", "status": 504, "latencyMs": 50 })).await;
    body(server.command("start").await, 504).await;
    server.wait_until("the late start", async || server.is_running(SKILL).await).await;
}

#[tokio::test]
async fn commands_of_unknown_inactive_and_manual_skills_are_refused() {
    let server = TestServer::nice().await;
    let manual = json!({ "campaign": "sales", "outboundStrategy": "Manual" });
    body(server.put("/_control/skills/5001", manual).await, 200).await;
    let cases = [
        ("99", 404, "InvalidSkillId"),
        ("x", 404, "InvalidSkillId"),
        ("4002", 400, "Skill is"),
        ("5001", 400, "Skill"),
    ];
    for (skill, status, words) in cases {
        for command in ["start", "stop"] {
            let refused = sent(server.service(Method::POST, &format!("skills/{skill}/{command}"))).await;
            assert!(reason(&refused).starts_with(words), "{skill}: {}", reason(&refused));
            body(refused, status).await;
        }
    }
    body(sent(server.service(Method::POST, &format!("skills/{SKILL}/stop?force=true"))).await, 400).await;
    body(server.send(Method::POST, &format!("skills/{SKILL}/stop"), json!({})).await, 400).await;
    assert!(server.is_running(SKILL).await);
}

#[tokio::test]
async fn a_further_skill_of_a_campaign_runs_by_itself() {
    let server = TestServer::nice().await;
    body(server.put("/_control/skills/5001", json!({ "campaign": "sales" })).await, 200).await;
    server.behave(json!({ "startDelayMs": 0 })).await;
    body(sent(server.service(Method::POST, "skills/5001/stop")).await, 200).await;
    assert!(!server.is_running(5001).await && server.is_running(SKILL).await);
    let members = body(server.read("campaigns/101/skills").await, 200).await;
    let ids: Vec<_> = members["skills"].as_array().expect("a list").iter().map(|skill| &skill["skillId"]).collect();
    assert_eq!(ids, ["4001", "5001"]);
    body(sent(server.service(Method::POST, "skills/5001/start")).await, 202).await;
    assert!(server.is_running(5001).await);
    body(server.put("/_control/skills/4001", json!({ "isRunning": false })).await, 200).await;
    assert_eq!(server.list("campaigns").await[1]["state"], "PAUSED");
    body(server.put("/_control/campaigns/sales", json!({ "state": "SUSPENDED" })).await, 200).await;
    let skill = body(server.read("skills/5001").await, 200).await;
    assert_eq!((&skill["isActive"], &skill["isRunning"]), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn lists_of_configuration_are_filtered_and_come_in_pages_of_at_most_100() {
    let server = TestServer::nice().await;
    body(server.put("/_control/campaigns/7", json!({})).await, 200).await;
    body(server.put("/_control/skills/5001", json!({ "mediaTypeId": 3, "skillName": "Chat" })).await, 200).await;
    let cases = [
        ("skills", "skills", 4),
        ("skills?mediaTypeId=4&isActive=true", "skills", 2),
        ("skills?searchString=chat", "skills", 1),
        ("skills?top=1&skip=1", "skills", 4),
        ("campaigns?isActive=true", "campaigns", 2),
        ("campaigns?searchString=Campaign%207", "campaigns", 1),
    ];
    for (path, member, total) in cases {
        let answer = body(server.read(path).await, 200).await;
        assert_eq!(answer["totalRecords"], total, "{path}");
        assert!(answer[member][0].get("isRunning").is_none(), "{answer}");
    }
    body(server.read("skills?searchString=nothing").await, 204).await;
    body(server.read("skills?top=101").await, 400).await;
    assert_eq!(body(server.read("campaigns/7").await, 200).await["isActive"], true);
    body(server.read("campaigns/103").await, 404).await;
    body(server.read("hours-of-operation").await, 400).await;
    let profiles = body(server.read("hours-of-operation?isDeleted=false").await, 200).await;
    let id = &profiles["hoursOfOperation"][0]["hoursOfOperationProfileId"];
    let profile = body(server.read(&format!("hours-of-operation/{id}")).await, 200).await;
    assert_eq!(profile["days"].as_array().map(Vec::len), Some(7));
}

#[tokio::test]
async fn parameters_are_replaced_as_a_whole_and_unknown_members_are_refused() {
    let server = TestServer::nice().await;
    let path = |group: &str| format!("skills/{SKILL}/parameters/{group}");
    let general = path("general-settings");
    let change = json!({ "generalSettings": { "maximumRatio": 1, "loadFresh": false } });
    body(server.send(Method::PUT, &general, change).await, 200).await;
    body(server.send(Method::PUT, &general, json!({ "generalSettings": { "maximumRatio": 2 } })).await, 200).await;
    let read = body(server.read(&general).await, 200).await;
    assert_eq!((&read["maximumRatio"], &read["loadFresh"]), (&json!(2), &json!(true)));

    let zone = json!({ "standardName": "Eastern Standard Time", "startTime": "09:00", "endTime": "20:00" });
    let groups = [
        ("time-zones", "timeZoneSettings", json!([zone]), 200),
        ("time-zones", "timeZoneSettings", zone, 400),
        ("schedule-settings", "scheduleSettings", json!({ "mondayStartTime": "09:00" }), 200),
        ("schedule-settings", "scheduleSettings", json!({ "mondayStartTime": 9 }), 400),
        ("retry-settings", "retrySettings", json!({ "callbackRestMinutes": 5 }), 200),
        ("retry-settings", "retrySettings", json!({ "colour": "red" }), 400),
        ("retry-settings", "generalSettings", json!({}), 400),
        ("other-settings", "otherSettings", json!({}), 404),
    ];
    for (group, member, value, status) in groups {
        body(server.send(Method::PUT, &path(group), json!({ member: value })).await, status).await;
    }
    assert_eq!(body(server.read(&path("retry-settings")).await, 200).await["callbackRestMinutes"], 5);
    let zones = body(server.read(&path("time-zones")).await, 200).await;
    assert_eq!(zones["timeZoneSettings"][0]["startTime"], "09:00");
    body(server.send(Method::PUT, "skills/99/parameters/retry-settings", Value::Null).await, 404).await;
}
