//! A client of the service that uses any replica, and retries requests without an answer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use fastrand::Rng;
use reqwest::{Client as Http, Method};
use serde_json::Value;

use super::record::Record;

/// Longer than the longest wait that a client asks for, and a frozen replica.
const TIMEOUT: Duration = Duration::from_secs(40);
/// How long one request is tried again.
const PATIENCE: Duration = Duration::from_secs(150);
/// Between two tries, in milliseconds.
const PAUSE: std::ops::Range<u64> = 200..1500;

/// Clones are the same client.
#[derive(Clone)]
pub struct Client {
    http: Http,
    pub replicas: Vec<String>,
    key: String,
    pub record: Record,
}

/// One request to the service.
#[derive(Clone)]
pub struct Ask {
    /// For the counts.
    pub what: &'static str,
    pub path: String,
    pub body: Value,
    pub idempotency_key: Option<String>,
    /// The `Prefer` header.
    pub prefer: Option<String>,
}

/// An answer that is no passing failure.
pub struct Answer {
    pub status: u16,
    pub body: Value,
    /// The request was sent before without an answer, or was answered with a retryable error.
    pub is_repeat: bool,
}

impl Answer {
    /// The slug of a problem.
    pub fn problem(&self) -> &str {
        self.body["type"].as_str().and_then(|text| text.strip_prefix("/problems/")).unwrap_or_default()
    }

    /// Whether input was refused only because its window has come too close.
    pub fn is_too_late(body: &Value) -> bool {
        let faults = body["errors"].as_array().map_or(&[][..], Vec::as_slice);
        !faults.is_empty() && faults.iter().all(|fault| fault["code"] == "window-in-the-past")
    }
}

impl Client {
    pub fn new(replicas: Vec<String>, key: String, record: Record) -> anyhow::Result<Self> {
        let http = ringback::tls::client_builder().timeout(TIMEOUT).connect_timeout(Duration::from_secs(2)).build()?;
        Ok(Self { http, replicas, key, record })
    }

    /// Sends a request until something answers it for good. None where nothing did.
    pub async fn until_answered(&self, ask: &Ask, rng: &mut Rng) -> Option<Answer> {
        let deadline = Instant::now() + PATIENCE;
        let mut is_repeat = false;
        while Instant::now() < deadline {
            if let Some(answer) = self.once(ask, rng).await
                && !is_passing(&answer)
            {
                return Some(Answer { is_repeat, ..answer });
            }
            is_repeat = true;
            tokio::time::sleep(Duration::from_millis(rng.u64(PAUSE))).await;
        }
        None
    }

    /// Sends a request to some replica, once. None where no answer came.
    pub async fn once(&self, ask: &Ask, rng: &mut Rng) -> Option<Answer> {
        self.once_to(rng.usize(0..self.replicas.len()), ask).await
    }

    /// Sends a request to this replica, once. None where no answer came.
    pub async fn once_to(&self, replica: usize, ask: &Ask) -> Option<Answer> {
        let mut request = self.http.post(format!("{}{}", self.replicas[replica], ask.path)).bearer_auth(&self.key);
        if let Some(key) = &ask.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some(prefer) = &ask.prefer {
            request = request.header("prefer", prefer);
        }
        self.answer(ask.what, replica, request.json(&ask.body)).await
    }

    /// Reads something from one replica, once.
    pub async fn look(&self, replica: usize, path: &str, timeout: Duration) -> Option<Answer> {
        let url = format!("{}{path}", self.replicas[replica]);
        let request = self.http.request(Method::GET, url).bearer_auth(&self.key).timeout(timeout);
        self.answer("GET", replica, request).await
    }

    /// Reads something from any replica, until it is there.
    pub async fn read(&self, path: &str) -> anyhow::Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        for replica in (0..self.replicas.len()).cycle() {
            match self.look(replica, path, TIMEOUT).await {
                Some(answer) if answer.status == 200 => return Ok(answer.body),
                answer => last = answer.map(|answer| (answer.status, answer.body)),
            }
            if Instant::now() > deadline {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        bail!("GET {path} is not answered; last: {last:?}")
    }

    /// All pages of a list.
    pub async fn read_all(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.read(&format!("{path}{separator}limit=200{cursor}")).await?;
            items.extend(page["data"].as_array().context("a page has no data")?.iter().cloned());
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }

    async fn answer(&self, what: &'static str, replica: usize, request: reqwest::RequestBuilder) -> Option<Answer> {
        let answered = async {
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            anyhow::Ok((status, serde_json::from_slice(&answer.bytes().await?).unwrap_or_default()))
        };
        match answered.await {
            Ok((status, body)) => {
                self.record.answered(what, replica, status, &body);
                Some(Answer { status, body, is_repeat: false })
            }
            Err(_) => {
                self.record.unanswered(what);
                None
            }
        }
    }
}

/// Worth trying again: it says so itself.
fn is_passing(answer: &Answer) -> bool {
    answer.status >= 500 || answer.problem() == "idempotency-key-in-use"
}
