//! Tests of the intervals in Postgres.

use std::collections::HashSet;

use sqlx::PgPool;

use super::*;
use crate::campaigns::answer_rate::guard_state::GuardState;
use crate::campaigns::answer_rate::intervals::{WatchedCampaign, counted};
use crate::campaigns::answer_rate::store::AnswerRateStore;
use crate::cxone::DialerInterval;

fn at(text: &str) -> Timestamp {
    format!("2026-11-20T{text}Z").parse().unwrap()
}

fn id() -> CampaignId {
    CampaignId::parse("campaign-1").unwrap()
}

async fn set_source(pool: &PgPool, campaign: &str, source: &str) {
    let guard = json!({"answerRate": {"enabled": true, "windowMs": 300_000, "minAnswerRate": 0.35, "minAttempts": 100,
        "pauseForMs": 600_000, "source": source}});
    sqlx::query("insert into campaign_settings (campaign_id, settings, version, updated_at) values ($1, $2, 1, now())")
        .bind(campaign)
        .bind(guard)
        .execute(pool)
        .await
        .unwrap();
}

/// A read of one interval that begins at 15:00, by the replica with this lease.
async fn read(store: &IntervalStore, lease: u128, dials: u64, now: &str) -> bool {
    let known = store.known(&[id()], at("14:00:00")).await.unwrap();
    let rates = AnswerRateStore::new(store.db.clone());
    let (state, _): (GuardState, _) = rates.counts(&id(), at(now)).await.unwrap();
    let is_continued = known.continued.contains(&id());
    let campaign = WatchedCampaign { id: id(), skills: HashSet::from([4001]), state, is_continued };
    let interval = DialerInterval { skill: 4001, start: at("15:00:00"), dials, connects: dials / 10 };
    let read = counted(&[interval], &[campaign], &known.noted, at(now));
    store.save(Uuid::from_u128(lease), &[id()], &read, at(now)).await.unwrap()
}

#[sqlx::test]
async fn an_interval_that_is_read_again_counts_once_and_only_by_the_replica_whose_turn_it_is(pool: PgPool) {
    let store = IntervalStore::new(Db::new(pool.clone()));
    set_source(&pool, id().as_str(), "cxone").await;
    set_source(&pool, "campaign-2", "events").await;
    assert_eq!(store.campaigns().await.unwrap(), [id()]);
    let claim =
        async |lease: u128, now: &str, end: &str| store.claim(Uuid::from_u128(lease), at(now), at(end)).await.unwrap();
    let counts = async |now: &str| AnswerRateStore::new(store.db.clone()).counts(&id(), at(now)).await.unwrap().1;

    assert!(claim(1, "15:01:00", "15:03:00").await && !claim(2, "15:02:00", "15:04:00").await);
    // The first read only notes: when those calls were made is not known.
    assert!(read(&store, 1, 500, "15:01:00").await);
    assert_eq!(counts("15:01:00").await, Counts::default());
    assert!(read(&store, 1, 600, "15:02:00").await && read(&store, 1, 600, "15:02:10").await);
    assert_eq!(counts("15:02:10").await, Counts { attempts: 100, answers: 10 });

    store.release(Uuid::from_u128(1), at("15:03:00")).await.unwrap();
    assert!(claim(2, "15:03:00", "15:05:00").await);
    assert!(!read(&store, 1, 700, "15:03:01").await, "another replica has claimed the poll");
    assert_eq!(counts("15:03:01").await, Counts { attempts: 100, answers: 10 });
    assert!(read(&store, 2, 700, "15:03:02").await);
    assert_eq!(counts("15:03:02").await, Counts { attempts: 200, answers: 20 });
    assert_eq!(store.known(&[id()], at("15:03:02")).await.unwrap().continued, []);

    // Old intervals are deleted.
    assert!(read(&store, 2, 700, "18:30:00").await);
    assert_eq!(store.known(&[id()], at("14:00:00")).await.unwrap().noted.len(), 0);
}
