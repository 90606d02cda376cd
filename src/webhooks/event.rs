//! The events that endpoints can subscribe to, and their bodies.

use jiff::Timestamp;
use serde::Serialize;
use strum::VariantArray as _;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::audit::{Action, Entry, EntryEvent, SignedRoot};
use crate::types::{ExternalId, Fault, Metadata, TimeWindow};

/// The reason of a pause that the answer rate caused.
const AUTO_THROTTLE: &str = "AUTO_THROTTLE";

/// The type of the event that tests an endpoint. Endpoints cannot subscribe to it.
pub const TEST: &str = "webhook.test";

/// An event type. Its text is that of the audit action that it publishes. `audit.checkpoint` publishes none.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    strum::AsRefStr,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(into = "&'static str")]
pub enum EventType {
    #[strum(serialize = "campaign.paused")]
    CampaignPaused,
    #[strum(serialize = "campaign.resumed")]
    CampaignResumed,
    #[strum(serialize = "callback.scheduled")]
    CallbackScheduled,
    #[strum(serialize = "callback.confirmed")]
    CallbackConfirmed,
    #[strum(serialize = "callback.failed")]
    CallbackFailed,
    #[strum(serialize = "callback.expired")]
    CallbackExpired,
    #[strum(serialize = "callback.cancelled")]
    CallbackCancelled,
    #[strum(serialize = "callback.rescheduled")]
    CallbackRescheduled,
    #[strum(serialize = "callback.called")]
    CallbackCalled,
    #[strum(serialize = "callback.missed")]
    CallbackMissed,
    #[strum(serialize = "callback.at_risk")]
    CallbackAtRisk,
    /// Endpoints get it only if they name it.
    #[strum(serialize = "audit.checkpoint")]
    AuditCheckpoint,
}

impl EventType {
    /// The event type that publishes this action, where there is one.
    fn of(action: Action) -> Option<Self> {
        action.as_str().parse().ok()
    }

    /// # Errors
    /// `unknown-event-type` for any other text.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        text.parse().map_err(|_| {
            let names: Vec<&str> = Self::VARIANTS.iter().map(AsRef::as_ref).collect();
            Fault::new("unknown-event-type", format!("must be one of {}", names.join(", ")))
        })
    }

    /// The text in the API.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The name of its body's schema in the OpenAPI document.
    pub fn body_schema(self) -> &'static str {
        match self {
            Self::CampaignPaused | Self::CampaignResumed => "CampaignEvent",
            Self::CallbackScheduled
            | Self::CallbackConfirmed
            | Self::CallbackFailed
            | Self::CallbackExpired
            | Self::CallbackCancelled
            | Self::CallbackRescheduled
            | Self::CallbackCalled
            | Self::CallbackMissed
            | Self::CallbackAtRisk => "CallbackEvent",
            Self::AuditCheckpoint => "CheckpointEvent",
        }
    }

    /// The text of a body's `event` member: `CAMPAIGN_PAUSED` for `campaign.paused`.
    fn constant(self) -> String {
        self.as_str().replace('.', "_").to_uppercase()
    }
}

impl PartialSchema for EventType {
    fn schema() -> RefOr<Schema> {
        let names = Self::VARIANTS.iter().map(|event| event.as_str());
        ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).enum_values(Some(names)).into()
    }
}

impl ToSchema for EventType {}

/// What an event says beyond its audit entry.
#[derive(Clone, Debug)]
pub enum Event {
    Campaign(CampaignEvent),
    Callback(CallbackEvent),
}

/// A change of a campaign's state that CXone has confirmed.
#[derive(Clone, Copy, Debug)]
pub struct CampaignEvent {
    /// The pause reason as the API writes it; of a resume, that of the pause that it ends.
    pub pause_reason: Option<&'static str>,
    /// Whether the answer rate caused the pause.
    pub by_answer_rate: bool,
    pub scheduled_resume_time: Option<Timestamp>,
}

/// A change of a callback. It has no phone number: receivers know the callback by its id.
#[derive(Clone, Debug)]
pub struct CallbackEvent {
    /// The requested window.
    pub window: TimeWindow,
    pub dispatch_time: Option<Timestamp>,
    pub contact_id: Option<String>,
    pub failure: Option<EventFailure>,
    pub outcome: Option<Box<EventOutcome>>,
    pub external_id: Option<ExternalId>,
    pub metadata: Option<Metadata>,
}

/// Why a callback or its confirmation failed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventFailure {
    pub code: String,
    pub detail: String,
}

/// What became of the call of a callback.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventOutcome {
    /// `pending`, `called`, `reached`, `not-reached`, `agent-only` or `missing`.
    pub status: String,
    pub contact_id: Option<String>,
    pub called_at: Option<Timestamp>,
    pub agent_seconds: Option<u32>,
    pub disposition: Option<String>,
}

