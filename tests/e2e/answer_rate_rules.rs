//! The rules of answer rates: what counts, once, and for whom.

use std::time::Duration;

use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{DIALING, Loss, Proxy, Service, World, eventually, faults, pause_with, processes};

/// In the parameters of the statement that shares counts, and of no other.
const SHARED: &str = "\"window_ms\"";

/// A floor of 0.35 from 100 attempts on, in a minute.
fn guard_with(members: Value) -> Value {
    let mut guard = json!({
        "enabled": true, "windowMs": 60_000, "minAnswerRate": 0.35, "minAttempts": 100, "pauseForMs": 600_000,
    });
    guard.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    json!({ "answerRate": guard })
}

fn guard() -> Value {
    guard_with(json!({}))
}

impl World {
    /// Returns once the dialing campaign has so many attempts.
    async fn attempts_when(&self, attempts: u64) {
        eventually(&format!("{attempts} attempts"), async || {
            let figures = self.get(&format!("/v1/campaigns/{DIALING}")).await["answerRate"].clone();
            if figures["attempts"] == attempts { Ok(()) } else { Err(figures.to_string()) }
        })
        .await;
    }

    /// The attempts that Postgres has, under whatever start.
    async fn stored_attempts(&self) -> i64 {
        let sum = "select coalesce(sum(attempts), 0)::bigint from answer_rate_buckets";
        sqlx::query_scalar(sum).fetch_one(&self.database.pool).await.unwrap()
    }

    async fn stored_attempts_when(&self, attempts: i64) {
        eventually(&format!("{attempts} attempts in Postgres"), async || {
            let stored = self.stored_attempts().await;
            if stored == attempts { Ok(()) } else { Err(stored.to_string()) }
        })
        .await;
    }

    /// Lifts all holds, and returns once CXone dials.
    async fn resume(&self) {
        let (status, answer) = self.command("resume", &json!({})).await;
        assert_eq!((status, &answer["newState"]), (200, &json!("ACTIVE")), "{answer}");
    }

    /// The figures of campaigns among the metrics.
    async fn figures_in_metrics(&self) -> Vec<String> {
        let metrics = self.http.get(format!("{}/metrics", self.service.base_url)).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        metrics.lines().filter(|line| line.contains("{campaign=")).map(str::to_owned).collect()
    }

    /// Reports an attempt of a campaign, whether it exists or not.
    async fn report_of(&self, campaign: &str) -> u16 {
        let path = format!("/v1/campaigns/{campaign}/events");
        let attempt = json!({"events": [{"type": "ATTEMPT"}]});
        self.command_to(&self.service.base_url, &path, &attempt).await.0
    }
}

#[tokio::test]
async fn every_confirmed_start_begins_an_empty_window_in_every_replica() {
    let world = World::of_campaigns(&[]).await;
    let way = Proxy::to(&world.database).await;
    let second = Service::at(&way.url, &world.cxone, &[]).await;
    let here = world.service.base_url.clone();
    world.set(&guard()).await;

    // The second replica cannot share what it has counted, until after the start.
    world.report(&second.base_url, 1, 0).await;
    world.stored_attempts_when(1).await;
    way.lose(Loss::Statement, SHARED);
    world.report(&second.base_url, 90, 0).await;
    way.lost_when(2).await;
    world.report(&here, 5, 0).await;
    world.stored_attempts_when(6).await;
    assert_eq!(world.command("pause", &pause_with(json!({}))).await.0, 200);
    world.resume().await;
    way.heal();
    world.stored_attempts_when(96).await;
    world.attempts_when(0).await;
    eventually("the second replica to know of the start", async || {
        world.report(&second.base_url, 1, 0).await;
        let campaign = world.get(&format!("/v1/campaigns/{DIALING}")).await;
        if campaign["answerRate"]["attempts"] == 0 { Err(campaign.to_string()) } else { Ok(()) }
    })
    .await;

    // With what was before, these few would be enough to pause it.
    world.report(&here, 50, 0).await;
    world.report(&second.base_url, 50, 0).await;
    world.cxone.campaign_when(DIALING, "PAUSED").await;

    let placed = world.entries("hold.placed").await;
    let triggers: Vec<_> = placed.iter().map(|entry| entry["triggeredBy"].as_str().unwrap()).collect();
    assert_eq!(triggers, ["MANUAL_PAUSE", "SLIDING_WINDOW_THROTTLE"]);
    assert!(placed[1]["callVolumeBefore"].as_u64().unwrap() >= 100, "{}", placed[1]);
    second.kill().await;
    world.end().await;
}

