//! Checkpoints of the audit log, as events.

use super::*;
use crate::audit::{LogKeys, LogStore, Sequencer};
use crate::webhooks::CheckpointPublisher;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A replica at a time that the test sets.
fn replica(world: &World, seconds: i64) -> CheckpointPublisher {
    let now = world.now + jiff::SignedDuration::from_secs(seconds);
    let log = LogStore::new(Db::new(world.pool.clone()));
    CheckpointPublisher::new(log, world.store.clone(), Clock::manual(move || now, seconds.unsigned_abs()))
}

impl World {
    /// Adds an entry to the audit log, and seals everything.
    async fn grow(&self) {
        let entry = self.entry(Action::KeyCreated).into_json();
        sqlx::query("select audit_record($1)").bind(entry).execute(&self.pool).await.unwrap();
        let keys = LogKeys::parse("audit.example.com/test", KEY).unwrap();
        let sequencer = Sequencer::new(LogStore::new(Db::new(self.pool.clone())), keys, Clock::system());
        while sequencer.step().await.unwrap() > 0 {}
    }

    async fn bodies(&self) -> Vec<serde_json::Value> {
        let bodies: Vec<String> =
            sqlx::query_scalar("select body from webhook_events order by seq").fetch_all(&self.pool).await.unwrap();
        bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect()
    }
}

#[sqlx::test]
async fn a_checkpoint_is_published_at_most_once_a_minute_and_only_if_the_log_has_grown(pool: PgPool) {
    let world = World::new(pool);
    let named = world.endpoint(Some(vec![EventType::AuditCheckpoint])).await;
    assert!(!replica(&world, 0).step().await.unwrap(), "nothing is sealed");
    world.grow().await;
    assert!(replica(&world, 0).step().await.unwrap(), "the first one at once");
    assert!(!replica(&world, 300).step().await.unwrap(), "the log has not grown");
    world.grow().await;
    assert!(replica(&world, 300).step().await.unwrap());
    world.grow().await;
    assert!(!replica(&world, 359).step().await.unwrap(), "too early");
    assert!(replica(&world, 360).step().await.unwrap());

    let sizes: Vec<_> = world.bodies().await.iter().map(|body| body["size"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [3, 4, 5]);
    assert_eq!(world.statuses(named).await, [DeliveryStatus::Pending; 3]);
}

#[sqlx::test]
async fn of_replicas_at_the_same_time_one_publishes_a_checkpoint(pool: PgPool) {
    let world = World::new(pool);
    world.endpoint(Some(vec![EventType::AuditCheckpoint])).await;
    world.grow().await;
    let replicas: Vec<_> = (0..4).map(|n| replica(&world, n)).collect();
    let published = futures::future::join_all(replicas.iter().map(CheckpointPublisher::step)).await;
    assert_eq!(published.into_iter().filter(|published| *published.as_ref().unwrap()).count(), 1);
    assert_eq!(world.bodies().await.len(), 1);
}

#[sqlx::test]
async fn only_endpoints_that_name_the_event_get_checkpoints(pool: PgPool) {
    let world = World::new(pool);
    let all = world.endpoint(None).await;
    world.endpoint(Some(vec![EventType::CampaignPaused])).await;
    world.grow().await;
    assert!(!replica(&world, 0).step().await.unwrap());
    assert!(world.bodies().await.is_empty());

    // The first one that is published is the newest, at once.
    let named = world.endpoint(Some(vec![EventType::CampaignPaused, EventType::AuditCheckpoint])).await;
    assert!(replica(&world, 1).step().await.unwrap());
    assert_eq!((world.deliveries(all, None).await.len(), world.deliveries(named, None).await.len()), (0, 1));
}

#[sqlx::test]
async fn a_published_checkpoint_is_signed_and_leaves_no_audit_entry(pool: PgPool) {
    let world = World::new(pool);
    world.endpoint(Some(vec![EventType::AuditCheckpoint])).await;
    world.grow().await;
    let entries = world.count("select count(*) from audit_entries").await;
    assert!(replica(&world, 0).step().await.unwrap());
    assert_eq!(world.count("select count(*) from audit_entries").await, entries);

    let body = &world.bodies().await[0];
    let claimed = world.claim().await.unwrap();
    assert_eq!((&body["type"], &body["event"]), (&"audit.checkpoint".into(), &"AUDIT_CHECKPOINT".into()));
    assert_eq!(
        (&body["id"], &body["timestamp"]),
        (&claimed.event_id.to_string().into(), &world.now.to_string().into())
    );
    assert_eq!((&body["origin"], &body["size"]), (&"audit.example.com/test".into(), &entries.into()));
    let key = LogKeys::parse("audit.example.com/test", KEY).unwrap().public()[0].clone();
    let checkpoint = key.check(body["checkpoint"].as_str().unwrap()).unwrap();
    assert_eq!((checkpoint.size(), checkpoint.origin()), (entries.unsigned_abs(), "audit.example.com/test"));
}
