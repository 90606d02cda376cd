//! Pause and resume: what they do in CXone, what they answer, what the audit log says, and what is refused.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    DIALING, INACTIVE_CAMPAIGN, World, create_key, faults, in_ms, minutes_from_now, pause, pause_with, window,
};

const UNKNOWN: &str = "0192f0c4-1111-7000-8000-00000000dead";

#[tokio::test]
async fn a_pause_needs_one_read_and_one_write_and_is_audited_in_full() {
    let world = World::of_campaigns(&[]).await;
    let until = minutes_from_now(30);

    let (status, answer) = world.command("pause", &pause_with(json!({"scheduledResumeTime": until}))).await;

    assert_eq!(status, 200, "{answer}");
    let shown = (&answer["status"], &answer["previousState"], &answer["newState"]);
    assert_eq!(shown, (&json!("applied"), &json!("ACTIVE"), &json!("PAUSED")));
    assert_eq!((&answer["campaignId"], &answer["resumeDeferredFrom"]), (&json!(DIALING), &Value::Null));
    assert_eq!(answer["scheduledResumeTime"], until);
    assert_eq!(answer["holds"][0]["pauseReason"], "CARRIER_THROTTLE");
    assert!(answer["latencyMs"].as_i64().unwrap() >= 0);
    let sent = world.cxone.received("campaignUpdate").await;
    assert_eq!(world.cxone.received("campaignRead").await.len(), 1);
    assert_eq!(sent.len(), 1);
    let wanted = json!({
        "state": "PAUSED", "pauseReason": "CARRIER_THROTTLE", "scheduledResumeTime": until, "maxAgents": 25,
        "dialingMode": "PREDICTIVE",
    });
    assert_eq!(sent[0]["body"], wanted);
    assert_eq!(world.actions().await, ["hold.placed", "campaign.paused"]);
    let entry = &world.entries("campaign.paused").await[0];
    assert_eq!(entry["id"], answer["auditId"]);
    assert_eq!((&entry["actor"]["type"], &entry["actor"]["name"]), (&json!("api_key"), &json!("test")));
    let change = (&entry["previousState"], &entry["newState"], &entry["outcome"], &entry["triggeredBy"]);
    assert_eq!(change, (&json!("ACTIVE"), &json!("PAUSED"), &json!("succeeded"), &json!("MANUAL_PAUSE")));
    assert_eq!((&entry["complianceHold"], entry["latencyMs"].is_i64()), (&json!(false), true));
    assert!(entry["requestId"].is_string());
    world.end().await;
}

#[tokio::test]
async fn a_paused_campaign_is_not_updated_again_and_a_resume_starts_it_whoever_paused_it() {
    let world = World::of_campaigns(&[]).await;
    world.cxone.change_campaign(DIALING, json!({"state": "PAUSED"})).await;

    let (paused, unchanged) = world.command("pause", &pause()).await;
    let (again, twice) = world.command("pause", &pause()).await;
    let put = world.cxone.received("campaignUpdate").await.len();
    let (resumed, active) = world.command("resume", &json!({})).await;
    let (resumed_again, same) = world.command("resume", &json!({})).await;

    assert_eq!(
        (paused, &unchanged["status"], again, &twice["status"]),
        (200, &json!("unchanged"), 200, &json!("unchanged"))
    );
    assert_eq!((twice["holds"].as_array().unwrap().len(), &twice["holds"]), (1, &unchanged["holds"]));
    assert_eq!(put, 0, "nothing is sent to a campaign that is paused already");
    assert_eq!((resumed, &active["status"], &active["newState"]), (200, &json!("applied"), &json!("ACTIVE")));
    assert_eq!((resumed_again, &same["status"], &same["holds"]), (200, &json!("unchanged"), &json!([])));
    assert_eq!(world.cxone.campaign(DIALING).await["state"], "ACTIVE");
    let actions = world.actions().await;
    let campaign: Vec<_> = actions.iter().filter(|action| action.starts_with("campaign.")).collect();
    let expected =
        ["campaign.pause_unchanged", "campaign.pause_unchanged", "campaign.resumed", "campaign.resume_unchanged"];
    assert_eq!(campaign, expected);
    assert_eq!(world.entries("hold.lifted").await.len(), 1);
    assert_eq!(world.entries("campaign.resumed").await[0]["triggeredBy"], "MANUAL_RESUME");
    world.end().await;
}

