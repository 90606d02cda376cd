use super::*;

#[sqlx::test]
async fn callbacks_that_ended_long_ago_are_deleted_and_counted_in_the_audit_log(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[accepted(0), accepted(1), accepted(2)]).await;
    for n in [0, 1] {
        let cancelled = accepted(n);
        store.cancel(cancelled.id, now(), entry(&cancelled, Action::CallbackCancelled)).await.unwrap().unwrap();
    }
    let deleted_entry = || {
        let id = Uuid::new_v4();
        Entry::new(id, now(), Action::CallbackDeleted, crate::audit::Actor::system("retention"), Outcome::Succeeded)
    };
    let end = at("17:00:00");
    assert_eq!(store.purge(end, deleted_entry).await.unwrap(), 0);
    let later = end + SignedDuration::from_hours(1);
    assert_eq!(store.purge(later, deleted_entry).await.unwrap(), 2);
    assert_eq!(store.purge(later, deleted_entry).await.unwrap(), 0);
    // One that is still open stays.
    let left: Vec<Uuid> = sqlx::query_scalar("select id from callbacks").fetch_all(&pool).await.unwrap();
    assert_eq!(left, [accepted(2).id]);
    let details: Vec<serde_json::Value> =
        sqlx::query_scalar("select detail -> 'callbacks' from audit_entries where action = 'callback.deleted'")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(details, [2]);
}
