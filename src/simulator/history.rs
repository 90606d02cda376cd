//! What became of campaigns, and through whom.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::campaigns::Campaign;
use super::ring::Ring;

/// Enough for a chaos run of some hours.
const KEPT: usize = 100_000;

/// Who changed a campaign.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum By {
    Client,
    /// Somebody at CXone: the control API.
    Somebody,
    /// CXone, at the campaign's `scheduledResumeTime`.
    Schedule,
}

/// A change that took effect.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    at: Timestamp,
    /// When the client's request came in.
    sent_at: Option<Timestamp>,
    by: By,
    id: String,
    /// As it was from then on.
    #[serde(flatten)]
    campaign: Campaign,
}

impl Change {
    pub(super) fn new(id: &str, campaign: &Campaign, by: By, at: Timestamp) -> Self {
        Self { at, sent_at: None, by, id: id.to_owned(), campaign: campaign.clone() }
    }

    pub(super) fn sent(self, at: Timestamp) -> Self {
        Self { sent_at: Some(at), ..self }
    }
}

/// The last changes, in order.
pub(super) struct History(Ring<Change>);

impl Default for History {
    fn default() -> Self {
        Self(Ring::new(KEPT))
    }
}

impl History {
    pub(super) fn note(&mut self, change: Change) {
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
