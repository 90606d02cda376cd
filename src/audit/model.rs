//! An entry of the audit log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::action::{Action, RecordedAction};
use crate::http::{Caller, Credential};

/// What kind of actor made a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum ActorType {
    /// A caller of the API, with an API key.
    ApiKey,
    /// A caller of the API, with a token of the identity provider.
    OidcSubject,
    /// A user of the command line.
    Operator,
    /// Ringback itself.
    System,
    /// Another user of CXone.
    External,
    /// A sender without a valid API key.
    Anonymous,
}

/// Who made a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Actor {
    /// `api_key`, `oidc_subject` (a sender with a token of the identity provider), `operator` (a user of the command line),
    /// `system` (Ringback itself), `external` (not Ringback) or `anonymous` (a sender without a valid API key or token).
    #[schema(value_type = String, example = "api_key")]
    pub r#type: ActorType,
    /// The id of the key or of the subject, or the name of a component of Ringback.
    pub id: String,
    /// The display name.
    #[schema(example = "ivr")]
    pub name: String,
}

impl Actor {
    /// A caller of the API.
    pub fn caller(caller: &Caller) -> Self {
        let r#type = match caller.credential {
            Credential::ApiKey => ActorType::ApiKey,
            Credential::Token { .. } => ActorType::OidcSubject,
        };
        Self { r#type, id: caller.key_id.to_string(), name: caller.name.to_string() }
    }

    /// A user of the command line.
    pub fn operator() -> Self {
        Self { r#type: ActorType::Operator, id: "cli".into(), name: "command line".into() }
    }

    /// Another user of CXone. CXone does not say which.
    pub fn outside() -> Self {
        Self { r#type: ActorType::External, id: "cxone".into(), name: "someone in CXone".into() }
    }

    /// A sender without a valid API key. All have one id: what they say about themselves is not recorded.
    pub fn anonymous() -> Self {
        Self { r#type: ActorType::Anonymous, id: "anonymous".into(), name: "no valid API key".into() }
    }

    /// A component of Ringback that acts without a request.
    pub fn system(component: &str) -> Self {
        Self { r#type: ActorType::System, id: component.into(), name: "ringback".into() }
    }
}

/// The result of a step.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    ToSchema,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
    sqlx::Type,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Outcome {
    /// The change was made.
    Succeeded,
    /// The change was not made.
    Failed,
    /// The change was not allowed.
    Refused,
    /// Nothing had to be changed.
    Unchanged,
    /// The change is stored, and is still to be carried out.
    Pending,
    /// CXone did not answer, so the result is unknown.
    Unknown,
}

/// The particulars of one action, serialised from a type of the slice that records it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Detail(Value);

impl Detail {
    /// From a plain struct. Its serialisation must not be able to fail: derived, with string keys only.
    pub fn new(detail: &impl Serialize) -> Self {
        Self(json!(detail))
    }

    /// No particulars.
    pub fn none() -> Self {
        Self(json!({}))
    }

    /// As JSON.
    pub fn as_json(&self) -> &Value {
        &self.0
    }

    /// As it is stored.
    pub(super) fn stored(detail: Value) -> Self {
        Self(detail)
    }
}

/// A webhook event that is stored together with its entry. `audit_record()` passes it to `webhook_enqueue()`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryEvent {
    pub id: Uuid,
    pub r#type: &'static str,
    /// The JSON text that is signed and sent as it is.
    pub body: String,
    /// The trace that the change belongs to. It is sent with the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// One entry of the log.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry, example = json!({
    "id": "01a1fcff-84aa-720d-83ca-60abacb44d8c", "timestamp": "2026-11-20T14:00:00Z", "action": "campaign.paused",
    "actor": {"type": "api_key", "id": "01a1fc00-6e1f-7d40-9d3b-0c5c3f1f3a10", "name": "wfo"},
    "outcome": "succeeded", "campaignId": "0192f0c4-1111-7000-8000-000000000001", "callbackId": null,
    "previousState": "ACTIVE", "newState": "PAUSED", "latencyMs": 41, "callVolumeBefore": 100, "callVolumeAfter": 0,
    "answerRate": 0.45, "complianceHold": false, "triggeredBy": "MANUAL_PAUSE", "requestId": "wfo-4711",
    "detail": {}}))]
pub struct Entry {
    pub id: Uuid,
    pub timestamp: Timestamp,
    /// What was done, dotted.
    #[schema(value_type = String, example = "callback.scheduled")]
    pub action: RecordedAction,
    pub actor: Actor,
    pub outcome: Outcome,
    #[schema(required)]
    pub campaign_id: Option<String>,
    #[schema(required)]
    pub callback_id: Option<Uuid>,
    #[schema(required)]
    pub previous_state: Option<String>,
    #[schema(required)]
    pub new_state: Option<String>,
    /// From the arrival of the command to the end of this step, in milliseconds.
    #[schema(required)]
    pub latency_ms: Option<i64>,
    /// Attempts in the answer rate's window when the change was requested.
    #[schema(required)]
    pub call_volume_before: Option<i64>,
    /// Attempts since CXone confirmed the change.
    #[schema(required)]
    pub call_volume_after: Option<i64>,
    /// Answers divided by attempts, 0 to 1.
    #[schema(required)]
    pub answer_rate: Option<f64>,
    #[schema(required)]
    pub compliance_hold: Option<bool>,
    /// `MANUAL_PAUSE`, `MANUAL_RESUME`, `SCHEDULED_RESUME`, `SLIDING_WINDOW_THROTTLE` or `REGULATORY_WINDOW`.
    #[schema(required)]
    pub triggered_by: Option<String>,
    /// The request that caused the step.
    #[schema(required)]
    pub request_id: Option<String>,
    /// The particulars of the action. Phone numbers are masked.
    #[schema(value_type = Object)]
    pub detail: Detail,
    /// The webhook event, committed with the entry; not part of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub event: Option<EntryEvent>,
}

impl Entry {
    /// An entry with only the members that every entry has.
    pub fn new(id: Uuid, timestamp: Timestamp, action: Action, actor: Actor, outcome: Outcome) -> Self {
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
            detail: Detail::none(),
            event: None,
        }
    }

    /// With these particulars.
    #[must_use]
    pub fn with_detail(self, detail: &impl Serialize) -> Self {
        Self { detail: Detail::new(detail), ..self }
    }

    /// The argument of `audit_record()`.
    pub fn into_json(self) -> Value {
        json!(self)
    }
}
