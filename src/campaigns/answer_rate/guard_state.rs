//! What replicas share about a campaign's answer rate. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::window::Bucket;
use crate::campaigns::model::{AnswerRateGuard, DEFAULT_WINDOW};
use crate::types::CampaignId;

/// The maximum of a stored count. Far more than any dialer reaches, and the sum of two fits a bigint.
pub const MAX_COUNT: i64 = 1 << 61;

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

/// The same, as it is stored.
#[derive(Serialize)]
pub struct BucketRow<'a> {
    campaign_id: &'a CampaignId,
    window_ms: i64,
    counted_from: Timestamp,
    starts_at: Timestamp,
    counts_until: Timestamp,
    attempts: i64,
    answers: i64,
}

impl<'a> From<&'a BucketUpdate> for BucketRow<'a> {
    fn from(update: &'a BucketUpdate) -> Self {
        let bounded = |count: u64| i64::try_from(count).unwrap_or(MAX_COUNT).min(MAX_COUNT);
        Self {
            campaign_id: &update.campaign_id,
            window_ms: window_ms(&update.state),
            counted_from: update.state.counted_from,
            starts_at: update.bucket.starts_at,
            counts_until: update.bucket.counts_until,
            attempts: bounded(update.bucket.counts.attempts),
            answers: bounded(update.bucket.counts.answers),
        }
    }
}

/// The length of the window in milliseconds, as it is stored.
pub fn window_ms(state: &GuardState) -> i64 {
    i64::try_from(state.window().as_millis()).unwrap_or(i64::MAX)
}
