use super::*;
use crate::callbacks::model::CallStatus;

const POLL: SignedDuration = SignedDuration::from_mins(2);

/// Stored callback number `n`, with an open outcome and a contact at 15:10.
async fn pending(store: &CallbackStore, n: u16) -> Callback {
    let callback = Callback { outcome: Some(CallOutcome::PENDING), ..scheduled(n, "15:10:00") };
    put(store, std::slice::from_ref(&callback)).await;
    stored(store, callback.id).await
}

fn called(contact: &str, status: CallStatus) -> CallOutcome {
    CallOutcome {
        status,
        contact_id: Some(contact.into()),
        called_at: Some(at("15:10:05")),
        agent_seconds: Some(60),
        disposition: Some("Sale".into()),
    }
}

fn settlement(callback: &Callback, outcome: CallOutcome) -> Settlement {
    let after = Callback { outcome: Some(outcome.clone()), ..callback.clone() };
    let id = Uuid::new_v5(&callback.id, format!("{outcome:?}").as_bytes());
    let entry = after.entry(id, now(), Action::CallbackCalled, Outcome::Succeeded, Status::Scheduled);
    Settlement { callback: callback.clone(), outcome, entry: entry.with_event(&after.event()) }
}

#[sqlx::test]
async fn an_outcome_replaces_the_one_that_it_is_based_on_and_no_other(pool: PgPool) {
    let store = store(&pool);
    let callback = pending(&store, 0).await;
    assert_eq!(callback.outcome, Some(CallOutcome::PENDING));
    let (first, second) = (called("1", CallStatus::Called), called("1", CallStatus::Reached));

    assert_eq!(store.settle(vec![settlement(&callback, first.clone())], at("15:20:00")).await.unwrap(), 1);
    assert_eq!(store.settle(vec![settlement(&callback, second.clone())], at("15:21:00")).await.unwrap(), 0);
    let after = stored(&store, callback.id).await;
    assert_eq!(after.outcome, Some(first));
    assert_eq!(store.settle(vec![settlement(&after, second.clone())], at("15:22:00")).await.unwrap(), 1);

    assert_eq!(stored(&store, callback.id).await.outcome, Some(second));
    assert_eq!(actions(&pool, callback.id).await, ["callback.accepted", "callback.called", "callback.called"]);
}

#[sqlx::test]
async fn outcomes_are_published_in_the_order_of_the_campaigns_and_then_of_the_callbacks(pool: PgPool) {
    let store = store(&pool);
    subscribe(&pool).await;
    let callbacks = [of_campaign(0, "b"), of_campaign(1, "a"), of_campaign(2, "b"), of_campaign(3, "a")];
    put(&store, &callbacks).await;
    let settlements = callbacks.each_ref().map(|callback| settlement(callback, called("1", CallStatus::Called)));

    assert_eq!(store.settle(settlements.into(), at("15:20:00")).await.unwrap(), 4);

    let expected = [("a", 1), ("a", 3), ("b", 0), ("b", 2)].map(|(campaign, n)| (campaign.to_owned(), accepted(n).id));
    assert_eq!(published(&pool).await, expected);
}

#[sqlx::test]
async fn an_attempt_leaves_an_outcome_as_it_is(pool: PgPool) {
    let store = store(&pool);
    let callback = Callback { outcome: Some(CallOutcome::PENDING), ..scheduled(0, "15:10:00") };
    put(&store, std::slice::from_ref(&callback)).await;
    let attempt = stored(&store, callback.id).await;
    let reached = called("1", CallStatus::Reached);
    store.settle(vec![settlement(&attempt, reached.clone())], at("15:20:00")).await.unwrap();

    assert!(store.save(&attempt, None).await.unwrap());

    assert_eq!(stored(&store, callback.id).await.outcome, Some(reached));
}

