//! Replicas that are stopped for longer than a lease, with `CXONE_API=nice`: each request there creates another contact.

use reqwest::Method;
use serde_json::json;

use crate::support::{World, caller, eventually, payload_with};

impl World {
    async fn accept_from(&self, n: usize) -> String {
        self.accept(&payload_with(json!({"campaignId": "101", "phoneNumber": caller(n)}))).await
    }
}

#[tokio::test]
async fn an_attempt_that_was_frozen_beyond_its_lease_creates_nothing() {
    let world = World::nice(&[]).await;
    let first = world.accept_from(0).await;
    world.settled_soon(&first).await;
    // The attempt is frozen while it waits for another token, to send its request again.
    world.cxone.clear_received().await;
    world.cxone.fault(json!({"route": "token", "kind": "latency", "latencyMs": 1500, "times": 1})).await;
    world.cxone.control(Method::POST, "tokens/revoke", None).await;
    world.accept_from(1).await;
    world.cxone.wait_for_request("token").await;
    world.service.signal("STOP").await;

    let second = world.another_nice(&[]).await;
    eventually("the contact of the second replica", async || match world.cxone.contacts().await.len() {
        2 => Ok(()),
        made => Err(format!("{made} contacts")),
    })
    .await;
    world.service.signal("CONT").await;

    // The first replica works again, and its attempt has gone on meanwhile.
    let next = world.accept_from(2).await;
    world.settled_soon(&next).await;
    world.all_settled().await;
    assert_eq!(world.cxone.contacts().await.len(), 3);
    second.kill().await;
    world.end().await;
}
