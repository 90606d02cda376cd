//! CXone is brought to what the holds say: when it is down, slow or in conflict, when somebody outside changes the
//! campaign, and whichever replica works on it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{DIALING, Service, World, create_key, eventually, in_ms, pause, pause_with, payload_from};

const PAUSE: &str = "/v1/campaigns/0192f0c4-1111-7000-8000-000000000001/pause";

#[tokio::test]
async fn a_pause_that_cxone_rejects_keeps_its_hold_and_is_retried_until_applied() {
    let world = World::of_campaigns(&[]).await;
    world.cxone.fault(json!({"route": "campaignUpdate", "kind": "status", "status": 503})).await;

    let (status, answer) = world.command("pause", &pause()).await;
    let shown = world.get(&format!("/v1/campaigns/{DIALING}")).await;
    let active = world.cxone.campaign(DIALING).await;
    world.cxone.heal().await;
    world.cxone.campaign_when(DIALING, "PAUSED").await;
    let paused = world.entry_when("campaign.paused").await;

    assert_eq!((status, &answer["status"]), (202, &json!("pending")), "{answer}");
    assert_eq!(answer["holds"].as_array().unwrap().len(), 1);
    assert_eq!(answer["failure"]["code"], "cxone-unavailable");
    let pending = world.entries("campaign.pause_pending").await;
    assert_eq!((&pending[0]["id"], &pending[0]["outcome"]), (&answer["auditId"], &json!("pending")));
    assert_eq!((&shown["pending"], &active["state"]), (&json!(true), &json!("ACTIVE")));
    assert_eq!((&paused["actor"]["type"], &paused["triggeredBy"]), (&json!("api_key"), &json!("MANUAL_PAUSE")));
    assert_eq!(world.get(&format!("/v1/campaigns/{DIALING}")).await["pending"], false);
    world.end().await;
}

