//! Postgres that is down, frozen, killed or restarted; and processes that stop in the middle of what they do.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, Cxone, DIALING, Durability, ENCRYPTION_KEY, Loss, PgBouncer, Postgres, Proxy, Receiver, Service, World,
    create_key, eventually, pause, payload, payload_from, payload_with,
};

impl World {
    /// On a separate Postgres server.
    async fn on(postgres: &Postgres) -> Self {
        Self::through(&postgres.url(), postgres).await
    }

    /// On a separate Postgres server, with this URL for what a pooler can carry.
    async fn through(database_url: &str, postgres: &Postgres) -> Self {
        let (database, cxone) = (postgres.database(), Cxone::start().await);
        let settings = [("ENCRYPTION_KEY", ENCRYPTION_KEY), ("DATABASE_DIRECT_URL", &database.url)];
        let service = Service::at(database_url, &cxone, &settings).await;
        let scopes = ["callbacks:write", "callbacks:read", "audit:read", "webhooks:write", "webhooks:read"];
        let key = create_key(&database, &scopes).await;
        Self { database, cxone, service, key, http: crate::support::http_client() }
    }

    /// Many requests at once are all answered 503.
    async fn refuses_everything(&self, postgres_is: &str) {
        let requests = (0..40).map(async |n| {
            let request = match n % 4 {
                0 => self.request(Method::GET, "/v1/callbacks"),
                1 => self.request(Method::GET, "/v1/audit"),
                2 => self.request(Method::POST, "/v1/callbacks").json(&payload_from(n)),
                _ => self.request(Method::POST, "/v1/callbacks").header("idempotency-key", n).json(&payload_from(n)),
            };
            Answer::to(request).await
        });
        for answer in join_all(requests).await {
            assert_eq!(answer.problem(), (503, "unavailable"), "{postgres_is}: {answer:?}");
            assert!(answer.header("retry-after").is_some(), "{postgres_is}: {answer:?}");
        }
        let ready = Answer::to(self.request(Method::GET, "/readyz")).await;
        assert_eq!(ready.status, 503, "{postgres_is}: {ready:?}");
    }