#[tokio::test]
async fn a_resume_without_a_reason_lifts_all_holds_and_one_with_a_reason_only_those() {
    let world = World::of_campaigns(&[]).await;
    world.command("pause", &pause()).await;
    world.command("pause", &pause_with(json!({"pauseReason": "AGENT_CAPACITY"}))).await;

    let (_, first) = world.command("resume", &json!({"pauseReason": "CARRIER_THROTTLE"})).await;
    let still = world.cxone.campaign(DIALING).await;
    let bare = world.request(Method::POST, &format!("/v1/campaigns/{DIALING}/resume")).send().await.unwrap();

    assert_eq!((&first["status"], &first["newState"]), (&json!("unchanged"), &json!("PAUSED")));
    assert_eq!(first["holds"].as_array().unwrap().len(), 1);
    assert_eq!((&first["holds"][0]["pauseReason"], &still["state"]), (&json!("AGENT_CAPACITY"), &json!("PAUSED")));
    assert_eq!(bare.status(), 200);
    assert_eq!(bare.json::<Value>().await.unwrap()["newState"], "ACTIVE");
    world.end().await;
}

#[tokio::test]
async fn a_pause_of_an_inactive_or_unknown_campaign_is_refused_and_leaves_no_hold() {
    let world = World::of_campaigns(&[]).await;
    let path = |id: &str| format!("/v1/campaigns/{id}/pause");

    for state in ["INACTIVE", "SUSPENDED"] {
        world.cxone.change_campaign(DIALING, json!({"state": state})).await;
        for verb in ["pause", "resume"] {
            let body = if verb == "pause" { pause() } else { json!({}) };
            let (status, problem) = world.command(verb, &body).await;
            assert_eq!((status, &problem["type"]), (409, &json!("/problems/campaign-not-running")), "{verb} {state}");
            assert_eq!(problem["state"], state);
        }
    }
    let (unknown, problem) = world.command_to(&world.service.base_url, &path(UNKNOWN), &pause()).await;

    assert_eq!((unknown, &problem["type"]), (404, &json!("/problems/not-found")));
    assert_eq!(world.get(&format!("/v1/campaigns/{DIALING}")).await["holds"], json!([]));
    assert_eq!(world.cxone.received("campaignUpdate").await.len(), 0);
    assert!(world.entries("hold.placed").await.is_empty());
    let refused = world.entries("campaign.pause_refused").await;
    assert_eq!(refused.len(), 2);
    assert_eq!(
        (&refused[0]["outcome"], &refused[0]["detail"]["problem"]),
        (&json!("refused"), &json!("campaign-not-running"))
    );
    let shown = world.request(Method::GET, &format!("/v1/campaigns/{UNKNOWN}")).send().await.unwrap();
    assert_eq!(shown.status(), 404);
    let known = world.get("/v1/campaigns").await;
    assert!(known["data"].as_array().unwrap().iter().all(|campaign| campaign["campaignId"] != UNKNOWN));
    world.end().await;
}

