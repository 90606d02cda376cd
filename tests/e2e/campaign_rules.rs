//! No hold is lost and no resume is dropped: what CXone answers, refuses or ignores, and what comes in between.

use serde_json::{Value, json};

use crate::support::{DIALING, World, eventually, in_ms, minutes_from_now, pause, pause_with, window};

const UNKNOWN: &str = "0192f0c4-1111-7000-8000-00000000dead";
const CHECKS: [(&str, &str); 1] = [("CAMPAIGN_CHECK_MS", "300")];

fn compliance() -> Value {
    pause_with(json!({
        "pauseReason": "COMPLIANCE_HOLD", "complianceHold": true, "scheduledResumeTime": minutes_from_now(60),
    }))
}

/// How many holds an answer shows.
fn holds(answer: &Value) -> usize {
    answer["holds"].as_array().unwrap_or_else(|| panic!("no holds: {answer}")).len()
}

impl World {
    async fn shown(&self, campaign: &str) -> Value {
        self.get(&format!("/v1/campaigns/{campaign}")).await
    }

    /// The dialing campaign, once Ringback shows it as `wanted` says.
    async fn shown_when(&self, campaign: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("campaign {campaign}"), async || {
            let shown = self.shown(campaign).await;
            if wanted(&shown) { Ok(shown) } else { Err(shown.to_string()) }
        })
        .await
    }

    /// How many requests about the dialing campaign CXone has answered so.
    async fn answered(&self, status: u16) -> usize {
        let mut received = self.cxone.gets(DIALING).await;
        received.extend(self.cxone.received("campaignUpdate").await);
        received.iter().filter(|request| request["status"] == status).count()
    }

    /// Somebody else has paused the dialing campaign, and a resume is accepted while CXone is down.
    async fn with_resume_in_an_outage(&self) {
        self.cxone.change_campaign(DIALING, json!({"state": "PAUSED", "pauseReason": "SUPERVISOR"})).await;
        self.cxone.fault(json!({"route": "campaignRead", "kind": "status", "status": 503})).await;
        let (status, answer) = self.command("resume", &json!({})).await;
        assert_eq!((status, &answer["status"]), (202, &json!("pending")), "{answer}");
    }

    /// The accepted resume has started the campaign, once.
    async fn resume_is_carried_out(&self) {
        self.cxone.campaign_when(DIALING, "ACTIVE").await;
        let resumed = self.entry_when("campaign.resumed").await;
        assert_eq!((&resumed["triggeredBy"], &resumed["actor"]["type"]), (&json!("MANUAL_RESUME"), &json!("api_key")));
        assert_eq!(self.entries("campaign.resumed").await.len(), 1);
        assert_eq!(self.shown(DIALING).await["pending"], false);
    }
}