    /// Requests are accepted again, and a callback that was accepted before is carried out.
    async fn works_again(&self, accepted: &str) {
        eventually("requests are taken", async || {
            let answer = Answer::to(self.request(Method::GET, "/v1/callbacks")).await;
            if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
        assert_eq!(self.settled_soon(accepted).await["status"], "scheduled");
    }
}

#[tokio::test]
async fn while_postgres_is_down_or_frozen_requests_get_503_and_work_continues_afterwards() {
    let mut postgres = Postgres::start(Durability::Fast).await;
    let world = World::on(&postgres).await;
    let (status, callback) = world.ask(&payload()).await;
    assert_eq!(status, 201, "{callback}");
    world.cxone.fault(json!({"route": "forecast", "kind": "status", "status": 503})).await;
    let waiting = world.accept(&payload_from(100)).await;

    postgres.freeze().await;
    world.refuses_everything("frozen").await;
    postgres.thaw().await;
    world.cxone.heal().await;
    world.works_again(&waiting).await;

    for kill in [false, true] {
        let accepted = world.accept(&payload_from(200 + usize::from(kill))).await;
        if kill {
            postgres.kill().await;
        } else {
            postgres.stop().await;
        }
        world.refuses_everything("down").await;
        postgres.run().await;
        world.works_again(&accepted).await;
    }
    world.service.kill().await;
}

#[tokio::test]
async fn behind_a_pooler_too_requests_get_503_and_work_continues_afterwards() {
    let mut postgres = Postgres::start(Durability::Fast).await;
    let Some(pooler) = PgBouncer::start(&postgres.database()).await else { return };
    let world = World::through(&pooler.url, &postgres).await;
    let accepted = world.accept(&payload_from(300)).await;
    postgres.freeze().await;
    world.refuses_everything("frozen").await;
    postgres.thaw().await;
    world.works_again(&accepted).await;

    let accepted = world.accept(&payload_from(301)).await;
    postgres.kill().await;
    world.refuses_everything("down").await;
    postgres.run().await;
    world.works_again(&accepted).await;
    world.service.kill().await;
}

#[tokio::test]
async fn a_replica_frozen_in_a_transaction_does_not_block_others() {
    let world = World::start().await;
    let other = Service::start(&world.database, &world.cxone, &[]).await;
    let lock = "select pg_advisory_lock(hashtextextended('dispatch ' || $1, 0))";
    let mut holder = world.database.pool.acquire().await.unwrap();
    sqlx::query(lock).bind(crate::support::CAMPAIGN).execute(&mut *holder).await.unwrap();
    let frozen = world.accept(&payload()).await;
    world.database.when("from pg_stat_activity where wait_event_type = 'Lock' and application_name = 'ringback'").await;
    world.service.signal("STOP").await;
    drop(holder.detach());
    world.database.when("from pg_stat_activity where state = 'idle in transaction'").await;

    let body = payload_from(1);
    let request = world.http.post(format!("{}/v1/callbacks", other.base_url)).bearer_auth(&world.key);
    let answer = Answer::to(request.header("prefer", "wait=20").json(&body)).await;

    assert_eq!(answer.status, 201, "{answer:?}");
    world.service.signal("CONT").await;
    assert_eq!(world.settled_soon(&frozen).await["status"], "scheduled");
    world.end().await;
}

/// A world whose service reaches Postgres on a way on which statements and answers can be lost.
async fn proxy_world() -> (World, Proxy) {
    let mut world = World::start().await;
    let proxy = Proxy::to(&world.database).await;
    let settings = [("ENCRYPTION_KEY", ENCRYPTION_KEY), ("WEBHOOKS_ALLOW_LOOPBACK", "true")];
    let service = Service::at(&proxy.url, &world.cxone, &settings).await;
    std::mem::replace(&mut world.service, service).kill().await;
    let scopes = ["callbacks:write", "callbacks:read", "webhooks:write", "webhooks:read", "campaigns:write"];
    world.key = create_key(&world.database, &scopes).await;
    (world, proxy)
}

impl World {
    /// Posts under a key while answers with this text in their statement are lost, and again when they are not.
    async fn failed_and_repeated(&self, proxy: &Proxy, lost: &str, path: &str, body: &Value) -> Answer {
        let headers = [("idempotency-key", lost), ("x-request-id", lost)];
        proxy.lose(Loss::Answer, lost);
        let failed = self.answer(path, body, &headers).await;
        assert_eq!(failed.problem(), (503, "unavailable"), "{path}: {failed:?}");
        proxy.heal();
        eventually("the key is no longer in use", async || {
            let answer = self.answer(path, body, &headers).await;
            let in_use = answer.body["type"] == "/problems/idempotency-key-in-use";
            if in_use { Err(format!("{answer:?}")) } else { Ok(answer) }
        })
        .await
    }
}

#[tokio::test]
async fn an_idempotency_key_survives_a_failure_after_the_commit() {
    let (world, proxy) = proxy_world().await;

    let body = payload_with(json!({"phoneNumber": "+12025550101"}));
    let callback = world.failed_and_repeated(&proxy, "+12025550101", "/v1/callbacks", &body).await;
    assert!([201, 202].contains(&callback.status), "{callback:?}");
    let body = json!({"callbacks": [payload_with(json!({"phoneNumber": "+12025550102"}))]});
    let batch = world.failed_and_repeated(&proxy, "+12025550102", "/v1/callbacks/batch", &body).await;
    assert_eq!(batch.status, 200, "{batch:?}");
    assert!(batch.body["results"][0]["id"].is_string(), "{batch:?}");
    assert_eq!(world.database.count("from callbacks").await, 2);
    for id in [&callback.body["id"], &batch.body["results"][0]["id"]] {
        assert_eq!(world.settled_soon(id.as_str().unwrap()).await["status"], "scheduled");
    }

    let url = "http://127.0.0.1:9/a-hook-of-its-own";
    let webhook = world.failed_and_repeated(&proxy, url, "/v1/webhooks", &json!({"url": url})).await;
    assert_eq!(webhook.status, 201, "{webhook:?}");
    assert!(webhook.body["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(world.database.count("from webhook_endpoints").await, 1);
    assert_eq!(world.database.count("from audit_entries where action = 'webhook.created'").await, 1);

    let path = format!("/v1/campaigns/{DIALING}/pause");
    let paused = world.failed_and_repeated(&proxy, "pause-of-its-own", &path, &pause()).await;
    assert!([200, 202].contains(&paused.status), "{paused:?}");
    assert_eq!(world.database.count("from campaign_holds").await, 1);
    world.cxone.campaign_when(DIALING, "PAUSED").await;
    world.end().await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_stored_at_once_is_given_and_stored_later() {
    let (world, proxy) = proxy_world().await;
    let headers = [("idempotency-key", "k-1")];
    // Only what is kept of an answer has it.
    proxy.lose(Loss::Statement, r#""location":"/v1/callbacks/"#);

    let answered = world.answer("/v1/callbacks", &payload(), &headers).await;
    proxy.heal();

    assert_eq!(answered.status, 201, "{answered:?}");
    let again = eventually("the answer is kept", async || {
        let again = world.answer("/v1/callbacks", &payload_of(&answered), &headers).await;
        if again.status == 409 { Err(format!("{again:?}")) } else { Ok(again) }
    })
    .await;
    assert_eq!((again.status, &again.body["id"]), (201, &answered.body["id"]));
    world.end().await;
}

/// The body that was answered so, as it was sent.
fn payload_of(answer: &Answer) -> Value {
    payload_with(json!({
        "requestedStart": answer.body["requestedStart"], "requestedEnd": answer.body["requestedEnd"],
    }))
}

#[tokio::test]
async fn a_request_that_lost_its_idempotency_key_stores_no_answer() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "contact", "kind": "hang"})).await;
    let body = payload();
    let slow =
        world.request(Method::POST, "/v1/callbacks").header("prefer", "wait=20").header("idempotency-key", "k-1");
    let slow = tokio::spawn(Answer::to(slow.json(&body)));
    world.cxone.wait_for_request("contact").await;
    let quick = eventually("another run has the key", async || {
        world.database.run("update idempotency_keys set leased_until = 'epoch'").await;
        let quick = world.answer("/v1/callbacks", &body, &[("idempotency-key", "k-1"), ("prefer", "wait=0")]).await;
        if quick.status == 202 { Ok(quick) } else { Err(format!("{quick:?}")) }
    })
    .await;

    world.cxone.heal().await;
    let id = quick.body["id"].as_str().unwrap();
    world.settled_soon(id).await;
    let slow = slow.await.unwrap();
    let again = world.answer("/v1/callbacks", &body, &[("idempotency-key", "k-1")]).await;

    assert!([201, 202].contains(&slow.status), "{slow:?}");
    assert_eq!(slow.body["id"], quick.body["id"]);
    assert_eq!((again.status, again.header("idempotency-replayed")), (202, Some("true")), "{again:?}");
    assert_eq!(again.body, quick.body);
    world.end().await;
}

#[tokio::test]
async fn a_batch_is_retried_after_a_deadlock() {
    let world = World::start().await;
    let (first, second) = ("+12025550101", "+12025550102");
    let rows = [first, second].map(|number| payload_with(json!({"phoneNumber": number})));
    let mut other = world.database.pool.begin().await.unwrap();
    sqlx::query("set local deadlock_timeout = '30s'").execute(&mut *other).await.unwrap();
    insert(&mut other, &rows[1]).await;

    let body = json!({"callbacks": rows});
    let request = Answer::to(world.request(Method::POST, "/v1/callbacks/batch").json(&body));
    let batch = tokio::spawn(request);
    world.database.when("from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()").await;
    insert(&mut other, &rows[0]).await;
    other.rollback().await.unwrap();

    let batch = batch.await.unwrap();
    assert_eq!(batch.status, 200, "{batch:?}");
    for result in batch.body["results"].as_array().unwrap() {
        assert!(result["id"].is_string(), "{batch:?}");
    }
    assert_eq!(world.database.count("from callbacks").await, 2);
    let deadlocks = "from pg_stat_database where datname = current_database() and deadlocks > 0";
    world.database.when(deadlocks).await;
    world.end().await;
}

/// An open callback of somebody else's, not committed.
async fn insert(transaction: &mut sqlx::PgConnection, payload: &Value) {
    let statement = "insert into callbacks (id, status, phone_number, campaign_id, requested_start, requested_end, language,
             confirmation, attempts, due_at, request_id, created_at, updated_at)
         values (gen_random_uuid(), 'accepted', $1, $2, $3::text::timestamptz, $4::text::timestamptz, 'en-US', 'pending', 0,
             now(), 'other', now(), now())";
    let text = |name: &str| payload[name].as_str().unwrap().to_owned();
    let insert = sqlx::query(statement).bind(text("phoneNumber")).bind(text("campaignId"));
    insert.bind(text("requestedStart")).bind(text("requestedEnd")).execute(transaction).await.unwrap();
}

#[tokio::test]
async fn a_claim_that_sigterm_interrupts_is_released_at_once() {
    let receiver = Receiver::start(&[]).await;
    let settings = [("ENCRYPTION_KEY", ENCRYPTION_KEY), ("WEBHOOKS_ALLOW_LOOPBACK", "true")];
    let mut world = World::with(&settings).await;
    let scopes = ["callbacks:write", "callbacks:read", "webhooks:write", "campaigns:write"];
    world.key = create_key(&world.database, &scopes).await;
    assert_eq!(world.answer("/v1/webhooks", &json!({"url": receiver.url}), &[]).await.status, 201);
    assert_eq!(world.answer(&format!("/v1/campaigns/{DIALING}/pause"), &pause(), &[]).await.status, 200);
    world.cxone.fault(json!({"route": "forecast", "kind": "status", "status": 503})).await;
    let id = world.accept(&payload()).await;
    world.callback_when(&id, |callback| callback["failure"].is_object()).await;
    world.database.when("from webhook_deliveries where status = 'succeeded'").await;

    // Claims wait for these locks, which the service's own limit ends after two seconds.
    let mut holder = world.database.pool.begin().await.unwrap();
    for statement in [
        "lock table callbacks, campaigns, webhook_deliveries in exclusive mode",
        "update callbacks set due_at = now()",
        "update campaigns set due_at = now(), leased_by = null, leased_until = null",
        "update webhook_deliveries set status = 'pending', due_at = now()",
    ] {
        sqlx::query(statement).execute(&mut *holder).await.unwrap();
    }
    let waiting = "from (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()
         and query like '%skip locked%' having count(*) >= 2) as claims";
    world.database.when(waiting).await;
    world.service.signal("TERM").await;
    let closed = format!("{}/healthz", world.service.base_url);
    eventually("the service takes no more", async || match world.http.get(&closed).send().await {
        Ok(answer) => Err(format!("{answer:?}")),
        Err(_) => Ok(()),
    })
    .await;
    holder.commit().await.unwrap();
    let World { service, database, .. } = world;
    let status = service.terminate().await;

