//! What replicas share about a campaign's answer rate. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::window::Bucket;
use crate::campaigns::model::{AnswerRateGuard, DEFAULT_WINDOW};
use crate::types::CampaignId;

/// What the guard of a campaign depends on besides the counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GuardState {
    /// From the campaign's settings.
    pub guard: Option<AnswerRateGuard>,
    /// When Ringback last started the campaign. Earlier events do not count.
    pub counted_from: Timestamp,
    /// Whether a hold of the guard is in place.
    pub is_throttled: bool,
}

impl GuardState {
    /// The length of the sliding window.
    pub fn window(&self) -> Duration {
        self.guard.map_or(DEFAULT_WINDOW, |guard| guard.window())
    }
}

/// The counts of a campaign from all replicas, as stored in Postgres.
#[derive(Clone, Debug, Default)]
pub struct SharedCounts {
    pub state: GuardState,
    /// The buckets of the current window, in any order.
    pub buckets: Vec<Bucket>,
}

/// Counts that a replica adds to a bucket of a campaign.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketUpdate {
    pub campaign_id: CampaignId,
    /// The state under which the events were counted.
    pub state: GuardState,
    pub bucket: Bucket,
}