impl Entry {
    /// With this event, if endpoints can subscribe to the entry's action. The body repeats members of the entry, so they
    /// must be complete.
    #[must_use]
    pub fn with_event(mut self, event: &Event) -> Self {
        if let Some(event_type) = self.action.known().and_then(EventType::of) {
            let body = match event {
                Event::Campaign(event) => serde_json::json!(CampaignBody::new(&self, event_type, event)),
                Event::Callback(event) => serde_json::json!(CallbackBody::new(&self, event_type, event)),
            };
            self.event = Some(EntryEvent {
                id: self.id,
                r#type: event_type.as_str(),
                body: body.to_string(),
                traceparent: None,
            });
        }
        self
    }
}

/// The event `webhook.test`. It goes to the endpoint that is tested, whatever that endpoint subscribes to.
pub fn test_event(entry: &Entry, webhook: Uuid) -> EntryEvent {
    let body = TestBody {
        r#type: TEST,
        timestamp: entry.timestamp,
        event: "WEBHOOK_TEST",
        webhook_id: webhook,
        audit_id: entry.id,
    };
    EntryEvent { id: entry.id, r#type: body.r#type, body: serde_json::json!(body).to_string(), traceparent: None }
}

/// The event that publishes a checkpoint.
pub fn checkpoint_event(id: Uuid, now: Timestamp, signed: &SignedRoot) -> EntryEvent {
    let event_type = EventType::AuditCheckpoint;
    let body = CheckpointBody {
        r#type: event_type,
        timestamp: now,
        event: event_type.constant(),
        id,
        // The first line of every checkpoint.
        origin: signed.checkpoint.lines().next().unwrap_or_default(),
        size: signed.size,
        checkpoint: &signed.checkpoint,
    };
    EntryEvent { id, r#type: event_type.as_str(), body: serde_json::json!(body).to_string(), traceparent: None }
}

/// The audit log has grown
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CheckpointEvent)]
pub struct CheckpointBody<'a> {
    r#type: EventType,
    timestamp: Timestamp,
    event: String,
    /// The `webhook-id`.
    id: Uuid,
    /// The name of the log.
    origin: &'a str,
    /// The number of entries that the checkpoint covers.
    size: u64,
    /// The signed root, a C2SP tlog-checkpoint. Verify its signature before you rely on it; `origin` and `size` repeat its lines.
    checkpoint: &'a str,
}

/// A test of an endpoint
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TestEvent)]
pub struct TestBody {
    r#type: &'static str,
    timestamp: Timestamp,
    event: &'static str,
    webhook_id: Uuid,
    audit_id: Uuid,
}

/// A campaign was paused or resumed
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CampaignEvent)]
pub struct CampaignBody<'a> {
    r#type: EventType,
    timestamp: Timestamp,
    event: String,
    campaign_id: Option<&'a str>,
    reason: Option<&'static str>,
    scheduled_resume_time: Option<Timestamp>,
    previous_state: Option<&'a str>,
    new_state: Option<&'a str>,
    audit_id: Uuid,
    metadata: CampaignMetadata,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CampaignMetadata {
    latency_ms: Option<i64>,
    /// Attempts since the change less those before it.
    volume_variance: Option<i64>,
    answer_rate: Option<f64>,
}

impl<'a> CampaignBody<'a> {
    fn new(entry: &'a Entry, event_type: EventType, event: &CampaignEvent) -> Self {
        let volumes = entry.call_volume_after.zip(entry.call_volume_before);
        Self {
            r#type: event_type,
            timestamp: entry.timestamp,
            event: event_type.constant(),
            campaign_id: entry.campaign_id.as_deref(),
            reason: if event.by_answer_rate { Some(AUTO_THROTTLE) } else { event.pause_reason },
            scheduled_resume_time: event.scheduled_resume_time,
            previous_state: entry.previous_state.as_deref(),
            new_state: entry.new_state.as_deref(),
            audit_id: entry.id,
            metadata: CampaignMetadata {
                latency_ms: entry.latency_ms,
                volume_variance: volumes.map(|(after, before)| after - before),
                answer_rate: entry.answer_rate,
            },
        }
    }
}

/// A change of a callback
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CallbackEvent)]
pub struct CallbackBody<'a> {
    r#type: EventType,
    timestamp: Timestamp,
    event: String,
    campaign_id: Option<&'a str>,
    callback_id: Option<Uuid>,
    previous_state: Option<&'a str>,
    new_state: Option<&'a str>,
    requested_start: Timestamp,
    requested_end: Timestamp,
    dispatch_time: Option<Timestamp>,
    contact_id: Option<&'a str>,
    failure: Option<&'a EventFailure>,
    outcome: Option<&'a EventOutcome>,
    latency_ms: Option<i64>,
    audit_id: Uuid,
    #[schema(value_type = Option<String>)]
    external_id: Option<&'a ExternalId>,
    /// The client's own, unlike that of a campaign.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    metadata: Option<&'a Metadata>,
}