    assert!(status.success(), "{status}");
    let leased = "due_at > now() + interval '5 s'";
    assert_eq!(database.count(&format!("from callbacks where {leased}")).await, 0);
    assert_eq!(database.count(&format!("from webhook_deliveries where {leased}")).await, 0);
    assert_eq!(database.count("from campaigns where leased_by is not null").await, 0);
    database.drop().await;
}

#[tokio::test]
async fn purging_keeps_up_with_the_load() {
    let mut world = World::start().await;
    for statement in [
        "insert into idempotency_keys (api_key_id, key, request_hash, resource_id, leased_until, created_at)
         select k.id, 'key ' || n, decode(repeat('00', 32), 'hex'), gen_random_uuid(), 'epoch', at
         from api_keys as k, generate_series(1, 23000) as n,
             lateral (select case when n <= 3 then now() else now() - interval '8 days' end as at) as dated",
        "insert into webhook_events (id, type, campaign_id, body, created_at)
         select gen_random_uuid(), 'campaign.paused', 'c', '{}',
             case when n <= 3 then now() else now() - interval '31 days' end
         from generate_series(1, 4500) as n",
        "insert into answer_rate_buckets (campaign_id, window_ms, counted_from, starts_at, counts_until, attempts, answers)
         select 'c', 60000, 'epoch', now() - n * interval '1 s', now() - n * interval '1 s' + interval '500 ms', 1, 0
         from generate_series(1, 12000) as n",
    ] {
        world.database.run(statement).await;
    }

    let service = Service::start(&world.database, &world.cxone, &[]).await;
    std::mem::replace(&mut world.service, service).kill().await;

    for (table, left) in [("idempotency_keys", 3), ("webhook_events", 3), ("answer_rate_buckets", 0)] {
        eventually(&format!("{table} has only what is kept"), async || {
            let found = world.database.count(&format!("from {table}")).await;
            if found == left { Ok(()) } else { Err(format!("{found} rows")) }
        })
        .await;
    }
    world.end().await;
}

#[tokio::test]
async fn a_campaign_released_by_a_drain_can_be_claimed_at_once() {
    let mut world = World::start().await;
    world.key = create_key(&world.database, &["campaigns:write"]).await;
    world.cxone.fault(json!({"route": "campaignRead", "kind": "hang"})).await;
    let path = format!("/v1/campaigns/{DIALING}/pause");
    let request = Answer::to(world.request(Method::POST, &path).header("prefer", "wait=0").json(&pause()));
    let asked = tokio::spawn(request);
    world.cxone.wait_for_request("campaignRead").await;
    world.database.when("from campaigns where leased_by is not null").await;

    let World { service, database, .. } = world;
    let status = service.terminate().await;

    assert!(status.success(), "{status}");
    assert_eq!(database.count("from campaigns where leased_by is not null").await, 0);
    drop(asked);
    database.drop().await;
}
