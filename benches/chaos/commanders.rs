//! WFO systems that pause and resume campaigns.

use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use ringback::clock::Clock;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::callers::key;
use super::client::{Answer, Ask, Client};
use super::verdict::AckedHold;

const COMPLIANCE: &str = "COMPLIANCE_HOLD";
const REASONS: [&str; 4] = [COMPLIANCE, "CARRIER_THROTTLE", "AGENT_CAPACITY", "SCHEDULED"];

/// Commands one campaign, one command after the other.
pub struct Commander {
    pub client: Client,
    pub campaign: String,
    pub clock: Clock,
}

impl Commander {
    /// Holds that end by themselves and some that are lifted before, until `stop`.
    pub async fn command(self, mut rng: Rng, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let reason = rng.choice(REASONS).unwrap_or(COMPLIANCE);
            let ends_at = self.clock.now() + SignedDuration::from_millis(rng.i64(4_000..25_000));
            self.pause(reason, ends_at, &mut rng).await;
            if rng.u32(0..100) < 40 {
                tokio::time::sleep(Duration::from_millis(rng.u64(0..5_000))).await;
                self.resume(&mut rng).await;
            }
            let left = Duration::try_from(ends_at.duration_since(self.clock.now())).unwrap_or_default();
            let pause = left + Duration::from_millis(rng.u64(0..4_000));
            stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    /// A compliance hold that is still in force at the end of the run.
    pub async fn hold_for_an_hour(&self, rng: &mut Rng) {
        self.pause(COMPLIANCE, self.clock.now() + SignedDuration::from_hours(1), rng).await;
    }

    async fn pause(&self, reason: &str, ends_at: Timestamp, rng: &mut Rng) {
        let body = json!({
            "pauseReason": reason, "complianceHold": reason == COMPLIANCE, "scheduledResumeTime": ends_at,
            "maxAgents": 10, "regulatoryWindow": self.window(),
            "carrierLimit": { "maxConcurrentCalls": 100, "maxAgents": 30 },
        });
        let ask = self.ask("POST pause", "pause", body, rng);
        let Some(answer) = self.client.until_answered(&ask, rng).await else { return };
        match answer.status {
            200 | 202 => self.client.record.hold(AckedHold {
                campaign: self.campaign.clone(),
                reason: reason.to_owned(),
                compliance: reason == COMPLIANCE,
                ends_at,
                acked_at: self.clock.now(),
                confirmed: answer.status == 200,
            }),
            // The retries took longer than the hold was to last.
            422 if answer.is_repeat && ends_at <= self.clock.now() => {}
            _ => self.refused("a good pause is refused", &ask, &answer),
        }
    }

    async fn resume(&self, rng: &mut Rng) {
        let ask = self.ask("POST resume", "resume", json!({}), rng);
        let Some(answer) = self.client.until_answered(&ask, rng).await else { return };
        match (answer.status, answer.problem()) {
            (200 | 202, _) if self.compliance_hold_is_in_force() => {
                self.refused("a resume is taken while a compliance hold is in force", &ask, &answer);
            }
            (200 | 202, _) | (409, "hold-in-force") => {}
            _ => self.refused("a good resume is refused", &ask, &answer),
        }
    }

    fn compliance_hold_is_in_force(&self) -> bool {
        let now = self.clock.now();
        let kept = self.client.record.kept();
        kept.holds.iter().any(|hold| hold.compliance && hold.campaign == self.campaign && hold.ends_at > now)
    }

    fn ask(&self, what: &'static str, verb: &str, body: Value, rng: &mut Rng) -> Ask {
        Ask {
            what,
            path: format!("/v1/campaigns/{}/{verb}", self.campaign),
            body,
            idempotency_key: Some(key(rng)),
            prefer: rng.choice([None, Some("respond-async"), Some("wait=2")]).flatten().map(str::to_owned),
        }
    }

    fn refused(&self, what: &str, ask: &Ask, answer: &Answer) {
        let details = json!({ "path": ask.path, "body": ask.body, "status": answer.status, "answer": answer.body });
        self.client.record.wrong(what, details);
    }

    /// Open for hours to come, and for hours before.
    fn window(&self) -> Value {
        let time = |hours| (self.clock.now() + SignedDuration::from_hours(hours)).strftime("%H:%M").to_string();
        json!({ "startTime": time(-11), "endTime": time(11), "timezone": "UTC" })
    }
}