#[tokio::test]
async fn no_answer_of_cxone_lifts_a_hold() {
    let world = World::of_campaigns(&CHECKS).await;
    let (status, _) = world.command("pause", &compliance()).await;
    assert_eq!(status, 200);

    for (route, answered) in [("campaignRead", 404), ("campaignUpdate", 404), ("campaignUpdate", 403), ("*", 410)] {
        let before = world.answered(answered).await;
        world.cxone.gateway(route, answered).await;
        world.cxone.change_campaign(DIALING, json!({"state": "ACTIVE", "pauseReason": null})).await;
        // It is checked again, in spite of the answer.
        eventually("another try", async || {
            let tries = world.answered(answered).await - before;
            if tries >= 2 { Ok(()) } else { Err(format!("{tries} tries")) }
        })
        .await;
        let shown = world.shown(DIALING).await;
        assert_eq!(holds(&shown), 1, "{route} {answered}: {shown}");
        assert!(shown["failure"]["code"].is_string(), "{route} {answered}: {shown}");
        world.cxone.heal().await;
        world.cxone.campaign_when(DIALING, "PAUSED").await;
        world.shown_when(DIALING, |shown| shown["failure"].is_null() && shown["pending"] == false).await;
    }

    assert!(world.entries("hold.lifted").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn a_hold_accepted_in_an_outage_stays_when_cxone_then_answers_404() {
    let world = World::of_campaigns(&CHECKS).await;
    world.cxone.fault(json!({"route": "campaignRead", "kind": "status", "status": 503})).await;
    let path = format!("/v1/campaigns/{UNKNOWN}/pause");
    let (status, answer) = world.command_to(&world.service.base_url, &path, &compliance()).await;
    world.cxone.heal().await;

    let shown = world.shown_when(UNKNOWN, |shown| shown["failure"]["code"] == "cxone-rejected").await;
    let created = json!({"state": "ACTIVE", "maxAgents": 10, "dialingMode": "PREDICTIVE"});
    world.cxone.change_campaign(UNKNOWN, created).await;
    world.cxone.campaign_when(UNKNOWN, "PAUSED").await;

    assert_eq!((status, holds(&answer)), (202, 1), "{answer}");
    assert_eq!((holds(&shown), &shown["pending"]), (1, &json!(true)), "{shown}");
    world.end().await;
}

#[tokio::test]
async fn a_404_removes_the_hold_of_the_first_command_on_an_unknown_campaign_only() {
    let world = World::of_campaigns(&CHECKS).await;
    for (verb, body) in [("pause", compliance()), ("resume", json!({}))] {
        let path = format!("/v1/campaigns/{UNKNOWN}/{verb}");
        let (status, problem) = world.command_to(&world.service.base_url, &path, &body).await;
        assert_eq!((status, &problem["type"]), (404, &json!("/problems/not-found")), "{verb}");
    }
    assert_eq!(world.database.count("from campaigns").await, 0);
    assert_eq!(world.database.count("from campaign_holds").await, 0);

    world.command("pause", &pause()).await;
    world.command("resume", &json!({})).await;
    world.cxone.gateway("campaignRead", 404).await;
    let (paused, held) = world.command("pause", &pause()).await;
    world.cxone.heal().await;
    world.cxone.campaign_when(DIALING, "PAUSED").await;
    world.cxone.gateway("campaignRead", 404).await;
    let (resumed, lifted) = world.command("resume", &json!({})).await;
    world.cxone.heal().await;
    world.cxone.campaign_when(DIALING, "ACTIVE").await;

    assert_eq!((paused, &held["status"], holds(&held)), (202, &json!("pending"), 1), "{held}");
    assert_eq!(held["failure"]["code"], "cxone-rejected");
    assert_eq!((resumed, &lifted["status"], holds(&lifted)), (202, &json!("pending"), 0), "{lifted}");
    world.end().await;
}

#[tokio::test]
async fn a_change_that_cxone_answers_with_another_state_is_not_applied_and_is_tried_again() {
    let world = World::of_campaigns(&CHECKS).await;
    for (verb, body, action, state) in
        [("pause", pause(), "campaign.paused", "PAUSED"), ("resume", json!({}), "campaign.resumed", "ACTIVE")]
    {
        let before = world.cxone.puts(DIALING).await.len();
        world.cxone.ignore_puts(2).await;
        let (status, answer) = world.command(verb, &body).await;
        world.cxone.campaign_when(DIALING, state).await;
        world.entry_when(action).await;

        assert_eq!((status, &answer["status"]), (202, &json!("pending")), "{verb}: {answer}");
        assert_eq!(answer["failure"]["code"], "cxone-unexpected-answer");
        assert_eq!(world.entries(action).await.len(), 1, "only what CXone has done is recorded");
        assert_eq!(world.cxone.puts(DIALING).await.len(), before + 3);
    }
    world.end().await;
}

#[tokio::test]
async fn a_refused_attribute_does_not_block_a_pause_or_a_start() {
    let world = World::of_campaigns(&[]).await;
    let timed = pause_with(json!({"scheduledResumeTime": minutes_from_now(60), "maxAgents": 10}));
    for (attribute, status, body) in
        [("maxAgents", 422, pause()), ("maxAgents", 400, pause()), ("scheduledResumeTime", 422, timed)]
    {
        let before = world.cxone.puts(DIALING).await.len();
        world.cxone.refuse_attribute(attribute, status).await;
        let (paused, held) = world.command("pause", &body).await;
        let while_paused = world.cxone.campaign(DIALING).await;
        let (resumed, started) = world.command("resume", &json!({"maxAgents": 7})).await;
        let puts = world.cxone.puts(DIALING).await.split_off(before);
        world.cxone.heal().await;

        let name = format!("{attribute} {status}");
        assert_eq!((paused, &held["status"]), (200, &json!("applied")), "{name}: {held}");
        assert_eq!(while_paused["state"], "PAUSED", "{name}");
        assert_eq!(held["failure"]["code"], "cxone-rejected", "{name}: the refusal is named");
        assert_eq!(puts[0][attribute], body[attribute], "{name}: {puts:?}");
        // Only what CXone itself showed.
        let plain =
            (&puts[1]["state"], &puts[1]["maxAgents"], &puts[1]["pauseReason"], &puts[1]["scheduledResumeTime"]);
        assert_eq!(plain, (&json!("PAUSED"), &json!(10), &Value::Null, &Value::Null), "{name}");
        assert_eq!((resumed, &started["status"]), (200, &json!("applied")), "{name}: {started}");
        let agents = if attribute == "maxAgents" { 10 } else { 7 };
        let last = puts.last().unwrap();
        assert_eq!((&last["state"], &last["maxAgents"]), (&json!("ACTIVE"), &json!(agents)), "{name}");
        if attribute == "maxAgents" {
            assert_eq!((puts.len(), &puts[2]["maxAgents"]), (4, &json!(7)), "{name}: {puts:?}");
            assert_eq!(started["failure"]["code"], "cxone-rejected", "{name}: the refusal is named");
        }
    }
    world.end().await;
}

#[tokio::test]
async fn a_status_that_cxone_does_not_document_keeps_the_hold_and_is_tried_again() {
    let world = World::of_campaigns(&CHECKS).await;
    for answered in [408, 421, 425] {
        world.cxone.gateway_times("campaignUpdate", answered, 1).await;
        let (status, held) = world.command("pause", &pause()).await;
        world.cxone.campaign_when(DIALING, "PAUSED").await;
        let shown = world.shown_when(DIALING, |shown| shown["pending"] == false).await;
        let (resumed, _) = world.command("resume", &json!({})).await;

        assert_eq!((status, &held["status"], holds(&held)), (202, &json!("pending"), 1), "{answered}: {held}");
        assert_eq!((holds(&shown), resumed), (1, 200), "{answered}: {shown}");
        assert_eq!(world.cxone.puts(DIALING).await.last().unwrap()["state"], "ACTIVE");
    }
    world.end().await;
}

#[tokio::test]
async fn a_resume_restores_the_max_agents_from_before_the_pause() {
    let world = World::of_campaigns(&CHECKS).await;
    let none = json!({"maxAgents": 0});
    let agents = async || world.cxone.campaign(DIALING).await["maxAgents"].as_u64().unwrap();
    let pause_all = async |members: Value| {
        let (status, answer) = world.command("pause", &pause_with(members)).await;
        assert_eq!((status, agents().await), (200, 0), "{answer}");
    };
    let resume_all = async |body: Value| {
        let (status, answer) = world.command("resume", &body).await;
        assert_eq!(status, 200, "{answer}");
        agents().await
    };

    pause_all(json!({"maxAgents": 0, "scheduledResumeTime": in_ms(1_200)})).await;
    let started = world.cxone.campaign_when(DIALING, "ACTIVE").await;
    assert_eq!(started["maxAgents"], 10, "at the hold's end");
    world.shown_when(DIALING, |shown| shown["pending"] == false).await;

    pause_all(none.clone()).await;
    assert_eq!(resume_all(json!({})).await, 10, "by a command");

    pause_all(none.clone()).await;
    assert_eq!(resume_all(json!({"maxAgents": 7})).await, 7, "as the command says");

    world.set(&json!({"maxAgents": 12})).await;
    pause_all(none.clone()).await;
    assert_eq!(resume_all(json!({})).await, 12, "as the settings say");

    world.set(&json!({})).await;
    pause_all(none).await;
    world.cxone.change_campaign(DIALING, json!({"maxAgents": 3})).await;
    assert_eq!(resume_all(json!({})).await, 3, "somebody has changed them during the pause");
    world.end().await;
}

#[tokio::test]
async fn an_accepted_resume_is_carried_out_after_a_later_hold() {
    let world = World::of_campaigns(&CHECKS).await;
    world.with_resume_in_an_outage().await;
    let (status, held) = world.command("pause", &pause_with(json!({"scheduledResumeTime": in_ms(4_000)}))).await;
    world.cxone.heal().await;

    // CXone is seen while the hold is in force.
    world.database.when("from campaigns where state = 'PAUSED'").await;
    let shown = world.shown(DIALING).await;
    world.resume_is_carried_out().await;

    assert_eq!((status, holds(&held)), (202, 1), "{held}");
    assert_eq!((holds(&shown), &shown["pending"]), (1, &json!(true)), "{shown}");
    world.end().await;
}

#[tokio::test]
async fn an_accepted_resume_is_carried_out_after_the_campaign_was_inactive() {
    let world = World::of_campaigns(&CHECKS).await;
    world.with_resume_in_an_outage().await;
    world.cxone.change_campaign(DIALING, json!({"state": "INACTIVE"})).await;
    world.cxone.heal().await;

    world.database.when("from campaigns where state = 'INACTIVE'").await;
    let shown = world.shown(DIALING).await;
    world.cxone.change_campaign(DIALING, json!({"state": "PAUSED"})).await;
    world.resume_is_carried_out().await;

    assert_eq!(shown["pending"], true, "{shown}");
    world.end().await;
}

#[tokio::test]
async fn an_accepted_resume_is_carried_out_after_an_enforced_window_was_closed() {
    let world = World::of_campaigns(&CHECKS).await;
    world.with_resume_in_an_outage().await;
    world.set(&json!({"regulatoryWindow": window(120, 240), "enforceRegulatoryWindow": true})).await;
    let placed = world.entry_when("hold.placed").await;
    world.cxone.heal().await;
    world.database.when("from campaigns where state = 'PAUSED'").await;
    let closed = world.cxone.campaign(DIALING).await;
    world.set(&json!({"regulatoryWindow": window(-120, 240), "enforceRegulatoryWindow": true})).await;
    world.resume_is_carried_out().await;

    assert_eq!((&placed["triggeredBy"], &closed["state"]), (&json!("REGULATORY_WINDOW"), &json!("PAUSED")));
    world.end().await;
}

#[tokio::test]
async fn a_command_repeated_with_its_key_does_not_recreate_a_lifted_hold() {
    let world = World::of_campaigns(&[]).await;
    // It was carried out, and its answer was not kept: the service had crashed in between.
    let lose_answers = "update idempotency_keys set answer_status = null, answer_headers = null, answer_body = null,
                        leased_until = now() - interval '1 second'";
    let send = async |verb: &str, body: &Value| {
        world.answer(&format!("/v1/campaigns/{DIALING}/{verb}"), body, &[("idempotency-key", verb)]).await
    };
    let body = pause();

    let paused = send("pause", &body).await;
    let resumed = send("resume", &json!({})).await;
    world.database.run(lose_answers).await;
    let paused_again = send("pause", &body).await;
    let after_pause = world.cxone.campaign(DIALING).await;
    world.command("pause", &body).await;
    let resumed_again = send("resume", &json!({})).await;
    let after_resume = world.cxone.campaign(DIALING).await;

    for (first, again) in [(&paused, &paused_again), (&resumed, &resumed_again)] {
        assert_eq!((again.status, again.header("idempotency-replayed")), (200, None), "{again:?}");
        for member in ["status", "auditId", "holds", "previousState", "newState"] {
            assert_eq!(again.body[member], first.body[member], "{member}");
        }
    }
    assert_eq!((&after_pause["state"], &after_resume["state"]), (&json!("ACTIVE"), &json!("PAUSED")));
    assert_eq!(holds(&world.shown(DIALING).await), 1, "that of the later pause");
    assert_eq!(world.entries("hold.placed").await.len(), 2);
    assert_eq!(world.entries("hold.lifted").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_change_that_cxone_never_applies_is_retried_with_backoff() {
    let world = World::of_campaigns(&[]).await;
    world.cxone.fault(json!({"route": "campaignUpdate", "kind": "status", "status": 403})).await;
    let (status, _) = world.command("pause", &pause()).await;

    // Each read in between is answered.
    world.database.when("from campaigns where failures >= 3").await;
    world.cxone.heal().await;
    world.cxone.campaign_when(DIALING, "PAUSED").await;
    world.shown_when(DIALING, |shown| shown["pending"] == false).await;

    assert_eq!(status, 202);
    assert_eq!(world.database.count("from campaigns where failures = 0").await, 1);
    world.end().await;
}
