//! The deliveries of the endpoint of the configuration.

use super::*;

const OLD: &str = "https://old.example.com/";
const NEW: &str = "https://new.example.com/";

impl World {
    async fn configure(&self, url: &str) {
        let now = self.now;
        self.store.configure(Some(url), &Clock::manual(move || now, 7)).await.unwrap();
    }
}

#[sqlx::test]
async fn what_died_with_the_configured_endpoint_is_pending_again_if_it_is_configured_again_within_a_day(pool: PgPool) {
    let mut world = World::new(pool);
    world.configure(OLD).await;
    world.publish(Action::CampaignPaused, "a").await;
    let next = world.publish(Action::CampaignPaused, "b").await;
    let failed = world.store.claim(world.now, world.now + MINUTE, &[], Some(OLD)).await.unwrap().unwrap();
    assert!(world.settle(&failed, Verdict::Dead).await);

    world.now += MINUTE;
    world.configure(NEW).await;
    assert_eq!(world.statuses(failed.endpoint).await, [DeliveryStatus::Dead; 2]);
    world.now += MINUTE;
    world.configure(OLD).await;
    assert_eq!(world.statuses(failed.endpoint).await, [DeliveryStatus::Dead, DeliveryStatus::Pending]);
    let resumed = world.store.claim(world.now, world.now + MINUTE, &[], Some(OLD)).await.unwrap().unwrap();
    assert_eq!(resumed.event_id, next);

    world.configure(NEW).await;
    world.now += 24 * 60 * MINUTE;
    world.configure(OLD).await;
    assert_eq!(world.statuses(failed.endpoint).await, [DeliveryStatus::Dead; 2]);
}

/// An event that was being committed while its endpoint was deleted.
#[sqlx::test]
async fn a_delivery_that_was_committed_after_its_endpoint_was_deleted_is_pending_again_too(pool: PgPool) {
    let mut world = World::new(pool);
    world.configure(OLD).await;
    world.publish(Action::CampaignPaused, "a").await;
    let late = world.store.claim(world.now, world.now + MINUTE, &[], Some(OLD)).await.unwrap().unwrap();
    world.configure(NEW).await;
    sqlx::query("update webhook_deliveries set status = 'pending', due_at = created_at where id = $1")
        .bind(late.id)
        .execute(&world.pool)
        .await
        .unwrap();

    world.now += MINUTE;
    assert_eq!(world.store.end_undeliverable(world.now).await.unwrap(), 1);
    world.configure(OLD).await;

    assert_eq!(world.statuses(late.endpoint).await, [DeliveryStatus::Pending]);
}
