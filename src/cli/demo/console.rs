//! What the demo leaves to look at in the console: holds, an answer rate that is too low, callbacks of the coming hours, one that
//! fails, and a webhook endpoint that does not respond.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::sequence::{GIVE_UP_AFTER, Ivr, all_day, whole_minute};
use super::{CAMPAIGN, HELD_CAMPAIGN, LOW_CAMPAIGN};
use crate::clock::Clock;

/// Area codes of the numbers, all of which are reserved for fiction.
const AREAS: [u32; 6] = [202, 213, 312, 415, 617, 713];
/// The callbacks, over the coming hours.
const CALLBACKS: u32 = 18;
/// How often the progress is read.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A campaign that CXone does not have.
const UNKNOWN_CAMPAIGN: &str = "closed-campaign";

impl Ivr {
    /// Leaves all of it.
    pub async fn fill_console(&self, clock: &Clock) -> anyhow::Result<()> {
        let now = clock.now();
        self.place_holds(now).await?;
        self.report_low_rate(now).await?;
        self.ask_for_callbacks(now).await?;
        self.add_broken_endpoint().await?;
        tokio::time::timeout(GIVE_UP_AFTER, self.settled()).await.context("the callbacks were not placed")?
    }

    /// Returns once CXone has the callbacks, and has paused the campaign with the low answer rate.
    async fn settled(&self) -> anyhow::Result<()> {
        loop {
            let callbacks: Value = self.get("/v1/callbacks?limit=200").await?.json().await?;
            let campaign: Value = self.get(&format!("/v1/campaigns/{LOW_CAMPAIGN}")).await?.json().await?;
            let is_open = |callback: &Value| !callback["nextAttemptAt"].is_null();
            let has_open = callbacks["data"].as_array().into_iter().flatten().any(is_open);
            if !has_open && campaign["state"] == "PAUSED" && campaign["pending"] == false {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn place_holds(&self, now: Timestamp) -> anyhow::Result<()> {
        for hold in [
            json!({ "pauseReason": "COMPLIANCE_HOLD", "scheduledResumeTime": now + SignedDuration::from_mins(95) }),
            json!({ "pauseReason": "AGENT_CAPACITY" }),
        ] {
            let mut pause = limits(now);
            pause
                .as_object_mut()
                .into_iter()
                .for_each(|pause| pause.extend(hold.as_object().cloned().unwrap_or_default()));
            self.send(Method::POST, &format!("/v1/campaigns/{HELD_CAMPAIGN}/pause"), &pause).await?;
        }
        Ok(())
    }

    /// Ever fewer people answer.
    async fn report_low_rate(&self, now: Timestamp) -> anyhow::Result<()> {
        let path = format!("/v1/campaigns/{LOW_CAMPAIGN}");
        let mut settings = limits(now);
        settings["answerRate"] = json!({
            "enabled": true, "windowMs": 3_600_000, "minAnswerRate": 0.35, "minAttempts": 50, "pauseForMs": 1_500_000,
        });
        // With `nice`, the campaign keeps its skill.
        let known = self.http.get(format!("{}{path}/settings", self.base_url)).bearer_auth(&self.key).send().await?;
        let known: Value = known.json().await?;
        if !known["nice"].is_null() {
            settings["nice"] = known["nice"].clone();
        }
        self.send(Method::PUT, &format!("{path}/settings"), &settings).await?;
        let events = (0..30_i64).flat_map(|step| {
            let at = now - SignedDuration::from_mins(58 - 2 * step);
            let answers = (20 - step * 3 / 5).max(3);
            [("ATTEMPT", 40), ("ANSWER", answers)]
                .map(|(kind, count)| json!({ "type": kind, "timestamp": at, "count": count }))
        });
        let events: Vec<Value> = events.collect();
        self.send(Method::POST, &format!("{path}/events"), &json!({ "events": events })).await
    }

    async fn ask_for_callbacks(&self, now: Timestamp) -> anyhow::Result<()> {
        let callback = |number: u32| {
            let area = AREAS.get((number % 6) as usize).copied().unwrap_or(202);
            let (start, campaign) =
                (whole_minute(now, 20 + 35 * i64::from(number)), if number == 7 { UNKNOWN_CAMPAIGN } else { CAMPAIGN });
            json!({
                "phoneNumber": format!("+1{area}5550{}", 110 + number), "requestedStart": start,
                "requestedEnd": start + SignedDuration::from_hours(2), "campaignId": campaign, "language": "en-US",
                "timezone": "America/New_York", "externalId": format!("ticket-{}", 4700 + number),
            })
        };
        let callbacks: Vec<Value> = (0..CALLBACKS).map(callback).collect();
        self.send(Method::POST, "/v1/callbacks/batch", &json!({ "callbacks": callbacks })).await
    }

    /// Nothing listens on its port any more.
    async fn add_broken_endpoint(&self) -> anyhow::Result<()> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?.port();
        let endpoint =
            json!({ "url": format!("http://127.0.0.1:{port}/hooks"), "description": "A receiver that is down" });
        let request = self.http.post(format!("{}/v1/webhooks", self.base_url)).bearer_auth(&self.key).json(&endpoint);
        let created: Value = request.send().await?.error_for_status()?.json().await?;
        let id = created["id"].as_str().context("a webhook endpoint without an id")?;
        self.send(Method::POST, &format!("/v1/webhooks/{id}/test"), &json!({})).await
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<()> {
        let request = self.http.request(method, format!("{}{path}", self.base_url)).bearer_auth(&self.key).json(body);
        request.send().await?.error_for_status().map(drop).with_context(|| format!("{path} was refused"))
    }
}

fn limits(now: Timestamp) -> Value {
    json!({
        "maxAgents": 25, "regulatoryWindow": all_day(now), "carrierLimit": { "maxConcurrentCalls": 100, "maxAgents": 30 },
    })
}
