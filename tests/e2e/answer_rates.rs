//! Attempts and answers stream in; a falling answer rate pauses the campaign by itself.

use serde_json::{Value, json};

use crate::support::{DIALING, Service, World, eventually, faults, in_ms, minutes_from_now};

/// A floor of 0.35 from 100 attempts on.
fn guard(members: Value) -> Value {
    let mut guard = json!({
        "enabled": true, "windowMs": 60_000, "minAnswerRate": 0.35, "minAttempts": 100, "pauseForMs": 600_000,
    });
    guard.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    json!({ "answerRate": guard })
}

/// The live figures, once they are these.
async fn figures_when(world: &World, attempts: u64, answers: u64) -> Value {
    eventually(&format!("{attempts} attempts and {answers} answers"), async || {
        let figures = world.get(&format!("/v1/campaigns/{DIALING}")).await["answerRate"].clone();
        let same = figures["attempts"] == attempts && figures["answers"] == answers;
        if same { Ok(figures) } else { Err(figures.to_string()) }
    })
    .await
}

#[tokio::test]
async fn a_low_answer_rate_pauses_a_campaign_which_resumes_with_an_empty_window() {
    let world = World::of_campaigns(&[]).await;
    world.set(&guard(json!({"pauseForMs": 2_500}))).await;

    world.report(&world.service.base_url, 100, 20).await;
    let paused_campaign = world.cxone.campaign_when(DIALING, "PAUSED").await;
    let paused = world.entry_when("campaign.paused").await;
    world.cxone.campaign_when(DIALING, "ACTIVE").await;
    // What was before the pause does not pause it again: the window starts empty.
    let empty = figures_when(&world, 0, 0).await;
    eventually("events to count again", async || {
        world.report(&world.service.base_url, 1, 0).await;
        let figures = world.get(&format!("/v1/campaigns/{DIALING}")).await["answerRate"].clone();
        if figures["attempts"] == 0 { Err(figures.to_string()) } else { Ok(()) }
    })
    .await;

    assert_eq!(paused_campaign["pauseReason"], "CARRIER_THROTTLE");
    let why = (&paused["triggeredBy"], &paused["answerRate"], &paused["callVolumeBefore"], &paused["callVolumeAfter"]);
    assert_eq!(why, (&json!("SLIDING_WINDOW_THROTTLE"), &json!(0.2), &json!(100), &json!(0)));
    assert_eq!((&paused["actor"]["type"], &paused["actor"]["id"]), (&json!("system"), &json!("answer-rate")));
    assert_eq!(world.entries("hold.placed").await[0]["answerRate"], 0.2);
    assert_eq!(world.entry_when("campaign.resumed").await["triggeredBy"], "SCHEDULED_RESUME");
    assert_eq!((&empty["rate"], empty["countedFrom"].is_string()), (&Value::Null, true));
    assert_eq!(world.entries("hold.placed").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn events_at_two_replicas_are_one_window_and_place_one_hold() {
    let world = World::of_campaigns(&[]).await;
    let second = Service::start(&world.database, &world.cxone, &[]).await;
    world.set(&guard(json!({}))).await;

    // Neither has enough attempts alone.
    world.report(&world.service.base_url, 60, 10).await;
    world.report(&second.base_url, 60, 10).await;
    world.cxone.campaign_when(DIALING, "PAUSED").await;
    for replica in [&world.service.base_url, &second.base_url] {
        world.report(replica, 60, 0).await;
    }
    let figures = figures_when(&world, 240, 20).await;

    assert!((figures["rate"].as_f64().unwrap() - 20.0 / 240.0).abs() < 1e-9);
    let placed = world.entries("hold.placed").await;
    assert_eq!(placed.len(), 1, "{placed:?}");
    assert_eq!(world.cxone.received("campaignUpdate").await.len(), 1);
    second.kill().await;
    world.end().await;
}

#[tokio::test]
async fn too_few_attempts_enough_answers_or_a_guard_that_is_off_never_pause_a_campaign() {
    let world = World::of_campaigns(&[]).await;
    let here = world.service.base_url.clone();

    world.set(&guard(json!({}))).await;
    world.report(&here, 0, 50).await;
    let no_attempts = figures_when(&world, 0, 50).await;
    world.report(&here, 99, 0).await;
    figures_when(&world, 99, 50).await;
    world.set(&guard(json!({"enabled": false}))).await;
    world.report(&here, 1_000, 0).await;
    let off = figures_when(&world, 1_099, 50).await;

    assert_eq!(no_attempts["rate"], Value::Null);
    assert!(off["rate"].as_f64().unwrap() < 0.35);
    assert_eq!(world.cxone.campaign(DIALING).await["state"], "ACTIVE");
    assert!(world.entries("hold.placed").await.is_empty());
    // A replica reads what all have added back a moment after it has added its own.
    let line = format!("ringback_campaign_attempts{{campaign=\"{DIALING}\"}} 1099");
    eventually("the metric of attempts", async || {
        let metrics = world.http.get(format!("{here}/metrics")).send().await.unwrap().text().await.unwrap();
        if metrics.contains(&line) { Ok(()) } else { Err(metrics) }
    })
    .await;
    world.end().await;
}

#[tokio::test]
async fn late_events_count_within_the_window_and_all_invalid_events_are_reported_together() {
    let world = World::of_campaigns(&[]).await;
    world.set(&guard(json!({"enabled": false, "windowMs": 300_000}))).await;
    let path = format!("/v1/campaigns/{DIALING}/events");
    let send = async |events: Value| world.command_to(&world.service.base_url, &path, &json!({"events": events})).await;

    let (status, accepted) = send(json!([
        {"type": "ATTEMPT", "timestamp": in_ms(-30_000), "count": 7},
        {"type": "ATTEMPT", "timestamp": in_ms(4_000), "count": 2},
        {"type": "ATTEMPT", "timestamp": minutes_from_now(-60), "count": 100},
        {"type": "ANSWER"},
    ]))
    .await;
    figures_when(&world, 9, 1).await;
    let (bad, problem) =
        send(json!([{"type": "ATTEMPT", "timestamp": in_ms(60_000)}, {"type": "RING"}, {"count": "many"}])).await;
    let many: Vec<Value> = (0..10_001).map(|_| json!({"type": "ANSWER"})).collect();
    let (too_many, too_many_problem) = send(json!(many)).await;
    let (most, all) = send(json!(many[1..])).await;

    assert_eq!((status, accepted), (202, json!({"accepted": 4})));
    let expected = [
        "/events/0/timestamp in-the-future",
        "/events/1/type unknown-event-type",
        "/events/2/count wrong-type",
        "/events/2/type required",
    ];
    assert_eq!((bad, faults(&problem)), (422, expected.map(str::to_owned).to_vec()));
    assert_eq!((too_many, faults(&too_many_problem)), (422, vec!["/events out-of-range".to_owned()]));
    assert_eq!((most, all), (202, json!({"accepted": 10_000})));
    figures_when(&world, 9, 10_001).await;
    world.end().await;
}

#[tokio::test]
async fn a_replica_that_drains_shares_what_it_has_counted() {
    let mut world = World::of_campaigns(&[]).await;
    world.set(&guard(json!({}))).await;
    world.report(&world.service.base_url, 40, 30).await;

    let fresh = Service::start(&world.database, &world.cxone, &[]).await;
    let status = std::mem::replace(&mut world.service, fresh).terminate().await;
    let figures = figures_when(&world, 40, 30).await;

    assert!(status.success());
    assert_eq!(figures["rate"], 0.75);
    world.end().await;
}
