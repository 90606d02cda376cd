use futures::future::join_all;

use super::*;
use crate::types::TimeWindow;

#[sqlx::test]
async fn a_claim_takes_the_due_callbacks_whose_window_ends_first(pool: PgPool) {
    let store = store(&pool);
    let window =
        |n, start: &str, end: &str| Callback { window: TimeWindow::parse(at(start), at(end)).unwrap(), ..accepted(n) };
    let late = window(0, "15:00:00", "18:00:00");
    let early = window(1, "16:00:00", "17:00:00");
    let not_due = Callback { due_at: Some(at("14:00:01")), ..window(2, "15:00:00", "16:00:00") };
    insert(&store, &[late.clone(), early.clone(), not_due.clone()]).await;

    let first = claim(&store, now()).await.unwrap();
    assert_eq!(first, Callback { attempts: 1, due_at: Some(now() + LEASE), ..early });
    assert_eq!(stored(&store, first.id).await, first);
    assert_eq!(claim(&store, now()).await.unwrap().id, late.id);
    assert_eq!(claim(&store, now()).await, None);
    assert_eq!(claim(&store, at("14:00:01")).await.unwrap().id, not_due.id);
}

#[sqlx::test]
async fn a_callback_is_claimed_again_when_its_lease_has_ended(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[accepted(0)]).await;
    claim(&store, now()).await.unwrap();
    assert_eq!(claim(&store, now() + LEASE - SignedDuration::from_millis(1)).await, None);
    assert_eq!(claim(&store, now() + LEASE).await.unwrap().attempts, 2);
}

#[sqlx::test]
async fn concurrent_claims_never_share_a_callback(pool: PgPool) {
    let store = store(&pool);
    let callbacks: Vec<_> = (0..40).map(accepted).collect();
    insert(&store, &callbacks).await;
    let mut claimed: Vec<Uuid> = Vec::new();
    while claimed.len() < callbacks.len() {
        let claims = join_all((0..4).map(|_| store.claim(now(), now() + LEASE, ANY, 3))).await;
        let round: Vec<Callback> = claims.into_iter().flat_map(Result::unwrap).collect();
        assert!(!round.is_empty() && round.iter().all(|callback| callback.attempts == 1));
        claimed.extend(round.iter().map(|callback| callback.id));
    }
    let distinct: HashSet<Uuid> = claimed.iter().copied().collect();
    assert_eq!((claimed.len(), distinct.len()), (40, 40));
}

#[sqlx::test]
async fn only_callbacks_that_can_make_progress_are_claimed(pool: PgPool) {
    let store = store(&pool);
    let started = Callback { confirmation_started_at: Some(now()), ..scheduled(3, "16:00:00") };
    let all = [accepted(0), placed(1, "15:30:00"), scheduled(2, "16:00:00"), started];
    put(&store, &all).await;
    let claimable = |contacts, messages| Claimable { contacts, messages, notice: NOTICE };
    for (time, claimable, expected) in [
        ("14:00:00", claimable(true, true), vec![0, 1, 2, 3]),
        ("14:00:00", claimable(true, false), vec![0, 1, 3]),
        ("14:00:00", claimable(false, true), vec![2, 3]),
        // The SMS of the third may have been sent: its outcome is unknown, and needs no request.
        ("14:00:00", claimable(false, false), vec![3]),
        // The dispatch time has passed: it is too late for the SMS.
        ("16:00:00", claimable(false, false), vec![2, 3]),
        // The window of the first ends within the notice. CXone may still confirm the contact of the second.
        ("16:59:45", claimable(false, false), vec![0, 2, 3]),
        ("17:00:00", claimable(false, false), vec![0, 1, 2, 3]),
    ] {
        let claimed = store.claim(at(time), at(time), claimable, 10).await.unwrap();
        let mut claimed: Vec<u128> = claimed.iter().map(|callback| callback.id.as_u128() - 1).collect();
        claimed.sort_unstable();
        assert_eq!(claimed, expected, "{time} {claimable:?}");
    }
}

#[sqlx::test]
async fn a_released_callback_is_due_at_once(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[accepted(0)]).await;
    let claimed = claim(&store, now()).await.unwrap();
    store.release(claimed.id, claimed.attempts, now()).await.unwrap();
    assert_eq!(claim(&store, now()).await.unwrap().attempts, 2);
}

#[sqlx::test]
async fn a_lease_is_renewed_only_by_the_claim_that_holds_it(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[accepted(0)]).await;
    let first = claim(&store, now()).await.unwrap();
    let longer = now() + LEASE + LEASE;
    store.renew_lease(first.id, first.attempts, longer).await.unwrap();
    assert_eq!(stored(&store, first.id).await.due_at, Some(longer));

    let second = claim(&store, longer).await.unwrap();
    store.renew_lease(first.id, first.attempts, at("15:00:00")).await.unwrap();
    store.release(first.id, first.attempts, now()).await.unwrap();
    assert_eq!(stored(&store, first.id).await, second);
}

#[sqlx::test]
async fn a_settled_callback_is_neither_claimed_nor_released(pool: PgPool) {
    let store = store(&pool);
    let mut settled = scheduled(0, "16:00:00");
    settled.confirm("session".into());
    put(&store, &[settled.clone()]).await;
    store.release(settled.id, settled.attempts, now()).await.unwrap();
    assert_eq!(stored(&store, settled.id).await, settled);
    assert_eq!(claim(&store, at("18:00:00")).await, None);
}
