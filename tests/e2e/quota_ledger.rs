//! The ledger of CXone's quota, while replicas and Postgres fail.

use std::process::Stdio;
use std::time::{Duration, Instant};

use ringback::cxone::{Asker, Class};
use ringback::trace::Traceparent;
use ringback::types::CampaignId;
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::support::{
    CAMPAIGN, Cxone, Database, Service, World, client_of, create_key, eventually, payload_from, received_at,
};

async fn signal(name: &str, process: &str) {
    assert!(Command::new("kill").args([name, process]).status().await.unwrap().success());
}

#[tokio::test]
async fn a_replica_frozen_while_it_updates_the_ledger_blocks_nobody() {
    // So small that each request is a change of the ledger.
    let world = World::with(&[("CXONE_REQUESTS_PER_MINUTE", "5000")]).await;
    let other = client_of(&world.cxone, &world.database, 5000).await;
    let (campaign, trace) = (CampaignId::parse(CAMPAIGN).unwrap(), Traceparent::root(Uuid::now_v7()));
    let frozen = world.service.process().to_string();
    for round in 1..20_usize {
        world.batch(&(0..40).map(|n| payload_from(1000 * round + n)).collect::<Vec<_>>()).await;
        signal("-STOP", &frozen).await;

        let started = Instant::now();
        let read = other.read_campaign(&campaign, Asker { class: Class::Control, trace: &trace }).await;
        let took = started.elapsed();
        signal("-CONT", &frozen).await;

        assert!(read.is_ok(), "round {round}: {read:?}");
        assert!(took < Duration::from_secs(3), "round {round}: it took {took:?}");
    }
    drop(other);
    world.end().await;
}

#[tokio::test]
async fn a_ledger_that_does_not_answer_fails_a_request_soon_and_loses_nothing() {
    let world = World::start().await;
    assert_eq!(world.ask(&payload_from(0)).await.0, 201);
    let mut locked = world.database.pool.begin().await.unwrap();
    sqlx::query("select from cxone_ledger for update").execute(&mut *locked).await.unwrap();

    let started = Instant::now();
    let id = world.accept(&payload_from(1)).await;
    let callback = world.callback_when(&id, |callback| !callback["failure"].is_null()).await;

    assert_eq!(callback["failure"]["code"], "cxone-unavailable", "{callback}");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    locked.rollback().await.unwrap();
    world.all_settled_without_delay().await;
    world.assert_each_done_once(2).await;
    world.end().await;
}

/// A Postgres that a test may crash. It ends with its keeper's standard input.
struct Postgres {
    url: String,
    _keeper: Child,
}

impl Postgres {
    async fn start() -> Self {
        let root = env!("CARGO_MANIFEST_DIR");
        let mut keeper = Command::new(format!("{root}/scripts/with-postgres"))
            .args(["sh", "-c", "echo \"$DATABASE_URL\"; exec cat"])
            .env_remove("DATABASE_URL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(keeper.stdout.take().unwrap()).lines();
        let url = lines.next_line().await.unwrap().expect("a server starts");
        Self { url, _keeper: keeper }
    }

    /// One backend dies, and with it all that was not yet written: the server recovers as from any crash.
    async fn crash(&self) {
        let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
        let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut connection).await.unwrap();
        signal("-KILL", &backend.to_string()).await;
        let answers = async || {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.map_err(|error| error.to_string())?;
            let since: Option<i32> = sqlx::query_scalar("select 1").fetch_one(&mut connection).await.ok();
            since.ok_or_else(|| "it does not answer".to_owned())
        };
        // The death of its own connection is the first sign of the crash.
        while sqlx::query("select 1").execute(&mut connection).await.is_ok() {}
        eventually("Postgres to be back", answers).await;
    }
}

#[tokio::test]
async fn after_a_crash_of_postgres_requests_go_on_at_once_and_the_quota_holds() {
    let postgres = Postgres::start().await;
    let (database, cxone) = (Database::create_on(&postgres.url).await, Cxone::start().await);
    let service = Service::start(&database, &cxone, &[("CXONE_REQUESTS_PER_MINUTE", "60")]).await;
    let key = create_key(&database, &["callbacks:write", "callbacks:read", "audit:read"]).await;
    let world = World { database, cxone, service, key, http: ringback::tls::client() };
    for n in 0..6 {
        assert_eq!(world.ask(&payload_from(n)).await.0, 201);
    }
    let spent = world.cxone.counts().await["total"].as_u64().unwrap();
    assert!(spent >= 13, "{spent}");

    postgres.crash().await;

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
    let next = eventually("a request after the crash", async || {
        let received = world.cxone.received_all().await;
        received.iter().map(received_at).find(|at| *at >= back).ok_or_else(|| "none came".to_owned())
    })
    .await;
    // The old rule was 61 s; the bound is 2 s on a machine with nothing else to do.
    assert!(next.duration_since(back).as_secs() < 10, "{:#}", next.duration_since(back));

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
    let until = Instant::now() + Duration::from_secs(5);
    eventually("some seconds more", async || if Instant::now() > until { Ok(()) } else { Err("not yet".to_owned()) })
        .await;
    let highest = world.cxone.counts().await["highestPerMinute"].as_u64().unwrap();
    assert!(highest <= 60, "{highest} requests in a minute");
    world.end().await;
    drop(postgres);
}

#[tokio::test]
async fn what_postgres_loses_of_the_ledger_is_put_back() {
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
    world
        .sql(&format!("update cxone_ledger set ledger = '{}', version = {}", before["ledger"], before["version"]))
        .await;
    assert!(used().await < spent);

    // Whoever asks next finds out.
    eventually("the ledger as it was", async || match used().await {
        now if now >= spent => Ok(()),
        now => Err(format!("{now} of {spent}")),
    })
    .await;
    assert!(used().await <= spent, "nothing counts twice");
    world.end().await;
}
