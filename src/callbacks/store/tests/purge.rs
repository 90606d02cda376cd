use super::*;

#[sqlx::test]
async fn callbacks_that_ended_long_ago_are_deleted(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[accepted(0), accepted(1), accepted(2)]).await;
    for n in [0, 1] {
        let cancelled = accepted(n);
        store.cancel(cancelled.id, now(), entry(&cancelled, Action::CallbackCancelled)).await.unwrap().unwrap();
    }
    let delete = async |before: Timestamp| {
        let mut transaction = Db::new(pool.clone()).begin().await.unwrap();
        let mut ids = CallbackStore::delete_ended(&mut transaction, before, 10).await.unwrap();
        transaction.commit().await.unwrap();
        ids.sort_unstable();
        ids
    };
    // The window ends then.
    assert_eq!(delete(at("17:00:00")).await, [] as [Uuid; 0]);
    let mut ended = [accepted(0).id, accepted(1).id];
    ended.sort_unstable();
    assert_eq!(delete(at("18:00:00")).await, ended);
    // One that is still open stays.
    let left: Vec<Uuid> = sqlx::query_scalar("select id from callbacks").fetch_all(&pool).await.unwrap();
    assert_eq!(left, [accepted(2).id]);
}
