//! CXone's simulator, in a process of its own, and what it has seen.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::world::{Outcome, find_line, read_on};

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Killed when it is dropped.
pub struct Cxone {
    pub base_url: String,
    http: Client,
    child: Child,
}

/// Requests that came in.
pub struct Counts {
    pub total: u64,
    pub unanswered: u64,
    pub highest_per_minute: u64,
    pub too_many: u64,
}

impl Cxone {
    pub async fn start() -> Outcome<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringback"))
            .args(["simulator", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("the simulator has no stderr")?).lines();
        let address = find_line(&mut lines, |line| Some(line[line.find("http://")?..].to_owned()));
        let base_url = address.await.context("the simulator did not start")?;
        read_on(lines);
        Ok(Self { base_url, http: ringback::tls::client(), child })
    }

    pub fn id(&self) -> Outcome<u32> {
        self.child.id().context("the simulator has ended")
    }

    /// Takes every request from here on, and answers none.
    pub async fn hang(&self) -> Outcome {
        self.fail(json!({"route": "*", "kind": "hang"})).await
    }

    /// Orders a fault, as the simulator's control API describes it.
    pub async fn fail(&self, fault: Value) -> Outcome {
        self.control(Method::POST, "faults", Some(fault)).await.map(drop)
    }

    /// Answers more than so many requests in a minute with 429.
    pub async fn allow(&self, requests_per_minute: u32) -> Outcome {
        let limits = json!({ "requestsPerMinute": requests_per_minute });
        self.control(Method::PUT, "limits", Some(limits)).await.map(drop)
    }

    /// A campaign that dials.
    pub async fn make_campaign(&self, id: &str) -> Outcome {
        let path = format!("campaigns/{id}");
        self.control(Method::PUT, &path, Some(json!({"state": "ACTIVE"}))).await.map(drop)
    }

    /// When the first PUT that brings a campaign to a state came in, since requests are counted.
    pub async fn told(&self, id: &str, state: &str, patience: Duration) -> Outcome<Timestamp> {
        let path = format!("received?route=campaignUpdate&campaign={id}");
        eventually(patience, &format!("a PUT of {state}"), async || {
            let received = self.control(Method::GET, &path, None).await?;
            let put = received.as_array().into_iter().flatten().find(|put| put["body"]["state"] == state);
            Ok(put.and_then(|put| put["at"].as_str()?.parse().ok()))
        })
        .await
    }

    /// Returns once a campaign is in this state.
    pub async fn is(&self, id: &str, state: &str, patience: Duration) -> Outcome {
        eventually(patience, &format!("a campaign that is {state}"), async || {
            let campaigns = self.control(Method::GET, "campaigns", None).await?;
            let is_so = |campaign: &Value| campaign["id"] == id && campaign["state"] == state;
            Ok(campaigns.as_array().into_iter().flatten().any(is_so).then_some(()))
        })
        .await
    }

    /// Counts from here on.
    pub async fn forget(&self) -> Outcome {
        self.control(Method::DELETE, "received", None).await.map(drop)
    }

    pub async fn counts(&self) -> Outcome<Counts> {
        let counts = self.control(Method::GET, "counts", None).await?;
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let routes: Vec<&Value> = counts["routes"].as_object().into_iter().flat_map(|routes| routes.values()).collect();
        Ok(Counts {
            total: counts["total"].as_u64().context("no counts from the simulator")?,
            unanswered: routes.iter().map(|route| number(&route["unanswered"])).sum(),
            highest_per_minute: number(&counts["highestPerMinute"]),
            too_many: routes.iter().map(|route| number(&route["statuses"]["429"])).sum(),
        })
    }

    async fn control(&self, method: Method, path: &str, body: Option<Value>) -> Outcome<Value> {
        let mut request = self.http.request(method, format!("{}/_control/{path}", self.base_url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?.error_for_status()?.bytes().await?;
        if answer.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&answer)?) }
    }
}

async fn eventually<T>(patience: Duration, what: &str, look: impl AsyncFn() -> Outcome<Option<T>>) -> Outcome<T> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("{what} never came about in {} s", patience.as_secs())
}
