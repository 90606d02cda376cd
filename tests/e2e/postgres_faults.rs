//! Postgres that is down, frozen, killed or restarted; and processes that stop in the middle of what they do.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::{Client, Method};
use serde_json::json;

use crate::support::{
    Answer, Cxone, ENCRYPTION_KEY, Postgres, Service, World, create_key, eventually, payload, payload_from,
};

/// The bound within which a request is answered while Postgres answers nothing.
const REFUSED_WITHIN: Duration = Duration::from_secs(2);
/// About a second, with room for a machine that is busy.
const BACK_WITHIN: Duration = Duration::from_secs(4);

impl World {
    /// On a Postgres of its own, which outlives the world's requests.
    async fn on(postgres: &Postgres) -> Self {
        let (database, cxone) = (postgres.database(), Cxone::start().await);
        let service = Service::start(&database, &cxone, &[("ENCRYPTION_KEY", ENCRYPTION_KEY)]).await;
        let scopes = ["callbacks:write", "callbacks:read", "audit:read", "webhooks:write", "webhooks:read"];
        let key = create_key(&database, &scopes).await;
        Self { database, cxone, service, key, http: Client::new() }
    }

    /// Many requests at once, each refused for now and in time.
    async fn refuses_everything_in_time(&self, postgres_is: &str) {
        let requests = (0..40).map(async |n| {
            let request = match n % 4 {
                0 => self.request(Method::GET, "/v1/callbacks"),
                1 => self.request(Method::GET, "/v1/audit"),
                2 => self.request(Method::POST, "/v1/callbacks").json(&payload_from(n)),
                _ => self.request(Method::POST, "/v1/callbacks").header("idempotency-key", n).json(&payload_from(n)),
            };
            let started = Instant::now();
            let answer = Answer::to(request).await;
            (answer, started.elapsed())
        });
        for (answer, took) in join_all(requests).await {
            assert_eq!(answer.problem(), (503, "unavailable"), "{postgres_is}: {answer:?}");
            assert!(answer.header("retry-after").is_some(), "{postgres_is}: {answer:?}");
            assert!(took < REFUSED_WITHIN, "{postgres_is}: {took:?}");
        }
        let ready = Answer::to(self.request(Method::GET, "/readyz")).await;
        assert_eq!(ready.status, 503, "{postgres_is}: {ready:?}");
    }

    /// Requests are taken again, and what was accepted before is worked on.
    async fn is_back(&self, accepted: &str, postgres_is: &str) {
        let started = Instant::now();
        eventually("requests are taken", async || {
            let answer = Answer::to(self.request(Method::GET, "/v1/callbacks")).await;
            if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
        let took = started.elapsed();
        assert!(took < BACK_WITHIN, "{postgres_is}: {took:?} until requests are taken");
        assert_eq!(self.settled_soon(accepted).await["status"], "scheduled");
    }
}

#[tokio::test]
async fn while_postgres_is_down_or_frozen_requests_get_503_within_two_seconds_and_work_goes_on_after() {
    let mut postgres = Postgres::start().await;
    let world = World::on(&postgres).await;
    let (status, callback) = world.ask(&payload()).await;
    assert_eq!(status, 201, "{callback}");
    world.cxone.fault(json!({"route": "forecast", "kind": "status", "status": 503})).await;
    let waiting = world.accept(&payload_from(100)).await;

    postgres.freeze().await;
    world.refuses_everything_in_time("frozen").await;
    postgres.thaw().await;
    world.cxone.heal().await;
    world.is_back(&waiting, "thawed").await;

    for kill in [false, true] {
        let accepted = world.accept(&payload_from(200 + usize::from(kill))).await;
        if kill {
            postgres.kill().await
        } else {
            postgres.stop().await
        }
        world.refuses_everything_in_time("down").await;
        postgres.run().await;
        world.is_back(&accepted, "restarted").await;
    }
    world.service.kill().await;
}

#[tokio::test]
async fn a_replica_frozen_in_a_transaction_blocks_nobody_for_long() {
    let world = World::start().await;
    let other = Service::start(&world.database, &world.cxone, &[]).await;
    let lock = "select pg_advisory_lock(hashtextextended('dispatch ' || $1, 0))";
    let mut holder = world.database.pool.acquire().await.unwrap();
    sqlx::query(lock).bind(crate::support::CAMPAIGN).execute(&mut *holder).await.unwrap();
    let frozen = world.accept(&payload()).await;
    world.database.when("from pg_stat_activity where wait_event_type = 'Lock' and application_name = 'ringback'").await;
    world.service.signal("-STOP").await;
    drop(holder.detach());
    world.database.when("from pg_stat_activity where state = 'idle in transaction'").await;

    let started = Instant::now();
    let body = payload_from(1);
    let request = world.http.post(format!("{}/v1/callbacks", other.base_url)).bearer_auth(&world.key);
    let answer = Answer::to(request.header("prefer", "wait=20").json(&body)).await;
    let took = started.elapsed();

    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    world.service.signal("-CONT").await;
    assert_eq!(world.settled_soon(&frozen).await["status"], "scheduled");
    world.end().await;
}
