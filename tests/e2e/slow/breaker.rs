//! CXone down, or silent: calls fail fast, what was accepted waits, and goes on in order of urgency.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{World, caller, eventually, minutes_from_now, payload_with, processes, text};

/// For a caller of his own, `n`, whose window ends so many minutes from now.
fn payload_until(n: usize, end: i64) -> Value {
    payload_with(json!({
        "phoneNumber": caller(n), "requestedStart": minutes_from_now(end - 60), "requestedEnd": minutes_from_now(end),
    }))
}

/// Whether the breaker of an endpoint is open.
async fn breaker_of(world: &World, endpoint: &str) -> Option<f64> {
    world.metric(&format!("ringback_cxone_breaker_open{{endpoint=\"{endpoint}\"}}")).await
}

/// A service that has made a callback, and since then has found that CXone is down.
async fn world_with_an_open_breaker(fault: Value) -> World {
    let world = World::with(&[("CXONE_TIMEOUT_MS", "1000")]).await;
    // The earliest of all windows: the forecast of the others is known from here on.
    assert_eq!(world.ask(&payload_until(0, 80)).await.0, 201);
    world.cxone.fault(fault).await;
    let last = join_all((1..=5).map(async |n| world.ask(&payload_until(n, 239)).await)).await;
    assert!(last.iter().all(|(status, _)| *status == 202), "{last:?}");
    // Those have their own time to come back; until then they are not in the way.
    assert_eq!(breaker_of(&world, "contacts").await, Some(1.0));
    world.sql("update callbacks set due_at = requested_end where status = 'accepted'").await;
    world
}

#[tokio::test]
async fn while_cxone_is_down_probes_are_few_and_the_backlog_is_untouched() {
    for fault in [
        json!({"route": "*", "kind": "drop"}),
        json!({"route": "*", "kind": "status", "status": 503}),
        json!({"route": "*", "kind": "hang"}),
    ] {
        let world = world_with_an_open_breaker(fault.clone()).await;
        let before = world.cxone.counts().await["total"].as_u64().unwrap();
        let ids = world.batch(&(100..300).map(|n| payload_until(n, 200)).collect::<Vec<_>>()).await;

        // The waits for a probe are 2, 4 and 8 s: two probes fit, or three where one was near.
        let probes = async || world.cxone.counts().await["total"].as_u64().unwrap() - before;
        eventually("two probes", async || match probes().await {
            sent if sent >= 2 => Ok(()),
            sent => Err(format!("{sent} were sent")),
        })
        .await;

        assert!(probes().await <= 3, "{fault}");
        assert!(world.cxone_condition().await.contains("does not respond"), "{fault}");
        assert_eq!(breaker_of(&world, "contacts").await, Some(1.0));
        let touched =
            world.number("select count(*) from callbacks where phone_number > '+12025000099' and attempts > 0");
        let touched = touched.await;
        assert!(touched <= 3, "{fault}: {touched} of the backlog were tried");

        world.cxone.heal().await;
        world.all_settled_without_delay().await;

        assert_eq!(ids.len(), 200);
        world.assert_each_done_once(206).await;
        assert_eq!(world.cxone_condition().await, "ok");
        assert_eq!(breaker_of(&world, "contacts").await, Some(0.0));
        world.end().await;
    }
}

#[tokio::test]
async fn while_cxone_is_down_a_post_is_accepted() {
    let world = world_with_an_open_breaker(json!({"route": "*", "kind": "drop"})).await;

    let (status, callback) = world.ask_with(&payload_until(7, 120), &[("prefer", "wait=10")]).await;

    assert_eq!((status, text(&callback, "status").as_str()), (202, "accepted"));
    world.end().await;
}

#[tokio::test]
async fn when_cxone_recovers_callbacks_that_were_not_tried_yet_are_in_the_order_of_their_windows() {
    let world = world_with_an_open_breaker(json!({"route": "*", "kind": "drop"})).await;
    // 20 callbacks each with 4, 3, 2 and 1 hours left, in this order; those with 5 hours opened the breaker.
    let payloads = (0..80).map(|n: usize| payload_until(100 + n, 230 - 50 * i64::try_from(n / 20).unwrap()));
    world.batch(&payloads.collect::<Vec<_>>()).await;
    let sent = async || world.cxone.counts().await["total"].as_u64().unwrap();
    let before = sent().await;
    eventually("a probe or two", async || match sent().await - before {
        probes if probes >= 2 => Ok(()),
        probes => Err(format!("{probes} probes")),
    })
    .await;

    let probes = usize::try_from(sent().await - before).unwrap();
    world.cxone.heal().await;
    eventually("a backlog that is done", async || {
        match world
            .number("select count(*) from callbacks where status = 'scheduled' and phone_number > '+12025000099'")
            .await
        {
            80 => Ok(()),
            done => Err(format!("{done} are scheduled")),
        }
    })
    .await;

    let contacts = world.cxone.contacts().await;
    let order: Vec<usize> = contacts
        .iter()
        .filter_map(|made| text(&made["contact"], "phone").trim_start_matches("+12025").parse::<usize>().ok())
        .filter(|n| *n >= 100)
        .map(|n| (n - 100) / 20)
        .collect();
    let places = |group: usize| order.iter().enumerate().filter(move |(_, of)| **of == group).map(|(place, _)| place);
    // A replica works on 32 at once, which may overtake each other; nobody else does.
    for group in 0..3 {
        let (later, sooner) = (places(group), places(group + 1));
        let sum = |places: &mut dyn Iterator<Item = usize>| places.sum::<usize>();
        assert!(sum(&mut { sooner }) < sum(&mut { later }), "{order:?}");
    }
    // The probes failed, and are tried again some seconds later. One more may have been sent meanwhile.
    let last = places(3).nth(18_usize.saturating_sub(probes));
    assert!(last < places(0).min(), "{probes} probes: {order:?}");
    assert!(last < Some(40), "{probes} probes: {order:?}");
    world.end().await;
}

