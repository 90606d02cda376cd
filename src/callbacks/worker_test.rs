//! The queue of callbacks, with a Postgres of its own and a CXone that does not exist.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use sqlx::PgPool;
use uuid::Uuid;

use super::attempt::{AttemptSettings, Attempts, WithoutForecast};
use super::model::{Callback, FailureCode, Status, testing};
use super::outcome::Waiters;
use super::store::CallbackStore;
use super::worker::{CallbackQueue, Worker};
use crate::audit::{Action, Outcome};
use crate::campaigns::SettingsStore;
use crate::clock::Clock;
use crate::cxone::{Api, AuthStyle, Cxone, Settings, V2Settings};
use crate::db::Db;
use crate::jobs::{Next, Queue as _, Step};
use crate::types::{PhoneNumber, TimeWindow, TimeZone};

fn now() -> Timestamp {
    "2026-11-20T15:00:00Z".parse().unwrap()
}

fn clock() -> Clock {
    Clock::manual(now, 1)
}

/// A due callback whose window of one hour starts in this many hours.
fn due(number: u16, starts_in_hours: i64) -> Callback {
    let start = now() + SignedDuration::from_hours(starts_in_hours);
    Callback {
        window: TimeWindow::parse(start, start + SignedDuration::from_hours(1)).unwrap(),
        created_at: now() - SignedDuration::from_hours(12),
        ..testing::accepted(number, start, now())
    }
}

async fn insert(store: &CallbackStore, callbacks: &[Callback]) {
    let clock = clock();
    for callback in callbacks {
        let entry =
            callback.entry(clock.new_id(), now(), Action::CallbackAccepted, Outcome::Succeeded, Status::Accepted);
        store.insert(vec![(callback, &entry)]).await.unwrap();
    }
}

/// The queue of one replica. Nothing listens at the address of its CXone.
fn queue(pool: &PgPool) -> CallbackQueue {
    let settings = Settings {
        api: Api::V2(V2Settings {
            base_url: "http://127.0.0.1:1".into(),
            client_id: "client".into(),
            client_secret: "secret".into(),
            auth: AuthStyle::Basic,
        }),
        timeout: Duration::from_secs(1),
        requests_per_minute: 6_000,
    };
    CallbackQueue::new(Attempts {
        repository: CallbackStore::new(Db::new(pool.clone())),
        gateway: Arc::new(
            Cxone::new(settings, Arc::new(SettingsStore::new(Db::new(pool.clone()))), pool.clone(), clock()).unwrap(),
        ),
        clock: clock(),
        waiters: Waiters::default(),
        settings: AttemptSettings {
            without_forecast: WithoutForecast::Reject,
            sms_from: PhoneNumber::from_stored("+12025550100".into()).unwrap(),
            sms_channel: None,
            default_zone: TimeZone::parse("America/New_York").unwrap(),
        },
    })
}

async fn claim(queue: &CallbackQueue) -> Option<(Callback, super::worker::AttemptLease)> {
    match queue.claim(0).await.unwrap() {
        Next::Job(job) => {
            let lease = queue.lease(&job);
            Some((job.callback, lease))
        }
        Next::Wait(_) => None,
    }
}

#[sqlx::test]
async fn a_step_claims_a_due_callback_and_stores_its_outcome(pool: PgPool) {
    let store = CallbackStore::new(Db::new(pool.clone()));
    let passed = due(1, -2);
    insert(&store, std::slice::from_ref(&passed)).await;
    let worker = Worker::new(queue(&pool));

    assert_eq!(worker.step().await.unwrap(), Step::Worked);

    let stored = store.find(passed.id).await.unwrap().unwrap();
    assert_eq!((stored.status, stored.attempts, stored.due_at), (Status::Expired, 1, None));
    assert_eq!(worker.step().await.unwrap(), Step::Idle);
}

#[sqlx::test]
async fn a_callback_waits_for_its_next_attempt_where_cxone_does_not_respond(pool: PgPool) {
    let store = CallbackStore::new(Db::new(pool.clone()));
    let callback = due(1, 2);
    insert(&store, std::slice::from_ref(&callback)).await;
    let worker = Worker::new(queue(&pool));

    assert_eq!(worker.step().await.unwrap(), Step::Worked);

    let stored = store.find(callback.id).await.unwrap().unwrap();
    assert_eq!((stored.status, stored.attempts, stored.dispatch_time), (Status::Accepted, 1, None));
    assert!(
        stored.due_at.is_some() && stored.failure.is_some_and(|failure| failure.code == FailureCode::CxoneUnavailable)
    );
}

#[sqlx::test]
async fn a_released_callback_is_due_at_once_and_its_old_lease_has_no_effect(pool: PgPool) {
    let store = CallbackStore::new(Db::new(pool.clone()));
    insert(&store, &[due(1, 2)]).await;
    let queue = queue(&pool);
    let (first, lease) = claim(&queue).await.unwrap();
    assert!(claim(&queue).await.is_none(), "it is leased");

    queue.release(&lease).await.unwrap();

    let (second, _) = claim(&queue).await.unwrap();
    assert_eq!((second.id, second.attempts), (first.id, first.attempts + 1));
    queue.release(&lease).await.unwrap();
    assert!(claim(&queue).await.is_none(), "the second lease is still held");
}

#[sqlx::test]
async fn concurrent_replicas_never_claim_the_same_callback(pool: PgPool) {
    let store = CallbackStore::new(Db::new(pool.clone()));
    let callbacks: Vec<_> = (0..40).map(|number| due(number, 2)).collect();
    insert(&store, &callbacks).await;

    let replicas = (0..4).map(|_| {
        let queue = queue(&pool);
        async move {
            let mut ids = Vec::new();
            while let Some((callback, _)) = claim(&queue).await {
                ids.push(callback.id);
            }
            ids
        }
    });
    let claimed: Vec<Uuid> = join_all(replicas).await.concat();

    let distinct: HashSet<Uuid> = claimed.iter().copied().collect();
    assert_eq!((claimed.len(), distinct.len()), (40, 40));
}
