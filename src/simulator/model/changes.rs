//! The changes of campaigns, and who made them.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::campaign::Campaign;
use super::ring::Ring;

/// Enough for a chaos run of some hours.
const KEPT: usize = 100_000;

/// Who changed a campaign.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum By {
    Client,
    /// Another user of CXone, through the control API.
    Somebody,
    /// CXone, at the campaign's `scheduledResumeTime`.
    Schedule,
}

/// A change that took effect.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    at: Timestamp,
    /// When the client's request was received.
    sent_at: Option<Timestamp>,
    by: By,
    id: String,
    /// The campaign after the change.
    #[serde(flatten)]
    campaign: Campaign,
}

impl Change {
    pub(super) fn new(id: &str, campaign: &Campaign, by: By, at: Timestamp) -> Self {
        Self { at, sent_at: None, by, id: id.to_owned(), campaign: campaign.clone() }
    }

    pub(super) fn received(self, at: Timestamp) -> Self {
        Self { sent_at: Some(at), ..self }
    }
}

/// The last changes, in order.
pub(super) struct Changes(Ring<Change>);

impl Default for Changes {
    fn default() -> Self {
        Self(Ring::new(KEPT))
    }
}

impl Changes {
    pub(super) fn record(&mut self, change: Change) {
        self.0.push(change);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn list(&self, id: Option<&str>) -> Vec<Value> {
        let wanted = self.0.iter().filter(|change| id.is_none_or(|id| change.id == id));
        wanted.map(|change| json!(change)).collect()
    }
}