#[tokio::test]
async fn a_pause_is_kept_while_cxone_hangs() {
    let world = World::of_campaigns(&[("CXONE_TIMEOUT_MS", "2000")]).await;
    world.cxone.fault(json!({"route": "*", "kind": "hang"})).await;

    let request = world.request(Method::POST, PAUSE).header("prefer", "wait=1").json(&pause());
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let body: Value = answer.json().await.unwrap();
    world.cxone.heal().await;
    world.cxone.campaign_when(DIALING, "PAUSED").await;

    assert_eq!((status.as_u16(), &body["status"]), (202, &json!("pending")), "{body}");
    assert_eq!(world.entries("hold.placed").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn an_unanswered_update_is_verified_by_a_read_and_recorded_as_applied() {
    let world = World::of_campaigns(&[("CXONE_TIMEOUT_MS", "500")]).await;
    world.cxone.fault(json!({"route": "campaignUpdate", "kind": "hang", "afterWork": true, "times": 1})).await;
    let end = in_ms(6_000);

    let (status, _) = world.command("pause", &pause_with(json!({"scheduledResumeTime": end}))).await;
    let paused = world.entry_when("campaign.paused").await;
    let put = world.cxone.received("campaignUpdate").await.len();
    world.cxone.campaign_when(DIALING, "ACTIVE").await;

    assert_eq!(status, 202);
    assert_eq!((put, &paused["outcome"]), (1, &json!("succeeded")));
    world.end().await;
}

#[tokio::test]
async fn a_conflict_with_another_user_is_resolved_by_another_read() {
    let world = World::of_campaigns(&[]).await;
    world.cxone.fault(json!({"route": "campaignUpdate", "kind": "status", "status": 409, "times": 3})).await;

    let (status, answer) = world.command("pause", &pause()).await;

    assert_eq!((status, &answer["status"]), (200, &json!("applied")), "{answer}");
    assert_eq!(world.cxone.received("campaignRead").await.len(), 4);
    assert_eq!(world.cxone.received("campaignUpdate").await.len(), 4);
    assert_eq!(world.cxone.campaign(DIALING).await["state"], "PAUSED");
    assert_eq!(world.entries("campaign.paused").await[0]["id"], answer["auditId"]);
    world.end().await;
}

#[tokio::test]
async fn a_missing_scope_in_cxone_is_named_and_the_hold_stands() {
    let world = World::of_campaigns(&[]).await;
    world.cxone.fault(json!({"route": "campaignUpdate", "kind": "status", "status": 403})).await;

    let (status, answer) = world.command("pause", &pause()).await;

    assert_eq!((status, &answer["failure"]["code"]), (202, &json!("cxone-forbidden")));
    assert!(answer["failure"]["detail"].as_str().unwrap().contains("outbound:campaign:write"));
    assert_eq!(answer["holds"].as_array().unwrap().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_held_campaign_started_by_another_user_is_paused_again_and_both_are_audited() {
    let world = World::of_campaigns(&[("CAMPAIGN_CHECK_MS", "500")]).await;
    world.command("pause", &pause()).await;
    world.cxone.change_campaign(DIALING, json!({"state": "ACTIVE", "pauseReason": null})).await;

    let outside = world.entry_when("campaign.changed_outside").await;
    world.cxone.campaign_when(DIALING, "PAUSED").await;

    let states = (&outside["previousState"], &outside["newState"], &outside["actor"]["type"]);
    assert_eq!(states, (&json!("PAUSED"), &json!("ACTIVE"), &json!("external")));
    let paused = eventually("an entry for each pause", async || {
        let paused = world.entries("campaign.paused").await;
        if paused.len() == 2 { Ok(paused) } else { Err(paused.len().to_string()) }
    })
    .await;
    assert!(paused.iter().any(|entry| entry["actor"]["type"] == "system"), "{paused:?}");
    world.end().await;
}

#[tokio::test]
async fn commands_of_one_campaign_are_serialized_across_replicas() {
    let world = World::of_campaigns(&[]).await;
    let second = Service::start(&world.database, &world.cxone, &[]).await;
    world.cxone.fault(json!({"route": "*", "kind": "latency", "latencyMs": 40})).await;
    let replicas = [world.service.base_url.clone(), second.base_url.clone()];

    let commands = (0..10).map(|index| {
        let (replica, world) = (&replicas[index % 2], &world);
        let body = pause_with(json!({"maxAgents": index}));
        async move { world.command_to(replica, PAUSE, &body).await }
    });
    let answers = futures::future::join_all(commands).await;

    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    let applied = answers.iter().filter(|(_, answer)| answer["status"] == "applied").count();
    assert_eq!(applied, 1, "one finds it active, the others paused");
    assert_eq!(world.cxone.received("campaignUpdate").await.len(), 1);
    assert_eq!(world.get(&format!("/v1/campaigns/{DIALING}")).await["holds"].as_array().unwrap().len(), 10);
    second.kill().await;
    world.end().await;
}

#[tokio::test]
async fn a_command_does_not_wait_for_another_campaigns_command() {
    let world = World::of_campaigns(&[]).await;
    let other = "0192f0c4-1111-7000-8000-000000000002";
    world.cxone.change_campaign(other, json!({"state": "ACTIVE"})).await;
    world.cxone.fault(json!({"route": "campaignRead", "kind": "hang", "times": 1})).await;

    let body = pause();
    let slow = world.command("pause", &body);
    let fast = async {
        world.cxone.wait_for_request("campaignRead").await;
        let path = format!("/v1/campaigns/{other}/pause");
        world.command_to(&world.service.base_url, &path, &pause()).await
    };
    let ((slow_status, _), (status, answer)) = tokio::join!(slow, fast);

    // Applied within the default wait of 3 s, while the other command waits 10 s for CXone.
    assert_eq!((status, &answer["status"]), (200, &json!("applied")));
    assert_eq!(slow_status, 202);
    world.end().await;
}

#[tokio::test]
async fn a_pause_of_a_killed_replica_is_carried_out_by_another() {
    let mut world = World::of_campaigns(&[]).await;
    world.cxone.fault(json!({"route": "campaignUpdate", "kind": "hang", "times": 1})).await;
    let body = pause();
    let cut = world.request(Method::POST, PAUSE).json(&body).send();
    let killed = async {
        world.cxone.wait_for_request("campaignUpdate").await;
    };
    tokio::select! {
        _ = cut => panic!("it cannot be answered yet"),
        () = killed => {}
    }

    let fresh = Service::start(&world.database, &world.cxone, &[]).await;
    std::mem::replace(&mut world.service, fresh).kill().await;
    world.cxone.campaign_when(DIALING, "PAUSED").await;

    assert_eq!(world.entry_when("campaign.paused").await["triggeredBy"], "MANUAL_PAUSE");
    world.end().await;
}

#[tokio::test]
async fn a_pause_is_sent_when_callbacks_have_used_up_their_share_of_the_quota() {
    let mut world = World::of_campaigns(&[("CXONE_REQUESTS_PER_MINUTE", "40")]).await;
    let control = world.key.clone();
    world.key = create_key(&world.database, &["callbacks:write", "callbacks:read"]).await;
    let payloads: Vec<Value> = (0..40).map(payload_from).collect();
    let answers = futures::future::join_all(payloads.iter().map(|new_callback| world.ask(new_callback))).await;
    let put_off = answers.iter().filter(|(status, _)| *status == 202).count();

    world.key = control;
    let (status, answer) = world.command("pause", &pause()).await;

    assert!(put_off > 0, "the quota was not used up");
    // Applied within the default wait of 3 s; a callback would wait for the next minute.
    assert_eq!((status, &answer["status"]), (200, &json!("applied")), "{answer}");
    world.end().await;
}

#[tokio::test]
async fn a_pause_during_a_resume_wins() {
    let world = World::of_campaigns(&[]).await;
    world.command("pause", &pause()).await;
    world.cxone.fault(json!({"route": "campaignRead", "kind": "latency", "latencyMs": 1500, "times": 1})).await;
    let reads = world.cxone.received("campaignRead").await.len();

    let resuming = async {
        let request = world.request(Method::POST, &PAUSE.replace("pause", "resume"));
        request.json(&json!({})).send().await.unwrap().json::<Value>().await.unwrap()
    };
    let pausing = async {
        eventually("the resume to read", async || {
            if world.cxone.received("campaignRead").await.len() > reads { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
        let request = world.request(Method::POST, PAUSE).header("prefer", "respond-async").json(&pause());
        request.send().await.unwrap().status().as_u16()
    };
    let (resumed, paused) = tokio::join!(resuming, pausing);
    world.cxone.campaign_when(DIALING, "PAUSED").await;

    assert_eq!(paused, 202);
    assert_eq!(resumed["holds"].as_array().unwrap().len(), 1, "{resumed}");
    let shown = world.get(&format!("/v1/campaigns/{DIALING}")).await;
    assert_eq!(shown["holds"].as_array().unwrap().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn async_commands_are_all_kept_also_for_a_campaign_seen_for_the_first_time() {
    let world = World::of_campaigns(&[]).await;
    world.cxone.fault(json!({"route": "*", "kind": "latency", "latencyMs": 200})).await;

    let commands = (0..10).map(|agents| {
        let pause = pause_with(json!({"maxAgents": agents}));
        let request = world.request(Method::POST, PAUSE).header("prefer", "respond-async").json(&pause);
        async move { request.send().await.unwrap().status().as_u16() }
    });
    let statuses = futures::future::join_all(commands).await;
    world.cxone.campaign_when(DIALING, "PAUSED").await;

    assert!(statuses.iter().all(|status| [200, 202].contains(status)), "{statuses:?}");
    assert_eq!(world.get(&format!("/v1/campaigns/{DIALING}")).await["holds"].as_array().unwrap().len(), 10);
    world.end().await;
}
