//! Claims, attempts and redeliveries.

use super::*;

#[sqlx::test]
async fn an_event_is_stored_only_for_endpoints_that_subscribe_to_it(pool: PgPool) {
    let world = World::new(pool);
    let all = world.endpoint(None).await;
    let resumed = world.endpoint(Some(vec![EventType::CampaignResumed])).await;

    let paused = world.publish(Action::CampaignPaused, "a").await;

    assert_eq!(world.deliveries(all, None).await[0].event_id, paused);
    assert!(world.deliveries(resumed, None).await.is_empty());
}

#[sqlx::test]
async fn an_event_without_a_subscriber_is_not_stored(pool: PgPool) {
    let world = World::new(pool);
    world.publish(Action::CampaignPaused, "a").await;
    assert_eq!(world.count("select count(*) from webhook_events").await, 0);
}

#[sqlx::test]
async fn deliveries_of_a_campaign_are_claimed_in_order_and_campaigns_do_not_wait_for_each_other(pool: PgPool) {
    let world = World::new(pool);
    world.endpoint(None).await;
    let first = world.publish(Action::CampaignPaused, "a").await;
    let second = world.publish(Action::CampaignResumed, "a").await;
    let other = world.publish(Action::CampaignPaused, "b").await;

    let claimed = world.claim().await.unwrap();
    assert_eq!(claimed.event_id, first);
    assert_eq!(world.claim().await.unwrap().event_id, other);
    assert!(world.claim().await.is_none());

    assert!(world.settle(&claimed, Verdict::Succeeded).await);
    assert_eq!(world.claim().await.unwrap().event_id, second);
}

#[sqlx::test]
async fn concurrent_claims_never_return_the_same_delivery(pool: PgPool) {
    let world = World::new(pool);
    world.endpoint(None).await;
    for campaign in ["a", "b", "c", "d", "e", "f"] {
        world.publish(Action::CampaignPaused, campaign).await;
    }

    let claims = futures::future::join_all((0..6).map(|_| world.claim())).await;
    let mut claimed: Vec<Uuid> = claims.into_iter().flatten().map(|claimed| claimed.id).collect();
    while let Some(more) = world.claim().await {
        claimed.push(more.id);
    }

    let number = claimed.len();
    claimed.sort_unstable();
    claimed.dedup();
    assert_eq!((number, claimed.len()), (6, 6));
}

#[sqlx::test]
async fn busy_endpoints_are_passed_over_and_failing_ones_come_last(pool: PgPool) {
    let mut world = World::new(pool);
    let (failing, healthy) = (world.endpoint(None).await, world.endpoint(None).await);
    world.publish(Action::CampaignPaused, "a").await;
    let failed = world.claim_except(&[healthy]).await.unwrap();
    assert!(world.settle(&failed, Verdict::Again(world.now + MINUTE)).await);
    world.now += 2 * MINUTE;

    assert_eq!(world.claim().await.unwrap().endpoint, healthy);
    assert!(world.claim_except(&[failing]).await.is_none());
    let retried = world.claim().await.unwrap();
    assert_eq!((retried.endpoint, retried.attempts, retried.failing_since), (failing, 1, Some(failed_at(&world))));
}

fn failed_at(world: &World) -> Timestamp {
    world.now - 2 * MINUTE
}

#[sqlx::test]
async fn a_delivery_is_due_again_when_its_lease_ends_and_the_earlier_claim_changes_nothing(pool: PgPool) {
    let mut world = World::new(pool);
    let endpoint = world.endpoint(None).await;
    world.publish(Action::CampaignPaused, "a").await;
    let lost = world.claim().await.unwrap();
    world.now += MINUTE;
    let claimed = world.claim().await.unwrap();

    assert!(!world.settle(&lost, Verdict::Dead).await);
    world.store.release(&lost.lease(), world.now).await.unwrap();
    assert!(world.claim().await.is_none());

    assert!(world.settle(&claimed, Verdict::Succeeded).await);
    assert_eq!(world.statuses(endpoint).await, [DeliveryStatus::Succeeded]);
}

