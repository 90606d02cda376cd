//! Which holds there are: what makes one, what makes the same one again, what lifts it, and what its events say.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    DIALING, Receiver, Service, World, create_key, eventually, faults, minutes_from_now, pause, pause_with, window,
};

/// The dialing campaign, as it is shown.
async fn shown(world: &World) -> Value {
    world.get(&format!("/v1/campaigns/{DIALING}")).await
}

fn holds(answer: &Value) -> &[Value] {
    answer["holds"].as_array().unwrap_or_else(|| panic!("no holds: {answer}"))
}

#[tokio::test]
async fn a_compliance_hold_reason_implies_a_compliance_hold() {
    let world = World::of_campaigns(&[]).await;
    let end = minutes_from_now(30);
    let (status_without, without) =
        world.command("pause", &pause_with(json!({"pauseReason": "COMPLIANCE_HOLD"}))).await;
    let open_ended = shown(&world).await;
    // Also where the client says otherwise.
    let members = json!({"pauseReason": "COMPLIANCE_HOLD", "complianceHold": false, "scheduledResumeTime": end});
    let (status, answer) = world.command("pause", &pause_with(members)).await;
    let (resumed, refused) = world.command("resume", &json!({"pauseReason": "COMPLIANCE_HOLD"})).await;

    assert_eq!((status_without, faults(&without)), (422, vec!["/scheduledResumeTime required".to_owned()]));
    assert_eq!(open_ended["holds"], json!([]));
    assert_eq!((status, &answer["holds"][0]["complianceHold"]), (200, &json!(true)), "{answer}");
    assert_eq!((resumed, &refused["type"]), (409, &json!("/problems/hold-in-force")), "{refused}");
    assert_eq!((&refused["holdId"], &refused["scheduledResumeTime"]), (&answer["holds"][0]["id"], &json!(end)));
    let paused = world.entry_when("campaign.paused").await;
    assert_eq!(paused["complianceHold"], true);
    assert_eq!(world.cxone.campaign(DIALING).await["state"], "PAUSED");
    world.end().await;
}

#[tokio::test]
async fn the_same_pause_from_the_same_api_key_extends_its_hold() {
    let mut world = World::of_campaigns(&[]).await;
    // One regulatory window for all of them, also where the minute changes meanwhile.
    let same = pause();
    let until = |end: &str| {
        let mut pause = same.clone();
        pause["scheduledResumeTime"] = json!(end);
        pause
    };
    let [earlier, end, later] = [20, 30, 40].map(minutes_from_now);

    let (_, first) = world.command("pause", &until(&end)).await;
    for _ in 0..19 {
        let (status, again) = world.command("pause", &until(&end)).await;
        assert_eq!((status, &again["status"], &again["holds"]), (200, &json!("unchanged"), &first["holds"]), "{again}");
    }
    let (_, of_earlier) = world.command("pause", &until(&earlier)).await;
    let (_, of_later) = world.command("pause", &until(&later)).await;
    let events = eventually("the later end in CXone", async || {
        let campaign = world.cxone.campaign(DIALING).await;
        if campaign["scheduledResumeTime"] == later { Ok(campaign) } else { Err(campaign.to_string()) }
    })
    .await;
    world.key = create_key(&world.database, &["campaigns:write", "campaigns:read", "audit:read"]).await;
    let (_, of_another) = world.command("pause", &until(&later)).await;

    assert_eq!((holds(&first).len(), &of_earlier["holds"]), (1, &first["holds"]), "an earlier end moves nothing");
    assert_eq!((holds(&of_later).len(), &of_later["holds"][0]["id"]), (1, &first["holds"][0]["id"]));
    let ends = [&of_later["status"], &of_later["scheduledResumeTime"], &of_later["holds"][0]["scheduledResumeTime"]];
    assert_eq!(ends, [&json!("unchanged"), &json!(later), &json!(later)]);
    assert_eq!(events["state"], "PAUSED");
    let (ids, placed_by): (Vec<_>, Vec<_>) =
        holds(&of_another).iter().map(|hold| (hold["id"].to_string(), hold["placedBy"]["id"].to_string())).unzip();
    assert_eq!(ids.len(), 2, "another key places its own: {of_another}");
    assert!(ids[0] != ids[1] && placed_by[0] != placed_by[1], "{of_another}");
    assert_eq!(world.entries("hold.placed").await.len(), 2);
    let extended = world.entries("hold.extended").await;
    assert_eq!((extended.len(), &extended[0]["detail"]["endsAt"]), (1, &json!(later)), "{extended:?}");
    assert_eq!(extended[0]["detail"]["previousEndsAt"], end);
    world.end().await;
}

