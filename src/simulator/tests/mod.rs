//! The simulator over real sockets, as its clients see it.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

mod campaign_faults;
mod faults;
mod nice;
mod nice_access;
mod nice_callbacks;
mod nice_outcomes;
mod nice_skills;
mod nice_statistics;

use super::clock::now;
use super::{Campaign, CampaignState, Settings, Simulator, serve};

const CAMPAIGN: &str = "/api/v2/outbound/campaigns/sales";
const CONTACTS: &str = "/api/v2/outbound/contacts";
const MESSAGES: &str = "/api/v2/messaging/sessions";
const CONTACT_ID: &str = "0195f7a8-7c3b-7d7e-9c1a-3b1f1e0a2b4c";

/// A running simulator with the campaigns `sales` (active) and `old` (inactive), and a client with a token.
struct TestServer {
    base: String,
    client: Client,
    token: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl TestServer {
    async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let mut server = Self::without_token(settings).await;
        let answer = server.request_token(&[("grant_type", "client_credentials")]).await;
        server.token = body(answer, 200).await["access_token"].as_str().expect("a token").to_owned();
        server
    }

    async fn without_token(settings: Settings) -> Self {
        let simulator = Simulator::new(settings);
        simulator.add_campaign("sales", Campaign::default());
        simulator.add_campaign("old", Campaign { state: CampaignState::Inactive, ..Campaign::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(serve(listener, simulator, async { drop(stopped.await) }));
        let client = crate::tls::client_builder().tls_certs_only([]).build().expect("a client");
        Self { base, client, token: String::new(), stop, served }
    }

    async fn request_token(&self, form: &[(&str, &str)]) -> Response {
        let request = self.client.post(format!("{}/oauth/token", self.base));
        sent(request.basic_auth("simulator", Some("simulator-secret")).form(form)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    async fn get(&self, path: &str) -> Response {
        sent(self.request(Method::GET, path)).await
    }

    async fn put(&self, path: &str, body: Value) -> Response {
        sent(self.request(Method::PUT, path).json(&body)).await
    }

    async fn post(&self, path: &str, body: Value) -> Response {
        sent(self.request(Method::POST, path).json(&body)).await
    }

    async fn fault(&self, fault: Value) {
        body(self.post("/_control/faults", fault).await, 201).await;
    }

    async fn list(&self, what: &str) -> Vec<Value> {
        let listed = body(self.get(&format!("/_control/{what}")).await, 200).await;
        listed.as_array().cloned().expect("a list")
    }
}

async fn sent(request: RequestBuilder) -> Response {
    request.send().await.expect("an answer")
}

#[track_caller]
fn body(response: Response, status: u16) -> impl Future<Output = Value> {
    let answered = response.status();
    let caller = std::panic::Location::caller();
    async move {
        let text = response.text().await.expect("a body");
        assert_eq!(answered.as_u16(), status, "{text} at {caller}");
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }
}

fn contact(id: &str) -> Value {
    let start = now() + SignedDuration::from_hours(1);
    json!({ "contact": {
        "contactId": id,
        "campaignId": "sales",
        "phone": "+4930901820",
        "scheduledStartDateTime": start,
        "attributes": {
            "callback_requested_by": "ivr",
            "callback_language": "de-DE",
            "callback_window_start": start,
            "callback_window_end": start,
        },
        "retry": { "retryCount": 3, "retryInterval": "PT15M" },
    } })
}

fn message() -> Value {
    json!({ "to": "+4930901820", "from": "+4930901821", "message": "Hello", "channels": ["sms"] })
}

#[tokio::test]
async fn a_token_is_issued_only_for_valid_credentials_and_requested_scopes() {
    let server = TestServer::new().await;
    let url = format!("{}/oauth/token", server.base);
    let form = |secret| {
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", "simulator"),
            ("client_secret", secret),
            ("scope", "outbound:contact:write outbound:forecast:read"),
        ];
        server.client.post(&url).form(&fields)
    };

    let answer = body(sent(form("simulator-secret")).await, 200).await;
    assert_eq!((&answer["expires_in"], &answer["token_type"]), (&json!(1800), &json!("Bearer")));
    let narrow = answer["access_token"].as_str().expect("a token");
    let refused = server.client.get(format!("{}{CAMPAIGN}", server.base)).bearer_auth(narrow);
    let refused = body(sent(refused).await, 403).await;
    assert!(refused["error_description"].to_string().contains("outbound:statistics:read"), "{refused}");

    assert_eq!(body(sent(form("wrong")).await, 401).await["error"], "invalid_client");
    let answer = server.request_token(&[("grant_type", "password")]).await;
    assert_eq!(body(answer, 400).await["error"], "unsupported_grant_type");

    let received = server.list("received?route=token").await;
    assert_eq!(received.len(), 4);
    assert_eq!(received[0]["headers"]["authorization"], "Basic");
    assert_eq!(received[1]["body"]["client_id"], "simulator");
    let shown = json!(received).to_string();
    assert!(!shown.contains("secret\":") && !shown.contains("simulator-secret") && !shown.contains("wrong"), "{shown}");
}

#[tokio::test]
async fn tokens_can_be_expired_and_revoked_and_their_lifetime_set() {
    let mut server = TestServer::new().await;
    body(server.get(CAMPAIGN).await, 200).await;
    body(server.post("/_control/tokens/expire", Value::Null).await, 204).await;
    let refused = body(server.get(CAMPAIGN).await, 401).await;
    assert_eq!(refused, json!({ "error": "invalid_token", "error_description": "the token has expired" }));
    body(server.post("/_control/tokens/revoke", Value::Null).await, 204).await;
    body(server.get(CAMPAIGN).await, 401).await;

    let grant = [("grant_type", "client_credentials")];
    body(server.put("/_control/tokens", json!({ "lifetimeSeconds": null })).await, 204).await;
    assert_eq!(body(server.request_token(&grant).await, 200).await.get("expires_in"), None);
    body(server.put("/_control/tokens", json!({ "rawExpiresIn": "soon" })).await, 204).await;
    assert_eq!(body(server.request_token(&grant).await, 200).await["expires_in"], "soon");
    body(server.put("/_control/tokens", json!({ "lifetimeSeconds": 0 })).await, 204).await;
    let dead = body(server.request_token(&grant).await, 200).await;
    server.token = dead["access_token"].as_str().expect("a token").to_owned();
    body(server.get(CAMPAIGN).await, 401).await;
}

#[tokio::test]
async fn a_campaign_can_be_paused_and_resumed_and_invalid_changes_are_refused() {
    let server = TestServer::new().await;
    let read = body(server.get(CAMPAIGN).await, 200).await;
    assert_eq!(read, json!({ "id": "sales", "state": "ACTIVE", "maxAgents": 10, "dialingMode": "PREDICTIVE" }));

    let pause = json!({
        "state": "PAUSED", "pauseReason": "storm", "scheduledResumeTime": "2030-01-01T10:00:00Z",
        "maxAgents": 4, "dialingMode": "PREDICTIVE",
    });
    let paused = body(server.put(CAMPAIGN, pause.clone()).await, 200).await;
    assert_eq!((&paused["pauseReason"], &paused["maxAgents"]), (&json!("storm"), &json!(4)));
    let resume = json!({ "state": "ACTIVE", "maxAgents": 4, "dialingMode": "PREDICTIVE" });
    assert_eq!(body(server.put(CAMPAIGN, resume).await, 200).await.get("pauseReason"), None);

    let with = |name: &str, value: Value| {
        let mut changed = pause.clone();
        changed[name] = value;
        changed
    };
    let refusals = [
        (400, with("pauseReason", Value::Null)),
        (400, with("colour", json!("red"))),
        (400, json!({ "state": "PAUSED", "dialingMode": "PREDICTIVE" })),
        (422, with("state", json!("INACTIVE"))),
        (422, with("maxAgents", json!(-1))),
        (422, with("dialingMode", json!("PREVIEW"))),
        (422, with("scheduledResumeTime", json!("tomorrow"))),
    ];
    for (status, change) in refusals {
        body(server.put(CAMPAIGN, change).await, status).await;
    }
    body(server.put("/api/v2/outbound/campaigns/old", pause).await, 422).await;
    body(server.get("/api/v2/outbound/campaigns/none").await, 404).await;
}

#[tokio::test]
async fn a_change_by_another_user_is_a_conflict_until_the_client_reads_the_campaign_again() {
    let server = TestServer::new().await;
    let pause = json!({ "state": "PAUSED", "maxAgents": 10, "dialingMode": "PREDICTIVE" });
    body(server.get(CAMPAIGN).await, 200).await;
    let changed = body(server.put("/_control/campaigns/sales", json!({ "maxAgents": 7 })).await, 200).await;
    assert_eq!((&changed["revision"], &changed["maxAgents"]), (&json!(2), &json!(7)));
    assert_eq!(body(server.put(CAMPAIGN, pause.clone()).await, 409).await["error"], "campaign_changed");
    assert_eq!(body(server.get(CAMPAIGN).await, 200).await["maxAgents"], 7);
    body(server.put(CAMPAIGN, pause).await, 200).await;
}

#[tokio::test]
async fn a_repeated_contact_id_creates_no_second_contact() {
    let server = TestServer::new().await;
    let answer = body(server.post(CONTACTS, contact(CONTACT_ID)).await, 201).await;
    assert_eq!(answer, json!({ "contactId": CONTACT_ID }));
    let mut late = contact(CONTACT_ID);
    late["contact"]["scheduledStartDateTime"] = json!("2020-01-01T00:00:00Z");
    assert_eq!(body(server.post(CONTACTS, late).await, 409).await["error"], "contact_already_exists");
    let made = server.list("contacts").await;
    assert_eq!((made.len(), &made[0]["repeats"]), (1, &json!(1)));
}

#[tokio::test]
async fn invalid_contacts_are_refused_with_a_description() {
    let server = TestServer::new().await;
    let refusals = [
        ("/contactId", json!("17"), "UUID"),
        ("/phone", json!("030 901820"), "E.164"),
        ("/campaignId", json!("none"), "unknown campaign"),
        ("/campaignId", json!("old"), "inactive campaign"),
        ("/scheduledStartDateTime", json!("2020-01-01T00:00:00Z"), "in the future"),
        ("/attributes/callback_language", json!(""), "callback_language is empty"),
        ("/attributes/callback_window_end", Value::Null, "callback_window_end is null"),
        ("/retry/retryInterval", json!("15"), "duration"),
        ("/retry/retryCount", json!(1.5), "whole number"),
        ("/retry", json!({}), "retryCount is missing"),
    ];
    for (member, value, words) in refusals {
        let mut bad = contact(CONTACT_ID);
        *bad.pointer_mut(&format!("/contact{member}")).expect("a member") = value;
        let refused = body(server.post(CONTACTS, bad).await, 400).await;
        assert!(refused["error_description"].to_string().contains(words), "{member}: {refused}");
    }
    assert!(server.list("contacts").await.is_empty());
}

#[tokio::test]
async fn a_forecast_covers_every_hour_that_overlaps_the_range() {
    let server = TestServer::new().await;
    let forecast = async |start: &str, end: &str| {
        let query = [("campaignId", "sales"), ("startTime", start), ("endTime", end), ("granularity", "hourly")];
        sent(server.request(Method::GET, "/api/v2/outbound/forecast").query(&query)).await
    };
    let (start, end) = ("2030-01-01T10:30:00+01:00", "2030-01-01T11:00:00Z");

    let answer = body(forecast(start, end).await, 200).await;
    assert_eq!(answer["startTime"], "2030-01-01T09:30:00Z");
    let hours: Vec<_> = answer["forecast"].as_array().expect("a list").iter().map(|hour| &hour["hour"]).collect();
    assert_eq!(hours, ["2030-01-01T09:00:00Z", "2030-01-01T10:00:00Z"]);
    assert!(answer["forecast"][0]["availableAgents"].is_u64(), "{answer}");
    assert_eq!(body(forecast(start, end).await, 200).await, answer);
    body(forecast(end, start).await, 422).await;
    body(forecast(start, "2030-01-03T10:00:00Z").await, 422).await;
    body(server.get("/api/v2/outbound/forecast?campaignId=sales").await, 400).await;

    let path = "/_control/campaigns/sales/forecast";
    let hour = |hour: &str| json!({ "hour": hour, "availableAgents": 5, "expectedCalls": 1.5 });
    let hours = [hour("2030-01-01T08:00:00Z"), hour("2030-01-01T10:00:00Z"), hour("2030-01-01T11:00:00Z")];
    body(server.put(path, json!({ "hours": hours })).await, 204).await;
    assert_eq!(body(forecast(start, end).await, 200).await["forecast"], json!([hours[1]]));
    body(server.put(path, json!({ "raw": { "forecast": "none" } })).await, 204).await;
    assert_eq!(body(forecast(start, end).await, 200).await, json!({ "forecast": "none" }));
    body(sent(server.request(Method::DELETE, path)).await, 204).await;
    assert_eq!(body(forecast(start, end).await, 200).await, answer);
}

#[tokio::test]
async fn a_message_needs_a_verified_sender_and_valid_members() {
    let verified_senders = Some(vec!["+4930901821".to_owned()]);
    let server = TestServer::with(Settings { verified_senders, ..Settings::default() }).await;
    let session = body(server.post(MESSAGES, message()).await, 201).await;
    let refusals = [
        ("from", json!("+4930901822")),
        ("to", json!("4930901820")),
        ("message", json!("x".repeat(1601))),
        ("channels", json!(["fax"])),
    ];
    for (member, value) in refusals {
        let mut bad = message();
        bad[member] = value;
        body(server.post(MESSAGES, bad).await, 422).await;
    }
    let made = server.list("messages").await;
    assert_eq!((made.len(), &made[0]["sessionId"]), (1, &session["sessionId"]));
}

#[tokio::test]
async fn the_quota_counts_every_request_also_refused_ones() {
    // The token request used one.
    let server = TestServer::with(Settings { requests_per_minute: Some(3), ..Settings::default() }).await;
    body(server.get(CAMPAIGN).await, 200).await;
    body(server.get("/nowhere").await, 404).await;
    let refused = server.get(CAMPAIGN).await;
    let wait: u64 = refused.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    body(refused, 429).await;
    let counts = body(server.get("/_control/counts").await, 200).await;
    assert_eq!((&counts["total"], &counts["highestPerMinute"]), (&json!(4), &json!(4)));
    let reads = json!({ "total": 2, "unanswered": 0, "statuses": { "200": 1, "429": 1 } });
    assert_eq!(counts["routes"]["campaignRead"], reads);

    body(server.put("/_control/limits", json!({ "requestsPerMinute": null })).await, 204).await;
    body(server.get(CAMPAIGN).await, 200).await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_hanging_client() {
    let TestServer { base, client, token, stop, served } = TestServer::new().await;
    let fault = json!({ "route": "campaignRead", "kind": "hang" });
    body(sent(client.post(format!("{base}/_control/faults")).json(&fault)).await, 201).await;
    let hanging = tokio::spawn(client.get(format!("{base}{CAMPAIGN}")).bearer_auth(token).send());
    let received = format!("{base}/_control/received?route=campaignRead");
    while body(sent(client.get(&received)).await, 200).await == json!([]) {}

    stop.send(()).expect("a server");
    let stopped = tokio::time::timeout(Duration::from_secs(2), served).await;
    stopped.expect("promptly").expect("no panic").expect("no error");
    hanging.await.expect("no panic").expect_err("no answer");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused_and_logged() {
    let server = TestServer::new().await;
    body(server.get("/api/v3/anything").await, 404).await;
    body(sent(server.request(Method::DELETE, CAMPAIGN)).await, 405).await;
    assert_eq!(sent(server.request(Method::HEAD, CAMPAIGN)).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    body(server.get("/_control/typo").await, 404).await;
    assert_eq!(server.list("received?route=unknown").await.len(), 3);
    body(server.post("/_control/reset", Value::Null).await, 204).await;
    assert!(server.list("received").await.is_empty());
    assert_eq!(server.list("campaigns").await.len(), 2);
}
