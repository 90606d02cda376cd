//! Changes of campaigns that take effect late, that are no longer wanted when they are sent, or that must be there in time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    DIALING, ENCRYPTION_KEY, Receiver, Service, World, eventually, eventually_within, in_ms, instant, pause,
    pause_with, window,
};

/// Routine checks play no part.
const NO_CHECKS: (&str, &str) = ("CAMPAIGN_CHECK_MS", "60000");
/// A few seconds, and what a machine that runs many tests at once takes for it: far from a routine check.
const SECONDS: SignedDuration = SignedDuration::from_secs(12);

/// Sends a command to the dialing campaign through a replica, and does not wait for it.
async fn command_async(world: &World, replica: &Service, verb: &str, body: &Value) -> u16 {
    let path = format!("{}/v1/campaigns/{DIALING}/{verb}", replica.base_url);
    let request = world.http.post(path).bearer_auth(&world.key).header("prefer", "respond-async").json(body);
    request.send().await.unwrap().status().as_u16()
}

/// What became of the dialing campaign: `state` and when it took effect.
async fn history(world: &World) -> Vec<(String, Timestamp)> {
    let changes = world.cxone.changes(DIALING).await;
    changes.iter().map(|change| (change["state"].as_str().unwrap().to_owned(), instant(&change["at"]))).collect()
}

/// Whether a change came in well before it took effect.
fn is_late(change: &Value) -> bool {
    change["sentAt"].is_string()
        && instant(&change["at"]).duration_since(instant(&change["sentAt"])) > SignedDuration::from_secs(1)
}

/// Returns how long the campaign was in the state that a late change brought it to.
async fn corrected_after(world: &World, late: &str, right: &str) -> SignedDuration {
    eventually(&format!("a late {late} to be corrected"), async || {
        let changes = world.cxone.changes(DIALING).await;
        let place = changes.iter().position(|change| is_late(change) && change["state"] == late);
        let (place, last) = (place.ok_or("nothing was late yet")?, changes.last().unwrap());
        if last["state"] != right {
            return Err(last.to_string());
        }
        Ok(instant(&last["at"]).duration_since(instant(&changes[place]["at"])))
    })
    .await
}

#[tokio::test]
async fn a_pause_or_start_that_takes_effect_late_is_corrected_within_seconds() {
    // A start, over a pause that was asked for since.
    let starting = async {
        let world = World::of_campaigns(&[NO_CHECKS]).await;
        world.command("pause", &pause()).await;
        world.cxone.put_late_after_504(3_000).await;
        let (resumed, answer) = world.command("resume", &json!({})).await;
        let paused = command_async(&world, &world.service, "pause", &pause()).await;
        let wrong_for = corrected_after(&world, "ACTIVE", "PAUSED").await;

        assert_eq!((resumed, &answer["status"]), (202, &json!("pending")), "{answer}");
        assert!([200, 202].contains(&paused), "{paused}");
        assert!(wrong_for < SECONDS, "it dialed under a hold for {wrong_for:#}");
        assert_eq!(world.get(&format!("/v1/campaigns/{DIALING}")).await["holds"].as_array().unwrap().len(), 1);
        world.end().await;
    };
    // A pause, after it was lifted.
    let pausing = async {
        let world = World::of_campaigns(&[NO_CHECKS]).await;
        world.cxone.put_late_after_504(3_000).await;
        let (paused, answer) = world.command("pause", &pause()).await;
        let resumed = command_async(&world, &world.service, "resume", &json!({})).await;
        let wrong_for = corrected_after(&world, "PAUSED", "ACTIVE").await;

        assert_eq!((paused, &answer["status"]), (202, &json!("pending")), "{answer}");
        assert!([200, 202].contains(&resumed), "{resumed}");
        assert!(wrong_for < SECONDS, "it did not dial for {wrong_for:#}");
        assert_eq!(world.get(&format!("/v1/campaigns/{DIALING}")).await["holds"], json!([]));
        world.end().await;
    };
    tokio::join!(starting, pausing);
}

#[tokio::test]
async fn a_start_that_takes_effect_after_a_takeover_is_corrected_within_seconds() {
    let mut world = World::of_campaigns(&[NO_CHECKS]).await;
    let other = Service::start(&world.database, &world.cxone, &[NO_CHECKS]).await;
    world.command("pause", &pause()).await;
    // Longer than the lease.
    world.cxone.put_late(8_000).await;

    command_async(&world, &world.service, "resume", &json!({})).await;
    eventually("the start to be sent", async || match world.cxone.puts(DIALING).await.len() {
        2 => Ok(()),
        puts => Err(format!("{puts} changes")),
    })
    .await;
    std::mem::replace(&mut world.service, other).kill().await;
    let paused = command_async(&world, &world.service, "pause", &pause()).await;
    let wrong_for = corrected_after(&world, "ACTIVE", "PAUSED").await;

    assert_eq!(paused, 202);
    assert!(wrong_for < SECONDS, "it dialed under a hold for {wrong_for:#}");
    world.end().await;
}

