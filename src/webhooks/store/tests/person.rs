use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::db::Db;
use crate::types::{ExternalId, Metadata, TimeWindow};
use crate::webhooks::event::{CallbackEvent, EventFailure};

impl World {
    /// Stores an event about a callback, with texts of clients and of CXone.
    async fn publish_about(&self, callback: Uuid) -> Uuid {
        let start = self.now;
        let event = CallbackEvent {
            window: TimeWindow::parse(start, start + SignedDuration::from_hours(1)).unwrap(),
            dispatch_time: None,
            contact_id: None,
            failure: Some(EventFailure { code: "cxone-rejected".into(), detail: "surgery".into() }),
            outcome: None,
            external_id: ExternalId::parse("patient-7").ok(),
            metadata: Metadata::parse(json!({"note": "surgery"}).as_object().unwrap()).ok(),
        };
        let entry =
            Entry { campaign_id: Some("c".into()), callback_id: Some(callback), ..self.entry(Action::CallbackFailed) };
        let entry = entry.with_event(&Event::Callback(event));
        let id = entry.id;
        sqlx::query("select audit_record($1)").bind(entry.into_json()).execute(&self.pool).await.unwrap();
        id
    }
}

#[sqlx::test]
async fn the_events_about_a_callback_lose_their_texts_and_the_answers_of_receivers(pool: PgPool) {
    let world = World::new(pool);
    let endpoint = world.endpoint(None).await;
    let (person, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let events =
        [world.publish_about(person).await, world.publish_about(other).await, world.publish_about(person).await];
    world.publish(Action::CampaignPaused, "c").await;
    for _ in 0..2 {
        let claimed = world.claim().await.unwrap();
        let answer = Some("patient-7".to_owned());
        let attempt = Attempt { at: world.now, duration_ms: 1, status: Some(200), error: None, answer };
        assert!(world.store.settle(&claimed, &attempt, &Verdict::Succeeded, None).await.unwrap().is_some());
    }
    let before = world.store.events_about(&[person, other]).await.unwrap();
    assert_eq!(before.iter().map(|event| event.id).collect::<Vec<_>>(), events);
    assert_eq!(
        (&before[0].body["externalId"], before[0].answers.as_slice()),
        (&json!("patient-7"), &["patient-7".into()][..])
    );

    let mut transaction = Db::new(world.pool.clone()).begin().await.unwrap();
    assert_eq!(WebhookStore::erase_events(&mut transaction, &[person]).await.unwrap(), 2);
    transaction.commit().await.unwrap();

    let after = world.store.events_about(&[person, other]).await.unwrap();
    let mut expected = before[0].body.clone();
    (expected["externalId"], expected["metadata"]) = (json!(null), json!(null));
    expected["failure"]["detail"] = json!("erased");
    assert_eq!((&after[0].body, after[0].answers.len()), (&expected, 0));
    assert_eq!((&after[1].body, &after[1].answers), (&before[1].body, &before[1].answers));
    // What is still to be delivered has the erased body.
    let pending = world.claim().await.unwrap();
    assert_eq!(pending.event_id, events[2]);
    assert!(!pending.body.contains("patient-7") && !pending.body.contains("surgery"), "{}", pending.body);
    assert_eq!(world.statuses(endpoint).await.len(), 4);
}
