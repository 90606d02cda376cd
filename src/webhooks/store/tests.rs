use std::time::Duration;

use jiff::Timestamp;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Delivery, Redelivery, WebhookStore};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::db::{CreatedPosition, Db, PageRequest, decode_cursor};
use crate::webhooks::event::{CampaignEvent, Event, EventType};
use crate::webhooks::model::{Attempt, Claimed, DeliveryStatus, Endpoint, Verdict};

const MINUTE: Duration = Duration::from_secs(60);
const CURRENT: &[u8] = b"current";

/// The store of a test, at a time that the test sets.
struct World {
    store: WebhookStore,
    pool: PgPool,
    now: Timestamp,
}

impl World {
    fn new(pool: PgPool) -> Self {
        let now = "2026-11-20T15:00:00Z".parse().unwrap();
        Self { store: WebhookStore::new(Db::new(pool.clone())), pool, now }
    }

    fn entry(&self, action: Action) -> Entry {
        Entry::new(Clock::system().new_id(), self.now, action, Actor::operator(), Outcome::Succeeded)
    }

    async fn endpoint(&self, events: Option<Vec<EventType>>) -> Uuid {
        let id = Clock::system().new_id();
        let endpoint = Endpoint {
            id,
            url: "https://wfo.example.com/hooks".into(),
            events,
            description: None,
            is_configured: false,
            secret: Some(CURRENT.into()),
            failing_since: None,
            disabled: None,
            created_at: self.now,
        };
        assert!(self.store.insert(&endpoint, self.entry(Action::WebhookCreated)).await.unwrap());
        id
    }

    /// Stores an event as `audit_record()` does. Returns its id.
    async fn publish(&self, action: Action, campaign: &str) -> Uuid {
        let event = CampaignEvent { pause_reason: None, by_answer_rate: false, scheduled_resume_time: None };
        let entry =
            Entry { campaign_id: Some(campaign.into()), ..self.entry(action) }.with_event(&Event::Campaign(event));
        let id = entry.id;
        sqlx::query("select audit_record($1)").bind(entry.into_json()).execute(&self.pool).await.unwrap();
        id
    }

    async fn claim_except(&self, busy: &[Uuid]) -> Option<Claimed> {
        self.store.claim(self.now, self.now + MINUTE, busy, None).await.unwrap()
    }

    async fn claim(&self) -> Option<Claimed> {
        self.claim_except(&[]).await
    }

    async fn settle(&self, claimed: &Claimed, verdict: Verdict) -> bool {
        let attempt = Attempt { at: self.now, duration_ms: 1, status: Some(200), error: None, answer: None };
        let disabled = matches!(verdict, Verdict::Disabled(_)).then(|| self.entry(Action::WebhookDisabled));
        self.store.settle(claimed, &attempt, &verdict, disabled).await.unwrap()
    }

    async fn deliveries(&self, endpoint: Uuid, status: Option<DeliveryStatus>) -> Vec<Delivery> {
        self.store.deliveries(endpoint, status, &PageRequest { limit: 200, after: None }).await.unwrap().data
    }

    /// The statuses of an endpoint's deliveries, oldest first.
    async fn statuses(&self, endpoint: Uuid) -> Vec<DeliveryStatus> {
        self.deliveries(endpoint, None).await.iter().rev().map(|delivery| delivery.status).collect()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }
}

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

    assert!(world.settle(&claimed, Verdict::Disabled("gone")).await);
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

    assert!(world.settle(&gone, Verdict::Disabled("gone")).await);
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
    let disabled = Verdict::Disabled("gone");
    let attempt = Attempt { at: world.now + MINUTE, duration_ms: 1, status: None, error: None, answer: None };
    assert!(world.store.settle(&again, &attempt, &disabled, None).await.unwrap());
    assert_eq!(redeliver(claimed.id).await, Redelivery::NoEndpoint);
    assert_eq!(world.count("select count(*) from audit_entries where action = 'webhook.redelivered'").await, 1);
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
async fn a_previous_secret_signs_until_its_end(pool: PgPool) {
    let mut world = World::new(pool);
    let endpoint = world.endpoint(None).await;
    world.publish(Action::CampaignPaused, "a").await;
    let rotate = async |world: &World, secret: &[u8]| {
        let (until, entry) = (world.now + 2 * MINUTE, world.entry(Action::WebhookSecretRotated));
        assert!(world.store.rotate(endpoint, secret, until, world.now, entry).await.unwrap());
    };
    let secrets = async |world: &World| {
        let claimed = world.claim().await.unwrap();
        world.store.release(&claimed.lease(), world.now).await.unwrap();
        (claimed.secret.unwrap(), claimed.previous_secrets)
    };

    rotate(&world, b"second").await;
    world.now += MINUTE;
    rotate(&world, b"third").await;
    let both = vec![CURRENT.to_vec(), b"second".to_vec()];
    assert_eq!(secrets(&world).await, (b"third".to_vec(), both));

    world.now += MINUTE;
    assert_eq!(secrets(&world).await, (b"third".to_vec(), vec![b"second".to_vec()]));
    rotate(&world, b"fourth").await;
    assert_eq!(world.count("select count(*) from webhook_previous_secrets").await, 2);
}

