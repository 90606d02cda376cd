use std::sync::Mutex;

use futures::future::join_all;

use super::*;
use crate::callbacks::model::{Failure, FailureCode};
use crate::placement::{HourPlaces, PlanVersion};

fn failed(mut callback: Callback) -> Callback {
    callback.fail(Failure::new(FailureCode::NoForecast, "none"));
    callback
}

#[sqlx::test]
async fn an_outcome_is_stored_with_its_audit_entry(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[accepted(0)]).await;
    let mut callback = claim(&store, now()).await.unwrap();
    callback.place(at("15:30:00"));
    callback.place(at("16:00:00"));
    assert!(store.save(&callback, None).await.unwrap());
    assert_eq!(stored(&store, callback.id).await, callback);

    callback.schedule(contact(&callback, at("16:00:00")), None, now());
    callback.confirm("session".into());
    assert!(store.save(&callback, Some(entry(&callback, Action::CallbackScheduled))).await.unwrap());
    assert_eq!(stored(&store, callback.id).await, callback);
    assert_eq!(actions(&pool, callback.id).await, ["callback.accepted", "callback.scheduled"]);
}

#[sqlx::test]
async fn an_attempt_that_has_lost_its_claim_stores_nothing(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[accepted(0)]).await;
    let mut first = claim(&store, now()).await.unwrap();
    let second = claim(&store, now() + LEASE).await.unwrap();
    let late = failed(first.clone());
    assert!(!store.save(&late, Some(entry(&late, Action::CallbackFailed))).await.unwrap());
    assert!(!store.place(&mut first, &[at("15:00:00")], |_, _| Some(decided(at("15:00:00")))).await.unwrap());
    assert_eq!(stored(&store, first.id).await, second);
    assert_eq!(actions(&pool, first.id).await, ["callback.accepted"]);
}

#[sqlx::test]
async fn a_settled_callback_does_not_change(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[accepted(0)]).await;
    let claimed = claim(&store, now()).await.unwrap();
    let settled = failed(claimed.clone());
    assert!(store.save(&settled, None).await.unwrap());
    assert!(!store.save(&claimed, None).await.unwrap());
    assert_eq!(stored(&store, claimed.id).await, settled);
}

#[sqlx::test]
async fn a_cancelled_callback_takes_the_claim_from_its_attempt(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[accepted(0)]).await;
    let mut attempt = claim(&store, now()).await.unwrap();
    let entry = entry(&attempt, Action::CallbackCancelled);
    let cancelled = store.cancel(attempt.id, now(), entry).await.unwrap().unwrap();
    assert_eq!((cancelled.status, cancelled.due_at), (Status::Cancelled, None));
    assert!(!store.place(&mut attempt, &[at("15:00:00")], |_, _| Some(decided(at("15:00:00")))).await.unwrap());
    assert_eq!(stored(&store, attempt.id).await, cancelled);
    assert_eq!(actions(&pool, attempt.id).await, ["callback.accepted", "callback.cancelled"]);
}

#[sqlx::test]
async fn a_callback_is_cancelled_only_if_cxone_cannot_have_its_contact(pool: PgPool) {
    let store = store(&pool);
    let all = [placed(0, "15:30:00"), scheduled(1, "16:00:00"), failed(accepted(2))];
    put(&store, &all).await;
    for callback in all {
        let cancelled = store.cancel(callback.id, now(), entry(&callback, Action::CallbackCancelled)).await.unwrap();
        assert_eq!(cancelled, None);
        assert_eq!(stored(&store, callback.id).await, callback);
    }
}

#[sqlx::test]
async fn of_a_concurrent_cancel_and_placement_one_succeeds(pool: PgPool) {
    for n in 0..10 {
        let store = store(&pool);
        insert(&store, &[accepted(n)]).await;
        let mut attempt = claim(&store, now()).await.unwrap();
        let (id, entry) = (attempt.id, entry(&attempt, Action::CallbackCancelled));
        let hours = [at("15:00:00")];
        let (cancelled, is_placed) = tokio::join!(
            store.cancel(id, now(), entry),
            store.place(&mut attempt, &hours, |_, _| Some(decided(hours[0])))
        );
        assert_ne!(cancelled.unwrap().is_some(), is_placed.unwrap());
        let status = stored(&store, id).await.status;
        assert!(matches!(status, Status::Accepted | Status::Cancelled), "{status:?}");
    }
}

#[sqlx::test]
async fn a_placement_counts_the_other_open_callbacks_of_the_campaign_by_hour(pool: PgPool) {
    let store = store(&pool);
    let other_campaign = Callback { campaign_id: CampaignId::parse("other").unwrap(), ..placed(5, "15:00:00") };
    let all = [
        placed(0, "15:00:00"),
        placed(1, "15:59:59"),
        scheduled(2, "16:00:00"),
        failed(placed(3, "15:00:00")),
        accepted(4),
        other_campaign,
        placed(6, "15:30:00"),
    ];
    put(&store, &all).await;
    let mut callback = stored(&store, placed(6, "15:30:00").id).await;
    let hours = [at("16:00:00"), at("15:00:00"), at("17:00:00")];
    let mut counts: Vec<u32> = Vec::new();
    let is_placed = store.place(&mut callback, &hours, |_, placed| {
        counts = placed.iter().map(|hour| hour.placed).collect();
        Some(decided(at("16:30:00")))
    });
    assert!(is_placed.await.unwrap());
    assert_eq!(counts, [1, 2, 0]);
    assert_eq!(callback.dispatch_time, Some(at("16:30:00")));
    assert_eq!(stored(&store, callback.id).await, callback);
}

#[sqlx::test]
async fn a_placement_without_a_dispatch_time_changes_nothing(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[accepted(0)]).await;
    let mut callback = claim(&store, now()).await.unwrap();
    let before = callback.clone();
    assert!(store.place(&mut callback, &[at("15:00:00")], |_, _| None).await.unwrap());
    assert_eq!((&callback, &stored(&store, before.id).await), (&before, &before));
}

/// Each replica has a store of its own: only the lock in Postgres puts their placements in an order.
#[sqlx::test]
async fn concurrent_placements_in_one_campaign_respect_the_capacity_of_an_hour(pool: PgPool) {
    const CAPACITY: u32 = 4;
    let callbacks: Vec<_> = (0..12).map(accepted).collect();
    insert(&store(&pool), &callbacks).await;
    let claimed = store(&pool).claim(now(), now() + LEASE, ANY, 12).await.unwrap();
    let hours = [at("15:00:00"), at("16:00:00")];
    let counts = Mutex::new(Vec::new());
    let placements = claimed.into_iter().map(|mut callback| {
        let (store, counts, hours) = (store(&pool), &counts, &hours);
        async move {
            let choose = |_: Option<PlanVersion>, placed: &[HourPlaces]| {
                let placed = [placed[0].placed, placed[1].placed];
                counts.lock().unwrap().push(placed[0] + placed[1]);
                let hour = if placed[0] < CAPACITY { hours[0] } else { hours[1] };
                Some(decided(hour + SignedDuration::from_secs(i64::from(placed[0] + placed[1]))))
            };
            assert!(store.place(&mut callback, hours, choose).await.unwrap());
            callback.dispatch_time.unwrap()
        }
    });
    let starts = join_all(placements).await;
    let first_hour = starts.iter().filter(|start| **start < hours[1]).count();
    assert_eq!(first_hour, CAPACITY as usize);
    assert_eq!(counts.into_inner().unwrap(), (0..12).collect::<Vec<u32>>());
}
