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
use ringback::simulator::{Campaign, Settings, Simulator, router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::verdict::{Activation, By, Change};

/// Short, so that tokens are asked for amid the faults, too.
const TOKEN_LIFETIME: std::time::Duration = std::time::Duration::from_secs(20);
const BODY_LIMIT: usize = 1 << 20;
const PAGE: &str = "<html><body>Bad gateway</body></html>";
/// When changes that are late take effect, in milliseconds.
const LATE_MS: [u64; 3] = [1_000, 4_000, 8_000];
/// When the last of them has, once nothing fails any more.
pub const LATE_AT_MOST: std::time::Duration = std::time::Duration::from_secs(9);
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
            let app = router(&simulator).layer(from_fn_with_state(listening, note));
            tokio::spawn(axum::serve(listener, app).into_future());
        }
        Ok(Self { urls, seen, http: Client::new() })
    }

    /// Lets this share of all requests fail, in every way in which CXone does.
    pub async fn fail(&self, share: f64) -> anyhow::Result<()> {
        for fault in campaign_faults() {
            self.control(Method::POST, "faults", Some(fault)).await?;
        }
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

    /// Somebody there brings a campaign to a state.
    pub async fn change(&self, campaign: &str, state: &str) -> anyhow::Result<()> {
        let change = json!({"state": state, "pauseReason": null, "scheduledResumeTime": null});
        self.control(Method::PUT, &format!("campaigns/{campaign}"), Some(change)).await.map(drop)
    }

    /// A gateway answers for a campaign with a page, where no other fault does; gives the fault's id.
    pub async fn gateway(&self, campaign: &str, status: u16) -> anyhow::Result<u64> {
        let fault = json!({"route": "*", "campaign": campaign, "kind": "status", "status": status, "body": PAGE});
        let made = self.control(Method::POST, "faults", Some(fault)).await?;
        made["id"].as_u64().context("a fault has no id")
    }

    /// Ends a fault.
    pub async fn remove(&self, fault: u64) -> anyhow::Result<()> {
        self.control(Method::DELETE, &format!("faults/{fault}"), None).await.map(drop)
    }

    /// Whether it starts paused campaigns by itself at the time that it was told.
    pub async fn resume_itself(&self, resumes_itself: bool) -> anyhow::Result<()> {
        let behaviour = json!({ "resumesItself": resumes_itself });
        self.control(Method::PUT, "behaviour", Some(behaviour)).await.map(drop)
    }

    /// What became of campaigns, in order.
    pub async fn changes(&self) -> anyhow::Result<Vec<Change>> {
        self.list("changes")
            .await?
            .iter()
            .map(|change| change_of(change).context("a change that makes no sense"))
            .collect()
    }

    /// `contacts`, `messages`, `campaigns` or `changes`.
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

fn change_of(change: &Value) -> Option<Change> {
    let by = match change["by"].as_str()? {
        "client" => By::Service,
        "schedule" => By::Schedule,
        _ => By::Somebody,
    };
    Some(Change {
        campaign: change["id"].as_str()?.to_owned(),
        at: change["at"].as_str()?.parse().ok()?,
        sent_at: change["sentAt"].as_str().and_then(|at| at.parse().ok()),
        by,
        state: change["state"].as_str()?.to_owned(),
    })
}

/// What goes wrong with campaigns alone, each with a share of its own of the requests.
fn campaign_faults() -> Vec<Value> {
    let mut faults = vec![json!({"route": "campaignUpdate", "kind": "ignore", "rate": 0.05})];
    for latency in LATE_MS {
        let unanswered = json!({"route": "campaignUpdate", "kind": "late", "latencyMs": latency, "rate": 0.01});
        let mut refused = unanswered.clone();
        refused["status"] = json!(504);
        faults.extend([unanswered, refused]);
    }
    for (status, share) in [(404, 0.03), (403, 0.01), (410, 0.01)] {
        let page = json!({"kind": "status", "status": status, "body": PAGE, "rate": share});
        faults.extend(["campaignRead", "campaignUpdate"].map(|route| {
            let mut fault = page.clone();
            fault["route"] = json!(route);
            fault
        }));
    }
    faults
}

/// Refusals for good are not among them: here every callback can be carried out.
fn faults() -> Vec<Value> {
    vec![
        json!({"kind": "status", "status": 500}),
        json!({"kind": "status", "status": 500, "afterWork": true}),
        json!({"kind": "status", "status": 502, "body": PAGE}),
        json!({"kind": "status", "status": 502, "body": PAGE, "afterWork": true}),
        json!({"kind": "status", "status": 503, "retryAfter": "1"}),
        json!({"kind": "status", "status": 504}),
        json!({"kind": "status", "status": 504, "afterWork": true}),
        json!({"kind": "status", "status": 429, "retryAfter": "1"}),
        json!({"kind": "drop"}),
        json!({"kind": "drop", "afterWork": true}),
        json!({"kind": "hang"}),
        json!({"kind": "hang", "afterWork": true}),
        json!({"kind": "body", "body": PAGE}),
        json!({"kind": "body", "body": PAGE, "afterWork": true}),
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
