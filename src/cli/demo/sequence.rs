//! What the demo shows: callbacks of an IVR, and a campaign that is paused and resumed.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::api::Api;
use super::steps::{campaign_step, steps};
use super::{BOLD, CAMPAIGN, DIALED_CAMPAIGN, DIM, GREEN, RED};
use crate::clock::Clock;

/// How long the campaign is paused.
const HOLD: Duration = Duration::from_secs(3);
/// How often the progress of a callback is read.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Nothing in the demo takes this long unless something is broken, also on a busy machine …
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(90);
/// … or its time is still to come.
const GIVE_UP_CALL_AFTER: Duration = Duration::from_secs(150);

/// What an IVR in the demo sends, and what people see of it.
pub struct Sample {
    pub phone_number: &'static str,
    pub language: &'static str,
    pub timezone: &'static str,
    pub caller: &'static str,
}

const SAMPLES: [Sample; 4] = [
    Sample { phone_number: "+12025550198", language: "en-US", timezone: "America/New_York", caller: "Washington" },
    Sample {
        phone_number: "(213) 555-0147",
        language: "es-US",
        timezone: "America/Los_Angeles",
        caller: "Los Ángeles",
    },
    Sample { phone_number: "1-514-555-0162", language: "fr-CA", timezone: "America/Toronto", caller: "Montréal" },
    Sample { phone_number: "+44 20 7946 0958", language: "en-GB", timezone: "Europe/London", caller: "London" },
];

/// The IVR of the demo.
pub struct Ivr {
    pub http: Client,
    pub simulator: SocketAddr,
    pub base_url: String,
    pub key: String,
    /// What arrived at the demo's receiver.
    pub webhooks: UnboundedReceiver<Value>,
}

impl Ivr {
    /// Sends the samples and shows what becomes of them.
    pub async fn show(&mut self, api: Api, clock: &Clock) -> anyhow::Result<()> {
        if api == Api::Nice {
            self.map_skills().await?;
        }
        for sample in &SAMPLES {
            self.show_callback(sample, &sample.in_an_hour(clock.now()), Until::Confirmed).await?;
        }
        if api == Api::Nice {
            self.show_call(clock).await?;
        }
        self.show_bad_input(clock).await?;
        let campaign = self.show_campaign(clock);
        tokio::time::timeout(GIVE_UP_AFTER, campaign).await.context("the campaign was not resumed")??;
        self.fill_console(clock).await
    }

    /// Posts a callback, and shows what becomes of it.
    pub async fn show_callback(&self, sample: &Sample, payload: &Value, until: Until) -> anyhow::Result<()> {
        let posted_at = std::time::Instant::now();
        anstream::println!("{BOLD}POST{BOLD:#} /v1/callbacks   {}, {}", sample.phone_number, sample.caller);
        let answer = self.post(payload, "respond-async").await?;
        let status = answer.status();
        let body: Value = answer.json().await?;
        if status == StatusCode::CONFLICT {
            anstream::println!("  {DIM}409  this number still has an open callback from an earlier demo{DIM:#}\n");
            return Ok(());
        }
        let id = body["id"].as_str().with_context(|| format!("answered {status}: {body}"))?.to_owned();
        let longest = until.at_most();
        tokio::time::timeout(longest, self.follow(&id, posted_at, until))
            .await
            .with_context(|| format!("callback {id} was not {} within {longest:?}", until.name()))?
    }

