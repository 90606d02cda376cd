//! What receivers are told, made of the audit entry that says the same.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::audit::Entry;
use crate::types::Fault;

/// What receivers can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub enum EventType {
    #[serde(rename = "campaign.paused")]
    CampaignPaused,
    #[serde(rename = "campaign.resumed")]
    CampaignResumed,
    #[serde(rename = "callback.scheduled")]
    CallbackScheduled,
    #[serde(rename = "callback.confirmed")]
    CallbackConfirmed,
    #[serde(rename = "callback.failed")]
    CallbackFailed,
    #[serde(rename = "callback.expired")]
    CallbackExpired,
    #[serde(rename = "callback.cancelled")]
    CallbackCancelled,
    #[serde(rename = "callback.at_risk")]
    CallbackAtRisk,
}

impl EventType {
    const ALL: [(Self, &'static str, &'static str); 8] = [
        (Self::CampaignPaused, "campaign.paused", "CAMPAIGN_PAUSED"),
        (Self::CampaignResumed, "campaign.resumed", "CAMPAIGN_RESUMED"),
        (Self::CallbackScheduled, "callback.scheduled", "CALLBACK_SCHEDULED"),
        (Self::CallbackConfirmed, "callback.confirmed", "CALLBACK_CONFIRMED"),
        (Self::CallbackFailed, "callback.failed", "CALLBACK_FAILED"),
        (Self::CallbackExpired, "callback.expired", "CALLBACK_EXPIRED"),
        (Self::CallbackCancelled, "callback.cancelled", "CALLBACK_CANCELLED"),
        (Self::CallbackAtRisk, "callback.at_risk", "CALLBACK_AT_RISK"),
    ];

    /// # Errors
    /// `unknown-event-type` for anything else.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        Self::ALL.into_iter().find(|(_, name, _)| *name == text).map(|(known, _, _)| known).ok_or_else(|| {
            let names = Self::ALL.map(|(_, name, _)| name).join(", ");
            Fault::new("unknown-event-type", format!("must be one of {names}"))
        })
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(known, _, _)| *known == self).map_or("", |(_, name, _)| name)
    }
}

/// The entry, to be told of where it says something that receivers want to know. What is kept with an entry is sent as
/// it is, byte by byte.
#[must_use]
pub fn announced(mut entry: Entry) -> Entry {
    let known = EventType::ALL.iter().find(|(_, name, _)| *name == entry.action);
    if let Some((_, name, word)) = known {
        let body = if entry.callback_id.is_some() { callback_body(&entry, word) } else { campaign_body(&entry, word) };
        entry.event = Some(json!({ "id": entry.id, "type": name, "body": body.to_string() }));
    }
    entry
}

fn campaign_body(entry: &Entry, word: &str) -> Value {
    let is_automatic = entry.detail["byAnswerRate"] == true;
    let reason = if is_automatic { json!("AUTO_THROTTLE") } else { entry.detail["pauseReason"].clone() };
    let variance = entry.call_volume_after.zip(entry.call_volume_before).map(|(after, before)| after - before);
    json!({
        "type": entry.action,
        "timestamp": entry.timestamp,
        "event": word,
        "campaignId": entry.campaign_id,
        "reason": reason,
        "scheduledResumeTime": entry.detail["scheduledResumeTime"],
        "previousState": entry.previous_state,
        "newState": entry.new_state,
        "auditId": entry.id,
        "metadata": {
            "latencyMs": entry.latency_ms, "volumeVariance": variance, "answerRate": entry.answer_rate,
        },
    })
}

/// The phone number is masked, as in the entry; receivers know the callback by its id.
fn callback_body(entry: &Entry, word: &str) -> Value {
    json!({
        "type": entry.action,
        "timestamp": entry.timestamp,
        "event": word,
        "campaignId": entry.campaign_id,
        "callbackId": entry.callback_id,
        "previousState": entry.previous_state,
        "newState": entry.new_state,
        "dispatchTime": entry.detail["dispatchTime"],
        "contactId": entry.detail["contactId"],
        "failure": entry.detail["failure"],
        "auditId": entry.id,
        "metadata": { "latencyMs": entry.latency_ms },
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::audit::{Actor, Outcome};

    fn entry(action: &str) -> Entry {
        let now = "2026-11-20T15:00:00Z".parse().unwrap();
        Entry {
            campaign_id: Some("c".into()),
            previous_state: Some("ACTIVE".into()),
            new_state: Some("PAUSED".into()),
            latency_ms: Some(41),
            call_volume_before: Some(100),
            call_volume_after: Some(0),
            answer_rate: Some(0.2),
            triggered_by: Some("SLIDING_WINDOW_THROTTLE".into()),
            detail: json!({
                "pauseReason": "CARRIER_THROTTLE", "scheduledResumeTime": "2026-11-20T16:00:00Z", "byAnswerRate": true,
            }),
            ..Entry::new(Uuid::nil(), now, action, Actor::operator(), Outcome::Succeeded)
        }
    }

    #[test]
    fn a_change_is_told_as_the_contract_says() {
        let event = announced(entry("campaign.paused")).event.unwrap();
        let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
        assert_eq!(event["type"], "campaign.paused");
        assert_eq!(
            body,
            json!({
                "type": "campaign.paused", "timestamp": "2026-11-20T15:00:00Z", "event": "CAMPAIGN_PAUSED",
                "campaignId": "c", "reason": "AUTO_THROTTLE", "scheduledResumeTime": "2026-11-20T16:00:00Z",
                "previousState": "ACTIVE", "newState": "PAUSED", "auditId": Uuid::nil(),
                "metadata": {"latencyMs": 41, "volumeVariance": -100, "answerRate": 0.2},
            })
        );
        let by_hand = Entry { detail: json!({"pauseReason": "CARRIER_THROTTLE"}), ..entry("campaign.paused") };
        assert!(announced(by_hand).event.unwrap()["body"].as_str().unwrap().contains(r#""reason":"CARRIER_THROTTLE""#));
        assert_eq!(announced(entry("hold.placed")).event, None);
    }
}
