//! Tests of the idempotency keys in Postgres.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use parking_lot::Mutex;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::idempotency_store::{Claim, IdempotencyStore, LEASE, Lookup, ResourceId, StoredResponse};
use crate::clock::Clock;
use crate::db::Db;

const IVR: Uuid = Uuid::from_u128(1);
const CHAT: Uuid = Uuid::from_u128(2);
const REQUEST: [u8; 32] = [1; 32];
const OTHER_REQUEST: [u8; 32] = [2; 32];
const MILLISECOND: Duration = Duration::from_millis(1);
const SEVEN_DAYS: Duration = Duration::from_hours(7 * 24);

/// The store with two API keys, at a time that the test sets.
struct World {
    store: IdempotencyStore,
    pool: PgPool,
    now: Arc<Mutex<Timestamp>>,
}

impl World {
    async fn new(pool: PgPool) -> Self {
        let now = Arc::new(Mutex::new("2026-11-20T15:00:00Z".parse().unwrap()));
        let shown = Arc::clone(&now);
        let clock = Clock::from_fn(move || *shown.lock());
        let world = Self { store: IdempotencyStore::new(Db::new(pool.clone()), clock), pool, now };
        world.insert_api_key(IVR).await;
        world.insert_api_key(CHAT).await;
        world
    }

    async fn insert_api_key(&self, id: Uuid) {
        let now = *self.now.lock();
        sqlx::query(
            "insert into api_keys (id, name, secret_hash, scopes, created_at) values ($1, 'ivr', $2, array['all'], $3)",
        )
        .bind(id)
        .bind(id.as_bytes().repeat(2))
        .bind(now.to_sqlx())
        .execute(&self.pool)
        .await
        .unwrap();
    }

    fn advance(&self, by: Duration) {
        *self.now.lock() += by;
    }

    /// A new run of a request of the IVR with the key `k-1`.
    fn run(&self) -> Claim {
        self.store.new_claim(IVR, "k-1".into(), None)
    }

    async fn claim(&self, run: &Claim, request: [u8; 32]) -> Lookup {
        self.store.claim(run, &request).await.unwrap()
    }

    /// Claims the key for a run. Returns the resource id.
    async fn claimed(&self, run: &Claim, request: [u8; 32]) -> ResourceId {
        match self.claim(run, request).await {
            Lookup::Claimed(resource) => resource,
            other => panic!("not claimed: {other:?}"),
        }
    }

    /// The first run of a request that has the key.
    async fn started(&self) -> (Claim, ResourceId) {
        let run = self.run();
        let resource = self.claimed(&run, REQUEST).await;
        (run, resource)
    }

    /// The same request again.
    async fn repeat(&self) -> Lookup {
        self.claim(&self.run(), REQUEST).await
    }

    /// Runs of one request at once. Returns the resource ids of those that have the key.
    async fn claim_at_once(&self) -> Vec<ResourceId> {
        let found = futures::future::join_all((0..8).map(|_| self.repeat())).await;
        let claimed = found.into_iter().filter_map(|found| match found {
            Lookup::Claimed(resource) => Some(resource),
            Lookup::Running => None,
            other => panic!("neither claimed nor running: {other:?}"),
        });
        claimed.collect()
    }

    async fn keep(&self, run: &Claim, response: &StoredResponse) {
        self.store.keep(run, response).await.unwrap();
    }
}

fn response() -> StoredResponse {
    StoredResponse {
        status: 201,
        headers: json!({"content-type": "application/json", "location": "/v1/callbacks/1"}),
        body: b"{\"b\": 1,\n  \"a\": \"\xc3\xa9\"}\n".to_vec(),
    }
}

/// What the next run of a request finds whose earlier run may have used the resource id.
fn continued(resource: ResourceId) -> Lookup {
    Lookup::Claimed(ResourceId { repeated: true, ..resource })
}

#[sqlx::test]
async fn a_new_key_is_claimed_with_a_resource_id_that_no_run_has_used(pool: PgPool) {
    let world = World::new(pool).await;
    let (_, resource) = world.started().await;
    let other = world.claimed(&world.store.new_claim(IVR, "k-2".into(), None), REQUEST).await;
    assert!(!resource.repeated && !other.repeated);
    assert_ne!(resource.id, other.id);
}

