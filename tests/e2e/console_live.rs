//! Open pages hear of changes, on any replica.

use reqwest::Method;
use serde_json::json;

use crate::support::{Browser, Service, World, create_key, pause, payload};

const SCOPES: [&str; 6] =
    ["callbacks:write", "callbacks:read", "campaigns:write", "campaigns:read", "audit:read", "webhooks:read"];

#[tokio::test]
async fn a_change_on_one_replica_is_announced_on_another_by_the_name_of_its_topic() {
    let mut world = World::start().await;
    world.key = create_key(&world.database, &SCOPES).await;
    let second = Service::start(&world.database, &world.cxone, &[]).await;
    let mut events = Browser::signed_in(&second.base_url, &world.key).await.events().await;
    // The first ones only say that a page must be read again.
    events.wait_for("status").await;
    assert_eq!(world.ask(&payload()).await.0, 201);
    events.wait_for("callbacks").await;
    assert_eq!(world.command("pause", &pause()).await.0, 200);
    events.wait_for("campaigns").await;
    world.request(Method::POST, "/v1/callbacks").json(&json!({})).send().await.unwrap();
    events.wait_for("audit").await;
    second.kill().await;
    world.end().await;
}

#[tokio::test]
async fn a_stream_ends_with_its_session_and_needs_one() {
    let world = World::start().await;
    let nobody = Browser::new(&world.service.base_url);
    assert_eq!(nobody.get("/console/events").await.status, 401);
    let browser = Browser::signed_in(&world.service.base_url, &world.key).await;
    let mut events = browser.events().await;
    world.database.run("update api_keys set revoked_at = now()").await;
    while events.next().await.is_some() {}
    assert_eq!(browser.get("/console/fragments/session").await.status, 401);
    world.end().await;
}

#[tokio::test]
async fn a_service_that_stops_ends_its_streams_at_once() {
    let World { database, cxone, service, key, .. } = World::start().await;
    let mut events = Browser::signed_in(&service.base_url, &key).await.events().await;
    events.wait_for("status").await;
    let log = service.log_at_end().await;
    assert!(!log.contains("closing the connections"), "{log}");
    while events.next().await.is_some() {}
    database.drop().await;
    drop(cxone);
}