/// Makes the next change wait for a token for so long; it has been refused once when it does.
async fn next_change_waits_for_a_token(world: &World, latency_ms: u64) {
    world.cxone.fault(json!({"route": "campaignUpdate", "kind": "status", "status": 401, "times": 1})).await;
    world.cxone.fault(json!({"route": "token", "kind": "latency", "latencyMs": latency_ms, "times": 1})).await;
}

async fn waiting_for_token(world: &World, before: u64) {
    eventually("a change that waits for a token", async || match world.cxone.count("token").await {
        tokens if tokens > before => Ok(()),
        tokens => Err(format!("{tokens} tokens")),
    })
    .await;
}

#[tokio::test]
async fn before_a_change_is_sent_the_lease_and_the_holds_are_verified_again() {
    tokio::join!(
        a_new_hold_prevents_a_start_that_waits_for_the_quota(),
        a_lost_lease_prevents_a_pause_that_waits_for_the_quota()
    );
}

async fn a_new_hold_prevents_a_start_that_waits_for_the_quota() {
    let world = World::of_campaigns(&[]).await;
    let other = Service::start(&world.database, &world.cxone, &[]).await;
    world.command("pause", &pause()).await;
    let tokens = world.cxone.count("token").await;
    next_change_waits_for_a_token(&world, 2_000).await;

    let resume = json!({});
    let resuming = world.command("resume", &resume);
    let pausing = async {
        waiting_for_token(&world, tokens).await;
        command_async(&world, &other, "pause", &pause()).await
    };
    let ((_, resumed), paused) = tokio::join!(resuming, pausing);

    assert_eq!((paused, &resumed["newState"]), (202, &json!("PAUSED")), "{resumed}");
    let starts = world.cxone.received("campaignUpdate").await;
    let starts: Vec<_> = starts.iter().filter(|put| put["body"]["state"] == "ACTIVE").collect();
    assert_eq!((starts.len(), &starts[0]["status"]), (1, &json!(401)), "{starts:?}");
    let states = history(&world).await;
    assert_eq!(states.last().unwrap().0, "PAUSED", "{states:?}");
    assert_eq!(world.get(&format!("/v1/campaigns/{DIALING}")).await["holds"].as_array().unwrap().len(), 1);
    other.kill().await;
    world.end().await;
}

/// The replica stands still until another has done its work; the hold is in force all the time.
async fn a_lost_lease_prevents_a_pause_that_waits_for_the_quota() {
    // The wait for the token is not given up meanwhile.
    let world = World::of_campaigns(&[("CXONE_TIMEOUT_MS", "30000"), NO_CHECKS]).await;
    let other = Service::start(&world.database, &world.cxone, &[NO_CHECKS]).await;
    // So that a token is there.
    world.command("pause", &pause()).await;
    world.command("resume", &json!({})).await;
    let tokens = world.cxone.count("token").await;
    next_change_waits_for_a_token(&world, 1_500).await;

    assert_eq!(command_async(&world, &world.service, "pause", &pause()).await, 202);
    waiting_for_token(&world, tokens).await;
    world.service.signal("STOP").await;
    world.cxone.campaign_when(DIALING, "PAUSED").await;
    world.database.when(&format!("from campaigns where campaign_id = '{DIALING}' and leased_by is null")).await;
    let (reads, puts) = (world.cxone.gets(DIALING).await.len(), world.cxone.puts(DIALING).await.len());
    world.service.signal("CONT").await;
    // It finds that it must not send its change, and looks again.
    eventually("another read or a change", async || {
        let now = (world.cxone.gets(DIALING).await.len(), world.cxone.puts(DIALING).await.len());
        if now == (reads, puts) { Err(format!("{now:?}")) } else { Ok(()) }
    })
    .await;

    assert_eq!(world.cxone.puts(DIALING).await.len(), puts, "a change was sent without the lease");
    other.kill().await;
    world.end().await;
}

