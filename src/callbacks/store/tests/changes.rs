use super::*;
use crate::callbacks::model::{Change, ChangeKind};
use crate::types::TimeWindow;

fn window(start: &str, end: &str) -> TimeWindow {
    TimeWindow::parse(at(start), at(end)).unwrap()
}

async fn request(store: &CallbackStore, callback: &Callback, change: &Change) -> Requested {
    let entry = entry(callback, Action::CallbackChangeRequested);
    store.request_change(callback, change, entry, at("14:00:05")).await.unwrap()
}

/// A callback whose contact CXone has, and whose SMS is sent.
fn confirmed(n: u16, start: &str) -> Callback {
    let mut callback = scheduled(n, start);
    callback.confirm("session".into());
    callback
}

#[sqlx::test]
async fn a_change_is_due_at_once_and_a_cancellation_replaces_it(pool: PgPool) {
    let store = store(&pool);
    let callback = confirmed(0, "15:30:00");
    put(&store, std::slice::from_ref(&callback)).await;
    let to_later = Change::new(ChangeKind::Reschedule, Some(window("18:00:00", "20:00:00")), Some("r".into()));
    assert!(matches!(request(&store, &callback, &to_later).await, Requested::Stored(_)));

    let mut attempt = claim(&store, at("14:00:05")).await.unwrap();
    assert_eq!(attempt.change.as_deref(), Some(&to_later));
    let mut sent = to_later.clone();
    (sent.dispatch_time, sent.sent_at) = (Some(at("18:30:00")), Some(at("14:00:05")));
    attempt.change = Some(Box::new(sent));
    assert!(store.save_change(&attempt, None).await.unwrap());
    let cancel = Change::new(ChangeKind::Cancel, None, None);
    assert!(matches!(request(&store, &attempt, &cancel).await, Requested::Stored(_)));

    assert!(!store.save_change(&attempt, None).await.unwrap(), "its claim is lost");
    let mut attempt = claim(&store, at("14:00:05")).await.unwrap();
    assert_eq!(attempt.earliest_dispatch_time(), Some(at("15:30:00")));
    assert!(attempt.change.as_ref().is_some_and(|change| change.sent_at.is_some()), "CXone may have moved it");
    assert!(matches!(request(&store, &attempt, &to_later).await, Requested::Changed));
    attempt.complete_cancel();
    assert!(store.save_change(&attempt, None).await.unwrap());
    let cancelled = stored(&store, callback.id).await;
    assert_eq!((cancelled.status, cancelled.confirmation), (Status::Cancelled, Confirmation::Sent));
    assert_eq!((cancelled.contact_id, cancelled.due_at, cancelled.change), (None, None, None));
}

/// The contact was moved and its SMS is sent, but Postgres did not answer.
#[sqlx::test]
async fn a_save_that_is_repeated_does_not_undo_a_change_that_was_requested_after_it(pool: PgPool) {
    let store = store(&pool);
    let callback = confirmed(0, "15:30:00");
    put(&store, std::slice::from_ref(&callback)).await;
    let move_it = Change::new(ChangeKind::Reschedule, Some(window("18:00:00", "20:00:00")), Some("r".into()));
    assert!(matches!(request(&store, &callback, &move_it).await, Requested::Stored(_)));
    let mut moved = claim(&store, at("14:00:05")).await.unwrap();
    moved.complete_move(contact(&callback, at("18:30:00")), None, at("14:00:05"));
    moved.due_at = Some(at("14:00:20"));
    let (moved, tries) = (&moved, &std::sync::atomic::AtomicU32::new(0));
    let moved_entry = &entry(moved, Action::CallbackRescheduled);
    let cancel = &Change::new(ChangeKind::Cancel, None, Some("c".into()));

    let save = || {
        let store = &store;
        async move {
            let saved =
                super::super::changes::save_change(&store.pool, moved, Some(moved_entry.clone().into_json())).await;
            if tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0 {
                return saved;
            }
            assert!(saved.unwrap());
            assert!(matches!(request(store, moved, cancel).await, Requested::Stored(_)));
            Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()))
        }
    };
    assert!(store.save_with(moved, Some(moved_entry.id), save).await.unwrap());
    let stored = stored(&store, callback.id).await;
    assert_eq!((stored.attempts, stored.change.as_deref()), (moved.attempts, Some(cancel)));
}

