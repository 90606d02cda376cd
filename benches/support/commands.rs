//! Commands to a campaign: paused and resumed in turn, and how long each pause took.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::cxone::Cxone;
use super::world::Outcome;

const CAMPAIGN: &str = "0192f0c4-1111-7000-8000-000000000001";

/// Sends commands to one service.
pub struct Commands {
    http: Client,
    url: String,
    key: String,
}

impl Commands {
    pub fn new(base_url: &str, key: &str) -> Self {
        Self { http: Client::new(), url: format!("{base_url}/v1/campaigns/{CAMPAIGN}"), key: key.to_owned() }
    }

    /// So many pauses of a campaign that dials, each after a resume; in microseconds, from just before each was sent.
    pub async fn pauses(&self, cxone: &Cxone, count: u32, rest: Duration) -> Outcome<Histogram<u64>> {
        cxone.make_campaign(CAMPAIGN).await?;
        let mut latencies = Histogram::new(3)?;
        for _ in 0..count {
            tokio::time::sleep(rest).await;
            let started_at = Instant::now();
            let paused = self.send("pause", &pause()).await?;
            latencies.record(u64::try_from(started_at.elapsed().as_micros())?)?;
            let resumed = self.send("resume", &json!({"force": true})).await?;
            if (&paused["status"], &resumed["status"]) != (&json!("applied"), &json!("applied")) {
                bail!("a command was not carried out: {paused} {resumed}");
            }
        }
        Ok(latencies)
    }

    /// Reports 1,000 events at a time, of a campaign with an answer rate; says how many were taken.
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

    async fn send(&self, verb: &str, body: &Value) -> Outcome<Value> {
        let request = self.http.post(format!("{}/{verb}", self.url)).bearer_auth(&self.key).json(body);
        Ok(request.send().await?.json().await?)
    }
}

fn pause() -> Value {
    json!({
        "pauseReason": "CARRIER_THROTTLE", "maxAgents": 10,
        "regulatoryWindow": {"startTime": "00:00", "endTime": "23:59", "timezone": "UTC"},
        "carrierLimit": {"maxConcurrentCalls": 100, "maxAgents": 30},
    })
}
