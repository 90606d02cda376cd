//! Test events, and deliveries that are sent again while they wait.

use super::*;

async fn redeliver(world: &World, delivery: Uuid) -> Redelivery {
    world.store.redeliver(delivery, world.now, world.entry(Action::WebhookRedelivered)).await.unwrap()
}

#[sqlx::test]
async fn a_test_event_does_not_wait_for_one_that_has_failed(pool: PgPool) {
    let world = World::new(pool);
    let endpoint = world.endpoint(None).await;
    let mut sent = Vec::new();
    for _ in 0..2 {
        let entry = world.entry(Action::WebhookTested);
        sent.push(entry.id);
        assert!(world.store.send_to(endpoint, test_event(&entry, endpoint), entry).await.unwrap());
    }

    let failed = world.claim().await.unwrap();
    assert!(world.settle(&failed, Verdict::Again(world.now + MINUTE)).await);

    let next = world.claim().await.unwrap();
    assert_eq!(sent, [failed.event_id, next.event_id]);
}

#[sqlx::test]
async fn a_pending_delivery_is_sent_again_only_if_its_next_attempt_is_more_than_a_minute_away(pool: PgPool) {
    let mut world = World::new(pool);
    world.endpoint(None).await;
    world.publish(Action::CampaignPaused, "a").await;
    let claimed = world.claim().await.unwrap();
    assert_eq!(redeliver(&world, claimed.id).await, Redelivery::AlreadyPending, "it is being attempted");

    assert!(world.settle(&claimed, Verdict::Again(world.now + 2 * MINUTE)).await);
    assert_eq!(redeliver(&world, claimed.id).await, Redelivery::Started);
    assert_eq!(redeliver(&world, claimed.id).await, Redelivery::AlreadyPending, "it is due");
    let again = world.claim().await.unwrap();
    assert_eq!((again.id, again.attempts), (claimed.id, 0));

    world.now += Duration::from_secs(1);
    assert!(world.settle(&again, Verdict::Again(world.now + MINUTE)).await);
    assert_eq!(redeliver(&world, claimed.id).await, Redelivery::AlreadyPending, "it is soon due");
}
