//! The audit log has no gap: every command to a campaign has its entry, however it ends.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{DIALING, INACTIVE_CAMPAIGN, Service, World, eventually, in_ms, pause, pause_with};

const UNKNOWN: &str = "0192F0C4-1111-7000-8000-00000000DEAD";

impl World {
    /// The entry that an answer names.
    async fn entry_of(&self, answer: &Value) -> Value {
        let id = &answer["auditId"];
        assert!(id.is_string(), "no entry: {answer}");
        let log = self.get(&format!("/v1/audit?campaignId={DIALING}&limit=200")).await;
        let entry = log["data"].as_array().unwrap().iter().find(|entry| entry["id"] == *id).cloned();
        entry.unwrap_or_else(|| panic!("the log does not have the entry of {answer}"))
    }

    /// Freezes the service while its command waits for CXone, and has its lease run out meanwhile.
    async fn command_that_loses_its_lease(&self, verb: &str, body: &Value, route: &str) -> (u16, Value) {
        let before = self.cxone.received(route).await.len();
        self.cxone.fault(json!({"route": route, "kind": "hang", "times": 1})).await;
        let path = format!("/v1/campaigns/{DIALING}/{verb}");
        let command = self.request(Method::POST, &path).header("prefer", "wait=20").json(body).send();
        let freeze = async {
            eventually(route, async || {
                let received = self.cxone.received(route).await.len();
                if received > before { Ok(()) } else { Err(received.to_string()) }
            })
            .await;
            self.service.signal("STOP").await;
            self.database.run("update campaigns set leased_until = now() - interval '1 second'").await;
            // Where the command was kept before, the other replica carries it out.
            let state = if verb == "pause" { "PAUSED" } else { "ACTIVE" };
            if route == "campaignUpdate" {
                self.cxone.campaign_when(DIALING, state).await;
            }
            self.service.signal("CONT").await;
        };
        let (answer, ()) = tokio::join!(command, freeze);
        let answer = answer.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

#[tokio::test]
async fn every_command_has_an_audit_entry() {
    let world = World::of_campaigns(&[]).await;

    // CXone does not take it.
    world.cxone.fault(json!({"route": "campaignUpdate", "kind": "status", "status": 503, "times": 1})).await;
    let (refused, not_taken) = world.command("pause", &pause()).await;
    let not_taken_entry = world.entry_of(&not_taken).await;
    world.entry_when("campaign.paused").await;

    // It is answered before CXone has confirmed it.
    world.cxone.fault(json!({"route": "campaignUpdate", "kind": "latency", "latencyMs": 1500, "times": 1})).await;
    let path = format!("/v1/campaigns/{DIALING}/resume");
    let early = world.answer(&path, &json!({}), &[("prefer", "respond-async")]).await;
    let early_entry = world.entry_of(&early.body).await;
    let confirmed = world.entry_when("campaign.resumed").await;

    assert_eq!((refused, early.status), (202, 202), "{not_taken} {early:?}");
    let said = (&not_taken_entry["action"], &not_taken_entry["outcome"]);
    assert_eq!(said, (&json!("campaign.pause_pending"), &json!("pending")));
    let said = (&early_entry["action"], &early_entry["outcome"]);
    assert_eq!(said, (&json!("campaign.resume_pending"), &json!("pending")));
    assert_eq!(confirmed["requestId"], early_entry["requestId"]);
    world.end().await;
}

#[tokio::test]
async fn a_command_whose_replica_loses_the_lease_has_an_audit_entry() {
    let world = World::of_campaigns(&[("CXONE_TIMEOUT_MS", "2000")]).await;
    let second = Service::start(&world.database, &world.cxone, &[]).await;

    // Before it was kept, and after.
    let (paused, held) = world.command_that_loses_its_lease("pause", &pause(), "campaignRead").await;
    world.cxone.campaign_when(DIALING, "PAUSED").await;
    world.entry_when("campaign.paused").await;
    let (resumed, lifted) = world.command_that_loses_its_lease("resume", &json!({}), "campaignUpdate").await;
    world.cxone.campaign_when(DIALING, "ACTIVE").await;

    assert_eq!((paused, resumed), (202, 202), "{held} {lifted}");
    assert_eq!(world.entry_of(&held).await["action"], "campaign.pause_pending");
    assert_eq!(world.entry_of(&lifted).await["action"], "campaign.resume_pending");
    assert_eq!(world.entries("hold.placed").await.len(), 1);
    second.kill().await;
    world.end().await;
}

#[tokio::test]
async fn every_refusal_has_an_audit_entry_with_the_normalized_campaign_id() {
    let world = World::of_campaigns(&[]).await;
    world.cxone.change_campaign(&UNKNOWN.to_lowercase(), json!({"state": "INACTIVE", "maxAgents": 1})).await;
    let gone = UNKNOWN.replace("DEAD", "FADE");

    for (id, verb, body, status, problem) in [
        (UNKNOWN, "pause", pause(), 409, "campaign-not-running"),
        (UNKNOWN, "pause", json!({}), 422, "invalid-request"),
        (UNKNOWN, "resume", json!({"force": 1}), 422, "invalid-request"),
        (&gone, "pause", pause(), 404, "not-found"),
        (&gone, "resume", json!({}), 404, "not-found"),
        (INACTIVE_CAMPAIGN, "pause", pause(), 422, "invalid-request"),
    ] {
        let path = format!("/v1/campaigns/{id}/{verb}");
        let answer = world.answer(&path, &body, &[]).await;
        let query = format!("/v1/audit?campaignId={}&action=campaign.{verb}_refused", id.to_lowercase());
        let entry = world.get(&query).await["data"][0].take();

        assert_eq!(answer.problem(), (status, problem), "{path}");
        assert_eq!((&entry["outcome"], &entry["detail"]["problem"]), (&json!("refused"), &json!(problem)), "{path}");
        assert_eq!(entry["campaignId"], id.to_lowercase());
        assert_eq!(entry["requestId"], answer.body["requestId"]);
    }
    world.end().await;
}

#[tokio::test]
async fn a_superseded_or_unnecessary_resume_has_an_audit_entry() {
    let world = World::of_campaigns(&[("CAMPAIGN_CHECK_MS", "300")]).await;
    // While the start after the hold's end does not come through, somebody else pauses the campaign.
    let (paused, _) = world.command("pause", &pause_with(json!({"scheduledResumeTime": in_ms(1_500)}))).await;
    world.cxone.fault(json!({"route": "campaignUpdate", "kind": "status", "status": 503})).await;
    eventually("an attempt to start it", async || {
        let puts = world.cxone.puts(DIALING).await;
        if puts.len() > 1 { Ok(()) } else { Err(format!("{puts:?}")) }
    })
    .await;
    let by_another = json!({"state": "PAUSED", "pauseReason": "SUPERVISOR", "scheduledResumeTime": null});
    world.cxone.change_campaign(DIALING, by_another).await;
    let dropped = world.entry_when("campaign.resume_dropped").await;
    world.cxone.heal().await;

    // While CXone is down, somebody else starts it.
    world.cxone.fault(json!({"route": "campaignRead", "kind": "status", "status": 503})).await;
    let (accepted, pending) = world.command("resume", &json!({})).await;
    world.cxone.change_campaign(DIALING, json!({"state": "ACTIVE", "pauseReason": null})).await;
    world.cxone.heal().await;
    let unchanged = world.entry_when("campaign.resume_unchanged").await;

    assert_eq!((paused, accepted), (200, 202));
    assert_eq!((&dropped["actor"]["type"], &dropped["newState"]), (&json!("system"), &json!("PAUSED")));
    assert_eq!(dropped["detail"]["reason"], "paused-outside");
    let pending = world.entry_of(&pending).await;
    assert_eq!((&unchanged["actor"]["type"], &unchanged["requestId"]), (&json!("api_key"), &pending["requestId"]));
    assert!(world.entries("campaign.resumed").await.is_empty());
    world.end().await;
}
