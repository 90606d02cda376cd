//! The queue of deliveries, with a Postgres and a receiver of its own.

use std::collections::HashSet;

use axum::Router;
use axum::http::StatusCode;
use futures::future::join_all;
use jiff::Timestamp;
use sqlx::PgPool;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::address_policy::AddressPolicy;
use super::model::DeliveryLease;
use super::sender::WebhookSettings;
use super::signing::SigningSecret;
use super::store::WebhookStore;
use super::worker::{DeliveryQueue, DeliveryWorker};
use crate::clock::Clock;
use crate::db::Db;
use crate::jobs::{Next, Queue as _, Step};

fn clock() -> Clock {
    Clock::manual(|| "2026-11-20T15:00:00Z".parse::<Timestamp>().unwrap(), 1)
}

/// Starts a receiver that always answers with this status, and returns its URL.
async fn receiver(status: StatusCode) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(async move || status)).await });
    url
}

/// The queue of a replica whose configuration names this endpoint.
async fn queue(pool: &PgPool, url: &str) -> DeliveryQueue {
    let store = WebhookStore::new(Db::new(pool.clone()));
    store.configure(Some(url), &clock()).await.unwrap();
    let configured = Some((url.to_owned(), SigningSecret::new().unwrap()));
    let address_policy = AddressPolicy { allow_loopback: true };
    let settings = WebhookSettings { address_policy, cipher: None, configured, proxy: None };
    DeliveryQueue::new(store, settings, clock()).unwrap()
}

/// Adds events of these campaigns, each with a delivery that is due.
async fn add_events(pool: &PgPool, campaigns: &[&str]) {
    for campaign in campaigns {
        sqlx::query(
            "with event as (
                 insert into webhook_events (id, type, campaign_id, body, created_at)
                 values (gen_random_uuid(), 'campaign.paused', $1, '{}', $2)
                 returning seq
             )
             insert into webhook_deliveries (endpoint_id, event_seq, campaign_id, due_at, created_at, updated_at)
             select e.id, event.seq, $1, $2, $2, $2 from event, webhook_endpoints as e where e.deleted_at is null",
        )
        .bind(campaign)
        .bind(jiff_sqlx::ToSqlx::to_sqlx(clock().now()))
        .execute(pool)
        .await
        .unwrap();
    }
}

/// The number of deliveries in each status, in the order of the names of the statuses.
async fn statuses(pool: &PgPool) -> Vec<(String, i64)> {
    let query = "select status, count(*) from webhook_deliveries group by status order by status";
    sqlx::query_as(query).fetch_all(pool).await.unwrap()
}

async fn claim(queue: &DeliveryQueue) -> Option<(<DeliveryQueue as crate::jobs::Queue>::Job, DeliveryLease)> {
    match queue.claim(0).await.unwrap() {
        Next::Job(job) => {
            let lease = queue.lease(&job);
            Some((job, lease))
        }
        Next::Wait(_) => None,
    }
}

#[sqlx::test]
async fn a_step_delivers_the_first_event_of_a_campaign_and_the_next_step_the_second(pool: PgPool) {
    let worker = DeliveryWorker::new(queue(&pool, &receiver(StatusCode::NO_CONTENT).await).await);
    add_events(&pool, &["campaign", "campaign"]).await;

    assert_eq!(worker.step().await.unwrap(), Step::Worked);
    assert_eq!(statuses(&pool).await, [("pending".into(), 1), ("succeeded".into(), 1)]);
    assert_eq!(worker.step().await.unwrap(), Step::Worked);
    assert_eq!(statuses(&pool).await, [("succeeded".into(), 2)]);
    assert_eq!(worker.step().await.unwrap(), Step::Idle);
}

#[sqlx::test]
async fn a_failed_delivery_stays_pending_and_is_not_due_at_once(pool: PgPool) {
    let worker = DeliveryWorker::new(queue(&pool, &receiver(StatusCode::INTERNAL_SERVER_ERROR).await).await);
    add_events(&pool, &["campaign"]).await;

    assert_eq!(worker.step().await.unwrap(), Step::Worked);

    assert_eq!(statuses(&pool).await, [("pending".into(), 1)]);
    assert_eq!(worker.step().await.unwrap(), Step::Idle);
}