#[tokio::test]
async fn callbacks_whose_window_passes_while_cxone_is_down_expire_and_say_why() {
    let world = world_with_an_open_breaker(json!({"route": "*", "kind": "status", "status": 503})).await;
    let ids = world.batch(&[payload_until(100, 70), payload_until(101, 70), payload_until(102, 230)]).await;
    let tried = world.number("select count(*) from callbacks where failure_code = 'cxone-unavailable'").await;
    assert!((4..=5).contains(&tried), "{tried} were tried");

    world
        .sql(&format!(
            "update callbacks set requested_start = requested_start - interval '5 hours',
                 requested_end = requested_end - interval '5 hours', due_at = now()
             where id in ('{}', '{}') or failure_code = 'cxone-unavailable'",
            ids[0], ids[1]
        ))
        .await;
    eventually("what has passed has expired", async || {
        match world.number("select count(*) from callbacks where status = 'expired'").await {
            expired if expired == tried + 2 => Ok(()),
            expired => Err(format!("{expired} have expired")),
        }
    })
    .await;

    assert!(world.cxone_condition().await.contains("does not respond"));
    let untried = world.get(&format!("/v1/callbacks/{}", ids[0])).await;
    assert_eq!(
        (text(&untried, "status"), text(&untried["failure"], "code")),
        ("expired".into(), "window-passed".into())
    );
    assert_eq!((&untried["contactId"], &untried["dispatchTime"]), (&Value::Null, &Value::Null));
    assert_eq!(world.audited(&ids[0]).await, ["callback.accepted", "callback.expired"]);
    let words =
        "select count(*) from callbacks where status = 'expired' and failure_detail like '%the last attempt: CXone%'";
    assert_eq!(world.number(words).await, tried, "what kept them from being made stays as the reason");
    assert_eq!(text(&world.get(&format!("/v1/callbacks/{}", ids[2])).await, "status"), "accepted");
    world.end().await;
}

#[tokio::test]
async fn nothing_is_lost_while_cxone_refuses_connections() {
    let mut world = World::start().await;
    world.cxone.go_down().await;

    let (status, callback) = world.ask(&payload_until(1, 120)).await;
    assert_eq!((status, text(&callback["failure"], "code").as_str()), (202, "cxone-unavailable"));
    world.batch(&(2..100).map(|n| payload_until(n, 120)).collect::<Vec<_>>()).await;
    eventually("an open breaker", async || match breaker_of(&world, "token").await {
        Some(1.0) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    world.cxone.come_back().await;
    world.all_settled_without_delay().await;

    world.assert_each_done_once(99).await;
    world.end().await;
}

#[tokio::test]
async fn a_cxone_that_never_answers_uses_bounded_connections_and_memory() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "*", "kind": "hang"})).await;

    let asked = join_all((0..400).map(async |n| world.ask_with(&payload_until(n, 120), &[("prefer", "wait=1")]).await));
    assert!(asked.await.iter().all(|(status, _)| *status == 202));

    world.request(Method::GET, "/healthz").send().await.unwrap().error_for_status().unwrap();
    assert_eq!(world.get("/v1/callbacks?limit=200").await["data"].as_array().unwrap().len(), 200);
    let waiting = world.cxone.counts().await["total"].as_u64().unwrap();
    assert!(waiting <= 64, "{waiting} requests at a CXone that never answers");
    let memory = processes::resident_kib(world.service.id());
    assert!(memory < 200 * 1024, "{memory} KiB");

    let World { service, database, .. } = world;
    let status = service.terminate().await;

    assert_eq!(status.code(), Some(0));
    database.drop().await;
}

#[tokio::test]
async fn a_hanging_forecast_delays_only_its_own_campaign() {
    let world = World::start().await;
    world.cxone.add_campaign("silent");
    assert_eq!(world.ask(&payload_until(0, 120)).await.0, 201);
    world.cxone.fault(json!({"route": "forecast", "kind": "hang", "times": 1})).await;
    let silent = async |n: usize| {
        let mut payload = payload_until(n, 120);
        payload["campaignId"] = json!("silent");
        world.ask_with(&payload, &[("prefer", "wait=1")]).await.0
    };
    assert!(join_all((100..120).map(silent)).await.iter().all(|status| *status == 202));

    let (status, _) = world.ask(&payload_until(1, 120)).await;

    // Confirmed within the default wait, while the forecast of the other campaign hangs.
    assert_eq!(status, 201);
    world.end().await;
}