impl<'a> CallbackBody<'a> {
    fn new(entry: &'a Entry, event_type: EventType, event: &'a CallbackEvent) -> Self {
        Self {
            r#type: event_type,
            timestamp: entry.timestamp,
            event: event_type.constant(),
            campaign_id: entry.campaign_id.as_deref(),
            callback_id: entry.callback_id,
            previous_state: entry.previous_state.as_deref(),
            new_state: entry.new_state.as_deref(),
            requested_start: event.window.start(),
            requested_end: event.window.end(),
            dispatch_time: event.dispatch_time,
            contact_id: event.contact_id.as_deref(),
            failure: event.failure.as_ref(),
            outcome: event.outcome.as_deref(),
            latency_ms: entry.latency_ms,
            audit_id: entry.id,
            external_id: event.external_id.as_ref(),
            metadata: event.metadata.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::audit::{Actor, Outcome};

    fn entry(action: Action) -> Entry {
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
            ..Entry::new(Uuid::nil(), now, action, Actor::operator(), Outcome::Succeeded)
        }
    }

    fn paused(by_answer_rate: bool) -> Event {
        let scheduled_resume_time = Some("2026-11-20T16:00:00Z".parse().unwrap());
        Event::Campaign(CampaignEvent { pause_reason: Some("CARRIER_THROTTLE"), by_answer_rate, scheduled_resume_time })
    }

    #[test]
    fn a_campaign_event_has_the_body_of_the_contract() {
        let event = entry(Action::CampaignPaused).with_event(&paused(true)).event.unwrap();
        assert_eq!((event.id, event.r#type), (Uuid::nil(), "campaign.paused"));
        let expected = json!({
            "type": "campaign.paused", "timestamp": "2026-11-20T15:00:00Z", "event": "CAMPAIGN_PAUSED",
            "campaignId": "c", "reason": "AUTO_THROTTLE", "scheduledResumeTime": "2026-11-20T16:00:00Z",
            "previousState": "ACTIVE", "newState": "PAUSED", "auditId": Uuid::nil(),
            "metadata": {"latencyMs": 41, "volumeVariance": -100, "answerRate": 0.2},
        });
        assert_eq!(event.body, expected.to_string());

        let manual = entry(Action::CampaignPaused).with_event(&paused(false)).event.unwrap();
        assert!(manual.body.contains(r#""reason":"CARRIER_THROTTLE""#));
    }

    #[test]
    fn a_callback_event_has_every_member_and_no_phone_number() {
        let failure = Some(EventFailure { code: "no-forecast".into(), detail: "CXone has none".into() });
        let (start, end) = ("2026-11-20T15:00:00Z".parse().unwrap(), "2026-11-20T17:00:00Z".parse().unwrap());
        let mut event = CallbackEvent {
            window: TimeWindow::parse(start, end).unwrap(),
            dispatch_time: None,
            contact_id: Some(Uuid::max().to_string()),
            failure,
            outcome: None,
            external_id: ExternalId::parse("ticket-4711").ok(),
            metadata: Metadata::parse(json!({"queue": "billing"}).as_object().unwrap()).ok(),
        };
        let callback = Entry { callback_id: Some(Uuid::max()), ..entry(Action::CallbackFailed) };
        let mut expected = json!({
            "type": "callback.failed", "timestamp": "2026-11-20T15:00:00Z", "event": "CALLBACK_FAILED",
            "campaignId": "c", "callbackId": Uuid::max(), "previousState": "ACTIVE", "newState": "PAUSED",
            "requestedStart": "2026-11-20T15:00:00Z", "requestedEnd": "2026-11-20T17:00:00Z",
            "dispatchTime": null, "contactId": Uuid::max(),
            "failure": {"code": "no-forecast", "detail": "CXone has none"}, "outcome": null, "latencyMs": 41,
            "auditId": Uuid::nil(), "externalId": "ticket-4711", "metadata": {"queue": "billing"},
        });
        let body = |event| callback.clone().with_event(&Event::Callback(event)).event.unwrap().body;
        assert_eq!(body(event.clone()), expected.to_string());

        (event.external_id, event.metadata) = (None, None);
        (expected["externalId"], expected["metadata"]) = (json!(null), json!(null));
        assert_eq!(body(event), expected.to_string());
    }

    #[test]
    fn only_actions_that_are_event_types_are_published() {
        let published: Vec<_> = Action::VARIANTS.iter().filter_map(|action| EventType::of(*action)).collect();
        assert_eq!(published.len(), EventType::VARIANTS.len() - 1, "all but audit.checkpoint");
        assert_eq!(entry(Action::HoldPlaced).with_event(&paused(false)).event, None);
    }
}