#[sqlx::test]
async fn an_endpoint_that_is_gone_is_disabled_even_if_a_newer_version_has_stored_its_event_types(pool: PgPool) {
    let worker = DeliveryWorker::new(queue(&pool, &receiver(StatusCode::GONE).await).await);
    sqlx::query("update webhook_endpoints set events = '{callback.moved}'").execute(&pool).await.unwrap();
    add_events(&pool, &["campaign", "campaign"]).await;

    assert_eq!(worker.step().await.unwrap(), Step::Worked);

    assert_eq!(statuses(&pool).await, [("dead".into(), 2)]);
    assert_eq!(worker.step().await.unwrap(), Step::Idle);
}

#[sqlx::test]
async fn an_endpoint_that_fails_for_long_is_disabled_when_a_delivery_has_used_up_its_retries(pool: PgPool) {
    let worker = DeliveryWorker::new(queue(&pool, &receiver(StatusCode::INTERNAL_SERVER_ERROR).await).await);
    let failing = "update webhook_endpoints set failing_since = '2026-11-01T00:00:00Z'";
    sqlx::query(failing).execute(&pool).await.unwrap();
    add_events(&pool, &["a"]).await;
    let disabled = async || {
        let query = "select count(*) from webhook_endpoints where disabled_at is not null";
        sqlx::query_scalar::<_, i64>(query).fetch_one(&pool).await.unwrap()
    };

    assert_eq!(worker.step().await.unwrap(), Step::Worked);
    assert_eq!((statuses(&pool).await, disabled().await), (vec![("pending".into(), 1)], 0));

    add_events(&pool, &["b"]).await;
    let last = "update webhook_deliveries set attempts = 9 where campaign_id = 'b'";
    sqlx::query(last).execute(&pool).await.unwrap();
    assert_eq!(worker.step().await.unwrap(), Step::Worked);
    assert_eq!((statuses(&pool).await, disabled().await), (vec![("dead".into(), 2)], 1));
}

#[sqlx::test]
async fn leases_that_begin_at_the_same_time_end_at_different_times(pool: PgPool) {
    let queue = queue(&pool, "http://127.0.0.1:1/").await;
    add_events(&pool, &["a", "b"]).await;
    let _jobs = (claim(&queue).await.unwrap(), claim(&queue).await.unwrap());

    let ends = "select count(distinct due_at) from webhook_deliveries";
    let ends: i64 = sqlx::query_scalar(ends).fetch_one(&pool).await.unwrap();

    assert_eq!(ends, 2);
}

#[sqlx::test]
async fn a_released_delivery_is_due_at_once_and_its_old_lease_has_no_effect(pool: PgPool) {
    let queue = queue(&pool, "http://127.0.0.1:1/").await;
    add_events(&pool, &["campaign"]).await;
    let (job, lease) = claim(&queue).await.unwrap();
    assert!(claim(&queue).await.is_none(), "it is leased");
    drop(job);

    queue.release(&lease).await.unwrap();

    let (_job, second) = claim(&queue).await.unwrap();
    assert_eq!((second.delivery, second.claim), (lease.delivery, lease.claim + 1));
    queue.release(&lease).await.unwrap();
    assert!(claim(&queue).await.is_none(), "the second lease is still held");
}

#[sqlx::test]
async fn a_replica_makes_at_most_four_deliveries_to_an_endpoint_at_the_same_time(pool: PgPool) {
    let queue = queue(&pool, "http://127.0.0.1:1/").await;
    add_events(&pool, &["a", "b", "c", "d", "e"]).await;
    let mut jobs = Vec::new();
    while let Some((job, _)) = claim(&queue).await {
        jobs.push(job);
    }
    assert_eq!(jobs.len(), 4);
    jobs.pop();
    assert!(claim(&queue).await.is_some());
}

#[sqlx::test]
async fn concurrent_replicas_never_claim_the_same_delivery(pool: PgPool) {
    let url = "http://127.0.0.1:1/";
    let mut queues = Vec::new();
    for _ in 0..4 {
        queues.push(queue(&pool, url).await);
    }
    let campaigns: Vec<String> = (0..12).map(|number| format!("campaign-{number}")).collect();
    add_events(&pool, &campaigns.iter().map(String::as_str).collect::<Vec<_>>()).await;

    let claims = queues.iter().map(|queue| async move {
        let mut jobs = Vec::new();
        while let Some(claimed) = claim(queue).await {
            jobs.push(claimed);
        }
        jobs
    });
    let claimed: Vec<Uuid> = join_all(claims).await.into_iter().flatten().map(|(_, lease)| lease.delivery).collect();

    let distinct: HashSet<Uuid> = claimed.iter().copied().collect();
    assert_eq!(claimed.len(), distinct.len());
    assert!(!claimed.is_empty());
}