#[sqlx::test]
async fn a_repeated_request_gets_the_stored_response_unchanged(pool: PgPool) {
    let world = World::new(pool).await;
    let bytes: Vec<u8> = (0..=u8::MAX).collect();
    let responses = [
        response(),
        StoredResponse { status: 204, headers: json!({}), body: Vec::new() },
        StoredResponse { status: 409, headers: json!({"retry-after": "2"}), body: bytes },
    ];
    for (number, response) in responses.into_iter().enumerate() {
        let run = || world.store.new_claim(IVR, number.to_string(), None);
        let first = run();
        world.claimed(&first, REQUEST).await;
        world.keep(&first, &response).await;
        for _ in 0..2 {
            assert_eq!(world.claim(&run(), REQUEST).await, Lookup::Answered(response.clone()));
        }
    }
}

#[sqlx::test]
async fn a_key_is_refused_for_another_request_whatever_became_of_the_first(pool: PgPool) {
    let world = World::new(pool).await;
    let (crashed, _) = world.started().await;
    assert_eq!(world.claim(&world.run(), OTHER_REQUEST).await, Lookup::OtherRequest, "running");

    world.advance(LEASE + MILLISECOND);
    assert_eq!(world.claim(&world.run(), OTHER_REQUEST).await, Lookup::OtherRequest, "crashed");
    world.store.end(&crashed).await.unwrap();
    assert_eq!(world.claim(&world.run(), OTHER_REQUEST).await, Lookup::OtherRequest, "ended");

    world.keep(&crashed, &response()).await;
    assert_eq!(world.claim(&world.run(), OTHER_REQUEST).await, Lookup::OtherRequest, "answered");
    assert_eq!(world.repeat().await, Lookup::Answered(response()));
}

#[sqlx::test]
async fn the_same_key_of_another_api_key_is_another_key(pool: PgPool) {
    let world = World::new(pool).await;
    let (first, resource) = world.started().await;
    let others = world.store.new_claim(CHAT, "k-1".into(), None);
    let other = world.claimed(&others, OTHER_REQUEST).await;
    assert!(!other.repeated);
    assert_ne!(other.id, resource.id);

    world.keep(&first, &response()).await;
    assert_eq!(world.claim(&others, OTHER_REQUEST).await, Lookup::Running);
    world.store.free(&others).await.unwrap();
    assert_eq!(world.repeat().await, Lookup::Answered(response()));
}

#[sqlx::test]
async fn a_request_runs_until_its_lease_ends_and_is_then_continued_with_the_same_resource_id(pool: PgPool) {
    let world = World::new(pool).await;
    let (_, resource) = world.started().await;
    world.advance(LEASE);
    assert_eq!(world.repeat().await, Lookup::Running);
    world.advance(MILLISECOND);
    assert_eq!(world.repeat().await, continued(resource));
    assert_eq!(world.repeat().await, Lookup::Running, "the run that continues it has a lease of its own");
    world.advance(LEASE + MILLISECOND);
    assert_eq!(world.repeat().await, continued(resource));
}

/// The id of the resource is known before the first run, and does not show that there was one.
#[sqlx::test]
async fn a_request_about_a_callback_that_is_continued_is_a_repeated_one(pool: PgPool) {
    let world = World::new(pool).await;
    let callback = Uuid::from_u128(3);
    let run = || world.store.new_claim(IVR, "k-1".into(), Some(callback));
    assert_eq!(world.claimed(&run(), REQUEST).await, ResourceId { id: callback, repeated: false });
    world.advance(LEASE + MILLISECOND);
    assert_eq!(world.claimed(&run(), REQUEST).await, ResourceId { id: callback, repeated: true });
    world.advance(SEVEN_DAYS + LEASE);
    assert_eq!(
        world.claimed(&run(), REQUEST).await,
        ResourceId { id: callback, repeated: false },
        "the key was forgotten"
    );
}

