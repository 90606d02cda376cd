//! What became of the call of a callback.

use jiff::Timestamp;
use serde::Serialize;
use strum::{AsRefStr, EnumString, VariantArray};
use utoipa::ToSchema;

/// What CXone reports about the call of a callback
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CallOutcome)]
pub struct CallOutcome {
    pub status: CallStatus,
    /// The id of the call in CXone.
    #[schema(required)]
    pub contact_id: Option<String>,
    /// When CXone called.
    #[schema(required)]
    pub called_at: Option<Timestamp>,
    /// How long an agent had the call, in whole seconds.
    #[schema(required)]
    pub agent_seconds: Option<u32>,
    /// How the agent or the dialer classified the call.
    #[schema(required)]
    pub disposition: Option<String>,
}

impl CallOutcome {
    /// CXone has not called yet.
    pub const PENDING: Self =
        Self { status: CallStatus::Pending, contact_id: None, called_at: None, agent_seconds: None, disposition: None };
}

/// The state of the call of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, AsRefStr, EnumString, VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum CallStatus {
    /// CXone has not called yet, or has not reported it.
    Pending,
    /// CXone has called. Whether it reached the person is not known.
    Called,
    /// It reached the person.
    Reached,
    /// It did not reach the person.
    NotReached,
    /// An agent was called, the person was not.
    AgentOnly,
    /// CXone did not call in the window.
    Missing,
}
