//! Replicas that are stopped for longer than a lease, with `CXONE_API=nice`: each request there creates another contact.

use serde_json::json;

use crate::support::{World, caller, eventually, payload_with};

#[tokio::test]
async fn an_attempt_that_was_frozen_beyond_its_lease_creates_nothing() {
    let world = World::nice(&[]).await;
    // The skills of the campaign are read after the callback is placed, and before its contact is created.
    world.cxone.fault(json!({"route": "campaignRead", "kind": "latency", "latencyMs": 1500, "times": 1})).await;
    world.accept(&payload_with(json!({"campaignId": "101"}))).await;
    world.cxone.wait_for_request("campaignRead").await;
    world.service.signal("STOP").await;

    let second = world.another_nice(&[]).await;
    let created = async |count: usize| match world.cxone.contacts().await.len() {
        made if made == count => Ok(()),
        made => Err(format!("{made} contacts")),
    };
    eventually("the contact of the second replica", async || created(1).await).await;
    world.service.signal("CONT").await;

    // The first replica works again, and its attempt has gone on meanwhile.
    let next = world.accept(&payload_with(json!({"campaignId": "101", "phoneNumber": caller(1)}))).await;
    world.settled_soon(&next).await;
    world.all_settled().await;
    assert_eq!(world.cxone.count("contact").await, 2);
    second.kill().await;
    world.end().await;
}
