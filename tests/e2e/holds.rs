//! Holds stack, end by themselves, and are durable; the regulatory window opens and closes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    DIALING, Service, World, create_key, eventually, eventually_within, in_ms, minutes_from_now, pause, pause_with,
    window,
};

/// A second late at most, and what a machine that runs many tests at once takes for it; in milliseconds.
const ON_TIME: std::ops::Range<i64> = 0..3_000;

fn late_by(entry: &Value, due: &str) -> i64 {
    let at: jiff::Timestamp = entry["timestamp"].as_str().unwrap().parse().unwrap();
    at.as_millisecond() - due.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

#[tokio::test]
async fn the_end_of_one_hold_lifts_no_other_and_the_last_end_starts_the_campaign() {
    let world = World::of_campaigns(&[]).await;
    let (throttle_end, compliance_end) = (in_ms(1_500), in_ms(4_000));
    world.command("pause", &pause_with(json!({"scheduledResumeTime": throttle_end}))).await;
    let compliance = json!({
        "pauseReason": "COMPLIANCE_HOLD", "complianceHold": true, "scheduledResumeTime": compliance_end,
    });

    let (_, stacked) = world.command("pause", &pause_with(compliance)).await;
    let lifted = world.entry_when("hold.lifted").await;
    let between = world.cxone.campaign(DIALING).await;
    world.cxone.campaign_when(DIALING, "ACTIVE").await;

    assert_eq!((&stacked["status"], stacked["holds"].as_array().unwrap().len()), (&json!("unchanged"), 2));
    assert_eq!(stacked["scheduledResumeTime"], compliance_end);
    assert_eq!((&between["state"], &between["scheduledResumeTime"]), (&json!("PAUSED"), &json!(compliance_end)));
    assert!(ON_TIME.contains(&late_by(&lifted, &throttle_end)), "{lifted}");
    assert_eq!(lifted["actor"]["type"], "system");
    let resumed = world.entry_when("campaign.resumed").await;
    assert!(ON_TIME.contains(&late_by(&resumed, &compliance_end)), "{resumed}");
    assert_eq!((&resumed["triggeredBy"], &resumed["actor"]["type"]), (&json!("SCHEDULED_RESUME"), &json!("system")));
    assert_eq!(world.get(&format!("/v1/campaigns/{DIALING}")).await["holds"], json!([]));
    world.end().await;
}

#[tokio::test]
async fn the_end_of_a_hold_does_not_start_a_campaign_paused_by_another_user() {
    let world = World::of_campaigns(&[]).await;
    world.cxone.change_campaign(DIALING, json!({"state": "PAUSED", "pauseReason": "SUPERVISOR"})).await;
    world.command("pause", &pause_with(json!({"scheduledResumeTime": in_ms(800)}))).await;

    world.entry_when("hold.lifted").await;

    let campaign = world.cxone.campaign(DIALING).await;
    assert_eq!((&campaign["state"], &campaign["pauseReason"]), (&json!("PAUSED"), &json!("SUPERVISOR")));
    assert_eq!(world.cxone.received("campaignUpdate").await.len(), 0);
    world.end().await;
}

#[tokio::test]
async fn the_resume_time_in_cxone_is_the_end_of_the_last_hold_and_absent_for_an_open_ended_hold() {
    let world = World::of_campaigns(&[]).await;
    let end = minutes_from_now(30);
    world.command("pause", &pause_with(json!({"scheduledResumeTime": end}))).await;
    let first = world.cxone.campaign(DIALING).await["scheduledResumeTime"].clone();

    world.command("pause", &pause_with(json!({"pauseReason": "AGENT_CAPACITY"}))).await;
    let open_ended = eventually("no resume time in CXone", async || {
        let campaign = world.cxone.campaign(DIALING).await;
        if campaign["scheduledResumeTime"].is_null() { Ok(campaign) } else { Err(campaign.to_string()) }
    })
    .await;

    assert_eq!(first, end);
    assert_eq!((&open_ended["state"], &open_ended["pauseReason"]), (&json!("PAUSED"), &json!("AGENT_CAPACITY")));
    assert_eq!(world.get(&format!("/v1/campaigns/{DIALING}")).await["nextResume"], Value::Null);
    world.end().await;
}

#[tokio::test]
async fn a_hold_ends_on_time_after_the_service_was_killed() {
    let mut world = World::of_campaigns(&[]).await;
    let end = in_ms(4_000);
    world.command("pause", &pause_with(json!({"scheduledResumeTime": end}))).await;

    let fresh = Service::start(&world.database, &world.cxone, &[]).await;
    std::mem::replace(&mut world.service, fresh).kill().await;
    world.cxone.campaign_when(DIALING, "ACTIVE").await;

    let resumed = world.entry_when("campaign.resumed").await;
    assert!(ON_TIME.contains(&late_by(&resumed, &end)), "{resumed}");
    world.end().await;
}

#[tokio::test]
async fn a_campaign_is_paused_when_its_window_closes_and_started_when_it_opens() {
    let world = World::of_campaigns(&[]).await;
    // It opens at the next full minute, or at the one after that where the next one is near.
    let is_near = jiff::Timestamp::now().as_second() % 60 > 40;
    let opens = window(if is_near { 2 } else { 1 }, 120);
    world.set(&json!({"regulatoryWindow": opens, "enforceRegulatoryWindow": true})).await;

    let paused = world.entry_when("campaign.paused").await;
    let held = world.get(&format!("/v1/campaigns/{DIALING}")).await;
    let resumed = eventually_within(Duration::from_secs(90), "the window to open", async || {
        world.entries("campaign.resumed").await.pop().ok_or_else(|| "it is closed".to_owned())
    })
    .await;

    assert_eq!((&paused["triggeredBy"], &paused["actor"]["type"]), (&json!("REGULATORY_WINDOW"), &json!("system")));
    assert_eq!(held["holds"][0]["triggeredBy"], "REGULATORY_WINDOW");
    let opening = held["nextResume"].as_str().unwrap();
    assert!(opening.contains(opens["startTime"].as_str().unwrap()), "{opening}");
    assert_eq!(resumed["triggeredBy"], "REGULATORY_WINDOW");
    assert!(ON_TIME.contains(&late_by(&resumed, opening)), "{resumed}");
    assert_eq!(world.cxone.campaign(DIALING).await["state"], "ACTIVE");
    world.end().await;
}

#[tokio::test]
async fn an_overridden_window_is_not_enforced_before_its_next_opening() {
    let mut world = World::of_campaigns(&[("CAMPAIGN_CHECK_MS", "300")]).await;
    world.set(&json!({"regulatoryWindow": window(120, 240), "enforceRegulatoryWindow": true})).await;
    world.cxone.campaign_when(DIALING, "PAUSED").await;
    let plain = world.key.clone();
    world.key = create_key(&world.database, &["campaigns:write", "campaigns:override"]).await;

    let (status, answer) = world.command("resume", &json!({"force": true})).await;
    world.key = plain;
    // A pause and its end make the service look at the campaign, and at its window, some times more.
    let pause = pause_with(json!({"scheduledResumeTime": in_ms(900), "regulatoryWindow": window(-60, 120)}));
    world.command("pause", &pause).await;
    world.cxone.campaign_when(DIALING, "PAUSED").await;
    world.cxone.campaign_when(DIALING, "ACTIVE").await;

    assert_eq!((status, &answer["newState"]), (200, &json!("ACTIVE")));
    let placed = world.entries("hold.placed").await;
    let by_window = placed.iter().filter(|entry| entry["triggeredBy"] == "REGULATORY_WINDOW").count();
    assert_eq!(by_window, 1);
    world.end().await;
}

#[tokio::test]
async fn the_database_allows_no_change_of_a_hold_but_its_end_and_lift() {
    let world = World::of_campaigns(&[]).await;
    world.command("pause", &pause()).await;
    for statement in [
        "delete from campaign_holds",
        "update campaign_holds set ends_at = now()",
        "update campaign_holds set lifted_at = now(), lifted_by = '{}', compliance = not compliance",
    ] {
        let refused = sqlx::query(statement).execute(&world.database.pool).await.unwrap_err();
        assert!(refused.to_string().contains("a hold is lifted once"), "{statement}: {refused}");
    }
    world.end().await;
}
