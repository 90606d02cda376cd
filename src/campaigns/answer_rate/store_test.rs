//! Tests of the answer rate buckets in Postgres.

use jiff::SignedDuration;
use sqlx::PgPool;

use super::*;
use crate::campaigns::model::{AnswerRateGuard, AnswerRateSource};

const WINDOW_MS: u32 = 60_000;

fn now() -> Timestamp {
    "2026-11-20T15:00:00Z".parse().unwrap()
}

fn id() -> CampaignId {
    CampaignId::parse("campaign-1").unwrap()
}

fn guard(window_ms: u32) -> AnswerRateGuard {
    AnswerRateGuard {
        enabled: true,
        window_ms,
        min_answer_rate: 0.35,
        min_attempts: 100,
        pause_for_ms: 1_000,
        source: AnswerRateSource::Events,
    }
}

fn started(counted_from: Timestamp) -> GuardState {
    GuardState { guard: Some(guard(WINDOW_MS)), counted_from, is_throttled: false }
}

/// An update of the bucket that starts `seconds` before now.
fn update(state: GuardState, seconds: i64, attempts: u64, answers: u64) -> BucketUpdate {
    let starts_at = now() - SignedDuration::from_secs(seconds);
    let bucket = Bucket { starts_at, counts_until: starts_at + state.window(), counts: Counts { attempts, answers } };
    BucketUpdate { campaign_id: id(), state, bucket }
}

struct Fixture {
    pool: PgPool,
    store: AnswerRateStore,
    replica_id: Uuid,
}

impl Fixture {
    /// The campaign was started at `now` and has a guard.
    async fn new(pool: PgPool) -> Self {
        let fixture = Self { store: AnswerRateStore::new(Db::new(pool.clone())), pool, replica_id: Uuid::from_u128(1) };
        fixture.set_guard(Some(guard(WINDOW_MS))).await;
        fixture.start(now()).await;
        fixture
    }

    async fn start(&self, counted_from: Timestamp) {
        sqlx::query(
            "insert into campaigns as c (campaign_id, counted_from, created_at, updated_at) values ($1, $2, $2, $2)
             on conflict (campaign_id) do update set counted_from = excluded.counted_from",
        )
        .bind(id().as_str())
        .bind(counted_from.to_sqlx())
        .execute(&self.pool)
        .await
        .unwrap();
    }

    async fn set_guard(&self, answer_rate: Option<AnswerRateGuard>) {
        sqlx::query(
            "insert into campaign_settings (campaign_id, settings, version, updated_at) values ($1, $2, 1, now())
             on conflict (campaign_id) do update set settings = excluded.settings",
        )
        .bind(id().as_str())
        .bind(json!(CampaignSettings { answer_rate, ..CampaignSettings::default() }))
        .execute(&self.pool)
        .await
        .unwrap();
    }

    async fn add(&self, number: i64, batch: &[BucketUpdate]) {
        self.store.add(self.replica_id, number, batch).await.unwrap();
    }

    /// The attempts and the answers in the window at `at`.
    async fn counts(&self, at: Timestamp) -> (u64, u64) {
        let (_, counts) = self.store.counts(&id(), at).await.unwrap();
        (counts.attempts, counts.answers)
    }

    async fn stored_buckets(&self) -> i64 {
        sqlx::query_scalar("select count(*) from answer_rate_buckets").fetch_one(&self.pool).await.unwrap()
    }
}

#[sqlx::test]
async fn a_batch_is_added_once_however_often_it_is_sent(pool: PgPool) {
    let fixture = Fixture::new(pool).await;
    let state = started(now());
    let (first, second) = ([update(state, 0, 10, 1)], [update(state, 0, 5, 2)]);
    fixture.add(1, &first).await;
    fixture.add(1, &first).await;
    assert_eq!(fixture.counts(now()).await, (10, 1));
    fixture.add(2, &second).await;
    fixture.add(2, &second).await;
    fixture.add(1, &first).await;
    assert_eq!(fixture.counts(now()).await, (15, 3));
    // Each replica numbers its own batches.
    fixture.store.add(Uuid::from_u128(2), 1, &first).await.unwrap();
    assert_eq!(fixture.counts(now()).await, (25, 4));
}

#[sqlx::test]
async fn batches_of_concurrent_replicas_add_up(pool: PgPool) {
    let fixture = Fixture::new(pool).await;
    let state = started(now());
    let replicas = (1..=8).map(|replica| {
        let store = fixture.store.clone();
        async move {
            for number in 1..=5 {
                // In a different order in each replica.
                let mut batch: Vec<_> = (0..10).map(|seconds| update(state, seconds, 1, 1)).collect();
                batch.rotate_left(usize::try_from(replica).unwrap());
                store.add(Uuid::from_u128(replica), number, &batch).await.unwrap();
            }
        }
    });
    futures::future::join_all(replicas).await;
    assert_eq!(fixture.counts(now()).await, (8 * 5 * 10, 8 * 5 * 10));
    assert_eq!(fixture.stored_buckets().await, 10);
}

