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
async fn a_callback_that_was_moved_since_it_was_read_is_not_marked(pool: PgPool) {
    let store = store(&pool);
    put(&store, &[scheduled(0, "15:00:00"), scheduled(1, "15:00:00")]).await;
    let times = [held("15:00:00", Some("16:00:00"))];
    let found = store.newly_at_risk(&times).await.unwrap();
    sqlx::query("update callbacks set dispatch_time = $2 where id = $1")
        .bind(accepted(0).id)
        .bind(jiff_sqlx::ToSqlx::to_sqlx(at("16:30:00")))
        .execute(&pool)
        .await
        .unwrap();

    assert_eq!(store.mark(true, marks(&found, Action::CallbackAtRisk), now()).await.unwrap(), 1);

    assert!(!stored(&store, accepted(0).id).await.at_risk && stored(&store, accepted(1).id).await.at_risk);
    assert_eq!(actions(&pool, accepted(0).id).await, ["callback.accepted"]);
    assert_eq!(store.newly_at_risk(&times).await.unwrap(), []);
}

#[sqlx::test]
async fn marks_are_published_in_the_order_of_the_campaigns_and_then_of_the_callbacks(pool: PgPool) {
    let store = store(&pool);
    subscribe(&pool).await;
    let callbacks = [of_campaign(0, "b"), of_campaign(1, "a"), of_campaign(2, "b"), of_campaign(3, "a")];
    put(&store, &callbacks).await;
    let entries = callbacks.each_ref().map(|callback| {
        let entry = entry(callback, Action::CallbackAtRisk).with_event(&callback.event());
        (callback.id, entry)
    });

    assert_eq!(store.mark(true, entries.into(), now()).await.unwrap(), 4);

    let expected = [("a", 1), ("a", 3), ("b", 0), ("b", 2)].map(|(campaign, n)| (campaign.to_owned(), accepted(n).id));
    assert_eq!(published(&pool).await, expected);
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
