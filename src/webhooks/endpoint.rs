//! An endpoint: who is told, of what, and how it fares.

use jiff::Timestamp;
use uuid::Uuid;

use super::event::EventType;

/// An endpoint as it is kept.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub id: Uuid,
    pub url: String,
    /// All types, where none.
    pub events: Option<Vec<EventType>>,
    pub description: Option<String>,
    /// From the configuration; its secret is there.
    pub is_configured: bool,
    pub secrets: SealedSecrets,
    pub failing_since: Option<Timestamp>,
    pub disabled: Option<(Timestamp, String)>,
    pub created_at: Timestamp,
}

/// Its secrets, sealed. Those before the current one sign too, each until its time is over.
#[derive(Clone, Debug, Default)]
pub struct SealedSecrets {
    pub current: Option<Vec<u8>>,
    pub previous: Vec<(Vec<u8>, Timestamp)>,
}

impl SealedSecrets {
    /// As they are kept: each with its end, in milliseconds of the epoch.
    pub fn of(current: Option<Vec<u8>>, previous: Vec<Vec<u8>>, until: &[i64]) -> Self {
        let ends = until.iter().map(|until| Timestamp::from_millisecond(*until).unwrap_or(Timestamp::MIN));
        Self { current, previous: previous.into_iter().zip(ends).collect() }
    }
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DeliveryStatus)]
pub enum DeliveryStatus {
    /// It is still tried.
    Pending,
    /// The receiver took it.
    Succeeded,
    /// It is tried no more, unless it is asked for.
    Dead,
}

impl DeliveryStatus {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
        }
    }
}

/// An event on its way to an endpoint, claimed by this replica.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub id: Uuid,
    pub claim: i32,
    /// Attempts before this one.
    pub attempts: u32,
    pub event_id: Uuid,
    pub event_type: String,
    pub body: String,
    pub endpoint: Uuid,
    pub url: String,
    pub is_configured: bool,
    pub secrets: SealedSecrets,
    pub failing_since: Option<Timestamp>,
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

/// What came of one attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub at: Timestamp,
    pub duration_ms: i32,
    pub status: Option<u16>,
    pub error: Option<String>,
    /// A bounded piece of the answer.
    pub answer: Option<String>,
}

/// What follows from an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver took it.
    Succeeded,
    /// It is tried again.
    Again(Timestamp),
    /// It is tried no more.
    Dead,
    /// Nothing is sent to this endpoint any more.
    Disabled(&'static str),
}
