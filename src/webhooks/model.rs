//! An endpoint and the deliveries to it.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::event::EventType;
use crate::audit::Entry;
use crate::trace::Traceparent;

/// A pending delivery that is due later than this is not being attempted, and can be sent again. It is longer than a lease, for
/// clocks that differ and for the time that a statement waits.
pub const ATTEMPTED_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// An endpoint, as it is stored.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub id: Uuid,
    pub url: String,
    /// The event types it subscribes to; none means all of campaigns and callbacks.
    pub events: Option<Vec<EventType>>,
    pub description: Option<String>,
    /// It is the endpoint of the configuration, which also has its secret.
    pub is_configured: bool,
    /// Encrypted.
    pub secret: Option<Vec<u8>>,
    /// The time of the first failure since the last success.
    pub failing_since: Option<Timestamp>,
    /// Since when, and why.
    pub disabled: Option<(Timestamp, String)>,
    pub created_at: Timestamp,
}

/// The status of a delivery.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    serde::Serialize,
    utoipa::ToSchema,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
    sqlx::Type,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = DeliveryStatus)]
pub enum DeliveryStatus {
    /// It is due, or being attempted.
    Pending,
    /// The receiver accepted it.
    Succeeded,
    /// It is not retried, unless a redelivery is requested.
    Dead,
}

impl DeliveryStatus {
    /// The text in the database and in the API.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A delivery that this replica has claimed.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub id: Uuid,
    pub claim: i32,
    /// The number of earlier attempts.
    pub attempts: u32,
    pub event_id: Uuid,
    /// The bytes that are signed and sent.
    pub body: String,
    pub endpoint: Uuid,
    pub url: String,
    pub is_configured: bool,
    /// Encrypted; none for the endpoint of the configuration.
    pub secret: Option<Vec<u8>>,
    /// Encrypted. Earlier secrets that are still valid.
    pub previous_secrets: Vec<Vec<u8>>,
    pub failing_since: Option<Timestamp>,
    /// The trace of the change that the event is about.
    pub trace: Option<Traceparent>,
}

impl Claimed {
    /// The lease of the claim.
    pub fn lease(&self) -> DeliveryLease {
        DeliveryLease { delivery: self.id, claim: self.claim }
    }
}

/// Names the claim of a delivery.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryLease {
    pub delivery: Uuid,
    pub claim: i32,
}

/// One attempt to deliver an event.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub at: Timestamp,
    pub duration_ms: i32,
    /// The status of the response; none where there was no response.
    pub status: Option<u16>,
    pub error: Option<String>,
    /// The beginning of the response's body.
    pub answer: Option<String>,
}

/// The consequence of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver accepted the event.
    Succeeded,
    /// The delivery is retried at this time.
    Again(Timestamp),
    /// The delivery is not retried.
    Dead,
    /// The delivery is not retried, and the endpoint is disabled. With `failing_since`, it is disabled only if it has failed
    /// since exactly then: otherwise another delivery has succeeded meanwhile.
    Disabled { reason: &'static str, failing_since: Option<Timestamp> },
}

impl Entry {
    /// With its event, if it has one, in this trace.
    #[must_use]
    pub fn traced(mut self, trace: &Traceparent) -> Self {
        if let Some(event) = &mut self.event {
            event.traceparent = Some(trace.as_str().to_owned());
        }
        self
    }
}
