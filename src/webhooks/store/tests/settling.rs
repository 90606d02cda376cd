//! What an attempt changes besides its delivery, and deliveries that are never sent.

use super::*;
use crate::webhooks::store::Settled;

impl World {
    /// Settles an attempt that disables the endpoint if it has failed since this time.
    async fn disable(&self, claimed: &Claimed, failing_since: Option<Timestamp>) -> Settled {
        let attempt = Attempt { at: self.now, duration_ms: 1, status: Some(500), error: None, answer: None };
        let (verdict, entry) =
            (Verdict::Disabled { reason: "fails", failing_since }, self.entry(Action::WebhookDisabled));
        self.store.settle(claimed, &attempt, &verdict, Some(entry)).await.unwrap().unwrap()
    }

    async fn run(&self, sql: &'static str, endpoint: Uuid) {
        sqlx::query(sql).bind(endpoint).execute(&self.pool).await.unwrap();
    }
}

#[sqlx::test]
async fn a_release_after_an_attempt_was_stored_changes_nothing(pool: PgPool) {
    let world = World::new(pool);
    world.endpoint(None).await;
    world.publish(Action::CampaignPaused, "a").await;
    let claimed = world.claim().await.unwrap();
    assert!(world.settle(&claimed, Verdict::Again(world.now + MINUTE)).await);

    world.store.release(&claimed.lease(), world.now).await.unwrap();

    assert!(world.claim().await.is_none());
}

#[sqlx::test]
async fn an_endpoint_is_disabled_only_if_no_delivery_has_succeeded_meanwhile(pool: PgPool) {
    let mut world = World::new(pool);
    let endpoint = world.endpoint(None).await;
    for campaign in ["a", "b", "c"] {
        world.publish(Action::CampaignPaused, campaign).await;
    }
    let (first, accepted) = (world.claim().await.unwrap(), world.claim().await.unwrap());
    assert!(world.settle(&first, Verdict::Again(world.now)).await);
    let last = world.claim().await.unwrap();
    assert_eq!((last.id, last.failing_since), (first.id, Some(world.now)));
    assert!(world.settle(&accepted, Verdict::Succeeded).await);
    world.now += MINUTE;

    assert_eq!(world.disable(&last, last.failing_since).await, Settled { is_disabled: false });
    let found = world.store.find(endpoint).await.unwrap().unwrap();
    assert_eq!((found.disabled, found.failing_since), (None, Some(world.now)));
    let expected = [DeliveryStatus::Dead, DeliveryStatus::Succeeded, DeliveryStatus::Pending];
    assert_eq!(world.statuses(endpoint).await, expected);
    let recorded = "select count(*) from audit_entries where action = 'webhook.disabled'";
    assert_eq!(world.count(recorded).await, 0);

    world.publish(Action::CampaignPaused, "d").await;
    let next = world.claim().await.unwrap();
    assert_eq!(world.disable(&next, next.failing_since).await, Settled { is_disabled: true });
    let found = world.store.find(endpoint).await.unwrap().unwrap();
    assert_eq!(found.disabled, Some((world.now, "fails".to_owned())));
    assert!(world.deliveries(endpoint, Some(DeliveryStatus::Pending)).await.is_empty());
    assert_eq!(world.count(recorded).await, 1);
}

#[sqlx::test]
async fn an_endpoint_that_answers_410_to_two_deliveries_is_disabled_by_the_first(pool: PgPool) {
    let mut world = World::new(pool);
    let endpoint = world.endpoint(None).await;
    for campaign in ["a", "b"] {
        world.publish(Action::CampaignPaused, campaign).await;
    }
    let (first, second) = (world.claim().await.unwrap(), world.claim().await.unwrap());
    let disabled_at = world.now;
    // The second is being settled too: the first does not end it.
    let mut settling = world.pool.begin().await.unwrap();
    let lock = sqlx::query("select id from webhook_deliveries where id = $1 for update").bind(second.id);
    lock.execute(&mut *settling).await.unwrap();
    assert_eq!(world.disable(&first, None).await, Settled { is_disabled: true });
    settling.rollback().await.unwrap();
    world.now += MINUTE;

    assert_eq!(world.disable(&second, None).await, Settled { is_disabled: false });

    let found = world.store.find(endpoint).await.unwrap().unwrap();
    assert_eq!(found.disabled, Some((disabled_at, "fails".to_owned())));
    assert_eq!(world.statuses(endpoint).await, [DeliveryStatus::Dead; 2]);
    assert_eq!(world.count("select count(*) from audit_entries where action = 'webhook.disabled'").await, 1);
}

#[sqlx::test]
async fn pending_deliveries_of_deleted_and_disabled_endpoints_end(pool: PgPool) {
    let world = World::new(pool);
    let (deleted, disabled, kept) =
        (world.endpoint(None).await, world.endpoint(None).await, world.endpoint(None).await);
    world.publish(Action::CampaignPaused, "a").await;
    world.run("update webhook_endpoints set deleted_at = created_at, secret = null where id = $1", deleted).await;
    let disable = "update webhook_endpoints set disabled_at = created_at, disabled_reason = 'gone' where id = $1";
    world.run(disable, disabled).await;

    assert_eq!(world.store.end_undeliverable(world.now).await.unwrap(), 2);

    for (endpoint, status) in
        [(deleted, DeliveryStatus::Dead), (disabled, DeliveryStatus::Dead), (kept, DeliveryStatus::Pending)]
    {
        assert_eq!(world.statuses(endpoint).await, [status]);
    }
    assert_eq!(world.store.end_undeliverable(world.now).await.unwrap(), 0);
}