#[sqlx::test]
async fn an_attempt_is_stored_once_where_its_statement_is_repeated(pool: PgPool) {
    let world = World::new(pool);
    let endpoint = world.endpoint(None).await;
    world.publish(Action::CampaignPaused, "a").await;
    let claimed = world.claim().await.unwrap();
    let verdict = Verdict::Again(world.now + MINUTE);

    assert!(world.settle(&claimed, verdict.clone()).await);
    assert!(!world.settle(&claimed, verdict).await);
    assert_eq!(world.deliveries(endpoint, None).await[0].attempts.as_array().unwrap().len(), 1);
}

#[sqlx::test]
async fn a_release_counts_no_attempt(pool: PgPool) {
    let world = World::new(pool);
    world.endpoint(None).await;
    world.publish(Action::CampaignPaused, "a").await;
    let claimed = world.claim().await.unwrap();

    world.store.release(&claimed.lease(), world.now).await.unwrap();
    let again = world.claim().await.unwrap();
    assert_eq!((again.id, again.attempts), (claimed.id, 0));
    world.store.release_lost(world.now + MINUTE, world.now).await.unwrap();
    assert_eq!(world.claim().await.unwrap().id, claimed.id);
}

#[sqlx::test]
async fn after_a_dead_delivery_the_next_one_of_the_campaign_is_due(pool: PgPool) {
    let world = World::new(pool);
    let endpoint = world.endpoint(None).await;
    world.publish(Action::CampaignPaused, "a").await;
    let next = world.publish(Action::CampaignResumed, "a").await;

    let claimed = world.claim().await.unwrap();
    assert!(world.settle(&claimed, Verdict::Dead).await);

    assert_eq!(world.claim().await.unwrap().event_id, next);
    assert_eq!(world.statuses(endpoint).await, [DeliveryStatus::Dead, DeliveryStatus::Pending]);
}

#[sqlx::test]
async fn a_disabled_endpoint_has_no_pending_delivery_and_gets_no_event_until_it_is_enabled(pool: PgPool) {
    let world = World::new(pool);
    let endpoint = world.endpoint(None).await;
    world.publish(Action::CampaignPaused, "a").await;
    world.publish(Action::CampaignPaused, "b").await;
    let claimed = world.claim().await.unwrap();

    assert!(world.settle(&claimed, GONE).await);
    world.publish(Action::CampaignResumed, "a").await;

    assert_eq!(world.statuses(endpoint).await, [DeliveryStatus::Dead; 2]);
    let disabled = world.store.find(endpoint).await.unwrap().unwrap().disabled;
    assert_eq!(disabled, Some((world.now, "gone".to_owned())));
    assert_eq!(world.count("select count(*) from audit_entries where action = 'webhook.disabled'").await, 1);

    assert!(world.store.enable(endpoint, world.entry(Action::WebhookEnabled)).await.unwrap());
    world.publish(Action::CampaignResumed, "b").await;
    assert_eq!(world.deliveries(endpoint, Some(DeliveryStatus::Pending)).await.len(), 1);
}

#[sqlx::test]
async fn a_delivery_that_became_dead_during_its_attempt_has_succeeded_if_it_was_accepted(pool: PgPool) {
    let world = World::new(pool);
    let endpoint = world.endpoint(None).await;
    world.publish(Action::CampaignPaused, "a").await;
    world.publish(Action::CampaignPaused, "b").await;
    let (accepted, gone) = (world.claim().await.unwrap(), world.claim().await.unwrap());

    assert!(world.settle(&gone, GONE).await);
    assert!(world.settle(&accepted, Verdict::Succeeded).await);
    assert_eq!(world.statuses(endpoint).await, [DeliveryStatus::Succeeded, DeliveryStatus::Dead]);
}

