//! WFO systems that pause and resume campaigns.

use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use ringback::clock::Clock;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::callers::key;
use super::client::{Answer, Ask, Client};
use super::verdict::{AckedHold, SentResume};

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
        let mut sent: Vec<Ask> = Vec::new();
        while !stop.is_cancelled() {
            let reason = rng.choice(REASONS).unwrap_or(COMPLIANCE);
            let ends_at = self.in_ms(rng.i64(4_000..25_000));
            sent.extend(self.pause(reason, ends_at, &mut rng).await);
            if rng.u32(0..100) < 60 {
                tokio::time::sleep(Duration::from_millis(rng.u64(0..5_000))).await;
                let another = rng.choice(REASONS);
                let of_reason = rng.choice([None, Some(reason), another]).flatten();
                self.resume(of_reason, &mut rng).await;
            }
            // Without waiting for its end, the next one is placed beside it.
            if rng.u32(0..100) < 70 {
                let left = Duration::try_from(ends_at.duration_since(self.clock.now())).unwrap_or_default();
                let pause = left + Duration::from_millis(rng.u64(0..4_000));
                stop.run_until_cancelled(tokio::time::sleep(pause)).await;
            }
            if rng.u32(0..100) < 30 && !sent.is_empty() {
                let again = &sent[rng.usize(0..sent.len())];
                self.repeat(again, &mut rng).await;
            }
        }
    }

    /// A compliance hold that is still in force at the end of the run.
    pub async fn hold_for_an_hour(&self, rng: &mut Rng) {
        self.pause(COMPLIANCE, self.in_ms(3_600_000), rng).await;
    }

    /// Gives the command where it was acknowledged.
    async fn pause(&self, reason: &str, ends_at: Timestamp, rng: &mut Rng) -> Option<Ask> {
        let body = json!({
            "pauseReason": reason, "complianceHold": reason == COMPLIANCE, "scheduledResumeTime": ends_at,
            "maxAgents": 10, "regulatoryWindow": self.window(),
            "carrierLimit": { "maxConcurrentCalls": 100, "maxAgents": 30 },
        });
        let ask = self.ask("POST pause", "pause", body, rng);
        self.client.record.pauses(&self.campaign);
        let answer = self.client.until_answered(&ask, rng).await?;
        match (answer.status, answer.problem()) {
            (200 | 202, _) => {
                self.client.record.hold(AckedHold {
                    campaign: self.campaign.clone(),
                    reason: reason.to_owned(),
                    compliance: reason == COMPLIANCE,
                    ends_at,
                    acked_at: self.clock.now(),
                    confirmed: answer.status == 200,
                });
                return Some(ask);
            }
            // The retries took longer than the hold was to last.
            (422, _) if answer.is_repeat && ends_at <= self.clock.now() => {}
            // Somebody at CXone has suspended it.
            (409, "campaign-not-running") => {}
            // A gateway's, while nobody had commanded the campaign yet.
            (404, _) if !self.is_known() => {}
            _ => self.refused("a good pause is refused", &ask, &answer),
        }
        None
    }

    /// Sends an acknowledged command again, whatever has become of its hold.
    async fn repeat(&self, ask: &Ask, rng: &mut Rng) {
        let ask = Ask { what: "POST pause again", ..ask.clone() };
        let Some(answer) = self.client.until_answered(&ask, rng).await else { return };
        if !matches!(answer.status, 200 | 202) {
            self.refused("an acknowledged pause is refused when it is sent again", &ask, &answer);
        }
    }

    async fn resume(&self, reason: Option<&str>, rng: &mut Rng) {
        let body = reason.map_or(json!({}), |reason| json!({ "pauseReason": reason }));
        let ask = self.ask("POST resume", "resume", body, rng);
        let place = self.client.record.resumes(SentResume {
            campaign: self.campaign.clone(),
            reason: reason.map(str::to_owned),
            sent_at: self.clock.now(),
            acked_at: None,
        });
        let Some(answer) = self.client.until_answered(&ask, rng).await else { return };
        let is_of_compliance = reason.is_none_or(|reason| reason == COMPLIANCE);
        match (answer.status, answer.problem()) {
            (200 | 202, _) if is_of_compliance && self.compliance_hold_is_in_force() => {
                self.refused("a resume is taken while a compliance hold is in force", &ask, &answer);
            }
            (200 | 202, _) => self.client.record.resume_acknowledged(place, self.clock.now()),
            (409, "hold-in-force") if is_of_compliance => {}
            (409, "campaign-not-running") => {}
            (404, _) if !self.is_known() => {}
            _ => self.refused("a good resume is refused", &ask, &answer),
        }
    }

    /// Whether a pause was acknowledged, so that the service has the campaign.
    fn is_known(&self) -> bool {
        self.client.record.kept().holds.iter().any(|hold| hold.campaign == self.campaign)
    }

    /// To the millisecond, as the service keeps it.
    fn in_ms(&self, milliseconds: i64) -> Timestamp {
        let at = self.clock.now().as_millisecond() + milliseconds;
        Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX)
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