#[tokio::test]
async fn a_running_resume_does_not_lift_a_hold_extended_in_between() {
    let world = World::of_campaigns(&[]).await;
    let other = Service::start(&world.database, &world.cxone, &[]).await;
    let (_, first) = world.command("pause", &pause()).await;
    let reads = world.cxone.gets(DIALING).await.len();
    world.cxone.fault(json!({"route": "campaignRead", "kind": "latency", "latencyMs": 1_500, "times": 1})).await;

    let resume = json!({});
    let resuming = world.command("resume", &resume);
    let refreshing = async {
        eventually("the resume to read", async || match world.cxone.gets(DIALING).await.len() {
            now if now > reads => Ok(()),
            now => Err(format!("{now} reads")),
        })
        .await;
        let path = format!("{}/v1/campaigns/{DIALING}/pause", other.base_url);
        let request = world.http.post(path).bearer_auth(&world.key).header("prefer", "respond-async").json(&pause());
        request.send().await.unwrap().status().as_u16()
    };
    let ((_, resumed), refreshed) = tokio::join!(resuming, refreshing);

    assert_eq!(refreshed, 202);
    assert_eq!((holds(&resumed).len(), &resumed["newState"]), (1, &json!("PAUSED")), "{resumed}");
    let shown = shown(&world).await;
    assert_eq!((holds(&shown).len(), &shown["holds"][0]["id"]), (1, &first["holds"][0]["id"]), "{shown}");
    assert!(world.cxone.puts(DIALING).await.iter().all(|put| put["state"] == "PAUSED"));
    assert!(world.entries("hold.lifted").await.is_empty());
    other.kill().await;
    world.end().await;
}

#[tokio::test]
async fn a_resume_by_hold_id_lifts_exactly_one_hold() {
    let world = World::of_campaigns(&[]).await;
    world.command("pause", &pause()).await;
    let (_, both) = world.command("pause", &pause_with(json!({"maxAgents": 5}))).await;
    let [first, second] = [0, 1].map(|n| both["holds"][n]["id"].clone());

    let (unknown, problem) = world.command("resume", &json!({"holdId": Uuid::now_v7()})).await;
    let (no_id, fault) = world.command("resume", &json!({"holdId": "the first"})).await;
    let (lifted, one_left) = world.command("resume", &json!({"holdId": second})).await;
    let (again, lifted_already) = world.command("resume", &json!({"holdId": second})).await;
    let shown_with_one = shown(&world).await;
    let (last, active) = world.command("resume", &json!({"holdId": first})).await;

    assert_eq!(holds(&both).len(), 2, "{both}");
    assert_eq!((unknown, &problem["type"]), (404, &json!("/problems/not-found")), "{problem}");
    assert_eq!((no_id, faults(&fault)), (422, vec!["/holdId not-a-uuid".to_owned()]));
    assert_eq!((lifted, &one_left["newState"], holds(&one_left).len()), (200, &json!("PAUSED"), 1), "{one_left}");
    assert_eq!(one_left["holds"][0]["id"], first);
    assert_eq!((again, &lifted_already["type"]), (404, &json!("/problems/not-found")));
    assert_eq!((holds(&shown_with_one).len(), &shown_with_one["holds"][0]["id"]), (1, &first));
    let by = &shown_with_one["holds"][0]["placedBy"];
    assert_eq!((&by["type"], &by["name"], by["id"].is_string()), (&json!("api_key"), &json!("test"), true), "{by}");
    assert_eq!((last, &active["newState"], &active["holds"]), (200, &json!("ACTIVE"), &json!([])), "{active}");
    let lifted: Vec<_> =
        world.entries("hold.lifted").await.iter().map(|hold| hold["detail"]["holdId"].clone()).collect();
    assert_eq!(lifted, [second, first]);
    world.end().await;
}