#[tokio::test]
async fn the_replica_that_loses_the_race_to_place_the_hold_keeps_monitoring() {
    let world = World::of_campaigns(&[]).await;
    let first = Service::start(&world.database, &world.cxone, &[]).await;
    world.set(&guard()).await;
    world.report(&world.service.base_url, 1, 0).await;

    // The first is still asking CXone when the other finds the rate too low as well.
    world.cxone.fault(json!({"kind": "latency", "latencyMs": 1_500, "route": "campaignRead", "times": 1})).await;
    world.report(&first.base_url, 100, 0).await;
    world.cxone.campaign_when(DIALING, "PAUSED").await;
    let placed = world.entries("hold.placed").await.len();
    let log_of_first = first.log_at_end().await;
    // The other is alone now, and does so well before a minute is over.
    eventually("the campaign to be started", async || {
        let (_, answer) = world.command("resume", &json!({})).await;
        if answer["newState"] == "ACTIVE" { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    eventually("the other replica to pause it again", async || {
        world.report(&world.service.base_url, 100, 0).await;
        if world.entries("hold.placed").await.len() > placed { Ok(()) } else { Err("it dials".to_owned()) }
    })
    .await;

    let log = world.service.log_at_end().await;
    assert_eq!(placed, 1);
    assert!([log, log_of_first].iter().any(|log| log.contains("already-throttled")), "nobody lost the race");
    world.database.drop().await;
}

#[tokio::test]
async fn counts_are_added_once_when_their_commit_is_not_answered() {
    let world = World::of_campaigns(&[]).await;
    let way = Proxy::to(&world.database).await;
    let replica = Service::at(&way.url, &world.cxone, &[]).await;
    world.set(&guard_with(json!({"enabled": false}))).await;

    world.report(&replica.base_url, 1, 0).await;
    world.stored_attempts_when(1).await;
    way.lose(Loss::Answer, SHARED);
    world.report(&replica.base_url, 40, 0).await;
    world.stored_attempts_when(41).await;
    // It is sent again, and not answered again. What is counted meanwhile waits.
    way.lost_when(3).await;
    world.report(&replica.base_url, 100, 0).await;
    way.lost_when(5).await;
    let unanswered = world.stored_attempts().await;
    way.heal();
    world.attempts_when(141).await;
    world.report(&replica.base_url, 1_000, 0).await;
    world.attempts_when(1_141).await;

    assert_eq!((unanswered, world.stored_attempts().await), (41, 1_141));
    replica.kill().await;
    world.end().await;
}

#[tokio::test]
async fn a_window_is_at_least_a_second_and_a_count_at_most_a_million() {
    let world = World::of_campaigns(&[]).await;
    let path = format!("/v1/campaigns/{DIALING}/settings");
    let put = async |settings: &Value| {
        let answer = world.request(Method::PUT, &path).json(settings).send().await.unwrap();
        (answer.status().as_u16(), faults(&answer.json().await.unwrap()))
    };
    let too_short = put(&guard_with(json!({"windowMs": 999}))).await;
    let shortest = put(&guard_with(json!({"windowMs": 1_000, "enabled": false}))).await;
    assert_eq!(too_short, (422, vec!["/answerRate/windowMs out-of-range".to_owned()]));
    assert_eq!(shortest, (200, vec![]));

    let events = format!("/v1/campaigns/{DIALING}/events");
    let send = async |counts: Value| world.command_to(&world.service.base_url, &events, &counts).await;
    let counts = |count: u32| json!({"events": [{"type": "ATTEMPT"}, {"type": "ANSWER", "count": count}]});
    let (too_many, problem) = send(counts(1_000_001)).await;
    let (most, _) = send(counts(1_000_000)).await;
    assert_eq!((too_many, faults(&problem)), (422, vec!["/events/1/count out-of-range".to_owned()]));
    assert_eq!(most, 202);

    // As it was stored when shorter windows were allowed.
    let shorten = "update campaign_settings set settings = jsonb_set(settings, '{answerRate,windowMs}', '100')";
    sqlx::query(shorten).execute(&world.database.pool).await.unwrap();
    let kept = world.get(&path).await;
    let campaign = world.get(&format!("/v1/campaigns/{DIALING}")).await;
    assert_eq!((&kept["answerRate"]["windowMs"], &campaign["answerRate"]["windowMs"]), (&json!(100), &json!(100)));
    assert_eq!(send(counts(1)).await.0, 202);
    world.end().await;
}

#[tokio::test]
async fn events_are_shared_before_the_service_ends() {
    let mut world = World::of_campaigns(&[]).await;
    let way = Proxy::to(&world.database).await;
    let draining = Service::at(&way.url, &world.cxone, &[]).await;
    world.set(&guard_with(json!({"enabled": false}))).await;
    world.report(&draining.base_url, 1, 0).await;
    world.stored_attempts_when(1).await;

    let mut last = begin_report(&world, &draining).await;
    draining.signal("TERM").await;
    let address = draining.base_url.trim_start_matches("http://").to_owned();
    eventually("the service to drain", async || match TcpStream::connect(&address).await {
        Ok(_) => Err("it listens".to_owned()),
        Err(_) => Ok(()),
    })
    .await;
    // Longer than counts are ever kept back.
    world.report(&world.service.base_url, 2, 0).await;
    world.stored_attempts_when(3).await;
    way.lose(Loss::Statement, SHARED);
    let answer = end_report(&mut last).await;
    way.lost_when(3).await;
    let while_lost = world.stored_attempts().await;
    way.heal();
    let status = draining.terminate().await;

    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert_eq!((while_lost, status.code()), (3, Some(0)));
    world.attempts_when(43).await;
    world.service = Service::start(&world.database, &world.cxone, &[]).await;
    world.attempts_when(43).await;
    world.end().await;
}

const LAST: &str = r#"{"events": [{"type": "ATTEMPT", "count": 40}]}"#;

/// A request that reports 40 attempts, but for its last byte.
async fn begin_report(world: &World, service: &Service) -> TcpStream {
    let mut stream = TcpStream::connect(service.base_url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /v1/campaigns/{DIALING}/events HTTP/1.1\r\nhost: ringback\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        world.key,
        LAST.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // It is asked for the body once it is past authentication.
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 100 "));
    stream.write_all(&LAST.as_bytes()[..LAST.len() - 1]).await.unwrap();
    stream
}

async fn end_report(stream: &mut TcpStream) -> String {
    stream.write_all(&LAST.as_bytes()[LAST.len() - 1..]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn events_of_campaigns_without_a_guard_are_not_kept() {
    let world = World::of_campaigns(&[]).await;
    let report_invented = async |from: u32, to: u32| {
        let reports = futures::stream::iter(from..to).map(|number| {
            let world = &world;
            async move { world.report_of(&format!("invented-{number}")).await }
        });
        reports.buffer_unordered(16).for_each(async |status| assert_eq!(status, 202)).await;
    };
    // Buffers and the allocator have grown by then.
    report_invented(0, 2_000).await;
    let (lines, memory) = (world.lines_of_metrics().await, processes::resident_kib(world.service.id()));
    report_invented(2_000, 6_000).await;

    assert_eq!(world.figures_in_metrics().await, Vec::<String>::new());
    assert_eq!(world.lines_of_metrics().await, lines);
    let growth = processes::resident_kib(world.service.id()).saturating_sub(memory);
    assert!(growth < 8 * 1024, "the service has grown by {growth} KiB");
    world.set(&guard()).await;
    eventually("the campaign with an answer rate to be watched", async || {
        world.report(&world.service.base_url, 100, 0).await;
        let state = world.cxone.campaign(DIALING).await["state"].clone();
        if state == "PAUSED" { Ok(()) } else { Err(state.to_string()) }
    })
    .await;
    let others = "select count(*) from answer_rate_buckets where campaign_id <> $1";
    let others: i64 = sqlx::query_scalar(others).bind(DIALING).fetch_one(&world.database.pool).await.unwrap();
    let campaigns = "select count(*) from campaigns where campaign_id <> $1";
    let campaigns: i64 = sqlx::query_scalar(campaigns).bind(DIALING).fetch_one(&world.database.pool).await.unwrap();
    assert_eq!((others, campaigns), (0, 0));
    world.end().await;
}

#[tokio::test]
async fn a_campaign_is_monitored_while_its_settings_have_an_answer_rate() {
    let world = World::of_campaigns(&[]).await;
    let here = world.service.base_url.clone();
    let figures_when = async |what: &str, wanted: usize| {
        eventually(what, async || {
            let figures = world.figures_in_metrics().await;
            if figures.len() == wanted { Ok(()) } else { Err(figures.join("\n")) }
        })
        .await;
    };

    world.report(&here, 1, 0).await;
    assert!(world.figures_in_metrics().await.is_empty());
    // A guard that is off is counted for all the same.
    world.set(&guard_with(json!({"enabled": false}))).await;
    eventually("events to count", async || {
        world.report(&here, 1_000, 0).await;
        let campaign = world.get(&format!("/v1/campaigns/{DIALING}")).await;
        if campaign["answerRate"]["attempts"] == 0 { Err(campaign.to_string()) } else { Ok(()) }
    })
    .await;
    figures_when("three figures", 3).await;
    world.set(&json!({"maxAgents": 5})).await;
    figures_when("no figure", 0).await;
    world.stored_attempts_when(0).await;
    world.report(&here, 7, 0).await;
    world.set(&guard()).await;
    eventually("events to count again", async || {
        world.report(&here, 100, 0).await;
        let state = world.cxone.campaign(DIALING).await["state"].clone();
        if state == "PAUSED" { Ok(()) } else { Err(state.to_string()) }
    })
    .await;
    world.end().await;
}

impl World {
    /// How many series the metrics have, but for those of times.
    async fn lines_of_metrics(&self) -> usize {
        let metrics = self.http.get(format!("{}/metrics", self.service.base_url)).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        metrics.lines().filter(|line| !line.starts_with('#') && !line.contains("_seconds")).count()
    }
}

#[tokio::test]
async fn a_guard_retries_after_an_error_of_postgres() {
    let world = World::of_campaigns(&[]).await;
    let way = Proxy::to(&world.database).await;
    let replica = Service::at(&way.url, &world.cxone, &[]).await;
    world.set(&guard()).await;

    way.lose(Loss::Statement, "hold.placed");
    world.report(&replica.base_url, 100, 0).await;
    way.lost_when(2).await;
    way.heal();
    tokio::time::timeout(Duration::from_secs(30), world.cxone.campaign_when(DIALING, "PAUSED")).await.unwrap();

    replica.kill().await;
    world.end().await;
}
