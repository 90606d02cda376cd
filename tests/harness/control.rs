//! A client of the simulator's control API, which `ringback::simulator` documents.

use jiff::Timestamp;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{eventually, http_client};

/// Controls one simulator.
#[derive(Clone)]
pub struct Control {
    http: Client,
    pub base_url: String,
}

impl Control {
    pub fn new(base_url: &str) -> Self {
        Self { http: http_client(), base_url: base_url.to_owned() }
    }

    /// Sends a request to `/_control/{path}`. Returns the answer, or null if it has no body.
    pub async fn control(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, format!("{}/_control/{path}", self.base_url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "/_control/{path} answered {}", answer.status());
        let body = answer.bytes().await.unwrap();
        if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() }
    }

    /// A list, such as `contacts` or `received?route=token`.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        match self.control(Method::GET, path, None).await {
            Value::Array(items) => items,
            other => panic!("/_control/{path} is no list: {other}"),
        }
    }

    /// Adds a fault. Returns its id.
    pub async fn fault(&self, fault: Value) -> u64 {
        self.control(Method::POST, "faults", Some(fault)).await["id"].as_u64().expect("the fault's id")
    }

    pub async fn remove_fault(&self, id: u64) {
        self.control(Method::DELETE, &format!("faults/{id}"), None).await;
    }

    /// Removes all faults.
    pub async fn heal(&self) {
        self.control(Method::DELETE, "faults", None).await;
    }

    /// `{total, highestPerMinute, routes: {contact: {total, unanswered, statuses: {"201": 3}}}}`
    pub async fn counts(&self) -> Value {
        self.control(Method::GET, "counts", None).await
    }

    /// The number of requests of a route, answered or not.
    pub async fn count(&self, route: &str) -> u64 {
        self.counts().await["routes"][route]["total"].as_u64().unwrap_or(0)
    }

    /// Clears the requests received so far, and their counts.
    pub async fn clear_received(&self) {
        self.control(Method::DELETE, "received", None).await;
    }

    /// The contacts created: `{at, contact, repeats}`.
    pub async fn contacts(&self) -> Vec<Value> {
        self.list("contacts").await
    }

    /// The messages sent: `{at, sessionId, to, from, message}`.
    pub async fn messages(&self) -> Vec<Value> {
        self.list("messages").await
    }

    /// The requests of one route.
    pub async fn received(&self, route: &str) -> Vec<Value> {
        self.list(&format!("received?route={route}")).await
    }

    /// The requests of all routes, in order.
    pub async fn received_all(&self) -> Vec<Value> {
        self.list("received").await
    }

    /// The PUTs of a campaign, in order, whatever they were answered.
    pub async fn updates(&self, campaign: &str) -> Vec<Value> {
        self.list(&format!("received?route=campaignUpdate&campaign={campaign}")).await
    }

    /// When the first PUT that sets this state was received.
    pub async fn update_received_at(&self, campaign: &str, state: &str) -> Timestamp {
        eventually(&format!("a PUT of {state}"), async || {
            let puts = self.updates(campaign).await;
            let put = puts.iter().find(|put| put["body"]["state"] == state);
            put.and_then(|put| put["at"].as_str()?.parse().ok()).ok_or_else(|| format!("{puts:?}"))
        })
        .await
    }

    /// The campaign, as it is in CXone.
    pub async fn campaign(&self, id: &str) -> Value {
        let campaigns = self.list("campaigns").await;
        campaigns.into_iter().find(|campaign| campaign["id"] == id).expect("CXone has the campaign")
    }

    /// The campaign, when it is in this state.
    pub async fn campaign_when(&self, id: &str, state: &str) -> Value {
        eventually(&format!("campaign {id} to be {state}"), async || {
            let campaign = self.campaign(id).await;
            if campaign["state"] == state { Ok(campaign) } else { Err(campaign.to_string()) }
        })
        .await
    }

    /// Creates a campaign, or changes it as another CXone user would.
    pub async fn change_campaign(&self, id: &str, change: Value) {
        self.control(Method::PUT, &format!("campaigns/{id}"), Some(change)).await;
    }

    /// Whether CXone itself resumes a paused campaign at its `scheduledResumeTime`.
    pub async fn set_resumes_itself(&self, resumes_itself: bool) {
        self.control(Method::PUT, "behaviour", Some(json!({"resumesItself": resumes_itself}))).await;
    }
}
