//! Several open callbacks of a number: `only`, `first` and `other`.

use futures::future::join_all;

use super::*;
use crate::callbacks::model::{Failure, FailureCode};
use crate::types::TimeWindow;

/// Callback number `n` for one phone number, to be called in the two hours from 10:00 and `half_hours` later.
fn in_window(n: u16, half_hours: i64) -> Callback {
    let start = at("10:00:00") + SignedDuration::from_mins(30 * half_hours);
    let window = TimeWindow::parse(start, start + SignedDuration::from_hours(2)).unwrap();
    Callback { window, phone_number: accepted(0).phone_number, ..accepted(n) }
}

async fn end(store: &CallbackStore, callback: &Callback) {
    let mut ended = callback.clone();
    ended.fail(Failure::new(FailureCode::NoForecast, "none"));
    assert!(store.save(&ended, None).await.unwrap());
}

/// Erases a callback, as after its window.
async fn erase(pool: &PgPool, callback: &Callback) {
    let statement = "update callbacks set status = 'scheduled', contact_id = id, dispatch_time = requested_start,
        confirmation = 'failed', due_at = null, erased_at = now(), phone_number = null, request_id = '', traceparent = null
        where id = $1";
    sqlx::query(statement).bind(callback.id).execute(pool).await.unwrap();
}

/// What `among_open` says of the open callbacks, in the order of their windows.
async fn places(pool: &PgPool) -> Vec<String> {
    let places =
        "select among_open from callbacks where status in ('accepted', 'scheduled') and phone_number is not null
        order by requested_start";
    sqlx::query_scalar(places).fetch_all(pool).await.unwrap()
}

/// Inserts a callback with the statement of a version that did not know `among_open`.
async fn insert_as_before(pool: &PgPool, callback: &Callback) -> Result<(), sqlx::Error> {
    let statement =
        "insert into callbacks (id, status, phone_number, campaign_id, requested_start, requested_end, language,
            confirmation, attempts, due_at, request_id, created_at, updated_at)
        values ($1, 'accepted', $2, $3, $4, $5, 'en', 'pending', 0, now(), 'r', now(), now())";
    let inserted = sqlx::query(statement)
        .bind(callback.id)
        .bind(callback.phone_number.as_str())
        .bind(callback.campaign_id.as_str())
        .bind(jiff_sqlx::ToSqlx::to_sqlx(callback.window.start()))
        .bind(jiff_sqlx::ToSqlx::to_sqlx(callback.window.end()));
    inserted.execute(pool).await.map(|_| ())
}

#[sqlx::test]
async fn when_the_first_callback_of_a_number_ends_another_one_is_the_first(pool: PgPool) {
    let store = store(&pool);
    let [early, noon, late] = [(0, 0), (1, 4), (2, 8)].map(|(n, half_hours)| in_window(n, half_hours));
    insert(&store, [&early]).await;
    assert_eq!(places(&pool).await, ["only"]);
    insert(&store, [&noon]).await;
    insert(&store, [&late]).await;
    assert_eq!(places(&pool).await, ["first", "other", "other"]);

    end(&store, &early).await;

    let mut places_of_others = places(&pool).await;
    places_of_others.sort();
    assert_eq!(places_of_others, ["first", "other"]);
    let overlapping = in_window(3, 9);
    assert_eq!(insert(&store, [&overlapping]).await[&overlapping.id], Inserted::Duplicate(late.id));
    sqlx::query("delete from callbacks where id = $1").bind(noon.id).execute(&pool).await.unwrap();
    assert_eq!(places(&pool).await, ["first"]);
    assert_eq!(insert(&store, [&overlapping]).await[&overlapping.id], Inserted::Duplicate(late.id));
    let again = in_window(4, 0);
    assert_eq!(insert(&store, [&again]).await[&again.id], Inserted::New);
    assert_eq!(places(&pool).await, ["other", "first"]);
}

/// Waits until a statement waits for a lock.
async fn until_one_waits(pool: &PgPool) {
    let waits = "select exists (select from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database())";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(pool).await.unwrap() {}
}

