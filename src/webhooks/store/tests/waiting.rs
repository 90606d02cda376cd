//! What counts as waiting.

use super::*;
use crate::webhooks::store::waiting::Waiting;

#[sqlx::test]
async fn only_deliveries_that_could_be_claimed_of_endpoints_that_do_not_fail_are_due(pool: PgPool) {
    let mut world = World::new(pool);
    let endpoint = world.endpoint(None).await;
    for campaign in ["a", "a", "b"] {
        world.publish(Action::CampaignPaused, campaign).await;
    }
    let start = world.now;
    let all = Waiting { pending: 3, oldest: Some(start), due: 2, due_since: Some(start) };
    assert_eq!(world.store.waiting(start).await.unwrap(), all, "the first of each campaign");

    let (failed, other) = (world.claim().await.unwrap(), world.claim().await.unwrap());
    assert!(world.settle(&failed, Verdict::Again(start + MINUTE)).await);
    world.store.release(&other.lease(), start).await.unwrap();
    world.now += 2 * MINUTE;
    let none = Waiting { due: 0, due_since: None, ..all };
    assert_eq!(world.store.waiting(world.now).await.unwrap(), none, "the endpoint fails");

    let other = world.claim().await.unwrap();
    assert!(world.settle(&other, Verdict::Succeeded).await);
    let retry = Waiting { pending: 2, due: 1, due_since: Some(start + MINUTE), ..all };
    assert_eq!(world.store.waiting(world.now).await.unwrap(), retry);
    let before = Waiting { pending: 2, ..none };
    assert_eq!(world.store.waiting(start).await.unwrap(), before, "the second waits for the retry of the first");

    sqlx::query("update webhook_endpoints set disabled_at = created_at, disabled_reason = 'gone' where id = $1")
        .bind(endpoint)
        .execute(&world.pool)
        .await
        .unwrap();
    let nothing = Waiting { pending: 0, oldest: None, due: 0, due_since: None };
    assert_eq!(world.store.waiting(world.now).await.unwrap(), nothing);
}
