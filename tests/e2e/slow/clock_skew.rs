//! The clocks of the replicas' machines are 10 s off, one ahead and one behind: all of them use Postgres's clock.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use ringback::clock::Clock;
use ringback::db::SharedTime;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    DIALING, Database, Service, World, create_key, eventually, instant, pause, pause_with, payload_with,
};

const FAST: [(&str, &str); 1] = [("CLOCK_OFFSET_MS", "10000")];
const SLOW: [(&str, &str); 1] = [("CLOCK_OFFSET_MS", "-10000")];
/// In milliseconds after the time in Postgres's clock: not before it, and not by a clock that is 10 s behind.
const ON_TIME: std::ops::Range<i64> = 0..9_000;

/// Two replicas of one database: the world's own, whose machine is ahead, and one whose machine is behind.
async fn fast_and_slow() -> (World, Service) {
    let world = World::of_campaigns(&FAST).await;
    let slow = Service::start(&world.database, &world.cxone, &SLOW).await;
    (world, slow)
}

async fn postgres_now(database: &Database) -> Timestamp {
    let now = sqlx::query_scalar::<_, String>("select to_char(clock_timestamp() at time zone 'UTC', $1)");
    let now = now.bind(r#"YYYY-MM-DD"T"HH24:MI:SS.US"Z""#).fetch_one(&database.pool).await.unwrap();
    now.parse().unwrap()
}

#[expect(clippy::cast_possible_truncation, reason = "a few seconds")]
fn after(at: Timestamp, milliseconds: f64) -> Timestamp {
    at + SignedDuration::from_millis(milliseconds as i64)
}

/// The replica that has the lease of the dialing campaign, and the milliseconds that are left of it.
async fn lease(database: &Database) -> Option<(Uuid, f64)> {
    let lease = sqlx::query_as(
        "select leased_by, 1000 * extract(epoch from leased_until - clock_timestamp())::float8 from campaigns
         where campaign_id = $1 and leased_by is not null",
    );
    lease.bind(DIALING).fetch_optional(&database.pool).await.unwrap()
}

#[tokio::test]
async fn with_ten_seconds_of_clock_skew_a_hold_ends_on_time_and_no_lease_is_taken_early() {
    let (world, slow) = fast_and_slow().await;
    let replicas = [(&world.service, &slow), (&slow, &world.service)];
    for (asked, other) in replicas {
        let end = postgres_now(&world.database).await + SignedDuration::from_secs(3);
        let body = pause_with(json!({ "scheduledResumeTime": end }));
        let path = format!("/v1/campaigns/{DIALING}/pause");
        let (status, answer) = world.command_to(&asked.base_url, &path, &body).await;
        // Only the other is left to end the hold.
        asked.signal("STOP").await;
        world.cxone.campaign_when(DIALING, "ACTIVE").await;
        let late_by = postgres_now(&world.database).await.duration_since(end).as_millis();
        asked.signal("CONT").await;

        assert_eq!((status, &answer["status"]), (200, &json!("applied")), "{answer}");
        assert!(ON_TIME.contains(&i64::try_from(late_by).unwrap()), "{} ended it {late_by} ms late", other.base_url);
    }
    slow.kill().await;
    world.end().await;
    for [worker, other] in [[SLOW, FAST], [FAST, SLOW]] {
        a_lease_is_taken_when_it_is_over_and_not_before(&worker, &other).await;
    }
}

/// A replica that waits for CXone keeps the campaign, renews its lease, and dies.
async fn a_lease_is_taken_when_it_is_over_and_not_before(worker: &[(&str, &str)], other: &[(&str, &str)]) {
    let mut world = World::of_campaigns(worker).await;
    let other_replica = Service::start(&world.database, &world.cxone, other).await;
    world.cxone.fault(json!({"route": "campaignUpdate", "kind": "hang", "times": 1})).await;
    let pausing = world.request(Method::POST, &format!("/v1/campaigns/{DIALING}/pause")).json(&pause()).send();
    let pausing = tokio::spawn(pausing);
    world.cxone.wait_for_request("campaignUpdate").await;
    let (holder, left) = lease(&world.database).await.expect("the worker has the lease");
    let first_end = after(postgres_now(&world.database).await, left);

    // Until the lease has been renewed.
    eventually("the end of the first lease", async || {
        let held = lease(&world.database).await;
        assert!(held.is_some_and(|(by, end)| by == holder && end > 0.0), "{worker:?} lost its lease: {held:?}");
        assert_eq!(world.cxone.received("campaignUpdate").await.len(), 1);
        let now = postgres_now(&world.database).await;
        if now > first_end { Ok(()) } else { Err(format!("{now}")) }
    })
    .await;
    std::mem::replace(&mut world.service, other_replica).kill().await;
    let _ = pausing.await;
    let (_, left) = lease(&world.database).await.expect("the lease was not released");
    let lease_end = after(postgres_now(&world.database).await, left);
    world.cxone.campaign_when(DIALING, "PAUSED").await;
    let changes = world.cxone.changes(DIALING).await;
    let taken_at = instant(&changes.last().unwrap()["at"]);

    // The two times are read by two queries.
    let late_by = taken_at.duration_since(lease_end).as_millis() + 50;
    assert!(ON_TIME.contains(&i64::try_from(late_by).unwrap()), "{other:?} took it {late_by} ms after the lease's end");
    world.end().await;
}

#[tokio::test]
async fn with_ten_seconds_of_clock_skew_the_audit_log_is_in_causal_order() {
    let (world, slow) = fast_and_slow().await;
    let replicas = [&world.service.base_url, &slow.base_url];

    let mut audit_ids = Vec::new();
    let started = postgres_now(&world.database).await;
    for index in 0..8 {
        let (verb, body) = if index % 2 == 0 { ("pause", pause()) } else { ("resume", json!({})) };
        // Each of the two follows the other as often as itself.
        let replica = replicas[(index / 2 + index) % 2];
        let (status, answer) = world.command_to(replica, &format!("/v1/campaigns/{DIALING}/{verb}"), &body).await;
        assert_eq!((status, &answer["status"]), (200, &json!("applied")), "{answer}");
        audit_ids.push(answer["auditId"].clone());
    }
    let ended = postgres_now(&world.database).await;

    let log = world.get(&format!("/v1/audit?campaignId={DIALING}&limit=200")).await;
    let entries: Vec<&Value> = log["data"].as_array().unwrap().iter().rev().collect();
    let times: Vec<Timestamp> = audit_ids
        .iter()
        .map(|id| instant(&entries.iter().find(|entry| entry["id"] == *id).unwrap()["timestamp"]))
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    // To the millisecond, and within the round trip of the question for Postgres's time.
    let slack = SignedDuration::from_millis(100);
    assert!(times.iter().all(|at| *at >= started - slack && *at <= ended + slack), "{started} {times:?} {ended}");
    slow.kill().await;
    world.end().await;
}

#[tokio::test]
async fn with_ten_seconds_of_clock_skew_a_callback_of_one_replica_is_finished_on_time_by_the_other() {
    for [first, other] in [[FAST, SLOW], [SLOW, FAST]] {
        let mut world = World::with(&first).await;
        let other_replica = Service::start(&world.database, &world.cxone, &other).await;
        let throttled = json!({
            "route": "contact", "kind": "status", "status": 429, "times": 1, "retryAfter": "3",
        });
        world.cxone.fault(throttled).await;

        let id = world.accept(&payload_with(json!({}))).await;
        let put_off = world.callback_when(&id, |callback| !callback["failure"].is_null()).await;
        // Only the other is left to finish it.
        std::mem::replace(&mut world.service, other_replica).kill().await;
        let due = instant(&put_off["nextAttemptAt"]);
        let ahead = due.duration_since(postgres_now(&world.database).await);
        world.cxone.wait_for_contact().await;
        let late_by = postgres_now(&world.database).await.duration_since(due).as_millis();

        assert!(ahead < SignedDuration::from_secs(5), "{first:?} put it off by {ahead}");
        assert!(ON_TIME.contains(&i64::try_from(late_by).unwrap()), "{other:?} finished it {late_by} ms late");
        world.settled(&id).await;
        world.end().await;
    }
}

#[tokio::test]
async fn a_clock_offset_is_logged_once_and_shown_in_the_metrics() {
    let (world, slow) = fast_and_slow().await;

    for (replica, offset) in [(&world.service, 10.0), (&slow, -10.0)] {
        eventually("the offset in the metrics", async || {
            let metrics = world.http.get(format!("{}/metrics", replica.base_url)).send().await.unwrap();
            let metrics = metrics.text().await.unwrap();
            let shown = metrics.lines().find_map(|line| line.strip_prefix("ringback_clock_offset_seconds "));
            let shown: Option<f64> = shown.map(|shown| shown.parse().unwrap());
            if shown.is_some_and(|shown| (shown - offset).abs() < 1.0) { Ok(()) } else { Err(format!("{shown:?}")) }
        })
        .await;
    }
    let log = slow.log_at_end().await;

    let warned = log.lines().filter(|line| line.contains("the machine's clock differs from Postgres's"));
    let warned: Vec<Value> = warned.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((warned.len(), &warned[0]["level"]), (1, &json!("WARN")), "{log}");
    world.end().await;
}

#[tokio::test]
async fn with_ten_seconds_of_clock_skew_an_api_key_ends_at_all_replicas_when_postgres_says() {
    let (mut world, slow) = fast_and_slow().await;
    world.key = create_key(&world.database, &["campaigns:read"]).await;
    let expires_at = postgres_now(&world.database).await + SignedDuration::from_secs(4);
    let newest = "id = (select id from api_keys order by created_at desc limit 1)";
    world.database.run(&format!("update api_keys set expires_at = '{expires_at}' where {newest}")).await;
    let status_at = async |replica: &Service| {
        let request = world.http.get(format!("{}/v1/campaigns", replica.base_url)).bearer_auth(&world.key);
        request.send().await.unwrap().status().as_u16()
    };

    let early = status_at(&world.service).await;
    eventually("the key to be refused", async || match status_at(&slow).await {
        401 => Ok(()),
        status => Err(status.to_string()),
    })
    .await;
    let late_by = postgres_now(&world.database).await.duration_since(expires_at).as_millis();

    assert_eq!(early, 200);
    assert!(ON_TIME.contains(&i64::try_from(late_by).unwrap()), "refused {late_by} ms late");
    slow.kill().await;
    world.end().await;
}

#[tokio::test]
async fn postgres_time_is_used_from_the_start() {
    let database = Database::create().await;
    let db = ringback::db::connect(&database.url.parse().unwrap(), 4).await.unwrap();
    let long_ago: Timestamp = "2001-01-01T00:00:00Z".parse().unwrap();

    let time = SharedTime::follow(&db, Clock::manual(move || long_ago, 1)).await.unwrap();
    let clock = time.clock();
    let (before, now, after) = (postgres_now(&database).await, clock.now(), postgres_now(&database).await);

    let slack = SignedDuration::from_millis(500);
    assert!(now >= before - slack && now <= after + slack, "{before} {now} {after}");
    db.close().await;
    database.drop().await;
}
