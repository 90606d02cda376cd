//! What CXone does wrong with campaigns, each in one line of a test.

#![allow(dead_code, reason = "tests take what they need")]

use reqwest::Method;
use serde_json::{Value, json};

use super::Cxone;

/// A gateway's answer, which says nothing about CXone.
const PAGE: &str = "<html><head><title>404</title></head><body><center>nginx</center></body></html>";

/// Faults of all requests about campaigns until `heal`, unless a number of times is given.
impl Cxone {
    /// A gateway answers requests of a route (`campaignRead`, `campaignUpdate`, `*`) with this status and a page.
    pub async fn gateway(&self, route: &str, status: u16) {
        self.fault(json!({"route": route, "kind": "status", "status": status, "body": PAGE})).await;
    }

    /// The same, for the next so many requests.
    pub async fn gateway_times(&self, route: &str, status: u16, times: u32) {
        let fault = json!({"route": route, "kind": "status", "status": status, "body": PAGE, "times": times});
        self.fault(fault).await;
    }

    /// The next PUT is not answered, and takes effect so much later, over whatever was changed in between.
    pub async fn put_late(&self, latency_ms: u64) {
        self.fault(json!({"route": "campaignUpdate", "kind": "late", "latencyMs": latency_ms, "times": 1})).await;
    }

    /// The next PUT is answered 504 at once, and takes effect so much later, over whatever was changed in between.
    pub async fn put_late_after_504(&self, latency_ms: u64) {
        let fault =
            json!({"route": "campaignUpdate", "kind": "late", "status": 504, "latencyMs": latency_ms, "times": 1});
        self.fault(fault).await;
    }

    /// The next so many PUTs are answered 200 with the campaign as it is, and change nothing.
    pub async fn ignore_puts(&self, times: u32) {
        self.fault(json!({"route": "campaignUpdate", "kind": "ignore", "times": times})).await;
    }

    /// PUTs are refused with this status where this member (`maxAgents`, `scheduledResumeTime`, `pauseReason`) has
    /// another value than the campaign has.
    pub async fn refuse_attribute(&self, attribute: &str, status: u16) {
        let fault =
            json!({"route": "campaignUpdate", "kind": "refuseAttribute", "attribute": attribute, "status": status});
        self.fault(fault).await;
    }

    /// CXone itself starts a paused campaign at its `scheduledResumeTime`.
    pub async fn resumes_itself(&self) {
        self.control(Method::PUT, "behaviour", Some(json!({"resumesItself": true}))).await;
    }

    /// The bodies of the PUTs of a campaign, in order, whatever they were answered.
    pub async fn puts(&self, campaign: &str) -> Vec<Value> {
        let received = self.list(&format!("received?route=campaignUpdate&campaign={campaign}")).await;
        received.into_iter().map(|mut put| put["body"].take()).collect()
    }

    /// The GETs of a campaign, in order: `{at, status, fault, …}`.
    pub async fn gets(&self, campaign: &str) -> Vec<Value> {
        self.list(&format!("received?route=campaignRead&campaign={campaign}")).await
    }

    /// What became of a campaign, in order: `{at, sentAt, by, state, pauseReason?, scheduledResumeTime?, maxAgents, …}`;
    /// `by` is `client`, `somebody` or `schedule`, `at` is when it took effect, and `sentAt` when the PUT came in.
    pub async fn changes(&self, campaign: &str) -> Vec<Value> {
        self.list(&format!("changes?campaign={campaign}")).await
    }
}