#[sqlx::test]
async fn only_open_outcomes_of_other_windows_are_overdue_and_have_skills(pool: PgPool) {
    let store = store(&pool);
    let (open, done) = (pending(&store, 0).await, pending(&store, 1).await);
    put(&store, &[scheduled(2, "15:10:00")]).await;
    assert_eq!(store.first_open_call(at("14:00:00")).await.unwrap(), Some(at("15:10:00")));
    assert_eq!(store.campaigns_without_skill(now()).await.unwrap(), std::slice::from_ref(&open.campaign_id));
    store.set_skill(&open.campaign_id, 4001).await.unwrap();
    let missing = CallOutcome { status: CallStatus::Missing, ..CallOutcome::PENDING };
    store.settle(vec![settlement(&done, missing)], at("18:00:00")).await.unwrap();

    assert_eq!(store.campaigns_without_skill(now()).await.unwrap(), []);
    assert_eq!(store.open_skills().await.unwrap(), [4001]);
    let overdue = |before| {
        let store = store.clone();
        async move { store.overdue(&[4001], at(before)).await.unwrap().len() }
    };
    assert_eq!((overdue("17:00:00").await, overdue("17:00:01").await), (0, 1));
    assert_eq!(store.overdue(&[4002], at("17:00:01")).await.unwrap(), []);
    let numbers = [open.phone_number.as_str().to_owned(), scheduled(2, "15:10:00").phone_number.as_str().to_owned()];
    let callable = store.callable(&numbers, at("15:00:00")).await.unwrap();
    assert_eq!(callable.iter().map(|callback| callback.id).collect::<Vec<_>>(), [open.id]);
}

#[sqlx::test]
async fn one_replica_at_a_time_polls_and_goes_on_where_the_last_one_stopped(pool: PgPool) {
    let store = store(&pool);
    let claim = |n, time| {
        let store = store.clone();
        async move { store.claim_outcome_poll(Uuid::from_u128(n), at(time), at(time) + POLL).await.unwrap() }
    };
    let mut first = claim(1, "15:00:00").await.unwrap();
    assert_eq!(claim(2, "15:01:59").await, None, "the lease");
    (first.updated_since, first.skip) = (Some(at("14:59:00")), 5000);
    assert!(store.save_outcome_poll(&first, at("15:01:30") + POLL).await.unwrap());
    assert_eq!(claim(2, "15:03:00").await, None, "it was renewed");

    let second = claim(2, "15:03:30").await.unwrap();

    assert_eq!((second.updated_since, second.skip), (first.updated_since, 5000));
    assert!(!store.save_outcome_poll(&first, at("15:04:00")).await.unwrap(), "it has lost the lease");
}

#[sqlx::test]
async fn a_callback_that_a_second_attempt_has_scheduled_is_looked_up_again_before_its_call(pool: PgPool) {
    let store = store(&pool);
    let schedule = |n, attempts| {
        let store = store.clone();
        async move {
            let outcome = Some(CallOutcome::PENDING);
            let callback = Callback { outcome, attempts, ..scheduled(n, "15:10:00") };
            put(&store, std::slice::from_ref(&callback)).await;
            callback.id
        }
    };
    let (_, second) = (schedule(0, 1).await, schedule(1, 2).await);
    let due = |time| {
        let store = store.clone();
        async move {
            let due = store.claim_rechecks(at(time), SignedDuration::from_secs(10)).await.unwrap();
            due.iter().map(|callback| callback.id).collect::<Vec<_>>()
        }
    };
    let ahead = SignedDuration::from_secs(20);

    assert_eq!((due("14:00:07").await, due("14:00:08").await), (vec![], vec![second]));
    assert_eq!((due("14:00:17").await, due("14:00:18").await), (vec![], vec![second]), "the look failed");
    store.complete_rechecks(&[second], at("14:00:19"), ahead).await.unwrap();
    assert_eq!((due("15:09:39").await, due("15:09:40").await), (vec![], vec![second]));
    store.complete_rechecks(&[second], at("15:09:41"), ahead).await.unwrap();
    assert!(due("16:00:00").await.is_empty());
}
