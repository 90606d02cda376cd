//! The words of the audit log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::Caller;

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Actor {
    /// `api_key`, `operator` (someone at the command line), `system` (Ringback itself) or `external` (not Ringback).
    #[schema(example = "api_key")]
    pub r#type: String,
    /// The key's id, or the name of the part of Ringback.
    pub id: String,
    /// What people call it.
    #[schema(example = "ivr")]
    pub name: String,
}

impl Actor {
    /// A caller of the API.
    pub fn caller(caller: &Caller) -> Self {
        Self { r#type: "api_key".into(), id: caller.key_id.to_string(), name: caller.name.clone() }
    }

    /// Someone at the command line.
    pub fn operator() -> Self {
        Self { r#type: "operator".into(), id: "cli".into(), name: "command line".into() }
    }

    /// Somebody in CXone, of whom nothing more is known than that it was not Ringback.
    pub fn outside() -> Self {
        Self { r#type: "external".into(), id: "cxone".into(), name: "someone in CXone".into() }
    }

    /// A part of Ringback that acts by itself.
    pub fn system(part: &str) -> Self {
        Self { r#type: "system".into(), id: part.into(), name: "ringback".into() }
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As intended.
    Succeeded,
    /// It did not come about.
    Failed,
    /// It was not allowed.
    Refused,
    /// It was so already.
    Unchanged,
    /// It stands, and is still to be carried out.
    Pending,
    /// Nobody knows: CXone never answered.
    Unknown,
}

impl Outcome {
    /// As the log and its filter write it.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Succeeded, "succeeded"),
        (Self::Failed, "failed"),
        (Self::Refused, "refused"),
        (Self::Unchanged, "unchanged"),
        (Self::Pending, "pending"),
        (Self::Unknown, "unknown"),
    ];
}

/// One entry of the log.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
pub struct Entry {
    pub id: Uuid,
    pub timestamp: Timestamp,
    /// What was done, dotted.
    #[schema(example = "callback.scheduled")]
    pub action: String,
    pub actor: Actor,
    pub outcome: Outcome,
    pub campaign_id: Option<String>,
    pub callback_id: Option<Uuid>,
    pub previous_state: Option<String>,
    pub new_state: Option<String>,
    /// From the arrival of the command to the end of this step, in milliseconds.
    pub latency_ms: Option<i64>,
    /// Attempts in the answer rate's window when the change was asked for.
    pub call_volume_before: Option<i64>,
    /// Attempts since CXone confirmed the change.
    pub call_volume_after: Option<i64>,
    /// Answers by attempts, 0 to 1.
    pub answer_rate: Option<f64>,
    pub compliance_hold: Option<bool>,
    /// `MANUAL_PAUSE`, `MANUAL_RESUME`, `SCHEDULED_RESUME`, `SLIDING_WINDOW_THROTTLE` or `REGULATORY_WINDOW`.
    pub triggered_by: Option<String>,
    /// The request that this goes back to.
    pub request_id: Option<String>,
    /// What else there is to say. Phone numbers appear masked.
    #[schema(value_type = Object)]
    pub detail: Value,
    /// What receivers of webhooks are told of it, kept in the same commit; never shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub event: Option<Value>,
}

impl Entry {
    /// An entry with only what every entry has.
    pub fn new(id: Uuid, timestamp: Timestamp, action: &str, actor: Actor, outcome: Outcome) -> Self {
        Self {
            id,
            timestamp,
            action: action.into(),
            actor,
            outcome,
            campaign_id: None,
            callback_id: None,
            previous_state: None,
            new_state: None,
            latency_ms: None,
            call_volume_before: None,
            call_volume_after: None,
            answer_rate: None,
            compliance_hold: None,
            triggered_by: None,
            request_id: None,
            detail: json!({}),
            event: None,
        }
    }

    /// What `audit_record()` takes.
    pub fn into_json(self) -> Value {
        json!(self)
    }
}
