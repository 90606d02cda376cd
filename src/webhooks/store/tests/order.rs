//! Events of one campaign are committed in the order in which they are delivered.

use sqlx::{Postgres, Transaction};

use super::*;

impl World {
    /// A transaction whose statements fail where they wait for a lock.
    async fn with_lock_timeout(&self) -> Transaction<'static, Postgres> {
        let mut transaction = self.pool.begin().await.unwrap();
        sqlx::query("set local lock_timeout = '50ms'").execute(&mut *transaction).await.unwrap();
        transaction
    }

    /// Stores an event, to be committed with the transaction. Returns its id.
    async fn publish_in(
        &self,
        transaction: &mut Transaction<'static, Postgres>,
        campaign: &str,
    ) -> Result<Uuid, sqlx::Error> {
        let entry = self.published_entry(Action::CampaignPaused, campaign);
        let id = entry.id;
        sqlx::query("select audit_record($1)").bind(entry.into_json()).execute(&mut **transaction).await?;
        Ok(id)
    }
}

#[sqlx::test]
async fn an_event_waits_until_the_one_before_it_of_its_campaign_is_committed(pool: PgPool) {
    let world = World::new(pool);
    world.endpoint(None).await;
    let (mut first, mut second) = (world.with_lock_timeout().await, world.with_lock_timeout().await);
    let earlier = world.publish_in(&mut first, "a").await.unwrap();

    let error = world.publish_in(&mut second, "a").await.unwrap_err();
    // lock_not_available
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "55P03");
    second.rollback().await.unwrap();
    first.commit().await.unwrap();
    let later = world.publish(Action::CampaignResumed, "a").await;

    let claimed = world.claim().await.unwrap();
    assert_eq!(claimed.event_id, earlier);
    assert!(world.settle(&claimed, Verdict::Succeeded).await);
    assert_eq!(world.claim().await.unwrap().event_id, later);
}

#[sqlx::test]
async fn an_event_waits_neither_for_another_campaign_nor_for_a_placement(pool: PgPool) {
    let world = World::new(pool);
    world.endpoint(None).await;
    let (mut first, mut second) = (world.with_lock_timeout().await, world.with_lock_timeout().await);
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('dispatch a', 0))").execute(&mut *second).await.unwrap();

    world.publish_in(&mut first, "a").await.unwrap();
    world.publish_in(&mut second, "b").await.unwrap();

    second.commit().await.unwrap();
    first.commit().await.unwrap();
    assert_eq!(world.count("select count(*) from webhook_deliveries").await, 2);
}

#[sqlx::test]
async fn an_event_that_no_endpoint_wants_waits_for_none(pool: PgPool) {
    let world = World::new(pool);
    world.endpoint(Some(vec![EventType::CampaignResumed])).await;
    let (mut first, mut second) = (world.with_lock_timeout().await, world.with_lock_timeout().await);

    world.publish_in(&mut first, "a").await.unwrap();
    world.publish_in(&mut second, "a").await.unwrap();
}
