//! Webhook endpoints and their deliveries.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Receiver, World, create_key, eventually};

/// 32 bytes in base64.
pub const ENCRYPTION_KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

impl World {
    /// With webhooks to loopback addresses allowed, and a key with the scopes that webhook tests need.
    pub async fn of_webhooks(settings: &[(&str, &str)]) -> Self {
        let all = [&[("WEBHOOKS_ALLOW_LOOPBACK", "true"), ("ENCRYPTION_KEY", ENCRYPTION_KEY)], settings].concat();
        let mut world = Self::with(&all).await;
        let scopes = [
            "campaigns:write",
            "campaigns:read",
            "campaigns:override",
            "events:write",
            "audit:read",
            "webhooks:write",
            "webhooks:read",
            "callbacks:write",
            "callbacks:read",
            "privacy:write",
            "privacy:read",
            "keys:write",
        ];
        world.key = create_key(&world.database, &scopes).await;
        world
    }

    /// Creates an endpoint. Returns the answer.
    pub async fn hook(&self, body: Value) -> Value {
        let answer = self.post("/v1/webhooks", &body).await;
        assert_eq!(answer.status(), 201);
        answer.json().await.unwrap()
    }

    /// Creates an endpoint for all events at a receiver. Returns its id.
    pub async fn hook_at(&self, receiver: &Receiver) -> String {
        self.hook(json!({"url": receiver.url})).await["id"].as_str().unwrap().to_owned()
    }

    /// The deliveries of an endpoint, newest first, when `wanted` is true of them.
    pub async fn deliveries_when(&self, hook: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        eventually("deliveries", async || {
            let listed = self.get(&format!("/v1/webhooks/{hook}/deliveries")).await;
            let deliveries = listed["data"].as_array().unwrap().clone();
            if wanted(&deliveries) { Ok(deliveries) } else { Err(listed.to_string()) }
        })
        .await
    }

    /// Sends a request without a body. Returns the status.
    pub async fn send(&self, method: Method, path: &str) -> u16 {
        self.request(method, path).send().await.unwrap().status().as_u16()
    }
}