#[sqlx::test]
async fn a_renewed_lease_ends_later(pool: PgPool) {
    let world = World::new(pool).await;
    let (run, resource) = world.started().await;
    world.advance(LEASE);
    world.store.renew(&run).await.unwrap();
    world.advance(LEASE);
    assert_eq!(world.repeat().await, Lookup::Running);
    world.advance(MILLISECOND);
    assert_eq!(world.repeat().await, continued(resource));
}

#[sqlx::test]
async fn an_ended_run_is_continued_at_once_with_the_same_resource_id(pool: PgPool) {
    let world = World::new(pool).await;
    let (run, resource) = world.started().await;
    world.store.end(&run).await.unwrap();
    assert_eq!(world.repeat().await, continued(resource));
}

#[sqlx::test]
async fn a_released_key_is_free_for_any_request(pool: PgPool) {
    let world = World::new(pool).await;
    let (run, resource) = world.started().await;
    world.store.free(&run).await.unwrap();
    let other = world.claimed(&world.run(), OTHER_REQUEST).await;
    assert!(!other.repeated);
    assert_ne!(other.id, resource.id);
}

#[sqlx::test]
async fn of_concurrent_requests_with_a_key_one_is_run(pool: PgPool) {
    let world = World::new(pool).await;
    let claimed = world.claim_at_once().await;
    assert_eq!(claimed.len(), 1);
    assert!(!claimed[0].repeated);
}

#[sqlx::test]
async fn of_concurrent_requests_after_a_crash_one_is_run(pool: PgPool) {
    let world = World::new(pool).await;
    let (_, resource) = world.started().await;
    world.advance(LEASE + MILLISECOND);
    assert_eq!(world.claim_at_once().await, [ResourceId { repeated: true, ..resource }]);
}

#[sqlx::test]
async fn of_concurrent_requests_with_an_expired_key_one_is_run(pool: PgPool) {
    let world = World::new(pool).await;
    let (run, expired) = world.started().await;
    world.keep(&run, &response()).await;
    world.advance(SEVEN_DAYS + MILLISECOND);
    let claimed = world.claim_at_once().await;
    assert_eq!(claimed.len(), 1);
    assert!(!claimed[0].repeated);
    assert_ne!(claimed[0].id, expired.id);
}

#[sqlx::test]
async fn a_run_that_lost_its_key_changes_nothing(pool: PgPool) {
    let world = World::new(pool).await;
    let (lost, resource) = world.started().await;
    world.advance(LEASE + MILLISECOND);
    let current = world.run();
    assert_eq!(world.claim(&current, REQUEST).await, continued(resource));

    world.store.end(&lost).await.unwrap();
    world.store.free(&lost).await.unwrap();
    world.keep(&lost, &StoredResponse { status: 409, ..response() }).await;
    assert_eq!(world.repeat().await, Lookup::Running);
    world.advance(LEASE);
    world.store.renew(&lost).await.unwrap();
    world.advance(MILLISECOND);
    let last = world.run();
    assert_eq!(world.claim(&last, REQUEST).await, continued(resource));

    world.keep(&last, &response()).await;
    assert_eq!(world.repeat().await, Lookup::Answered(response()));
}

#[sqlx::test]
async fn an_answered_key_is_neither_released_nor_run_again(pool: PgPool) {
    let world = World::new(pool).await;
    let (run, _) = world.started().await;
    world.keep(&run, &response()).await;
    world.store.end(&run).await.unwrap();
    world.store.free(&run).await.unwrap();
    world.advance(LEASE + MILLISECOND);
    assert_eq!(world.repeat().await, Lookup::Answered(response()));
}

#[sqlx::test]
async fn an_answered_key_is_kept_for_seven_days_and_then_free_for_any_request(pool: PgPool) {
    let world = World::new(pool).await;
    let (run, resource) = world.started().await;
    world.keep(&run, &response()).await;
    world.advance(SEVEN_DAYS);
    assert_eq!(world.repeat().await, Lookup::Answered(response()));
    assert_eq!(world.claim(&world.run(), OTHER_REQUEST).await, Lookup::OtherRequest);

    world.advance(MILLISECOND);
    let other = world.claimed(&world.run(), OTHER_REQUEST).await;
    assert!(!other.repeated);
    assert_ne!(other.id, resource.id);
    assert_eq!(world.claim(&world.run(), OTHER_REQUEST).await, Lookup::Running, "the old response is gone");
}

