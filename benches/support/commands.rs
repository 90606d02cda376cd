//! Commands that pause and resume a campaign, and dialer events of it.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use reqwest::Client;
use ringback::clock::Clock;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Outcome;
use super::cxone::Cxone;
use crate::harness::http_client;

pub const CAMPAIGN: &str = "0192f0c4-1111-7000-8000-000000000001";

/// Between a resume and the next pause.
const REST: Duration = Duration::from_millis(100);

/// How long pauses took, in microseconds from just before each was sent.
pub struct Pauses {
    /// To the moment when CXone receives the PUT.
    pub puts: Histogram<u64>,
    /// To the answer.
    pub answers: Histogram<u64>,
    /// Pauses that were answered before CXone confirmed them.
    pub pending: u64,
}

impl Pauses {
    fn new() -> Outcome<Self> {
        Ok(Self { puts: Histogram::new(3)?, answers: Histogram::new(3)?, pending: 0 })
    }
}

/// Sends commands to one service.
pub struct Commands {
    http: Client,
    url: String,
    key: String,
}

impl Commands {
    pub fn new(base_url: &str, key: &str) -> Self {
        Self { http: http_client(), url: format!("{base_url}/v1/campaigns/{CAMPAIGN}"), key: key.to_owned() }
    }

    /// Pauses and resumes a campaign in turn.
    pub async fn pauses(&self, cxone: &Cxone, count: u32) -> Outcome<Pauses> {
        cxone.change_campaign(CAMPAIGN, json!({"state": "ACTIVE"})).await;
        let mut pauses = Pauses::new()?;
        for _ in 0..count {
            tokio::time::sleep(REST).await;
            cxone.clear_received().await;
            let (sent_at, started_at) = (Clock::system().now(), Instant::now());
            let paused = self.send("pause", &pause()).await?;
            pauses.answers.record(micros(started_at.elapsed())?)?;
            let received_at = cxone.update_received_at(CAMPAIGN, "PAUSED").await;
            pauses.puts.record(micros(Duration::try_from(received_at.duration_since(sent_at)).unwrap_or_default())?)?;
            pauses.pending += u64::from(paused["status"] != "applied");
            self.send("resume", &json!({"force": true})).await?;
            cxone.campaign_when(CAMPAIGN, "ACTIVE").await;
        }
        Ok(pauses)
    }

    /// Reports 1,000 events at a time, of a campaign with an answer-rate guard. Returns how many were accepted.
    pub async fn report_events(&self, lasting: Duration, connections: usize) -> Outcome<u64> {
        let guard = json!({
            "enabled": false, "windowMs": 300_000, "minAnswerRate": 0.1, "minAttempts": 100, "pauseForMs": 600_000,
        });
        let settings = self.http.put(format!("{}/settings", self.url)).bearer_auth(&self.key);
        settings.json(&json!({ "answerRate": guard })).send().await?.error_for_status()?;
        let end = Instant::now() + lasting;
        let events: Vec<Value> =
            (0..1000).map(|index| json!({"type": if index % 3 == 0 { "ANSWER" } else { "ATTEMPT" }})).collect();
        let body = json!({ "events": events }).to_string();
        let mut reporting = JoinSet::new();
        for _ in 0..connections {
            let request = self.http.post(format!("{}/events", self.url)).bearer_auth(&self.key);
            let request = request.header("content-type", "application/json").body(body.clone()).build()?;
            let http = self.http.clone();
            reporting.spawn(async move {
                let mut taken = 0;
                while Instant::now() < end {
                    let again = request.try_clone().context("a body that can be sent again")?;
                    http.execute(again).await?.error_for_status()?.bytes().await?;
                    taken += 1000;
                }
                anyhow::Ok(taken)
            });
        }
        let taken = reporting.join_all().await.into_iter().collect::<Outcome<Vec<u64>>>()?;
        Ok(taken.into_iter().sum())
    }

    pub async fn send(&self, verb: &str, body: &Value) -> Outcome<Value> {
        let request = self.http.post(format!("{}/{verb}", self.url)).bearer_auth(&self.key).json(body);
        Ok(request.send().await?.json().await?)
    }
}

pub fn micros(duration: Duration) -> Outcome<u64> {
    Ok(u64::try_from(duration.as_micros())?)
}

pub fn pause() -> Value {
    json!({
        "pauseReason": "CARRIER_THROTTLE", "maxAgents": 10,
        "regulatoryWindow": {"startTime": "00:00", "endTime": "23:59", "timezone": "UTC"},
        "carrierLimit": {"maxConcurrentCalls": 100, "maxAgents": 30},
    })
}
