//! The load: callbacks of new callers, and how long each POST takes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use jiff::SignedDuration;
use reqwest::Client;
use ringback::clock::Clock;
use ringback::types::{PhoneNumber, Region};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Outcome;
use crate::harness::plain_http;

/// The simulator's default campaign.
const CAMPAIGN: &str = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8";
/// The first of the numbers tried in order: area code 202, exchanges 200 to 999.
const FIRST_NUMBER: u32 = 2_000_000;

/// The `Prefer` header.
#[derive(Clone, Copy)]
pub enum Prefer {
    /// An answer when the callback is confirmed.
    Wait,
    /// An answer when the callback is stored.
    Async,
}

/// The results of many POSTs.
pub struct Load {
    /// In microseconds, from just before each request is sent.
    pub latencies: Histogram<u64>,
    pub statuses: BTreeMap<u16, u64>,
    /// Answers that say that the text message was sent.
    pub confirmed: u64,
    /// From the first one's start to the last one's end.
    pub took: Duration,
}

impl Load {
    pub fn new() -> Outcome<Self> {
        let latencies = Histogram::new(3)?;
        Ok(Self { latencies, statuses: BTreeMap::new(), confirmed: 0, took: Duration::ZERO })
    }

    /// Adds one answer.
    pub fn record(&mut self, status: u16, took: Duration) -> Outcome {
        self.latencies.record(u64::try_from(took.as_micros())?)?;
        *self.statuses.entry(status).or_default() += 1;
        Ok(())
    }

    /// Answers in a second.
    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    fn add(&mut self, other: &Self) -> Outcome {
        self.latencies.add(&other.latencies)?;
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.confirmed += other.confirmed;
        Ok(())
    }
}

/// Posts callbacks to one service.
#[derive(Clone)]
pub struct Posting {
    http: Client,
    url: String,
    key: String,
    region: Region,
    window: (String, String),
    next_number: Arc<AtomicU32>,
}

impl Posting {
    pub fn new(base_url: &str, key: &str) -> Outcome<Self> {
        let now = Clock::system().now();
        let hours = |hours| (now + SignedDuration::from_hours(hours)).to_string();
        Ok(Self {
            http: plain_http().timeout(Duration::from_mins(1)).build()?,
            url: format!("{base_url}/v1/callbacks"),
            key: key.to_owned(),
            region: Region::parse("US").map_err(|fault| anyhow::anyhow!(fault.detail))?,
            window: (hours(1), hours(4)),
            next_number: Arc::new(AtomicU32::new(FIRST_NUMBER)),
        })
    }

    /// One after the other, over one connection.
    pub async fn one_by_one(&self, count: u64, prefer: Prefer) -> Outcome<Load> {
        let mut load = Load::new()?;
        let started_at = Instant::now();
        for _ in 0..count {
            self.post(prefer, &mut load).await?;
        }
        load.took = started_at.elapsed();
        Ok(load)
    }

    /// All in the same moment, each over a connection of its own; opening it is part of the latency.
    pub async fn at_once(&self, count: usize) -> Outcome<Load> {
        let start = Arc::new(Barrier::new(count + 1));
        let mut posting = JoinSet::new();
        for _ in 0..count {
            let (posting_one, start) = (self.clone(), Arc::clone(&start));
            posting.spawn(async move {
                start.wait().await;
                let mut load = Load::new()?;
                posting_one.post(Prefer::Async, &mut load).await?;
                Ok(load)
            });
        }
        start.wait().await;
        sum_up(posting).await
    }

    /// Without a pause, over so many connections.
    pub async fn sustained(&self, lasting: Duration, connections: usize) -> Outcome<Load> {
        let end = Instant::now() + lasting;
        let mut posting = JoinSet::new();
        for _ in 0..connections {
            let connection = self.clone();
            posting.spawn(async move {
                let mut load = Load::new()?;
                while Instant::now() < end {
                    connection.post(Prefer::Async, &mut load).await?;
                }
                Ok(load)
            });
        }
        sum_up(posting).await
    }

    /// One batch: how long it took, and how many of it were kept.
    pub async fn batch(&self, count: usize) -> Outcome<(Duration, u64)> {
        let callbacks: Vec<Value> = (0..count).map(|_| self.payload()).collect();
        let request = self.http.post(format!("{}/batch", self.url)).bearer_auth(&self.key);
        let request = request.json(&json!({ "callbacks": callbacks }));
        let started_at = Instant::now();
        let answer: Value = request.send().await?.error_for_status()?.json().await?;
        let took = started_at.elapsed();
        let results = answer["results"].as_array().context("a batch's answer has no results")?;
        Ok((took, results.iter().filter(|result| result["id"].is_string()).count() as u64))
    }

    async fn post(&self, prefer: Prefer, load: &mut Load) -> Outcome {
        let prefer = match prefer {
            Prefer::Wait => "wait=30",
            Prefer::Async => "respond-async",
        };
        let request = self.http.post(&self.url).bearer_auth(&self.key).header("prefer", prefer).json(&self.payload());
        let started_at = Instant::now();
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await?;
        load.record(status, started_at.elapsed())?;
        let callback: Value = serde_json::from_slice(&body)?;
        load.confirmed += u64::from(callback["confirmation"]["status"] == "sent");
        Ok(())
    }

    fn payload(&self) -> Value {
        let (start, end) = &self.window;
        json!({
            "phoneNumber": self.next_caller(), "requestedStart": start, "requestedEnd": end,
            "campaignId": CAMPAIGN, "language": "en-US", "timezone": "America/New_York",
        })
    }

    /// A number that was not used before.
    fn next_caller(&self) -> String {
        loop {
            let number = format!("+1202{}", self.next_number.fetch_add(1, Ordering::Relaxed));
            if PhoneNumber::parse(&number, &self.region).is_ok() {
                return number;
            }
        }
    }
}

pub async fn sum_up(mut posting: JoinSet<Outcome<Load>>) -> Outcome<Load> {
    let started_at = Instant::now();
    let mut sum = Load::new()?;
    while let Some(load) = posting.join_next().await {
        sum.add(&load??)?;
    }
    sum.took = started_at.elapsed();
    Ok(sum)
}
