//! Endpoints, their secrets and lists.

use super::*;

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
        endpoints.push(world.endpoint(None).await);
    }
    // All have the same time of creation.
    endpoints.sort_unstable_by(|a, b| b.cmp(a));
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
async fn an_endpoint_with_an_event_type_of_a_newer_version_is_read_without_it(pool: PgPool) {
    let world = World::new(pool);
    let id = world.endpoint(Some(vec![EventType::CampaignPaused])).await;
    let add = "update webhook_endpoints set events = array_append(events, 'callback.moved')";
    sqlx::query(add).execute(&world.pool).await.unwrap();

    let found = world.store.find(id).await.unwrap().unwrap();
    let listed = world.store.page(&PageRequest { limit: 1, after: None }).await.unwrap().data;

    assert_eq!(found.events, Some(vec![EventType::CampaignPaused]));
    assert_eq!(listed[0].events, found.events);
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
