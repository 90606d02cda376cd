//! What a verdict is based on.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// All that is known at the end of a run.
#[derive(Debug, Default)]
pub struct Evidence {
    /// What clients wanted, and what they were told.
    pub intents: Vec<Intent>,
    /// Every callback, as the API shows it at the end.
    pub callbacks: Vec<Value>,
    /// CXone's contacts: `{at, contact, repeats}`.
    pub contacts: Vec<Value>,
    /// CXone's messages: `{at, sessionId, to, from, message}`.
    pub messages: Vec<Value>,
    /// The callbacks that the audit log has an entry of, by action.
    pub audited: BTreeMap<String, HashSet<String>>,
    pub campaigns: Vec<CampaignEnd>,
    /// Holds that were acknowledged.
    pub holds: Vec<AckedHold>,
    /// Requests to CXone that start a campaign.
    pub activations: Vec<Activation>,
}

/// One callback that a client wanted. No other has its number.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Intent {
    pub phone: String,
    pub campaign: String,
    pub key: Option<String>,
    /// Every answer that acknowledged it.
    pub acks: Vec<Ack>,
    /// A cancellation was acknowledged.
    pub cancelled: bool,
    /// A cancellation was sent, and may have been done.
    pub cancel_sent: bool,
    /// A number of a range of fixed lines.
    pub landline: bool,
}

/// An answer that acknowledged a callback.
#[derive(Clone, Debug, Serialize)]
pub struct Ack {
    pub id: String,
    pub status: u16,
    pub at: Timestamp,
}

/// A hold whose pause was answered.
#[derive(Clone, Debug, Serialize)]
pub struct AckedHold {
    pub campaign: String,
    pub reason: String,
    pub compliance: bool,
    pub ends_at: Timestamp,
    pub acked_at: Timestamp,
    /// The answer was 200: CXone had confirmed the pause.
    pub confirmed: bool,
}

/// A request to CXone that starts a campaign, when it came in.
#[derive(Clone, Debug, Serialize)]
pub struct Activation {
    pub campaign: String,
    pub at: Timestamp,
}

/// A campaign at the end.
#[derive(Clone, Debug, Serialize)]
pub struct CampaignEnd {
    pub id: String,
    /// In CXone.
    pub state: String,
    /// As the service shows them.
    pub holds: Vec<Value>,
    /// When the service was asked.
    pub at: Timestamp,
}