/// Sets an enforced window of a campaign.
async fn enforce(world: &World, campaign: &str, window: &Value) {
    let settings = json!({"regulatoryWindow": window, "enforceRegulatoryWindow": true});
    let path = format!("/v1/campaigns/{campaign}/settings");
    let answer = world.request(Method::PUT, &path).json(&settings).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

/// When the campaign came into a state, once it has.
async fn changed_to(world: &World, campaign: &str, state: &str) -> Timestamp {
    eventually_within(Duration::from_secs(100), &format!("{campaign} to be {state}"), async || {
        let changes = world.cxone.changes(campaign).await;
        let change = changes.iter().find(|change| change["by"] == "client" && change["state"] == state);
        change.map(|change| instant(&change["at"])).ok_or_else(|| format!("{changes:?}"))
    })
    .await
}

/// When the log says that CXone confirmed the pause of a campaign.
async fn confirmed_at(world: &World, campaign: &str) -> Timestamp {
    let log = world.get(&format!("/v1/audit?campaignId={campaign}&action=campaign.paused")).await;
    instant(&log["data"][0]["timestamp"])
}

#[tokio::test]
async fn the_pause_for_a_closing_window_is_confirmed_before_the_close() {
    let world = World::of_campaigns(&[NO_CHECKS]).await;
    let [opening, hindered] = ["opening", "hindered"];
    world.cxone.add_campaign(opening);
    world.cxone.add_campaign(hindered);
    world.cxone.control(Method::PUT, "limits", Some(json!({"latencyMs": 1_000}))).await;
    // What is sent about this one meets a gateway once.
    let gateway = json!({
        "route": "campaignRead", "campaign": hindered, "kind": "status", "status": 404, "body": "<html>", "times": 1,
    });
    world.cxone.fault(gateway).await;
    // The next full minute, unless that is too soon.
    let minutes = if Timestamp::now().as_second() % 60 < 45 { 1 } else { 2 };
    let boundary = Timestamp::from_second((Timestamp::now().as_second() / 60 + minutes) * 60).unwrap();
    let closes = window(-60, minutes);

    // Before the service knows how slow CXone is.
    enforce(&world, DIALING, &closes).await;
    enforce(&world, hindered, &closes).await;
    enforce(&world, opening, &window(minutes, 120)).await;
    let closed = (changed_to(&world, DIALING, "PAUSED").await, changed_to(&world, hindered, "PAUSED").await);
    let opened = changed_to(&world, opening, "ACTIVE").await;

    for (campaign, closed) in [(DIALING, closed.0), (hindered, closed.1)] {
        let confirmed = confirmed_at(&world, campaign).await;
        assert!(closed < boundary, "{campaign} was paused at {closed}, and its window closed at {boundary}");
        assert!(confirmed < boundary, "{campaign} was confirmed at {confirmed}, and its window closed at {boundary}");
        assert!(closed > boundary - SECONDS, "{campaign} was paused much too early, at {closed}");
    }
    assert_eq!(world.cxone.gets(hindered).await[0]["status"], 404);
    assert!(opened >= boundary, "it was started at {opened}, and its window opened at {boundary}");
    assert!(opened < boundary + SECONDS, "it was started late, at {opened}");
    world.end().await;
}

#[tokio::test]
async fn a_start_by_cxone_at_the_end_of_a_hold_is_recorded_as_a_scheduled_resume() {
    // Also where nobody was there at the hold's end.
    tokio::join!(started_by_cxone(true), started_by_cxone(false));
}

async fn started_by_cxone(is_running: bool) {
    let mut world = World::of_webhooks(&[("CAMPAIGN_CHECK_MS", "300")]).await;
    let receiver = Receiver::start(&[]).await;
    let hook = world.hook_at(&receiver).await;
    world.cxone.set_resumes_itself(true).await;
    let end = in_ms(4_000);

    let (status, answer) = world.command("pause", &pause_with(json!({"scheduledResumeTime": end}))).await;
    // One that is cut off is sent again.
    let is_delivered = |deliveries: &[Value]| deliveries.first().is_some_and(|first| first["status"] == "succeeded");
    world.deliveries_when(&hook, is_delivered).await;
    if !is_running {
        world.service.signal("KILL").await;
        world.cxone.campaign_when(DIALING, "ACTIVE").await;
        let settings = [("WEBHOOKS_ALLOW_LOOPBACK", "true"), ("ENCRYPTION_KEY", ENCRYPTION_KEY)];
        world.service = Service::start(&world.database, &world.cxone, &settings).await;
    }
    let resumed = world.entry_when("campaign.resumed").await;
    let events = receiver.received_when(2).await;
    eventually("the agents of before the pause", async || {
        let agents = world.cxone.campaign(DIALING).await["maxAgents"].clone();
        if agents == 10 { Ok(()) } else { Err(agents.to_string()) }
    })
    .await;
    // What comes after it shows that there is no other.
    let (_, paused) = world.command("pause", &pause()).await;
    let events_after = receiver.received_when(3).await;

    assert_eq!((status, &answer["status"]), (200, &json!("applied")), "{answer}");
    let starts: Vec<Value> = world.cxone.changes(DIALING).await;
    let starts: Vec<_> =
        starts.iter().filter(|change| change["state"] == "ACTIVE" && change["by"] != "somebody").collect();
    // Where the service runs, it may be faster by a moment.
    assert!(is_running || starts[0]["by"] == "schedule", "{starts:?}");
    assert_eq!((&resumed["triggeredBy"], &resumed["actor"]["type"]), (&json!("SCHEDULED_RESUME"), &json!("system")));
    assert_eq!((&resumed["previousState"], &resumed["newState"]), (&json!("PAUSED"), &json!("ACTIVE")));
    assert_eq!(events[1].event()["type"], "campaign.resumed");
    assert_eq!((&events[1].event()["auditId"], events_after.len()), (&resumed["id"], 3));
    assert_eq!(events_after[2].event()["auditId"], paused["auditId"]);
    assert_eq!(world.entries("campaign.resumed").await.len(), 1);
    assert_eq!(world.entries("campaign.changed_outside").await, Vec::<Value>::new());
    assert_eq!(world.get(&format!("/v1/campaigns/{DIALING}")).await["holds"].as_array().unwrap().len(), 1);
    world.end().await;
}