#[tokio::test]
async fn all_errors_of_a_command_are_reported_together_and_the_refusal_is_audited() {
    let world = World::of_campaigns(&[]).await;
    let bad = json!({
        "campaignId": UNKNOWN, "pauseReason": "TIRED", "complianceHold": true, "maxAgents": -1,
        "regulatoryWindow": {"startTime": "24:00", "endTime": "9:5", "timezone": "Mars"},
        "carrierLimit": {"maxConcurrentCalls": 0, "maxAgents": 0},
    });

    let (status, problem) = world.command("pause", &bad).await;
    let path = format!("/v1/campaigns/{INACTIVE_CAMPAIGN}/pause");
    let (no_uuid, no_uuid_problem) = world.command_to(&world.service.base_url, &path, &json!({})).await;
    let (resume, resume_problem) = world.command("resume", &json!({"campaignId": UNKNOWN, "force": 1, "why": 2})).await;
    let past = pause_with(json!({"scheduledResumeTime": minutes_from_now(-1)}));
    let (in_the_past, past_problem) = world.command("pause", &past).await;

    assert_eq!(status, 422);
    assert_eq!(
        faults(&problem),
        [
            "/campaignId another-campaign",
            "/carrierLimit/maxAgents out-of-range",
            "/carrierLimit/maxConcurrentCalls out-of-range",
            "/maxAgents wrong-type",
            "/pauseReason not-a-pause-reason",
            "/regulatoryWindow/endTime not-a-time-of-day",
            "/regulatoryWindow/startTime not-a-time-of-day",
            "/regulatoryWindow/timezone not-a-time-zone",
            "/scheduledResumeTime required",
        ]
    );
    assert_eq!(no_uuid, 422);
    let missing = faults(&no_uuid_problem);
    assert_eq!(missing[0], "/campaignId not-a-uuid");
    assert!(missing.contains(&"/pauseReason required".to_owned()), "{missing:?}");
    assert_eq!(resume, 422);
    let expected = ["/campaignId another-campaign", "/force wrong-type", "/why unknown-member"];
    assert_eq!(faults(&resume_problem), expected);
    assert_eq!((in_the_past, faults(&past_problem)), (422, vec!["/scheduledResumeTime in-the-past".to_owned()]));
    let refused = world.entries("campaign.pause_refused").await;
    assert_eq!(refused.len(), 2);
    let recorded = refused[0]["detail"]["faults"].as_array().unwrap();
    assert!(recorded.contains(&json!("/pauseReason not-a-pause-reason")), "{recorded:?}");
    assert_eq!(world.cxone.received("campaignRead").await.len(), 0);
    world.end().await;
}

#[tokio::test]
async fn members_left_out_of_a_pause_come_from_the_settings() {
    let world = World::of_campaigns(&[]).await;
    let bare = json!({"pauseReason": "SCHEDULED"});
    let (without, problem) = world.command("pause", &bare).await;
    world
        .set(&json!({
            "maxAgents": 12, "carrierLimit": {"maxConcurrentCalls": 50, "maxAgents": 20},
            "regulatoryWindow": window(-60, 120),
        }))
        .await;

    let (with, _) = world.command("pause", &bare).await;
    let (too_many, over) = world.command("resume", &json!({"maxAgents": 21})).await;

    let missing = ["/carrierLimit required", "/maxAgents required", "/regulatoryWindow required"];
    assert_eq!((without, faults(&problem)), (422, missing.map(str::to_owned).to_vec()));
    assert_eq!(with, 200);
    assert_eq!(world.cxone.campaign(DIALING).await["maxAgents"], 12);
    assert_eq!((too_many, faults(&over)), (422, vec!["/maxAgents over-carrier-limit".to_owned()]));
    world.end().await;
}

#[tokio::test]
async fn a_compliance_hold_and_a_closed_window_yield_only_to_the_override_scope() {
    let mut world = World::of_campaigns(&[]).await;
    let compliance = json!({
        "pauseReason": "COMPLIANCE_HOLD", "complianceHold": true, "scheduledResumeTime": minutes_from_now(60),
    });
    world.command("pause", &pause_with(compliance.clone())).await;
    let (early, held) = world.command("resume", &json!({})).await;
    let (forced, not_allowed) = world.command("resume", &json!({"force": true})).await;
    let plain = world.key.clone();
    world.key = create_key(&world.database, &["campaigns:write", "campaigns:read", "campaigns:override"]).await;
    let (unforced, _) = world.command("resume", &json!({})).await;
    let (overridden, active) = world.command("resume", &json!({"force": true})).await;
    let closed = window(120, 240);
    world.command("pause", &pause_with(json!({"regulatoryWindow": closed}))).await;
    let (night, outside) = world.command("resume", &json!({})).await;
    let (at_night, dialing) = world.command("resume", &json!({"force": true})).await;
    world.key = plain;

    assert_eq!((early, &held["type"]), (409, &json!("/problems/hold-in-force")));
    assert_eq!(held["scheduledResumeTime"], compliance["scheduledResumeTime"]);
    assert!(held["nextOpening"].is_string());
    assert_eq!((forced, &not_allowed["type"]), (409, &json!("/problems/hold-in-force")));
    assert_eq!((unforced, overridden, &active["newState"]), (409, 200, &json!("ACTIVE")));
    assert_eq!((night, &outside["type"]), (409, &json!("/problems/outside-regulatory-window")));
    assert!(outside["nextOpening"].as_str().unwrap().contains(closed["startTime"].as_str().unwrap()));
    assert_eq!((at_night, &dialing["newState"]), (200, &json!("ACTIVE")));
    let resumed = world.entries("campaign.resumed").await;
    assert_eq!(resumed[0]["detail"]["overrode"], json!(["hold-in-force"]));
    assert_eq!(resumed[1]["detail"]["overrode"], json!(["outside-regulatory-window"]));
    assert_eq!(world.entries("campaign.resume_refused").await.len(), 4);
    world.end().await;
}

