use futures::future::join_all;

use super::*;
use crate::types::{TimeWindow, TimeZone};

fn in_window(n: u16, start: &str, end: &str) -> Callback {
    Callback { window: TimeWindow::parse(at(start), at(end)).unwrap(), ..accepted(n) }
}

/// Another callback for the phone number of callback 0.
fn for_same_number(callback: Callback) -> Callback {
    Callback { phone_number: accepted(0).phone_number, ..callback }
}

#[sqlx::test]
async fn a_callback_is_read_as_it_was_inserted(pool: PgPool) {
    let store = store(&pool);
    let callback =
        Callback { timezone: Some(TimeZone::parse("America/New_York").unwrap()), attempts: 1, ..accepted(0) };
    assert_eq!(insert(&store, [&callback]).await, HashMap::from([(callback.id, Inserted::New)]));
    assert_eq!(stored(&store, callback.id).await, callback);
    assert_eq!(actions(&pool, callback.id).await, ["callback.accepted"]);
}

#[sqlx::test]
async fn an_open_callback_for_the_number_in_an_overlapping_window_is_a_duplicate(pool: PgPool) {
    let store = store(&pool);
    let first = in_window(0, "15:00:00", "17:00:00");
    insert(&store, [&first]).await;
    let other_campaign = Callback { campaign_id: CampaignId::parse("other").unwrap(), ..accepted(1) };
    for (callback, expected, why) in [
        (in_window(1, "16:59:00", "18:00:00"), Inserted::Duplicate(first.id), "overlapping"),
        (in_window(1, "17:00:00", "18:00:00"), Inserted::New, "adjacent"),
        (Callback { id: Uuid::from_u128(100), ..other_campaign }, Inserted::New, "another campaign"),
    ] {
        let callback = for_same_number(callback);
        assert_eq!(insert(&store, [&callback]).await[&callback.id], expected, "{why}");
    }
}

#[sqlx::test]
async fn a_callback_that_has_ended_is_no_duplicate(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[accepted(0)]).await;
    store.cancel(accepted(0).id, now(), entry(&accepted(0), Action::CallbackCancelled)).await.unwrap().unwrap();
    let second = for_same_number(accepted(1));
    assert_eq!(insert(&store, [&second]).await[&second.id], Inserted::New);
}

#[sqlx::test]
async fn a_repeated_insert_finds_the_callback_and_adds_no_entry(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[accepted(0)]).await;
    let again = insert(&store, &[accepted(0), accepted(1)]).await;
    assert_eq!(again, HashMap::from([(accepted(0).id, Inserted::Existing), (accepted(1).id, Inserted::New)]));
    assert_eq!(actions(&pool, accepted(0).id).await, ["callback.accepted"]);
    let ids = [accepted(0).id, accepted(2).id];
    assert_eq!(store.existing(&ids).await.unwrap(), HashSet::from([accepted(0).id]));
}

#[sqlx::test]
async fn of_duplicates_in_a_batch_the_first_is_stored(pool: PgPool) {
    let store = store(&pool);
    let batch = [accepted(3), for_same_number(accepted(2)), for_same_number(accepted(1)), accepted(4)];
    let inserted = insert(&store, &batch).await;
    assert_eq!(inserted[&accepted(2).id], Inserted::New);
    assert_eq!(inserted[&accepted(1).id], Inserted::Duplicate(accepted(2).id));
    assert_eq!((inserted[&accepted(3).id], inserted[&accepted(4).id]), (Inserted::New, Inserted::New));
    assert_eq!(actions(&pool, accepted(1).id).await, [""; 0]);
}

#[sqlx::test]
async fn of_concurrent_inserts_for_one_number_one_is_stored(pool: PgPool) {
    let store = store(&pool);
    let callbacks: Vec<_> = (0..8).map(|n| for_same_number(accepted(n))).collect();
    let results = join_all(callbacks.iter().map(|callback| insert(&store, [callback]))).await;
    let results: HashMap<Uuid, Inserted> = results.into_iter().flatten().collect();
    let new: Vec<Uuid> = results.iter().filter(|(_, result)| **result == Inserted::New).map(|(id, _)| *id).collect();
    assert_eq!(new.len(), 1, "{results:?}");
    let duplicates = results.values().filter(|result| **result == Inserted::Duplicate(new[0])).count();
    assert_eq!(duplicates, 7, "{results:?}");
}

#[sqlx::test]
async fn concurrent_batches_with_the_same_numbers_do_not_deadlock(pool: PgPool) {
    let store = store(&pool);
    let batches: Vec<Vec<Callback>> = (0..4_u16)
        .map(|batch| {
            let numbers: Vec<u16> = if batch % 2 == 0 { (0..40).collect() } else { (0..40).rev().collect() };
            let with_id = |n: u16| Callback { id: Uuid::from_u128(u128::from(batch * 100 + n) + 1), ..accepted(n) };
            numbers.into_iter().map(with_id).collect()
        })
        .collect();
    let results = join_all(batches.iter().map(|batch| insert(&store, batch))).await;
    let new = results.iter().flat_map(HashMap::values).filter(|result| **result == Inserted::New).count();
    assert_eq!(new, 40);
}

#[sqlx::test]
async fn a_stored_value_that_is_not_known_is_an_error(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[accepted(0)]).await;
    for change in [
        "failure_code = 'unheard-of', failure_detail = ''",
        "failure_code = null, failure_detail = null, \
        language = 'no language'",
    ] {
        let change = format!("update callbacks set {change}");
        sqlx::query(sqlx::AssertSqlSafe(change)).execute(&pool).await.unwrap();
        let found = store.find(accepted(0).id).await;
        assert!(matches!(found, Err(sqlx::Error::Decode(_))), "{found:?}");
    }
}

/// After the statement that inserts, its connection finds no table, so that the search for the duplicate fails.
#[sqlx::test]
async fn what_is_stored_before_a_failure_has_its_result(pool: PgPool) {
    insert(&store(&pool), [&accepted(0)]).await;
    let break_connection = "create function break_connection() returns trigger language plpgsql as
            $$ begin perform set_config('search_path', 'nowhere', false); return null; end $$;
        create trigger break_connection after insert on callbacks execute function break_connection()";
    sqlx::raw_sql(break_connection).execute(&pool).await.unwrap();
    let store = CallbackStore::new(crate::db::connect(&pool.connect_options(), 1).await.unwrap());
    let (new, duplicate) = (accepted(1), for_same_number(accepted(2)));
    let entries = [&new, &duplicate].map(|callback| entry(callback, Action::CallbackAccepted));

    let failed = store.insert(vec![(&new, &entries[0]), (&duplicate, &entries[1])]).await.unwrap_err();

    assert_eq!(failed.results, HashMap::from([(new.id, Inserted::New)]), "{}", failed.error);
    assert_eq!(actions(&pool, new.id).await, ["callback.accepted"]);
}
