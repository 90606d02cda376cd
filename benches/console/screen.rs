//! An overview that is open in a browser.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use crate::harness::plain_http;
use crate::support::Outcome;
use crate::support::commands::micros;

/// As the script has it.
const AT_MOST_EVERY: Duration = Duration::from_millis(500);
/// What the part of a paused campaign has.
const HOLD: &str = "Carrier throttle";

/// The change that is expected, and how long it took until it was shown.
#[derive(Clone)]
pub struct Seen(Arc<Mutex<Expected>>);

struct Expected {
    /// Counts the changes.
    number: u64,
    is_paused: bool,
    since: Instant,
    latencies: Histogram<u64>,
}

impl Seen {
    pub fn new() -> Outcome<Self> {
        let latencies = Histogram::new(3)?;
        let nothing = Expected { number: 0, is_paused: false, since: Instant::now(), latencies };
        Ok(Self(Arc::new(Mutex::new(nothing))))
    }

    /// From now on the campaign is expected to be paused, or not.
    pub fn expect(&self, is_paused: bool) {
        let mut expected = self.0.lock();
        expected.number += 1;
        expected.is_paused = is_paused;
        expected.since = Instant::now();
    }

    /// The latencies since the last time, in microseconds.
    pub fn take(&self) -> Histogram<u64> {
        let mut expected = self.0.lock();
        let empty = Histogram::new_from(&expected.latencies);
        std::mem::replace(&mut expected.latencies, empty)
    }

    /// Records what a screen shows. `last` is the number of the last change that it has shown.
    fn record(&self, html: &str, last: &mut u64) -> Outcome {
        let mut expected = self.0.lock();
        if *last < expected.number && html.contains(HOLD) == expected.is_paused {
            *last = expected.number;
            let latency = micros(expected.since.elapsed())?;
            expected.latencies.record(latency)?;
        }
        Ok(())
    }
}

/// A part of the overview.
struct Part {
    path: &'static str,
    topics: &'static [&'static str],
    every: Duration,
    read_at: Instant,
    is_due: bool,
}

impl Part {
    fn all() -> [Self; 3] {
        let part = |path, topics, seconds| Self {
            path,
            topics,
            every: Duration::from_secs(seconds),
            read_at: Instant::now(),
            is_due: true,
        };
        [
            part("status", &["status", "callbacks", "webhooks"], 10),
            part("campaigns", &["campaigns", "status"], 15),
            part("callbacks", &["callbacks"], 30),
        ]
    }

    /// When it is read next.
    fn next(&self) -> Instant {
        self.read_at + if self.is_due { AT_MOST_EVERY } else { self.every }
    }
}

/// A browser with the overview.
pub struct Screen {
    http: Client,
    url: String,
    cookie: String,
    seen: Seen,
}

impl Screen {
    pub async fn sign_in(url: &str, key: &str, seen: Seen) -> Outcome<Self> {
        // The cookie comes with the redirect.
        let http = plain_http().redirect(Policy::none()).build()?;
        let request = http.post(format!("{url}/console/sign-in")).header("sec-fetch-site", "same-origin");
        let answer = request.form(&[("key", key)]).send().await?;
        let cookie = answer.headers().get("set-cookie").context("a session")?.to_str()?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(Self { http, url: url.to_owned(), cookie, seen })
    }

    /// Shows what changes, until it is dropped.
    pub async fn watch(self) -> Outcome {
        let mut events = self.get("/console/events").await?;
        let (mut parts, mut last) = (Part::all(), 0);
        loop {
            let next = parts.iter_mut().min_by_key(|part| part.next()).context("a part")?;
            tokio::select! {
                event = events.chunk() => announce(&event?.context("the events have ended")?, &mut parts),
                () = tokio::time::sleep_until(next.next().into()) => {
                    (next.read_at, next.is_due) = (Instant::now(), false);
                    let html = self.get(&format!("/console/fragments/overview/{}", next.path)).await?.text().await?;
                    if next.path == "campaigns" {
                        self.seen.record(&html, &mut last)?;
                    }
                }
            }
        }
    }

    async fn get(&self, path: &str) -> Outcome<Response> {
        let request = self.http.get(format!("{}{path}", self.url)).header("cookie", &self.cookie);
        Ok(request.send().await?.error_for_status()?)
    }
}

/// Marks the parts that these events are about.
fn announce(events: &[u8], parts: &mut [Part]) {
    let events = String::from_utf8_lossy(events);
    for topic in events.lines().filter_map(|line| line.strip_prefix("data: ")) {
        for part in parts.iter_mut().filter(|part| topic == "all" || part.topics.contains(&topic)) {
            part.is_due = true;
        }
    }
}