#[tokio::test]
async fn a_resume_must_be_inside_both_windows() {
    let world = World::of_campaigns(&[]).await;
    let (open, closed) = (window(-120, 360), window(120, 240));
    let settings_have = async |window: &Value| world.set(&json!({"regulatoryWindow": window})).await;
    let pause_has = async |window: &Value| {
        let (status, answer) = world.command("pause", &pause_with(json!({"regulatoryWindow": window}))).await;
        assert_eq!((status, &answer["status"]), (200, &json!("applied")), "{answer}");
    };

    settings_have(&closed).await;
    pause_has(&open).await;
    let (of_settings, settings_closed) = world.command("resume", &json!({})).await;
    settings_have(&open).await;
    let (of_neither, active) = world.command("resume", &json!({})).await;
    pause_has(&closed).await;
    let (of_pause, pause_closed) = world.command("resume", &json!({})).await;

    for (status, problem) in [(of_settings, settings_closed), (of_pause, pause_closed)] {
        assert_eq!((status, &problem["type"]), (409, &json!("/problems/outside-regulatory-window")), "{problem}");
        let opening = problem["nextOpening"].as_str().unwrap();
        assert!(opening.contains(closed["startTime"].as_str().unwrap()), "{opening}");
    }
    assert_eq!((of_neither, &active["newState"]), (200, &json!("ACTIVE")), "{active}");
    assert_eq!(world.cxone.campaign(DIALING).await["state"], "PAUSED");
    world.end().await;
}

/// Reports events and returns once all of them are counted.
async fn dialed(world: &World, (attempts, answers): (u32, u32), in_all: (u32, u32)) {
    world.report(&world.service.base_url, attempts, answers).await;
    eventually("the events to be counted", async || {
        let figures = shown(world).await["answerRate"].clone();
        let is_all = figures["attempts"] == in_all.0 && figures["answers"] == in_all.1;
        if is_all { Ok(()) } else { Err(figures.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn events_have_the_answer_rate_from_the_time_of_the_request() {
    let world = World::of_webhooks(&[]).await;
    let receiver = Receiver::start(&[]).await;
    world.hook_at(&receiver).await;
    let guard = json!({
        "enabled": false, "windowMs": 300_000, "minAnswerRate": 0.01, "minAttempts": 1, "pauseForMs": 600_000,
    });
    world.set(&json!({ "answerRate": guard })).await;
    let fails = json!({"route": "campaignUpdate", "kind": "status", "status": 503});
    dialed(&world, (100, 20), (100, 20)).await;

    world.cxone.fault(fails.clone()).await;
    let (paused, pausing) = world.command("pause", &pause()).await;
    dialed(&world, (300, 0), (400, 20)).await;
    world.cxone.heal().await;
    receiver.received_when(1).await;
    world.cxone.fault(fails).await;
    let (resumed, resuming) = world.command("resume", &json!({})).await;
    dialed(&world, (100, 80), (500, 100)).await;
    world.cxone.heal().await;
    let events = receiver.received_when(2).await;

    assert_eq!((paused, resumed), (202, 202), "{pausing} {resuming}");
    let expected = [("campaign.paused", 0.2, 100), ("campaign.resumed", 0.05, 400)];
    for (event, (action, rate, attempts)) in events.iter().map(|events| events.event()).zip(expected) {
        assert_eq!(event["type"], action);
        let metadata = (&event["metadata"]["answerRate"], &event["metadata"]["volumeVariance"]);
        assert_eq!(metadata, (&json!(rate), &json!(-attempts)), "{event}");
        let entry = world.entry_when(action).await;
        let of_entry = (&entry["id"], &entry["answerRate"], &entry["callVolumeBefore"], &entry["callVolumeAfter"]);
        assert_eq!(of_entry, (&event["auditId"], &json!(rate), &json!(attempts), &json!(0)), "{entry}");
    }
    world.end().await;
}
