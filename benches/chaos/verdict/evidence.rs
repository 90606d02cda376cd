//! What a verdict is based on.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// All that is known at the end of a run.
#[derive(Debug, Default)]
pub struct Evidence {
    /// What clients wanted, and the answers to them.
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
    /// Commands to resume, acknowledged or not.
    pub resumes: Vec<SentResume>,
    /// How many different commands to pause were sent, by campaign.
    pub pauses_sent: BTreeMap<String, usize>,
    /// What became of campaigns in CXone, in order.
    pub changes: Vec<Change>,
    /// The audit log of the commanded campaigns, oldest first.
    pub log: Vec<Value>,
    /// The webhooks of campaigns, in the order in which they were received.
    pub webhooks: Vec<Value>,
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

/// A command to resume that may have been carried out.
#[derive(Clone, Debug, Serialize)]
pub struct SentResume {
    pub campaign: String,
    /// Of holds of this reason alone.
    pub reason: Option<String>,
    pub sent_at: Timestamp,
    /// When it was acknowledged, where it was.
    pub acked_at: Option<Timestamp>,
}

/// A change of a campaign in CXone that took effect.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    pub campaign: String,
    pub at: Timestamp,
    /// When the request came in, of one by the service.
    pub sent_at: Option<Timestamp>,
    pub by: By,
    pub state: String,
}

/// Who changed a campaign in CXone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum By {
    Service,
    Somebody,
    /// CXone, at the time that the service had named.
    Schedule,
}

/// A campaign at the end.
#[derive(Clone, Debug, Serialize)]
pub struct CampaignEnd {
    pub id: String,
    /// In CXone.
    pub state: String,
    /// As the service shows them.
    pub holds: Vec<Value>,
    /// The service says that CXone is not yet what the holds say.
    pub is_pending: bool,
    /// When the service was asked.
    pub at: Timestamp,
}