#[tokio::test]
async fn a_resume_time_outside_the_window_is_moved_and_the_answer_says_so() {
    let world = World::of_campaigns(&[]).await;
    let (asked_for, closed) = (minutes_from_now(30), window(120, 240));

    let pause = pause_with(json!({"scheduledResumeTime": asked_for, "regulatoryWindow": closed}));
    let (status, answer) = world.command("pause", &pause).await;

    assert_eq!((status, &answer["newState"]), (200, &json!("PAUSED")));
    assert_eq!(answer["resumeDeferredFrom"], asked_for);
    let moved = answer["scheduledResumeTime"].as_str().unwrap();
    assert!(moved.contains(closed["startTime"].as_str().unwrap()), "{moved}");
    assert_eq!(world.cxone.campaign(DIALING).await["scheduledResumeTime"], moved);
    world.end().await;
}

#[tokio::test]
async fn a_campaign_is_shown_with_its_live_state_and_listed_with_the_last_one() {
    let world = World::of_campaigns(&[]).await;
    world.command("pause", &pause_with(json!({"scheduledResumeTime": in_ms(3_600_000)}))).await;
    world.set(&json!({"averageHandleTimeSeconds": 100})).await;

    let shown = world.get(&format!("/v1/campaigns/{DIALING}")).await;
    let listed = world.get("/v1/campaigns?limit=1").await;
    let never_paused = world.get(&format!("/v1/campaigns/{INACTIVE_CAMPAIGN}")).await;

    assert_eq!((&shown["state"], &shown["pending"]), (&json!("PAUSED"), &json!(false)));
    assert_eq!(shown["settings"]["averageHandleTimeSeconds"], 100);
    assert_eq!(shown["nextResume"], shown["holds"][0]["scheduledResumeTime"]);
    assert_eq!(shown["holds"][0]["placedBy"]["name"], "test");
    assert_eq!((&listed["data"][0]["campaignId"], &listed["nextCursor"]), (&json!(DIALING), &Value::Null));
    assert_eq!((&never_paused["state"], &never_paused["holds"]), (&json!("INACTIVE"), &json!([])));
    world.end().await;
}

#[tokio::test]
async fn a_command_repeated_with_its_key_is_carried_out_once() {
    let world = World::of_campaigns(&[]).await;
    let send = async || {
        let request = world.request(Method::POST, &format!("/v1/campaigns/{DIALING}/pause"));
        let answer = request.header("idempotency-key", "pause-1").json(&pause_once()).send().await.unwrap();
        (answer.status(), answer.headers().contains_key("idempotency-replayed"), answer.json::<Value>().await.unwrap())
    };

    let (_, replayed_first, first) = send().await;
    let (_, replayed_second, second) = send().await;

    assert_eq!((replayed_first, replayed_second), (false, true));
    assert_eq!(first, second);
    assert_eq!(world.entries("hold.placed").await.len(), 1);
    world.end().await;
}

/// The same body each time.
fn pause_once() -> Value {
    pause_with(json!({"regulatoryWindow": {"startTime": "00:00", "endTime": "23:59", "timezone": "UTC"}}))
}