#[sqlx::test]
async fn an_unanswered_key_is_kept_for_seven_days_and_then_gets_a_new_resource_id(pool: PgPool) {
    let world = World::new(pool).await;
    let (_, resource) = world.started().await;
    world.advance(SEVEN_DAYS);
    assert_eq!(world.repeat().await, continued(resource));

    world.advance(SEVEN_DAYS);
    assert_eq!(world.repeat().await, continued(resource), "seven days from the last run");
    world.advance(SEVEN_DAYS + MILLISECOND);
    let fresh = world.claimed(&world.run(), REQUEST).await;
    assert!(!fresh.repeated);
    assert_ne!(fresh.id, resource.id);
}

#[sqlx::test]
async fn only_expired_keys_are_purged(pool: PgPool) {
    let world = World::new(pool).await;
    let (answered, _) = world.started().await;
    world.keep(&answered, &response()).await;
    world.claimed(&world.store.new_claim(CHAT, "k-1".into(), None), REQUEST).await;
    world.advance(MILLISECOND);
    let kept = world.store.new_claim(IVR, "k-2".into(), None);
    world.claimed(&kept, REQUEST).await;
    world.keep(&kept, &response()).await;

    world.advance(SEVEN_DAYS.saturating_sub(MILLISECOND));
    assert_eq!(world.store.purge().await.unwrap(), 0);
    world.advance(MILLISECOND);
    assert_eq!(world.store.purge().await.unwrap(), 2);
    assert_eq!(world.claim(&kept, REQUEST).await, Lookup::Answered(response()));
    let left: Vec<String> =
        sqlx::query_scalar("select key from idempotency_keys").fetch_all(&world.pool).await.unwrap();
    assert_eq!(left, ["k-2"]);
}

async fn erase(world: &World, callback: Uuid) -> u64 {
    let mut transaction = Db::new(world.pool.clone()).begin().await.unwrap();
    let erased = IdempotencyStore::erase(&mut transaction, &[callback]).await.unwrap();
    transaction.commit().await.unwrap();
    erased
}

#[sqlx::test]
async fn an_erased_request_leaves_nothing_but_its_key_which_no_request_can_use(pool: PgPool) {
    let world = World::new(pool).await;
    let (created, resource) = world.started().await;
    world.keep(&created, &response()).await;
    let cancel = world.store.new_claim(IVR, "k-2".into(), Some(resource.id));
    world.claimed(&cancel, OTHER_REQUEST).await;
    world.keep(&cancel, &response()).await;
    let about = IdempotencyStore::about(&Db::new(world.pool.clone()), &[resource.id]).await.unwrap();
    assert_eq!(about.iter().map(|kept| kept.key.as_str()).collect::<Vec<_>>(), ["k-1", "k-2"]);

    assert_eq!(erase(&world, resource.id).await, 2);
    assert_eq!(world.repeat().await, Lookup::Erased);
    assert_eq!(world.claim(&world.run(), OTHER_REQUEST).await, Lookup::Erased);
    let left: Vec<(Vec<u8>, serde_json::Value)> =
        sqlx::query_as("select request_hash || answer_body, answer_headers from idempotency_keys")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    assert_eq!(left, vec![(vec![0; 32], json!({})); 2]);
    assert_eq!(erase(&world, resource.id).await, 0);
}

#[sqlx::test]
async fn a_request_that_runs_while_it_is_erased_stores_no_response(pool: PgPool) {
    let world = World::new(pool).await;
    let (run, resource) = world.started().await;
    assert_eq!(erase(&world, resource.id).await, 1);
    world.keep(&run, &response()).await;
    world.store.end(&run).await.unwrap();
    world.store.free(&run).await.unwrap();
    world.advance(LEASE + MILLISECOND);
    assert_eq!(world.repeat().await, Lookup::Erased);
}