#[sqlx::test]
async fn both_windows_of_a_callback_that_is_being_rescheduled_are_taken(pool: PgPool) {
    let store = store(&pool);
    let callback = confirmed(0, "15:30:00");
    let other = Callback { id: Uuid::from_u128(99), window: window("21:00:00", "22:00:00"), ..accepted(0) };
    put(&store, std::slice::from_ref(&callback)).await;
    insert(&store, [&other]).await;
    let overlapping = Change::new(ChangeKind::Reschedule, Some(window("20:00:00", "22:00:00")), None);
    let refused = request(&store, &callback, &overlapping).await;
    assert!(matches!(refused, Requested::Overlaps(id) if id == other.id), "{refused:?}");

    let free = Change::new(ChangeKind::Reschedule, Some(window("18:00:00", "20:00:00")), None);
    assert!(matches!(request(&store, &callback, &free).await, Requested::Stored(_)));
    for (n, window) in [window("16:00:00", "17:00:00"), window("19:00:00", "20:00:00")].into_iter().enumerate() {
        let new = Callback { id: Uuid::from_u128(200 + n as u128), window, ..accepted(0) };
        assert_eq!(insert(&store, [&new]).await[&new.id], Inserted::Duplicate(callback.id));
    }
}

#[sqlx::test]
async fn a_change_waits_for_the_sms_that_is_being_sent(pool: PgPool) {
    let store = store(&pool);
    let mut sending = scheduled(0, "15:30:00");
    sending.confirmation_started_at = Some(now());
    sending.due_at = Some(at("14:00:15"));
    put(&store, std::slice::from_ref(&sending)).await;

    let cancel = Change::new(ChangeKind::Cancel, None, None);
    assert!(matches!(request(&store, &sending, &cancel).await, Requested::Stored(_)));
    assert_eq!(claim(&store, at("14:00:05")).await, None);
    sending.confirm("session".into());
    sending.updated_at = at("14:00:06");
    assert!(store.save(&sending, None).await.unwrap());
    let due = claim(&store, at("14:00:06")).await.unwrap();
    assert_eq!((due.confirmation, due.change.is_some()), (Confirmation::Sent, true));
}

#[sqlx::test]
async fn contacts_in_a_held_time_are_to_be_moved_once(pool: PgPool) {
    let store = store(&pool);
    put(&store, &[confirmed(0, "15:00:00"), confirmed(1, "15:59:59"), confirmed(2, "16:00:00")]).await;
    let held =
        crate::campaigns::HeldPeriod { campaign_id: "c".to_owned(), from: at("14:00:00"), until: Some(at("16:00:00")) };
    let periods = [held.clone(), held];
    let found = store.contacts_in(&periods, now()).await.unwrap();
    assert_eq!(found.iter().map(|callback| callback.id.as_u128() - 1).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(store.contacts_in(&periods, at("15:30:00")).await.unwrap().len(), 1, "one has been called");
    let entries: Vec<_> =
        found.iter().map(|callback| (callback.id, entry(callback, Action::CallbackChangeRequested))).collect();
    assert_eq!(store.request_moves(entries.clone(), now()).await.unwrap(), 2);
    assert_eq!(store.request_moves(entries, now()).await.unwrap(), 0);
    assert_eq!(store.contacts_in(&periods, now()).await.unwrap(), []);
    let mut attempt = claim(&store, now()).await.unwrap();
    assert_eq!(attempt.change.as_ref().map(|change| change.kind), Some(ChangeKind::Move));
    let failure = crate::callbacks::model::already_called();
    attempt.complete_withdrawal(failure, at("14:00:30"));
    assert!(store.save_change(&attempt, None).await.unwrap());
    assert_eq!(stored(&store, attempt.id).await, attempt);
}
