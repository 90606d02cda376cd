//! CXone: the simulator in this process, with faults, and a record of what came in.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use reqwest::Client;
use ringback::clock::Clock;
use ringback::simulator::{Campaign, Settings, Simulator};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::verdict::Activation;

/// Short, so that tokens are asked for amid the faults, too.
const TOKEN_LIFETIME: std::time::Duration = std::time::Duration::from_secs(20);
const BODY_LIMIT: usize = 1 << 20;
const CAMPAIGNS: &str = "/api/v2/outbound/campaigns/";

/// One CXone, with an address for each replica.
pub struct Cxone {
    pub urls: Vec<String>,
    seen: Seen,
    http: Client,
}

/// What came in, in order.
#[derive(Clone, Default)]
struct Seen {
    requests: Arc<Mutex<Vec<(usize, Instant)>>>,
    activations: Arc<Mutex<Vec<Activation>>>,
}

#[derive(Clone)]
struct Listening {
    replica: usize,
    seen: Seen,
    clock: Clock,
}

impl Cxone {
    pub async fn start(replicas: usize, campaigns: &[String], seed: u64, quota: u32) -> anyhow::Result<Self> {
        let settings =
            Settings { seed, token_lifetime: TOKEN_LIFETIME, requests_per_minute: Some(quota), ..Settings::default() };
        let simulator = Simulator::new(settings);
        for id in campaigns {
            simulator.add_campaign(id, Campaign::default());
        }
        let seen = Seen::default();
        let mut urls = Vec::new();
        for replica in 0..replicas {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            urls.push(format!("http://{}", listener.local_addr()?));
            let listening = Listening { replica, seen: seen.clone(), clock: Clock::system() };
            let router = simulator.router().layer(from_fn_with_state(listening, note));
            tokio::spawn(axum::serve(listener, router).into_future());
        }
        Ok(Self { urls, seen, http: Client::new() })
    }

    /// Lets this share of all requests fail, in every way in which CXone does.
    pub async fn fail(&self, share: f64) -> anyhow::Result<()> {
        let faults = faults();
        // Each is tried after those before it have passed the request by.
        let rate = 1.0 - (1.0 - share).powf(1.0 / f64::from(u32::try_from(faults.len())?));
        for mut fault in faults {
            fault["route"] = json!("*");
            fault["rate"] = json!(rate);
            self.control(Method::POST, "faults", Some(fault)).await?;
        }
        Ok(())
    }

    pub async fn heal(&self) -> anyhow::Result<()> {
        self.control(Method::DELETE, "faults", None).await.map(drop)
    }

    pub async fn revoke_tokens(&self) -> anyhow::Result<()> {
        self.control(Method::POST, "tokens/revoke", None).await.map(drop)
    }

    /// `contacts`, `messages` or `campaigns`.
    pub async fn list(&self, what: &str) -> anyhow::Result<Vec<Value>> {
        let listed = self.control(Method::GET, what, None).await?;
        listed.as_array().cloned().context("CXone lists nothing")
    }

    pub async fn counts(&self) -> anyhow::Result<Value> {
        self.control(Method::GET, "counts", None).await
    }

    /// When requests came in, and through which replica.
    pub fn requests(&self) -> Vec<(usize, Instant)> {
        self.seen.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn activations(&self) -> Vec<Activation> {
        self.seen.activations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn control(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let url = self.urls.first().context("no replica, and so no address")?;
        let mut request = self.http.request(method, format!("{url}/_control/{path}"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?.error_for_status()?.bytes().await?;
        if answer.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&answer)?) }
    }
}

/// Refusals for good are not among them: here every callback can be carried out.
fn faults() -> Vec<Value> {
    let page = "<html><body>Bad gateway</body></html>";
    vec![
        json!({"kind": "status", "status": 500}),
        json!({"kind": "status", "status": 500, "afterWork": true}),
        json!({"kind": "status", "status": 502, "body": page}),
        json!({"kind": "status", "status": 502, "body": page, "afterWork": true}),
        json!({"kind": "status", "status": 503, "retryAfter": "1"}),
        json!({"kind": "status", "status": 504}),
        json!({"kind": "status", "status": 504, "afterWork": true}),
        json!({"kind": "status", "status": 429, "retryAfter": "1"}),
        json!({"kind": "drop"}),
        json!({"kind": "drop", "afterWork": true}),
        json!({"kind": "hang"}),
        json!({"kind": "hang", "afterWork": true}),
        json!({"kind": "body", "body": page}),
        json!({"kind": "body", "body": page, "afterWork": true}),
        json!({"kind": "body", "body": {"unexpected": true}, "afterWork": true}),
        json!({"kind": "latency", "latencyMs": 1500}),
    ]
}

/// Writes down what comes in, before the simulator and its faults.
async fn note(State(listening): State<Listening>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/_control") {
        return next.run(request).await;
    }
    let at = listening.clock.now();
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    listening.seen.note(listening.replica, at, &parts.method, parts.uri.path(), &body);
    next.run(Request::from_parts(parts, Body::from(body))).await
}

impl Seen {
    fn note(&self, replica: usize, at: Timestamp, method: &Method, path: &str, body: &[u8]) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push((replica, Instant::now()));
        let Some(campaign) = path.strip_prefix(CAMPAIGNS).filter(|_| method == Method::PUT) else { return };
        let change: Value = serde_json::from_slice(body).unwrap_or_default();
        if change["state"] == "ACTIVE" {
            let activation = Activation { campaign: campaign.to_ascii_lowercase(), at };
            self.activations.lock().unwrap_or_else(PoisonError::into_inner).push(activation);
        }
    }
}
