use super::*;
use crate::campaigns::{HeldPeriod, ScheduledCallbacks as _};

fn held(from: &str, until: Option<&str>) -> HeldPeriod {
    HeldPeriod { campaign_id: "c".to_owned(), from: at(from), until: until.map(at) }
}

fn marks(callbacks: &[Callback], action: Action) -> Vec<(Uuid, Entry)> {
    callbacks.iter().map(|callback| (callback.id, entry(callback, action))).collect()
}

#[sqlx::test]
async fn callbacks_with_a_contact_in_a_held_time_are_marked_once(pool: PgPool) {
    let store = store(&pool);
    put(&store, &[scheduled(0, "15:00:00"), scheduled(1, "15:59:59"), scheduled(2, "16:00:00"), placed(3, "15:30:00")])
        .await;
    // Two holds that cover the same callbacks.
    let times = [held("15:00:00", Some("16:00:00")), held("14:00:00", Some("16:00:00"))];
    let found = store.newly_at_risk(&times).await.unwrap();
    assert_eq!(found.iter().map(|callback| callback.id.as_u128() - 1).collect::<Vec<_>>(), [0, 1]);
    let entries = marks(&found, Action::CallbackAtRisk);
    assert_eq!(store.mark(true, entries.clone(), now()).await.unwrap(), 2);
    assert_eq!(store.mark(true, entries, now()).await.unwrap(), 0);
    assert_eq!(store.newly_at_risk(&times).await.unwrap(), []);
    assert!(stored(&store, accepted(0).id).await.at_risk && !stored(&store, accepted(2).id).await.at_risk);
    assert_eq!(actions(&pool, accepted(0).id).await, ["callback.accepted", "callback.at_risk"]);
}

#[sqlx::test]
async fn a_hold_without_an_end_covers_all_later_callbacks(pool: PgPool) {
    let store = store(&pool);
    put(&store, &[scheduled(0, "15:00:00"), scheduled(1, "17:00:00")]).await;
    let found = store.newly_at_risk(&[held("15:30:00", None)]).await.unwrap();
    assert_eq!(found.iter().map(|callback| callback.id).collect::<Vec<_>>(), [accepted(1).id]);
}

#[sqlx::test]
async fn a_mark_is_removed_when_no_hold_covers_the_callback(pool: PgPool) {
    let store = store(&pool);
    put(&store, &[scheduled(0, "15:00:00"), scheduled(1, "16:00:00")]).await;
    let both = store.newly_at_risk(&[held("15:00:00", None)]).await.unwrap();
    store.mark(true, marks(&both, Action::CallbackAtRisk), now()).await.unwrap();

    let campaigns = ["c".to_owned()];
    let left = [held("15:30:00", None)];
    let found = store.no_longer_at_risk(&campaigns, &left).await.unwrap();
    assert_eq!(found.iter().map(|callback| callback.id).collect::<Vec<_>>(), [accepted(0).id]);
    assert_eq!(store.mark(false, marks(&found, Action::CallbackNoLongerAtRisk), now()).await.unwrap(), 1);
    assert!(!stored(&store, accepted(0).id).await.at_risk && stored(&store, accepted(1).id).await.at_risk);
    assert_eq!(store.no_longer_at_risk(&campaigns, &left).await.unwrap(), []);
}

#[sqlx::test]
async fn the_count_for_a_hold_includes_its_start_and_excludes_its_end(pool: PgPool) {
    let store = store(&pool);
    put(&store, &[scheduled(0, "15:00:00"), scheduled(1, "15:30:00"), scheduled(2, "16:00:00"), placed(3, "15:30:00")])
        .await;
    let campaign = accepted(0).campaign_id;
    for (from, until, expected) in
        [("15:00:00", Some("16:00:00"), 2), ("15:00:01", None, 2), ("16:00:01", None, 0), ("15:00:00", None, 3)]
    {
        let count = store.count(&campaign, at(from), until.map(at)).await.unwrap();
        assert_eq!(count, expected, "{from} {until:?}");
    }
}