/// The end of the first callback publishes an event, and changes the next one. Another transaction has that one already, and
/// publishes an event too.
#[sqlx::test]
async fn the_end_of_the_first_callback_waits_for_the_next_one_before_it_publishes(pool: PgPool) {
    let store = store(&pool);
    subscribe(&pool).await;
    let [first, next, last] = [(0, 0), (1, 4), (2, 8)].map(|(n, half_hours)| in_window(n, half_hours));
    insert(&store, [&first]).await;
    insert(&store, [&last]).await;
    insert(&store, [&next]).await;
    let published_entry = |callback: &Callback, action| entry(callback, action).with_event(&callback.event());

    let mut other = pool.begin().await.unwrap();
    // Shorter than the second after which Postgres finds a deadlock: it would be found in either transaction.
    sqlx::query("set local lock_timeout = '500ms'").execute(&mut *other).await.unwrap();
    let change = sqlx::query("update callbacks set updated_at = now() where id = $1").bind(next.id);
    change.execute(&mut *other).await.unwrap();
    let publish = async {
        until_one_waits(&pool).await;
        let entry = published_entry(&next, Action::CallbackRescheduled);
        sqlx::query("select audit_record($1)").bind(entry.into_json()).execute(&mut *other).await.unwrap();
        other.commit().await.unwrap();
    };
    let cancelled = published_entry(&first, Action::CallbackCancelled);
    let both = async { tokio::join!(store.cancel(first.id, now(), cancelled), publish) };
    let (cancelled, ()) = tokio::time::timeout(std::time::Duration::from_secs(30), both).await.expect("nobody waits");

    assert!(cancelled.unwrap().is_some());
    let expected = [&next, &first].map(|callback| (callback.campaign_id.as_str().to_owned(), callback.id));
    assert_eq!(published(&pool).await, expected);
    assert_eq!(places(&pool).await, ["first", "other"]);
}

#[sqlx::test]
async fn when_the_first_callback_of_a_number_is_erased_another_one_is_the_first(pool: PgPool) {
    let store = store(&pool);
    let [early, noon, late] = [(0, 0), (1, 4), (2, 8)].map(|(n, half_hours)| in_window(n, half_hours));
    insert(&store, [&early]).await;
    insert(&store, [&noon]).await;

    erase(&pool, &early).await;

    assert_eq!(places(&pool).await, ["first"]);
    let overlapping = in_window(3, 5);
    assert_eq!(insert(&store, [&overlapping]).await[&overlapping.id], Inserted::Duplicate(noon.id));
    assert_eq!(insert(&store, [&late]).await[&late.id], Inserted::New);
    assert_eq!(places(&pool).await, ["first", "other"]);
}

/// Before migration 65, an erasure left others without a first one.
#[sqlx::test]
async fn migration_65_chooses_a_first_callback_where_it_was_erased(pool: PgPool) {
    const MIGRATION: &str = include_str!("../../../../migrations/0065_first_after_erasure.sql");
    let store = store(&pool);
    for (number, since, expected) in
        [(0, None, &["first"][..]), (10, Some(8), &["other", "first"]), (20, Some(5), &["other", "only"])]
    {
        sqlx::raw_sql("truncate callbacks cascade").execute(&pool).await.unwrap();
        let [early, noon] = [(0, 0), (1, 4)].map(|(n, half_hours)| in_window(number + n, half_hours));
        insert(&store, [&early]).await;
        insert(&store, [&noon]).await;
        sqlx::raw_sql("drop trigger callbacks_choose_first on callbacks").execute(&pool).await.unwrap();
        erase(&pool, &early).await;
        assert_eq!(places(&pool).await, ["other"]);
        if let Some(half_hours) = since {
            let new = in_window(number + 2, half_hours);
            assert_eq!(insert(&store, [&new]).await[&new.id], Inserted::New);
        }

        sqlx::raw_sql(MIGRATION).execute(&pool).await.unwrap();

        assert_eq!(places(&pool).await, expected);
    }
}

