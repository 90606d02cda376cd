//! The ledger of CXone's quota, while replicas and Postgres fail.

use std::time::Duration;

use ringback::cxone::{Class, RequestContext};
use ringback::trace::Traceparent;
use ringback::types::CampaignId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    CAMPAIGN, Cxone, Durability, Postgres, Service, World, client_of, create_key, eventually, eventually_within,
    payload_from, received_at,
};

#[tokio::test]
async fn a_replica_frozen_during_a_ledger_update_does_not_block_others() {
    // So small that each request is a change of the ledger.
    let world = World::with(&[("CXONE_REQUESTS_PER_MINUTE", "5000")]).await;
    let other = client_of(&world.cxone, &world.database, 5000).await;
    let (campaign, trace) = (CampaignId::parse(CAMPAIGN).unwrap(), Traceparent::root(Uuid::now_v7()));
    for round in 1..20_usize {
        world.batch(&(0..40).map(|n| payload_from(1000 * round + n)).collect::<Vec<_>>()).await;
        world.service.signal("STOP").await;

        let read = other.read_campaign(&campaign, RequestContext { class: Class::Control, trace: &trace }).await;
        world.service.signal("CONT").await;

        assert!(read.is_ok(), "round {round}: {read:?}");
    }
    drop(other);
    world.end().await;
}

#[tokio::test]
async fn a_locked_ledger_fails_the_attempt_and_loses_nothing() {
    let world = World::start().await;
    assert_eq!(world.ask(&payload_from(0)).await.0, 201);
    let mut locked = world.database.pool.begin().await.unwrap();
    sqlx::query("select from cxone_ledger for update").execute(&mut *locked).await.unwrap();

    let id = world.accept(&payload_from(1)).await;
    let callback = world.callback_when(&id, |callback| !callback["failure"].is_null()).await;

    assert_eq!(callback["failure"]["code"], "cxone-unavailable", "{callback}");
    locked.rollback().await.unwrap();
    world.all_settled_without_delay().await;
    world.assert_each_done_once(2).await;
    world.end().await;
}

#[tokio::test]
async fn after_a_crash_of_postgres_requests_continue_within_the_quota() {
    let mut postgres = Postgres::start(Durability::Fast).await;
    let (database, cxone) = (postgres.database(), Cxone::start().await);
    let service = Service::start(&database, &cxone, &[("CXONE_REQUESTS_PER_MINUTE", "60")]).await;
    let key = create_key(&database, &["callbacks:write", "callbacks:read", "audit:read"]).await;
    let world = World { database, cxone, service, key, http: crate::support::http_client() };
    for n in 0..6 {
        assert_eq!(world.ask(&payload_from(n)).await.0, 201);
    }
    let spent = world.cxone.counts().await["total"].as_u64().unwrap();
    assert!(spent >= 13, "{spent}");

    postgres.kill().await;
    postgres.run().await;

    let back = jiff::Timestamp::now();
    let accepted = eventually("a callback that is accepted", async || {
        let request = world.request(reqwest::Method::POST, "/v1/callbacks").json(&payload_from(10));
        match request.send().await.map(|answer| answer.status().as_u16()) {
            Ok(status @ (201 | 202)) => Ok(status),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert!(accepted == 201 || accepted == 202);
    // Before the minute in which the quota was used is over.
    eventually_within(Duration::from_secs(45), "a request after the crash", async || {
        let received = world.cxone.received_all().await;
        received.iter().map(received_at).find(|at| *at >= back).ok_or_else(|| "there is none".to_owned())
    })
    .await;

    // What was spent before the crash counts, also where Postgres has lost it.
    let all: Vec<_> = (100..160).map(payload_from).collect();
    eventually("a batch that is accepted", async || {
        let answer = world.post("/v1/callbacks/batch", &json!({"callbacks": all})).await;
        if answer.status() == 200 { Ok(()) } else { Err(answer.status().to_string()) }
    })
    .await;
    eventually("a quota that is used up", async || match world.cxone.counts().await["total"].as_u64().unwrap() {
        used if used >= 50 => Ok(()),
        used => Err(format!("{used} requests")),
    })
    .await;
    // The replica asks again and again for what is not granted.
    let asked = world.number("select sum(attempts)::bigint from callbacks").await;
    eventually("more attempts", async || match world.number("select sum(attempts)::bigint from callbacks").await {
        attempts if attempts > asked + 5 => Ok(()),
        attempts => Err(format!("{attempts} attempts, {asked} before")),
    })
    .await;
    let highest = world.cxone.counts().await["highestPerMinute"].as_u64().unwrap();
    assert!(highest <= 60, "{highest} requests in a minute");
    world.end().await;
    drop(postgres);
}

#[tokio::test]
async fn ledger_entries_lost_by_postgres_are_restored() {
    let world = World::with(&[("CXONE_REQUESTS_PER_MINUTE", "60")]).await;
    let ledger = "select jsonb_build_object('ledger', ledger, 'version', version) from cxone_ledger";
    let before: Value = sqlx::query_scalar(ledger).fetch_one(&world.database.pool).await.unwrap();
    for n in 0..12 {
        assert_eq!(world.ask(&payload_from(n)).await.0, 201);
    }
    let used = async || {
        let used = "select coalesce(sum((step->>1)::bigint), 0)::bigint from cxone_ledger, jsonb_array_elements(ledger->'spent') step";
        world.number(used).await
    };
    let spent = used().await;
    assert!(spent >= 25, "{spent}");

    // As a crash leaves it: an earlier version.
    let lost = format!(
        "update cxone_ledger set ledger = '{}', version = {} returning
             (select coalesce(sum((step->>1)::bigint), 0)::bigint from jsonb_array_elements(ledger->'spent') step)",
        before["ledger"], before["version"]
    );
    assert!(world.number(&lost).await < spent);

    // The next request finds out.
    eventually("the ledger as it was", async || match used().await {
        now if now >= spent => Ok(()),
        now => Err(format!("{now} of {spent}")),
    })
    .await;
    assert!(used().await <= spent, "nothing counts twice");
    world.end().await;
}