#[sqlx::test]
async fn the_five_newest_previous_secrets_are_kept(pool: PgPool) {
    let mut world = World::new(pool);
    let endpoint = world.endpoint(None).await;
    for number in 0..8 {
        let entry = world.entry(Action::WebhookSecretRotated);
        let until = world.now + 60 * MINUTE;
        assert!(world.store.rotate(endpoint, &[number], until, world.now, entry).await.unwrap());
        world.now += MINUTE;
    }
    world.publish(Action::CampaignPaused, "a").await;
    let claimed = world.claim().await.unwrap();
    assert_eq!(claimed.secret.unwrap(), [7]);
    assert_eq!(claimed.previous_secrets, [[2], [3], [4], [5], [6]]);
}

#[sqlx::test]
async fn a_deleted_endpoint_has_no_secret_and_no_pending_delivery(pool: PgPool) {
    let world = World::new(pool);
    let endpoint = world.endpoint(None).await;
    world.publish(Action::CampaignPaused, "a").await;
    let entry = world.entry(Action::WebhookSecretRotated);
    assert!(world.store.rotate(endpoint, b"second", world.now + MINUTE, world.now, entry).await.unwrap());

    assert!(world.store.delete(endpoint, world.now, world.entry(Action::WebhookDeleted)).await.unwrap());
    assert!(!world.store.delete(endpoint, world.now, world.entry(Action::WebhookDeleted)).await.unwrap());

    assert!(world.store.find(endpoint).await.unwrap().is_none());
    assert!(world.claim().await.is_none());
    assert_eq!(world.statuses(endpoint).await, [DeliveryStatus::Dead]);
    let secrets =
        "select (select count(*) from webhook_previous_secrets) + (select count(secret) from webhook_endpoints)";
    assert_eq!(world.count(secrets).await, 0);
}

#[sqlx::test]
async fn pages_list_every_endpoint_and_delivery_once_newest_first(pool: PgPool) {
    let world = World::new(pool);
    let mut endpoints = Vec::new();
    for _ in 0..5 {
        endpoints.insert(0, world.endpoint(None).await);
    }
    let mut listed = Vec::new();
    let mut after: Option<CreatedPosition<Uuid>> = None;
    loop {
        let page = world.store.page(&PageRequest { limit: 2, after }).await.unwrap();
        listed.extend(page.data.iter().map(|endpoint| endpoint.id));
        let Some(cursor) = page.next_cursor else { break };
        after = decode_cursor(&cursor);
    }
    assert_eq!(listed, endpoints);

    let mut events = Vec::new();
    for campaign in ["a", "b", "c"] {
        events.insert(0, world.publish(Action::CampaignPaused, campaign).await);
    }
    let first = world.store.deliveries(endpoints[0], None, &PageRequest { limit: 2, after: None }).await.unwrap();
    let after = decode_cursor(&first.next_cursor.unwrap());
    let second = world.store.deliveries(endpoints[0], None, &PageRequest { limit: 2, after }).await.unwrap();
    let listed: Vec<Uuid> = first.data.iter().chain(&second.data).map(|delivery| delivery.event_id).collect();
    assert_eq!((listed, second.next_cursor), (events, None));
}

#[sqlx::test]
async fn an_endpoint_is_inserted_once_for_each_request(pool: PgPool) {
    let world = World::new(pool);
    let id = world.endpoint(None).await;
    let endpoint = world.store.find(id).await.unwrap().unwrap();
    let again = Endpoint { url: "https://other.example.com/".into(), ..endpoint };
    assert!(!world.store.insert(&again, world.entry(Action::WebhookCreated)).await.unwrap());
    assert_eq!(world.store.find(id).await.unwrap().unwrap().url, "https://wfo.example.com/hooks");
}

#[sqlx::test]
async fn only_the_configured_url_has_a_configured_endpoint_and_only_its_replicas_claim_it(pool: PgPool) {
    let world = World::new(pool);
    let now = world.now;
    let clock = Clock::manual(move || now, 7);
    let claim = async |configured| world.store.claim(now, now + MINUTE, &[], configured).await.unwrap();
    let configured = "select count(*) from webhook_endpoints where is_configured and deleted_at is null";

    world.store.configure(Some("https://a.example.com/"), &clock).await.unwrap();
    world.store.configure(Some("https://a.example.com/"), &clock).await.unwrap();
    world.publish(Action::CampaignPaused, "a").await;
    assert!(claim(None).await.is_none());
    assert!(claim(Some("https://b.example.com/")).await.is_none());
    let claimed = claim(Some("https://a.example.com/")).await.unwrap();
    assert_eq!((claimed.is_configured, claimed.secret), (true, None));

    world.store.configure(Some("https://b.example.com/"), &clock).await.unwrap();
    assert_eq!(world.statuses(claimed.endpoint).await, [DeliveryStatus::Dead]);
    assert_eq!(world.count(configured).await, 1);
    world.store.configure(None, &clock).await.unwrap();
    assert_eq!(world.count(configured).await, 0);
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