#[sqlx::test]
async fn an_insert_of_an_older_version_is_placed_among_the_open_callbacks(pool: PgPool) {
    let store = store(&pool);
    insert_as_before(&pool, &in_window(0, 0)).await.unwrap();
    insert_as_before(&pool, &in_window(1, 4)).await.unwrap();
    assert_eq!(places(&pool).await, ["first", "other"]);
    for half_hours in [1, 5] {
        let error = insert_as_before(&pool, &in_window(2, half_hours)).await.unwrap_err();
        assert!(crate::db::is_overlap(&error), "{error}");
    }
    let new = in_window(3, 7);
    assert_eq!(insert(&store, [&new]).await[&new.id], Inserted::Duplicate(in_window(1, 4).id));
}

/// Compared with a list of the open windows.
#[sqlx::test]
async fn random_callbacks_of_a_number_are_stored_exactly_if_none_overlaps(pool: PgPool) {
    let store = store(&pool);
    let (mut rng, mut open) = (fastrand::Rng::with_seed(7), Vec::<Callback>::new());
    for n in 0..300 {
        if !open.is_empty() && rng.u8(0..3) == 0 {
            let done = open.swap_remove(rng.usize(..open.len()));
            if rng.bool() {
                end(&store, &done).await;
            } else {
                erase(&pool, &done).await;
            }
            continue;
        }
        let new = in_window(n, rng.i64(0..24));
        let overlaps =
            |other: &&Callback| other.window.start() < new.window.end() && new.window.start() < other.window.end();
        let expected: Vec<Uuid> = open.iter().filter(overlaps).map(|other| other.id).collect();
        match insert(&store, [&new]).await[&new.id] {
            Inserted::Duplicate(existing) => assert!(expected.contains(&existing), "{n}"),
            result => {
                assert_eq!((result, expected.as_slice()), (Inserted::New, [].as_slice()), "{n}");
                open.push(new);
            }
        }
        let firsts = places(&pool).await.iter().filter(|place| *place != "other").count();
        assert_eq!(firsts, usize::from(!open.is_empty()), "{n}");
    }
}

#[sqlx::test]
async fn concurrent_inserts_and_ends_leave_no_two_open_callbacks_that_overlap(pool: PgPool) {
    let store = store(&pool);
    let caller = async |caller: u16| {
        let mut rng = fastrand::Rng::with_seed(u64::from(caller));
        for n in 0..40 {
            let new = in_window(1 + caller * 100 + n, rng.i64(0..16));
            if insert(&store, [&new]).await[&new.id] == Inserted::New && rng.bool() {
                end(&store, &new).await;
            }
        }
    };
    join_all((0..4).map(caller)).await;

    let overlaps = "select count(*) from callbacks as a join callbacks as b on a.id < b.id
        where a.status = 'accepted' and b.status = 'accepted'
          and tstzrange(a.requested_start, a.requested_end) && tstzrange(b.requested_start, b.requested_end)";
    let overlaps: i64 = sqlx::query_scalar(overlaps).fetch_one(&pool).await.unwrap();
    let places = places(&pool).await;
    assert_eq!((overlaps, places.iter().filter(|place| *place != "other").count()), (0, 1), "{places:?}");
}

#[sqlx::test]
async fn callbacks_of_one_batch_for_one_number_are_stored_if_their_windows_do_not_overlap(pool: PgPool) {
    let store = store(&pool);
    let batch = [in_window(0, 0), in_window(1, 4), in_window(2, 5), in_window(3, 8)];
    let inserted = insert(&store, &batch).await;
    let expected = [Inserted::New, Inserted::New, Inserted::Duplicate(batch[1].id), Inserted::New];
    assert_eq!(batch.each_ref().map(|callback| inserted[&callback.id]), expected);
    assert_eq!(places(&pool).await, ["first", "other", "other"]);
    for callback in &batch {
        let is_new = inserted[&callback.id] == Inserted::New;
        assert_eq!(actions(&pool, callback.id).await.len(), usize::from(is_new));
    }
}