#[sqlx::test]
async fn a_redelivery_starts_over_unless_the_delivery_is_pending_or_its_endpoint_disabled(pool: PgPool) {
    let world = World::new(pool);
    world.endpoint(None).await;
    world.publish(Action::CampaignPaused, "a").await;
    let claimed = world.claim().await.unwrap();
    let redeliver = async |id| {
        let entry = world.entry(Action::WebhookRedelivered);
        world.store.redeliver(id, world.now, entry).await.unwrap()
    };

    assert_eq!(redeliver(claimed.id).await, Redelivery::AlreadyPending);
    assert_eq!(redeliver(Uuid::nil()).await, Redelivery::NotFound);
    assert!(world.settle(&claimed, Verdict::Succeeded).await);
    assert_eq!(redeliver(claimed.id).await, Redelivery::Started);

    let again = world.claim().await.unwrap();
    assert_eq!((again.id, again.event_id, again.attempts), (claimed.id, claimed.event_id, 0));
    let attempt = Attempt { at: world.now + MINUTE, duration_ms: 1, status: None, error: None, answer: None };
    assert!(world.store.settle(&again, &attempt, &GONE, None).await.unwrap().is_some());
    assert_eq!(redeliver(claimed.id).await, Redelivery::NoEndpoint);
    assert_eq!(world.count("select count(*) from audit_entries where action = 'webhook.redelivered'").await, 1);
}

#[sqlx::test]
async fn a_test_event_goes_once_to_its_endpoint_whatever_that_subscribes_to(pool: PgPool) {
    let world = World::new(pool);
    let tested = world.endpoint(Some(vec![EventType::CallbackFailed])).await;
    let other = world.endpoint(None).await;
    let entry = world.entry(Action::WebhookTested);
    let event = test_event(&entry, tested);
    let send = async |endpoint| world.store.send_to(endpoint, event.clone(), entry.clone()).await.unwrap();

    assert!(!send(Uuid::nil()).await);
    assert!(send(tested).await && send(tested).await);

    let claimed = world.claim().await.unwrap();
    assert_eq!((claimed.endpoint, claimed.event_id), (tested, entry.id));
    assert!(claimed.body.starts_with(r#"{"type":"webhook.test","#), "{}", claimed.body);
    assert!(world.claim().await.is_none() && world.deliveries(other, None).await.is_empty());
    assert_eq!(world.count("select count(*) from audit_entries where action = 'webhook.tested'").await, 1);
}

#[sqlx::test]
async fn failed_deliveries_since_a_moment_are_pending_again(pool: PgPool) {
    let mut world = World::new(pool);
    let endpoint = world.endpoint(None).await;
    for campaign in ["a", "b", "c"] {
        world.publish(Action::CampaignPaused, campaign).await;
        let claimed = world.claim().await.unwrap();
        let verdict = if campaign == "c" { Verdict::Succeeded } else { Verdict::Dead };
        assert!(world.settle(&claimed, verdict).await);
        world.now += MINUTE;
    }

    let (since, entry) = (world.now - 2 * MINUTE, world.entry(Action::WebhookRedelivered));
    assert_eq!(world.store.redeliver_failed(endpoint, since, world.now, entry).await.unwrap(), 1);

    let expected = [DeliveryStatus::Dead, DeliveryStatus::Pending, DeliveryStatus::Succeeded];
    assert_eq!(world.statuses(endpoint).await, expected);
}

#[sqlx::test]
async fn old_events_are_deleted_unless_a_delivery_is_pending(pool: PgPool) {
    let mut world = World::new(pool);
    world.endpoint(None).await;
    world.publish(Action::CampaignPaused, "a").await;
    let claimed = world.claim().await.unwrap();
    assert!(world.settle(&claimed, Verdict::Succeeded).await);
    let pending = world.publish(Action::CampaignResumed, "a").await;
    world.now += MINUTE;

    assert_eq!(world.store.purge(world.now).await.unwrap(), 1);
    assert_eq!(world.store.purge(world.now).await.unwrap(), 0);
    assert_eq!(world.claim().await.unwrap().event_id, pending);
}