    /// Pauses the dialed campaign for a moment, and shows that it is resumed on schedule.
    async fn show_campaign(&mut self, clock: &Clock) -> anyhow::Result<()> {
        let path = format!("/v1/campaigns/{DIALED_CAMPAIGN}");
        // Holds that an earlier demo left in this database.
        let resume = self.http.post(format!("{}{path}/resume", self.base_url)).bearer_auth(&self.key);
        resume.json(&json!({ "force": true })).send().await?.error_for_status()?;
        let started_at = clock.now();
        anstream::println!("{BOLD}POST{BOLD:#} {path}/pause   for {} seconds", HOLD.as_secs());
        let pause = json!({
            "pauseReason": "CARRIER_THROTTLE", "scheduledResumeTime": started_at + HOLD, "maxAgents": 25,
            "regulatoryWindow": all_day(started_at), "carrierLimit": { "maxConcurrentCalls": 100, "maxAgents": 30 },
        });
        let request = self.http.post(format!("{}{path}/pause", self.base_url)).bearer_auth(&self.key);
        request.json(&pause).send().await?.error_for_status()?;
        let (mut seen, mut delivered) = (0, 0);
        loop {
            let query = format!("/v1/audit?campaignId={DIALED_CAMPAIGN}&from={started_at}");
            let log: Value = self.get(&query).await?.json().await?;
            let entries: Vec<&Value> = log["data"].as_array().into_iter().flatten().rev().collect();
            for entry in entries.iter().skip(seen) {
                let elapsed = (clock.now() - started_at).total(jiff::Unit::Millisecond)?;
                let (name, style, text) = campaign_step(entry);
                anstream::println!("  {style}{name:<10}{style:#} {DIM}{elapsed:>5.0} ms{DIM:#}  {text}");
            }
            seen = entries.len();
            while let Ok(event) = self.webhooks.try_recv() {
                let at = event["timestamp"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
                if event["campaignId"] == DIALED_CAMPAIGN && at.is_some_and(|at| at >= started_at) {
                    let elapsed = (clock.now() - started_at).total(jiff::Unit::Millisecond)?;
                    let kind = event["type"].as_str().unwrap_or("");
                    anstream::println!(
                        "  {BOLD}webhook   {BOLD:#} {DIM}{elapsed:>5.0} ms{DIM:#}  {kind}, signed, accepted by the receiver"
                    );
                    delivered += 1;
                }
            }
            let is_resumed = entries.iter().any(|entry| entry["action"] == "campaign.resumed");
            if delivered == 2 && is_resumed {
                anstream::println!();
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Prints the audit entries of a callback, until it has got that far.
    async fn follow(&self, id: &str, posted_at: std::time::Instant, until: Until) -> anyhow::Result<()> {
        let mut seen = 0;
        loop {
            let log: Value = self.get(&format!("/v1/audit?callbackId={id}")).await?.json().await?;
            let entries: Vec<&Value> = log["data"].as_array().into_iter().flatten().rev().collect();
            for (name, style, text) in entries.iter().skip(seen).flat_map(|entry| steps(entry)) {
                let elapsed = posted_at.elapsed().as_millis();
                anstream::println!("  {style}{name:<10}{style:#} {DIM}{elapsed:>5} ms{DIM:#}  {text}");
            }
            seen = entries.len();
            let callback: Value = self.get(&format!("/v1/callbacks/{id}")).await?.json().await?;
            if until.is_reached_by(&callback) && callback["updatedAt"] == newest(&log) {
                anstream::println!();
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn show_bad_input(&self, clock: &Clock) -> anyhow::Result<()> {
        let now = clock.now();
        anstream::println!("{BOLD}POST{BOLD:#} /v1/callbacks   a bad one: every fault at once");
        let payload = json!({
            "phoneNumber": "12", "requestedStart": now, "requestedEnd": now + SignedDuration::from_mins(59),
            "campaignId": "", "language": "klingon",
        });
        let answer = self.post(&payload, "respond-async").await?;
        let status = answer.status().as_u16();
        let problem: Value = answer.json().await?;
        for fault in problem["errors"].as_array().into_iter().flatten() {
            let (pointer, detail) = (fault["pointer"].as_str(), fault["detail"].as_str());
            anstream::println!("  {RED}{status}{RED:#}  {:<14} {}", pointer.unwrap_or(""), detail.unwrap_or(""));
        }
        anstream::println!();
        Ok(())
    }

    /// Prints the addresses, the key, and commands to try.
    pub fn show_commands(&self, console: &str, clock: &Clock) {
        let (base, key, simulator) = (&self.base_url, &self.key, self.simulator);
        let now = clock.now();
        let (start, end) = (whole_minute(now, 60), whole_minute(now, 120));
        anstream::println!("{GREEN}Everything runs.{GREEN:#} Ctrl-C stops all of it.\n");
        anstream::println!("  {BOLD}the console      {base}{console}{BOLD:#}");
        anstream::println!("                   {DIM}signs in once, within ten minutes{DIM:#}");
        anstream::println!("  the API          {base}/docs");
        anstream::println!("  metrics          {base}/metrics");
        anstream::println!("  CXone simulator  http://{simulator}/_control/contacts, …/messages");
        anstream::println!("  an API key       {key}\n");
        anstream::println!("{DIM}For the commands of README and docs/:{DIM:#}\n");
        anstream::println!("export KEY={key}\n");
        anstream::println!("{DIM}Ask for a callback:{DIM:#}\n");
        anstream::println!(
            "curl -s {base}/v1/callbacks -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{{\"phoneNumber\": \"2025550123\", \"requestedStart\": \"{start}\", \"requestedEnd\": \"{end}\", \"campaignId\": \"{CAMPAIGN}\", \"language\": \"en-US\", \"timezone\": \"America/New_York\"}}'\n"
        );
        anstream::println!("{DIM}Pause a campaign:{DIM:#}\n");
        anstream::println!(
            "curl -s {base}/v1/campaigns/{DIALED_CAMPAIGN}/pause -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{{\"pauseReason\": \"AGENT_CAPACITY\", \"maxAgents\": 25, \"regulatoryWindow\": {}, \"carrierLimit\": {{\"maxConcurrentCalls\": 100, \"maxAgents\": 30}}}}'\n",
            all_day(now)
        );
        anstream::println!("{DIM}Follow all of it, from the POST to the SMS:{DIM:#}\n");
        anstream::println!("curl -s {base}/v1/audit -H 'Authorization: Bearer {key}'\n");
    }

    async fn post(&self, payload: &Value, prefer: &str) -> reqwest::Result<Response> {
        let request = self.http.post(format!("{}/v1/callbacks", self.base_url)).bearer_auth(&self.key);
        request.header("prefer", prefer).json(payload).send().await
    }

    pub async fn get(&self, path: &str) -> reqwest::Result<Response> {
        self.http.get(format!("{}{path}", self.base_url)).bearer_auth(&self.key).send().await?.error_for_status()
    }
}

impl Sample {
    /// A window from one to two hours from now.
    fn in_an_hour(&self, now: Timestamp) -> Value {
        self.payload(whole_minute(now, 60), whole_minute(now, 120))
    }

    pub fn payload(&self, start: Timestamp, end: Timestamp) -> Value {
        json!({
            "phoneNumber": self.phone_number, "requestedStart": start, "requestedEnd": end, "campaignId": CAMPAIGN,
            "language": self.language, "timezone": self.timezone,
        })
    }
}

/// How far a callback is followed.
#[derive(Clone, Copy)]
pub enum Until {
    /// CXone has it, and its SMS was sent.
    Confirmed,
    /// CXone has called it.
    Called,
}

impl Until {
    fn is_reached_by(self, callback: &Value) -> bool {
        let is_called = || callback["outcome"]["status"] != "pending";
        callback["nextAttemptAt"].is_null() && (matches!(self, Self::Confirmed) || is_called())
    }

    fn at_most(self) -> Duration {
        match self {
            Self::Confirmed => GIVE_UP_AFTER,
            Self::Called => GIVE_UP_CALL_AFTER,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Called => "called",
        }
    }
}

/// `minutes` from now, cut to the minute as people would say it.
pub fn whole_minute(now: Timestamp, minutes: i64) -> Timestamp {
    let at = now.as_second() + minutes * 60;
    Timestamp::from_second(at - at.rem_euclid(60)).unwrap_or(now)
}

/// A window that was open for an hour, and stays so until an hour before it would close tomorrow.
pub fn all_day(now: Timestamp) -> Value {
    let time = |hours: i64| (now + SignedDuration::from_hours(hours)).strftime("%H:%M").to_string();
    json!({ "startTime": time(-1), "endTime": time(-2), "timezone": "UTC" })
}

fn newest(log: &Value) -> Value {
    log["data"][0]["timestamp"].clone()
}
