//! A WFO system's receiver of webhooks, which refuses some of them.

use fastrand::Rng;
use serde_json::Value;

use super::harness::{self, Received, Reply};

/// The percentage of webhooks that are refused although they were processed, as when an answer is late.
const REFUSED: u32 = 10;

pub struct Receiver(harness::Receiver);

impl Receiver {
    pub async fn start(mut rng: Rng) -> Self {
        let reply = move || Reply::Status(if rng.u32(0..100) < REFUSED { 503 } else { 200 });
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
