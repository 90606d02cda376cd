use super::*;
use crate::callbacks::model::{Failure, FailureCode};
use crate::types::TimeWindow;

fn window(start: &str, end: &str) -> TimeWindow {
    TimeWindow::parse(at(start), at(end)).unwrap()
}

/// Requests another window for a callback as it was read. Returns the result, and the callback that it stores if it succeeds.
async fn reschedule(store: &CallbackStore, callback: &Callback, window: TimeWindow) -> (Rescheduled, Callback) {
    let mut rescheduled = callback.clone();
    rescheduled.reschedule(window, at("14:00:05"));
    let id = Uuid::new_v5(&callback.id, format!("{window:?}").as_bytes());
    let entry = rescheduled.rescheduled_entry(id, at("14:00:05"), callback.window, Status::Accepted);
    (store.reschedule(&rescheduled, callback.window, entry).await.unwrap(), rescheduled)
}

#[sqlx::test]
async fn a_rescheduled_callback_takes_the_claim_from_its_attempt_and_is_due(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[accepted(0)]).await;
    let mut attempt = claim(&store, now()).await.unwrap();
    attempt.defer(Failure::new(FailureCode::CxoneUnavailable, "down"), at("14:05:00"), now(), NOTICE);
    assert!(store.save(&attempt, None).await.unwrap());

    let (result, expected) = reschedule(&store, &attempt, window("18:00:00", "20:00:00")).await;

    assert_eq!(result, Rescheduled::Stored);
    assert_eq!(stored(&store, attempt.id).await, expected);
    assert_eq!((expected.failure, expected.due_at), (None, Some(at("14:00:05"))));
    assert!(!store.place(&mut attempt, &[at("15:00:00")], |_, _| Some(decided(at("15:00:00")))).await.unwrap());
    assert_eq!(claim(&store, at("14:00:05")).await.unwrap().window, expected.window);
    assert_eq!(actions(&pool, attempt.id).await, ["callback.accepted", "callback.rescheduled"]);
    let detail: serde_json::Value =
        sqlx::query_scalar("select detail from audit_entries where action = 'callback.rescheduled'")
            .fetch_one(&pool)
            .await
            .unwrap();
    let windows = ["previousStart", "previousEnd", "requestedStart", "requestedEnd"].map(|name| detail[name].as_str());
    let expected = ["15:00:00", "17:00:00", "18:00:00", "20:00:00"].map(|time| format!("2026-11-20T{time}Z"));
    assert_eq!(windows, expected.each_ref().map(|text| Some(text.as_str())));
}

#[sqlx::test]
async fn a_callback_is_rescheduled_only_if_cxone_cannot_have_its_contact(pool: PgPool) {
    let store = store(&pool);
    let mut failed = accepted(2);
    failed.fail(Failure::new(FailureCode::NoForecast, "none"));
    let all = [placed(0, "15:30:00"), scheduled(1, "16:00:00"), failed];
    put(&store, &all).await;
    for callback in all {
        let (result, _) = reschedule(&store, &callback, window("18:00:00", "20:00:00")).await;
        assert_eq!(result, Rescheduled::Changed);
        assert_eq!(stored(&store, callback.id).await, callback);
        assert_eq!(actions(&pool, callback.id).await, ["callback.accepted"]);
    }
}

#[sqlx::test]
async fn a_window_that_overlaps_another_open_callback_of_the_number_is_refused(pool: PgPool) {
    let store = store(&pool);
    let of_same_number = |n, window| Callback { phone_number: accepted(0).phone_number, window, ..accepted(n) };
    let callback = accepted(0);
    let other = of_same_number(1, window("18:00:00", "20:00:00"));
    insert(&store, [&callback, &other]).await;

    let (overlapping, _) = reschedule(&store, &callback, window("19:00:00", "21:00:00")).await;
    assert_eq!(overlapping, Rescheduled::Overlaps(other.id));
    assert_eq!(stored(&store, callback.id).await, callback);
    assert_eq!(actions(&pool, callback.id).await, ["callback.accepted"]);

    let (adjacent, rescheduled) = reschedule(&store, &callback, window("16:00:00", "18:00:00")).await;
    assert_eq!(adjacent, Rescheduled::Stored, "it overlaps only its own window before");
    store.cancel(other.id, now(), entry(&other, Action::CallbackCancelled)).await.unwrap().unwrap();
    let (after_the_end, _) = reschedule(&store, &rescheduled, window("18:30:00", "20:30:00")).await;
    assert_eq!(after_the_end, Rescheduled::Stored);
}

#[sqlx::test]
async fn of_two_reschedules_of_one_window_the_second_changes_nothing(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[accepted(0)]).await;
    let (first, rescheduled) = reschedule(&store, &accepted(0), window("18:00:00", "20:00:00")).await;
    let (second, _) = reschedule(&store, &accepted(0), window("19:00:00", "21:00:00")).await;
    assert_eq!((first, second), (Rescheduled::Stored, Rescheduled::Changed));
    assert_eq!(stored(&store, rescheduled.id).await, rescheduled);
}

#[sqlx::test]
async fn of_a_concurrent_reschedule_and_placement_one_succeeds(pool: PgPool) {
    for n in 0..10 {
        let store = store(&pool);
        insert(&store, &[accepted(n)]).await;
        let mut attempt = claim(&store, now()).await.unwrap();
        let (before, hours) = (attempt.clone(), [at("15:00:00")]);
        let ((rescheduled, _), is_placed) = tokio::join!(
            reschedule(&store, &before, window("18:00:00", "20:00:00")),
            store.place(&mut attempt, &hours, |_, _| Some(decided(hours[0])))
        );
        assert_ne!(rescheduled == Rescheduled::Stored, is_placed.unwrap());
    }
}

/// Each may wait for the other. Postgres then ends one of them, which is repeated.
#[sqlx::test]
async fn of_two_concurrent_reschedules_to_overlapping_windows_one_succeeds(pool: PgPool) {
    let store = store(&pool);
    for n in [0, 2, 4] {
        let first = accepted(n);
        let second = Callback {
            phone_number: first.phone_number.clone(),
            window: window("10:00:00", "12:00:00"),
            ..accepted(n + 1)
        };
        insert(&store, [&first, &second]).await;
        let ((of_first, _), (of_second, _)) = tokio::join!(
            reschedule(&store, &first, window("18:00:00", "20:00:00")),
            reschedule(&store, &second, window("19:00:00", "21:00:00"))
        );
        let results = [of_first, of_second];
        let expected = [
            [Rescheduled::Stored, Rescheduled::Overlaps(first.id)],
            [Rescheduled::Overlaps(second.id), Rescheduled::Stored],
        ];
        assert!(expected.contains(&results), "{results:?}");
    }
}
