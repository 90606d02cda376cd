//! The numbers that operations look at first.

use jiff::{Timestamp, ToSpan as _};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, CAMPAIGN, DIALING, Service, World, create_key, faults, pause, payload_from};

const SCOPES: [&str; 4] = ["callbacks:read", "callbacks:write", "campaigns:read", "campaigns:write"];

fn path(members: &str) -> String {
    let (from, to) = (Timestamp::now() - 1.hour(), Timestamp::now() + 1.hour());
    format!("/v1/statistics?from={from}&to={to}{members}")
}

/// The requests to CXone of a class.
fn used(statistics: &Value, class: &str) -> u64 {
    let classes = statistics["quota"]["classes"].as_array().unwrap();
    classes.iter().find(|row| row["class"] == class).unwrap()["used"].as_u64().unwrap()
}

#[tokio::test]
async fn the_statistics_have_callbacks_commands_and_the_quota_of_all_replicas() {
    let mut world = World::with(&[("CXONE_REQUESTS_PER_MINUTE", "1000")]).await;
    world.key = create_key(&world.database, &SCOPES).await;
    for n in 0..3 {
        assert_eq!(world.ask(&payload_from(n)).await.0, 201);
    }
    for (command, body) in [("pause", pause()), ("resume", json!({})), ("resume", json!({}))] {
        let answer = world.post(&format!("/v1/campaigns/{DIALING}/{command}"), &body).await;
        assert_eq!(answer.status(), 200, "{command}");
    }

    let replica = Service::start(&world.database, &world.cxone, &[("CXONE_REQUESTS_PER_MINUTE", "1000")]).await;
    let request = world.http.get(format!("{}{}", replica.base_url, path(""))).bearer_auth(&world.key);
    let statistics = Answer::to(request).await.body;

    let expected = json!({"accepted": 0, "scheduled": 3, "failed": 0, "expired": 0, "cancelled": 0});
    assert_eq!(statistics["callbacks"], expected, "{statistics}");
    let known = ["kept", "late", "missed", "open"].map(|name| statistics["promises"][name].as_u64().unwrap());
    assert_eq!((known, &statistics["promises"]["keptRate"]), ([0, 0, 0, 3], &Value::Null), "{statistics}");
    let (pauses, resumes) = (&statistics["pauses"], &statistics["resumes"]);
    let of = |results: &Value| {
        ["applied", "unchanged", "unconfirmed", "refused"].map(|name| results[name].as_u64().unwrap())
    };
    assert_eq!((of(pauses), of(resumes)), ([1, 0, 0, 0], [1, 1, 0, 0]), "{statistics}");
    assert_eq!((&pauses["successRate"], &resumes["successRate"]), (&json!(1.0), &json!(1.0)));
    assert!(pauses["p95LatencyMs"].as_f64().unwrap() >= pauses["medianLatencyMs"].as_f64().unwrap());
    assert_eq!(statistics["quota"]["requestsPerMinute"], 1000);
    // A pause and a resume read and update the campaign; a callback needs a forecast, a contact and an SMS.
    assert!(used(&statistics, "control") >= 4 && used(&statistics, "waiting") >= 6, "{statistics}");
    let classes = ["control", "waiting", "background", "routine", "clientRead"];
    let sum: u64 = classes.iter().map(|class| used(&statistics, class)).sum();
    assert_eq!(statistics["quota"]["used"].as_u64(), Some(sum), "{statistics}");

    let of_campaign = world.get(&path(&format!("&campaignId={CAMPAIGN}"))).await;
    assert_eq!((&of_campaign["campaignId"], &of_campaign["callbacks"]["scheduled"]), (&json!(CAMPAIGN), &json!(3)));
    assert_eq!((of(&of_campaign["pauses"]), &of_campaign["pauses"]["successRate"]), ([0; 4], &Value::Null));
    replica.kill().await;
    world.end().await;
}

#[tokio::test]
async fn the_statistics_need_both_scopes_and_a_span_of_at_most_31_days() {
    let mut world = World::start().await;
    let get = async |world: &World, path: &str| Answer::to(world.request(Method::GET, path)).await;
    for (given, missing) in [("callbacks:read", "campaigns:read"), ("campaigns:read", "callbacks:read")] {
        world.key = create_key(&world.database, &[given]).await;
        let refused = get(&world, &path("")).await;
        assert_eq!((refused.problem(), &refused.body["scope"]), ((403, "forbidden"), &json!(missing)));
    }
    world.key = create_key(&world.database, &SCOPES).await;
    let from: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    let until = |to: Timestamp| format!("/v1/statistics?from={from}&to={to}");
    assert_eq!(get(&world, &until(from + (31 * 24).hours())).await.status, 200);
    for (path, fault) in [
        (until(from + (31 * 24).hours() + 1.second()), "/to out-of-range"),
        (until(from), "/to out-of-range"),
        ("/v1/statistics?from=x&to=2026-11-02T00:00:00Z".to_owned(), "/from not-a-timestamp"),
    ] {
        let answer = get(&world, &path).await;
        assert_eq!((answer.status, faults(&answer.body)), (422, vec![fault.to_owned()]), "{path}");
    }
    let absent = get(&world, "/v1/statistics?campaign=x").await;
    assert_eq!(faults(&absent.body), ["/from required", "/to required", "/campaign unknown-parameter"], "{absent:?}");
    world.end().await;
}

#[tokio::test]
async fn a_key_of_a_campaign_gets_the_numbers_of_its_campaign() {
    let mut world = World::start().await;
    world.key = create_key(&world.database, &SCOPES).await;
    assert_eq!(world.ask(&payload_from(0)).await.0, 201);
    let key = json!({"name": "limited", "scopes": ["callbacks:read", "campaigns:read"], "campaigns": [DIALING]});
    let admin = create_key(&world.database, &["keys:write", "callbacks:read", "campaigns:read"]).await;
    let request = world.http.post(format!("{}/v1/keys", world.service.base_url)).bearer_auth(admin).json(&key);
    world.key = Answer::to(request).await.body["secret"].as_str().unwrap().to_owned();

    let own = world.get(&path("")).await;
    let other = Answer::to(world.request(Method::GET, &path(&format!("&campaignId={CAMPAIGN}")))).await;

    assert_eq!((&own["callbacks"]["scheduled"], &own["campaignId"]), (&json!(0), &Value::Null), "{own}");
    assert_eq!(other.problem(), (403, "campaign-not-allowed"));
    world.end().await;
}
