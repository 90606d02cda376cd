//! The simulator over real sockets, as its clients meet it.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

mod misbehaviour;

use super::state::now;
use super::{Campaign, CampaignState, Settings, Simulator, serve};

const CAMPAIGN: &str = "/api/v2/outbound/campaigns/sales";
const CONTACTS: &str = "/api/v2/outbound/contacts";
const MESSAGES: &str = "/api/v2/messaging/sessions";
const CONTACT_ID: &str = "0195f7a8-7c3b-7d7e-9c1a-3b1f1e0a2b4c";

/// A served simulator with the campaigns `sales` (active) and `old` (inactive), and a client with a token.
struct Stand {
    base: String,
    client: Client,
    token: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Stand {
    async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let simulator = Simulator::new(settings);
        simulator.add_campaign("sales", Campaign::default());
        simulator.add_campaign("old", Campaign { state: CampaignState::Inactive, ..Campaign::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(serve(listener, simulator, async { drop(stopped.await) }));
        let client = Client::builder().no_proxy().build().expect("a client");
        let mut stand = Self { base, client, token: String::new(), stop, served };
        let answer = stand.ask_token(&[("grant_type", "client_credentials")]).await;
        stand.token = body(answer, 200).await["access_token"].as_str().expect("a token").to_owned();
        stand
    }

    async fn ask_token(&self, form: &[(&str, &str)]) -> Response {
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

    async fn made(&self, what: &str) -> Vec<Value> {
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
async fn tokens_are_issued_to_the_client_only() {
    let stand = Stand::new().await;
    let url = format!("{}/oauth/token", stand.base);
    let form = |secret| {
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", "simulator"),
            ("client_secret", secret),
            ("scope", "outbound:contact:write outbound:forecast:read"),
        ];
        stand.client.post(&url).form(&fields)
    };

    let answer = body(sent(form("simulator-secret")).await, 200).await;
    assert_eq!((&answer["expires_in"], &answer["token_type"]), (&json!(1800), &json!("Bearer")));
    let narrow = answer["access_token"].as_str().expect("a token");
    let refused = stand.client.get(format!("{}{CAMPAIGN}", stand.base)).bearer_auth(narrow);
    let refused = body(sent(refused).await, 403).await;
    assert!(refused["error_description"].to_string().contains("outbound:statistics:read"), "{refused}");

    assert_eq!(body(sent(form("wrong")).await, 401).await["error"], "invalid_client");
    let answer = stand.ask_token(&[("grant_type", "password")]).await;
    assert_eq!(body(answer, 400).await["error"], "unsupported_grant_type");

    let received = stand.made("received?route=token").await;
    assert_eq!(received.len(), 4);
    assert_eq!(received[0]["headers"]["authorization"], "Basic");
    assert_eq!(received[1]["body"]["client_id"], "simulator");
    let shown = json!(received).to_string();
    assert!(!shown.contains("secret\":") && !shown.contains("simulator-secret") && !shown.contains("wrong"), "{shown}");
}

#[tokio::test]
async fn tokens_end_when_told_to() {
    let mut stand = Stand::new().await;
    body(stand.get(CAMPAIGN).await, 200).await;
    body(stand.post("/_control/tokens/expire", Value::Null).await, 204).await;
    let refused = body(stand.get(CAMPAIGN).await, 401).await;
    assert_eq!(refused, json!({ "error": "invalid_token", "error_description": "the token has expired" }));
    body(stand.post("/_control/tokens/revoke", Value::Null).await, 204).await;
    body(stand.get(CAMPAIGN).await, 401).await;

    let grant = [("grant_type", "client_credentials")];
    body(stand.put("/_control/tokens", json!({ "lifetimeSeconds": null })).await, 204).await;
    assert_eq!(body(stand.ask_token(&grant).await, 200).await.get("expires_in"), None);
    body(stand.put("/_control/tokens", json!({ "rawExpiresIn": "soon" })).await, 204).await;
    assert_eq!(body(stand.ask_token(&grant).await, 200).await["expires_in"], "soon");
    body(stand.put("/_control/tokens", json!({ "lifetimeSeconds": 0 })).await, 204).await;
    let dead = body(stand.ask_token(&grant).await, 200).await;
    stand.token = dead["access_token"].as_str().expect("a token").to_owned();
    body(stand.get(CAMPAIGN).await, 401).await;
}

#[tokio::test]
async fn campaigns_are_paused_and_resumed() {
    let stand = Stand::new().await;
    let read = body(stand.get(CAMPAIGN).await, 200).await;
    assert_eq!(read, json!({ "id": "sales", "state": "ACTIVE", "maxAgents": 10, "dialingMode": "PREDICTIVE" }));

    let pause = json!({
        "state": "PAUSED", "pauseReason": "storm", "scheduledResumeTime": "2030-01-01T10:00:00Z",
        "maxAgents": 4, "dialingMode": "PREDICTIVE",
    });
    let paused = body(stand.put(CAMPAIGN, pause.clone()).await, 200).await;
    assert_eq!((&paused["pauseReason"], &paused["maxAgents"]), (&json!("storm"), &json!(4)));
    let resume = json!({ "state": "ACTIVE", "maxAgents": 4, "dialingMode": "PREDICTIVE" });
    assert_eq!(body(stand.put(CAMPAIGN, resume).await, 200).await.get("pauseReason"), None);

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
        body(stand.put(CAMPAIGN, change).await, status).await;
    }
    body(stand.put("/api/v2/outbound/campaigns/old", pause).await, 422).await;
    body(stand.get("/api/v2/outbound/campaigns/none").await, 404).await;
}

#[tokio::test]
async fn a_change_behind_the_clients_back_is_a_conflict_until_it_reads_again() {
    let stand = Stand::new().await;
    let pause = json!({ "state": "PAUSED", "maxAgents": 10, "dialingMode": "PREDICTIVE" });
    body(stand.get(CAMPAIGN).await, 200).await;
    let changed = body(stand.put("/_control/campaigns/sales", json!({ "maxAgents": 7 })).await, 200).await;
    assert_eq!((&changed["revision"], &changed["maxAgents"]), (&json!(2), &json!(7)));
    assert_eq!(body(stand.put(CAMPAIGN, pause.clone()).await, 409).await["error"], "campaign_changed");
    assert_eq!(body(stand.get(CAMPAIGN).await, 200).await["maxAgents"], 7);
    body(stand.put(CAMPAIGN, pause).await, 200).await;
}

#[tokio::test]
async fn contacts_are_made_once() {
    let stand = Stand::new().await;
    let answer = body(stand.post(CONTACTS, contact(CONTACT_ID)).await, 201).await;
    assert_eq!(answer, json!({ "contactId": CONTACT_ID }));
    let mut late = contact(CONTACT_ID);
    late["contact"]["scheduledStartDateTime"] = json!("2020-01-01T00:00:00Z");
    assert_eq!(body(stand.post(CONTACTS, late).await, 409).await["error"], "contact_already_exists");
    let made = stand.made("contacts").await;
    assert_eq!((made.len(), &made[0]["repeats"]), (1, &json!(1)));
}

#[tokio::test]
async fn bad_contacts_are_refused_in_words() {
    let stand = Stand::new().await;
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
        let refused = body(stand.post(CONTACTS, bad).await, 400).await;
        assert!(refused["error_description"].to_string().contains(words), "{member}: {refused}");
    }
    assert!(stand.made("contacts").await.is_empty());
}

#[tokio::test]
async fn forecasts_cover_every_hour_that_overlaps() {
    let stand = Stand::new().await;
    let forecast = async |start: &str, end: &str| {
        let query = [("campaignId", "sales"), ("startTime", start), ("endTime", end), ("granularity", "hourly")];
        sent(stand.request(Method::GET, "/api/v2/outbound/forecast").query(&query)).await
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
    body(stand.get("/api/v2/outbound/forecast?campaignId=sales").await, 400).await;

    let path = "/_control/campaigns/sales/forecast";
    let hour = |hour: &str| json!({ "hour": hour, "availableAgents": 5, "expectedCalls": 1.5 });
    let hours = [hour("2030-01-01T08:00:00Z"), hour("2030-01-01T10:00:00Z"), hour("2030-01-01T11:00:00Z")];
    body(stand.put(path, json!({ "hours": hours })).await, 204).await;
    assert_eq!(body(forecast(start, end).await, 200).await["forecast"], json!([hours[1]]));
    body(stand.put(path, json!({ "raw": { "forecast": "none" } })).await, 204).await;
    assert_eq!(body(forecast(start, end).await, 200).await, json!({ "forecast": "none" }));
    body(sent(stand.request(Method::DELETE, path)).await, 204).await;
    assert_eq!(body(forecast(start, end).await, 200).await, answer);
}

#[tokio::test]
async fn messages_come_from_verified_senders() {
    let verified_senders = Some(vec!["+4930901821".to_owned()]);
    let stand = Stand::with(Settings { verified_senders, ..Settings::default() }).await;
    let session = body(stand.post(MESSAGES, message()).await, 201).await;
    let refusals = [
        ("from", json!("+4930901822")),
        ("to", json!("4930901820")),
        ("message", json!("x".repeat(1601))),
        ("channels", json!(["fax"])),
    ];
    for (member, value) in refusals {
        let mut bad = message();
        bad[member] = value;
        body(stand.post(MESSAGES, bad).await, 422).await;
    }
    let made = stand.made("messages").await;
    assert_eq!((made.len(), &made[0]["sessionId"]), (1, &session["sessionId"]));
}

#[tokio::test]
async fn the_quota_counts_everything() {
    // One was spent on the token.
    let stand = Stand::with(Settings { requests_per_minute: Some(3), ..Settings::default() }).await;
    body(stand.get(CAMPAIGN).await, 200).await;
    body(stand.get("/nowhere").await, 404).await;
    let refused = stand.get(CAMPAIGN).await;
    let wait: u64 = refused.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    body(refused, 429).await;
    let counts = body(stand.get("/_control/counts").await, 200).await;
    assert_eq!((&counts["total"], &counts["highestPerMinute"]), (&json!(4), &json!(4)));
    let reads = json!({ "total": 2, "unanswered": 0, "statuses": { "200": 1, "429": 1 } });
    assert_eq!(counts["routes"]["campaignRead"], reads);

    body(stand.put("/_control/limits", json!({ "requestsPerMinute": null })).await, 204).await;
    body(stand.get(CAMPAIGN).await, 200).await;
}

#[tokio::test]
async fn faults_answer_instead_of_the_work() {
    let stand = Stand::new().await;
    stand.fault(json!({ "route": "contact", "kind": "status", "status": 503, "times": 2, "retryAfter": "soon" })).await;
    stand.fault(json!({ "route": "*", "kind": "body", "body": "<html>", "times": 1 })).await;
    stand.fault(json!({ "route": "message", "kind": "status", "status": 403, "rate": 0 })).await;
    for _ in 0..2 {
        let answer = stand.post(CONTACTS, contact(CONTACT_ID)).await;
        assert_eq!(answer.headers()["retry-after"], "soon");
        assert_eq!(body(answer, 503).await["error"], "server_error");
    }
    assert_eq!(body(stand.post(CONTACTS, contact(CONTACT_ID)).await, 200).await, "<html>");
    assert!(stand.made("contacts").await.is_empty());
    body(stand.post(CONTACTS, contact(CONTACT_ID)).await, 201).await;
    body(stand.post(MESSAGES, message()).await, 201).await;

    let left = stand.made("faults").await;
    assert_eq!((left.len(), &left[0]["id"]), (1, &json!(3)));
    body(sent(stand.request(Method::DELETE, "/_control/faults/3")).await, 204).await;
    assert!(stand.made("faults").await.is_empty());
    body(stand.post("/_control/faults", json!({ "route": "contact", "kind": "status" })).await, 400).await;

    let received = stand.made("received?route=contact").await;
    let outcomes: Vec<_> = received.iter().map(|entry| (&entry["status"], &entry["fault"])).collect();
    let (status, none) = (json!("status"), Value::Null);
    assert_eq!(outcomes[0], (&json!(503), &status));
    assert_eq!(outcomes[2], (&json!(200), &json!("body")));
    assert_eq!(outcomes[3], (&json!(201), &none));
    assert_eq!(received[3]["body"]["contact"]["contactId"], CONTACT_ID);
}

#[tokio::test]
async fn work_can_be_done_and_its_answer_lost() {
    let stand = Stand::new().await;
    stand.fault(json!({ "route": "contact", "kind": "drop", "times": 1 })).await;
    stand.fault(json!({ "route": "contact", "kind": "drop", "times": 1, "afterWork": true })).await;
    for made in 0..2 {
        let broken = stand.request(Method::POST, CONTACTS).json(&contact(CONTACT_ID)).send().await;
        assert!(broken.expect_err("no answer").is_request());
        assert_eq!(stand.made("contacts").await.len(), made);
    }
    stand.fault(json!({ "route": "message", "kind": "hang", "times": 1, "afterWork": true })).await;
    let hung = tokio::spawn(stand.request(Method::POST, MESSAGES).json(&message()).send());
    while stand.made("messages").await.is_empty() {}
    hung.abort();
    let counts = body(stand.get("/_control/counts").await, 200).await;
    assert_eq!(counts["routes"]["contact"]["unanswered"], 2);
    let received = stand.made("received?route=message").await;
    assert_eq!((&received[0]["status"], &received[0]["fault"]), (&Value::Null, &json!("hang")));
}

#[tokio::test]
async fn a_dropped_connection_carries_not_one_byte() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let stand = Stand::new().await;
    stand.fault(json!({ "route": "campaignRead", "kind": "drop" })).await;
    let address = stand.base.trim_start_matches("http://");
    let mut socket = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET {CAMPAIGN} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("a request");
    let mut answer = Vec::new();
    // Whether it ends or is reset depends on the system; either way nothing came.
    drop(socket.read_to_end(&mut answer).await);
    assert_eq!(String::from_utf8_lossy(&answer), "");
}

#[tokio::test]
async fn latency_delays_the_answer() {
    let stand = Stand::new().await;
    stand.fault(json!({ "route": "campaignRead", "kind": "latency", "latencyMs": 60_000, "times": 1 })).await;
    let late = tokio::spawn(stand.request(Method::GET, CAMPAIGN).send());
    while stand.made("received?route=campaignRead").await.is_empty() || !stand.made("faults").await.is_empty() {}
    assert!(!late.is_finished());
    late.abort();
    stand.fault(json!({ "route": "campaignRead", "kind": "latency", "latencyMs": 30, "times": 1 })).await;
    let asked = std::time::Instant::now();
    body(stand.get(CAMPAIGN).await, 200).await;
    assert!(asked.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn shutdown_waits_for_no_hanging_client() {
    let Stand { base, client, token, stop, served } = Stand::new().await;
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
async fn what_cxone_does_not_have_it_refuses() {
    let stand = Stand::new().await;
    body(stand.get("/api/v3/anything").await, 404).await;
    body(sent(stand.request(Method::DELETE, CAMPAIGN)).await, 405).await;
    assert_eq!(sent(stand.request(Method::HEAD, CAMPAIGN)).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    body(stand.get("/_control/typo").await, 404).await;
    assert_eq!(stand.made("received?route=unknown").await.len(), 3);
    body(stand.post("/_control/reset", Value::Null).await, 204).await;
    assert!(stand.made("received").await.is_empty());
    assert_eq!(stand.made("campaigns").await.len(), 2);
}