#[sqlx::test]
async fn the_same_batch_sent_twice_at_the_same_time_is_added_once(pool: PgPool) {
    let fixture = Fixture::new(pool).await;
    let batch = [update(started(now()), 0, 10, 1)];
    futures::future::join_all((0..8).map(|_| fixture.add(1, &batch))).await;
    assert_eq!(fixture.counts(now()).await, (10, 1));
}

#[sqlx::test]
async fn a_start_of_the_campaign_begins_with_an_empty_window(pool: PgPool) {
    let fixture = Fixture::new(pool).await;
    fixture.add(1, &[update(started(now()), 0, 10, 1)]).await;
    let restarted_at = now() + SignedDuration::from_secs(1);
    fixture.start(restarted_at).await;
    assert_eq!(fixture.counts(restarted_at).await, (0, 0));
    // A replica that has not seen the start yet adds to the old window.
    fixture.add(2, &[update(started(now()), 0, 10, 1)]).await;
    assert_eq!(fixture.counts(restarted_at).await, (0, 0));
    fixture.add(3, &[update(started(restarted_at), 0, 3, 2)]).await;
    assert_eq!(fixture.counts(restarted_at).await, (3, 2));
}

#[sqlx::test]
async fn a_new_window_length_begins_with_an_empty_window(pool: PgPool) {
    let fixture = Fixture::new(pool).await;
    fixture.add(1, &[update(started(now()), 0, 10, 1)]).await;
    fixture.set_guard(Some(guard(2 * WINDOW_MS))).await;
    assert_eq!(fixture.counts(now()).await, (0, 0));
    let longer = GuardState { guard: Some(guard(2 * WINDOW_MS)), ..started(now()) };
    fixture.add(2, &[update(longer, 0, 3, 2)]).await;
    assert_eq!(fixture.counts(now()).await, (3, 2));
}

#[sqlx::test]
async fn a_bucket_counts_until_it_expires_and_is_then_purged(pool: PgPool) {
    let fixture = Fixture::new(pool).await;
    let state = started(now());
    fixture.add(1, &[update(state, 0, 10, 1), update(state, 59, 5, 0)]).await;
    assert_eq!(fixture.counts(now()).await, (15, 1));
    let later = now() + SignedDuration::from_secs(1);
    assert_eq!(fixture.counts(later).await, (10, 1));
    assert_eq!(fixture.store.purge(later).await.unwrap(), 1);
    assert_eq!(fixture.stored_buckets().await, 1);
    assert_eq!(fixture.counts(later).await, (10, 1));
}

#[sqlx::test]
async fn only_campaigns_without_a_guard_lose_their_buckets(pool: PgPool) {
    let fixture = Fixture::new(pool).await;
    fixture.add(1, &[update(started(now()), 0, 10, 1)]).await;
    fixture.store.delete_unmonitored(&[id()]).await.unwrap();
    assert_eq!(fixture.stored_buckets().await, 1, "the guard was set again");
    fixture.set_guard(None).await;
    fixture.store.delete_unmonitored(&[id()]).await.unwrap();
    assert_eq!(fixture.stored_buckets().await, 0);
}

#[sqlx::test]
async fn the_state_of_a_guard_is_read_from_settings_start_and_holds(pool: PgPool) {
    let fixture = Fixture::new(pool).await;
    let state = async || fixture.store.counts(&id(), now()).await.unwrap().0;
    assert_eq!(state().await, started(now()));
    let throttle =
        "insert into campaign_holds (id, campaign_id, reason, compliance, triggered_by, placed_by, placed_at)
        values (gen_random_uuid(), $1, 'CARRIER_THROTTLE', false, 'SLIDING_WINDOW_THROTTLE', '{}', now())";
    sqlx::query(throttle).bind(id().as_str()).execute(&fixture.pool).await.unwrap();
    assert_eq!(state().await, GuardState { is_throttled: true, ..started(now()) });
    let unknown = CampaignId::parse("unknown").unwrap();
    assert_eq!(fixture.store.counts(&unknown, now()).await.unwrap(), (GuardState::default(), Counts::default()));
}

#[sqlx::test]
async fn counts_that_exceed_the_maximum_stay_at_it(pool: PgPool) {
    let fixture = Fixture::new(pool).await;
    let state = started(now());
    fixture.add(1, &[update(state, 0, u64::MAX, 0)]).await;
    fixture.add(2, &[update(state, 0, u64::MAX, 7)]).await;
    assert_eq!(fixture.counts(now()).await, (MAX_COUNT.unsigned_abs(), 7));
}
