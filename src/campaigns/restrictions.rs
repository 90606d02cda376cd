//! Where a campaign's callbacks may be placed.

use jiff::Timestamp;

use super::settings::CampaignSettings;
use crate::types::{Interval, TimeWindow};

/// What a placement needs to know of a campaign.
#[derive(Clone, Debug, Default)]
pub struct PlacementRules {
    pub settings: CampaignSettings,
    pub restrictions: Restrictions,
}

/// When the campaign may not call.
#[derive(Clone, Debug, Default)]
pub struct Restrictions {}

impl Restrictions {
    /// The parts of a window in which the campaign may call.
    pub fn open_parts(&self, window: &TimeWindow, _: Timestamp) -> Vec<Interval> {
        vec![Interval { start: window.start(), end: window.end() }]
    }
}
