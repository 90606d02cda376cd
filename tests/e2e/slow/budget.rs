//! CXone's quota, counted at CXone's side: never exceeded by all replicas together, used where there is work.

use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use serde_json::{Value, json};

use crate::support::{CAMPAIGN, Service, World, caller, eventually, minutes_from_now, payload_with, received_at};

/// For a caller of his own, `n`.
fn payload_of(n: usize) -> Value {
    payload_with(json!({"phoneNumber": caller(n)}))
}

fn payloads(numbers: std::ops::Range<usize>) -> Vec<Value> {
    numbers.map(payload_of).collect()
}

/// When CXone got each of its requests, in order.
async fn arrivals(world: &World) -> Vec<Timestamp> {
    world.cxone.received_all().await.iter().map(received_at).collect()
}

#[tokio::test]
async fn three_replicas_with_a_backlog_use_at_least_90_percent_of_the_quota_and_never_exceed_it() {
    let settings = [("CXONE_REQUESTS_PER_MINUTE", "60")];
    let world = World::with(&settings).await;
    let others = [
        Service::start(&world.database, &world.cxone, &settings).await,
        Service::start(&world.database, &world.cxone, &settings).await,
    ];

    world.batch(&payloads(0..300)).await;
    let first = eventually("a first request", async || {
        arrivals(&world).await.first().copied().ok_or_else(|| "none came".to_owned())
    })
    .await;
    // Longer than any quota's minute, so that every replica has come round to a second one.
    let end = first + SignedDuration::from_secs(72);
    while Timestamp::now() < end {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    let counts = world.cxone.counts().await;
    let highest = counts["highestPerMinute"].as_u64().unwrap();
    assert!(highest <= 60, "{highest} requests in a minute");
    let arrivals = arrivals(&world).await;
    let minute = arrivals.iter().filter(|at| at.duration_since(first) < SignedDuration::from_secs(60)).count();
    assert!(minute >= 54, "{minute} requests in the first minute");
    assert!(arrivals.len() >= 65, "{} requests in 72 s", arrivals.len());
    let statuses = tally_statuses(&counts);
    assert_eq!(statuses.get("429"), None, "{statuses}");
    for other in others {
        other.kill().await;
    }
    world.end().await;
}

/// How often CXone answered each status, on all routes.
fn tally_statuses(counts: &Value) -> Value {
    let mut all = json!({});
    for route in counts["routes"].as_object().unwrap().values() {
        for (status, count) in route["statuses"].as_object().unwrap() {
            all[status] = json!(all[status].as_u64().unwrap_or(0) + count.as_u64().unwrap());
        }
    }
    all
}

#[tokio::test]
async fn without_load_all_requests_of_a_callback_are_sent_at_once() {
    let world = World::with(&[("CXONE_REQUESTS_PER_MINUTE", "100")]).await;

    for n in 0..5 {
        let (status, _) = world.ask(&payload_of(n)).await;
        assert_eq!(status, 201);
    }

    let arrivals = arrivals(&world).await;
    assert_eq!(arrivals.len(), 2 + 5 * 2, "a token, a forecast, and for each caller a contact and a text");
    let took = arrivals[3].duration_since(arrivals[0]);
    assert!(took < SignedDuration::from_secs(1), "the first caller's requests took {took:#}");
    world.end().await;
}

#[tokio::test]
async fn a_waiting_caller_has_priority_over_the_backlog() {
    let world = World::with(&[("CXONE_REQUESTS_PER_MINUTE", "100")]).await;
    assert_eq!(world.ask(&payload_of(0)).await.0, 201);
    world.batch(&payloads(1..200)).await;
    eventually("a backlog that has to wait", async || match world.cxone.contacts().await.len() {
        made if made >= 4 => Ok(()),
        made => Err(format!("{made} contacts")),
    })
    .await;

    for n in 500..503 {
        // Less urgent than everything in the backlog, if nobody waited for it.
        let waiting = json!({"phoneNumber": caller(n), "requestedEnd": minutes_from_now(180)});
        let (status, callback) = world.ask(&payload_with(waiting)).await;
        assert_eq!(status, 201, "{callback}");
    }

    let open = world.number("select count(*) from callbacks where status = 'accepted'").await;
    assert!(open > 100, "{open} are left of the backlog");
    world.end().await;
}

#[tokio::test]
async fn after_a_429_no_replica_calls_the_endpoint_before_retry_after() {
    // What CXone says, and for how long that is at least.
    for (said, seconds) in [("seconds", 4), ("a date", 0), ("nothing", 2)] {
        let settings = [("CXONE_REQUESTS_PER_MINUTE", "5000")];
        let world = World::with(&settings).await;
        let other = Service::start(&world.database, &world.cxone, &settings).await;
        world.batch(&payloads(0..60)).await;
        world.all_settled().await;
        let mut fault = json!({"route": "contact", "kind": "status", "status": 429, "times": 1});
        // A date has whole seconds.
        let date = Timestamp::from_second(Timestamp::now().as_second() + 6).unwrap();
        match said {
            "seconds" => fault["retryAfter"] = json!("4"),
            "a date" => fault["retryAfter"] = json!(date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
            _ => {}
        }
        world.cxone.fault(fault).await;

        world.batch(&payloads(100..400)).await;
        world.all_settled().await;

        world.assert_each_done_once(360).await;
        let received = world.cxone.received("contact").await;
        let refused = received.iter().find(|request| request["status"] == 429).map(received_at).unwrap();
        // What was on its way already still arrives, on a busy machine a second later.
        let end = if said == "a date" { date } else { refused + seconds.seconds() };
        let hold = refused + 1500.milliseconds();
        let early = received.iter().map(received_at).filter(|at| (hold..end).contains(at)).count();
        assert_eq!(early, 0, "requests before the wait of {said} was over");
        assert!(received.iter().map(received_at).any(|at| at >= end), "{said}");
        other.kill().await;
        world.end().await;
    }
}

#[tokio::test]
async fn callbacks_in_bulk_cost_two_requests_each_and_few_forecasts() {
    // On a busy machine an answer may take seconds. A request that is sent again is not what this test counts.
    let world = World::with(&[("CXONE_TIMEOUT_MS", "60000")]).await;
    let noon = Timestamp::from_second((Timestamp::now().as_second() / 86_400 + 1) * 86_400 + 12 * 3_600).unwrap();
    let payloads: Vec<_> = (0..400)
        .map(|n: i64| {
            // Later ones first, so that what was asked for before does not always serve what comes after.
            let start = noon + (300 - n * 7 % 301).minutes();
            let length = (60 + n * 13 % 181)
                .min(noon.duration_until(noon + 6.hours()).as_mins() - start.duration_since(noon).as_mins());
            json!({
                "phoneNumber": caller(usize::try_from(n).unwrap()), "campaignId": CAMPAIGN, "language": "en-US",
                "requestedStart": start, "requestedEnd": start + length.minutes(),
            })
        })
        .collect();

    world.batch(&payloads).await;
    world.all_settled().await;

    world.assert_each_done_once(400).await;
    let counts = world.cxone.counts().await;
    assert!(counts["total"].as_u64().unwrap() <= 840, "{counts}");
    world.end().await;
}

#[tokio::test]
async fn concurrent_callbacks_share_one_forecast_request() {
    const LATENCY: SignedDuration = SignedDuration::from_secs(1);
    let world = World::start().await;
    for (round, fault) in
        [json!({"kind": "latency", "latencyMs": 1000}), json!({"kind": "status", "status": 503, "latencyMs": 1000})]
            .into_iter()
            .enumerate()
    {
        let campaign = format!("campaign-{round}");
        world.cxone.add_campaign(&campaign);
        let mut fault = fault;
        fault["route"] = json!("forecast");
        fault["times"] = json!(1);
        world.cxone.fault(fault).await;
        let before = world.cxone.received("forecast").await.len();
        let ask = async |n: usize| {
            let payload = payload_with(json!({"phoneNumber": caller(n), "campaignId": campaign}));
            // Until CXone answers, and not until the next attempt.
            world.ask_with(&payload, &[("prefer", "wait=1")]).await
        };

        join_all((round * 100..round * 100 + 30).map(ask)).await;

        // On a slow machine a second attempt comes before the end, but not before the answer to the first request.
        let received = world.cxone.received("forecast").await;
        let arrivals: Vec<Timestamp> = received.iter().skip(before).map(received_at).collect();
        let apart = arrivals.windows(2).map(|pair| pair[1].duration_since(pair[0]));
        assert!(!arrivals.is_empty() && apart.into_iter().all(|apart| apart >= LATENCY), "round {round}: {arrivals:?}");
    }
    world.end().await;
}
