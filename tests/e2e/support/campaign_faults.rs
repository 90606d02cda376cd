//! Faults of campaigns in CXone, and their changes there.

use serde_json::{Value, json};

use super::Cxone;

/// A gateway's answer, which does not come from CXone.
const PAGE: &str = "<html><head><title>404</title></head><body><center>nginx</center></body></html>";

/// Faults last until `heal`, unless a number of times is given.
impl Cxone {
    /// A gateway answers requests of a route (`campaignRead`, `campaignUpdate`, `*`) with this status and a page.
    pub async fn gateway(&self, route: &str, status: u16) {
        self.fault(json!({"route": route, "kind": "status", "status": status, "body": PAGE})).await;
    }

    /// Like `gateway`, for the next `times` requests.
    pub async fn gateway_times(&self, route: &str, status: u16, times: u32) {
        let fault = json!({"route": route, "kind": "status", "status": status, "body": PAGE, "times": times});
        self.fault(fault).await;
    }

    /// The next PUT is not answered, and takes effect after the latency, over any change made in between.
    pub async fn put_late(&self, latency_ms: u64) {
        self.fault(json!({"route": "campaignUpdate", "kind": "late", "latencyMs": latency_ms, "times": 1})).await;
    }

    /// The next PUT is answered 504 at once, and takes effect after the latency, over any change made in between.
    pub async fn put_late_after_504(&self, latency_ms: u64) {
        let fault =
            json!({"route": "campaignUpdate", "kind": "late", "status": 504, "latencyMs": latency_ms, "times": 1});
        self.fault(fault).await;
    }

    /// The next `times` PUTs are answered 200 with the unchanged campaign, and have no effect.
    pub async fn ignore_puts(&self, times: u32) {
        self.fault(json!({"route": "campaignUpdate", "kind": "ignore", "times": times})).await;
    }

    /// PUTs that change this member (`maxAgents`, `scheduledResumeTime`, `pauseReason`) are refused with this status.
    pub async fn refuse_attribute(&self, attribute: &str, status: u16) {
        let fault =
            json!({"route": "campaignUpdate", "kind": "refuseAttribute", "attribute": attribute, "status": status});
        self.fault(fault).await;
    }

    /// The bodies of the PUTs of a campaign, in order, whatever they were answered.
    pub async fn puts(&self, campaign: &str) -> Vec<Value> {
        self.updates(campaign).await.into_iter().map(|mut put| put["body"].take()).collect()
    }

    /// The GETs of a campaign, in order: `{at, status, fault, …}`.
    pub async fn gets(&self, campaign: &str) -> Vec<Value> {
        self.list(&format!("received?route=campaignRead&campaign={campaign}")).await
    }

    /// The changes of a campaign, in order: `{at, sentAt, by, state, pauseReason?, scheduledResumeTime?, maxAgents, …}`;
    /// `by` is `client`, `somebody` or `schedule`, `at` is when it took effect, and `sentAt` when the PUT came in.
    pub async fn changes(&self, campaign: &str) -> Vec<Value> {
        self.list(&format!("changes?campaign={campaign}")).await
    }
}
