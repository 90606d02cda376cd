//! A WFO system's receiver of webhooks, which refuses some of them.

use std::collections::HashSet;

use fastrand::Rng;
use serde_json::Value;

use super::harness::{self, Received, Reply};

/// The percentage of webhooks that are refused once although they were processed, as when an answer is late.
const REFUSED: u32 = 10;

pub struct Receiver(harness::Receiver);

impl Receiver {
    pub async fn start(mut rng: Rng) -> Self {
        // None is refused twice: a delivery waits five minutes after its second failure, and later ones of its campaign wait for it.
        let mut refused = HashSet::new();
        let reply = move |received: &Received| {
            let id = received.headers.get("webhook-id").cloned();
            let is_refused = rng.u32(0..100) < REFUSED && refused.insert(id);
            Reply::Status(if is_refused { 503 } else { 200 })
        };
        Self(harness::Receiver::replying(reply).await)
    }

    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The events of campaigns, in the order in which they were received.
    pub fn of_campaigns(&self) -> Vec<Value> {
        let events = self.0.received().into_iter().map(|received| Received::event(&received));
        events.filter(|event| event["callbackId"].is_null() && event["auditId"].is_string()).collect()
    }
}
