//! What became of the work on a campaign, as a command is answered with it and as it is kept.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::campaign::{Campaign, Failure};
use super::hold::Hold;
use crate::cxone::CampaignState;
use crate::types::CampaignId;

/// How far CXone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CommandStatus)]
pub enum Status {
    /// CXone has confirmed it.
    Applied,
    /// CXone was in that state already; nothing was sent.
    Unchanged,
    /// It is kept; CXone has not confirmed it yet, and is asked until it does.
    Pending,
}

/// How a campaign stands after it was worked on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub campaign_id: CampaignId,
    /// What CXone showed before; none where it did not answer.
    pub previous: Option<CampaignState>,
    /// What CXone last showed or confirmed.
    pub state: Option<CampaignState>,
    pub status: Status,
    /// Those that keep it from dialing.
    pub holds: Vec<Hold>,
    pub resumes_at: Option<Timestamp>,
    /// The entry of a command.
    pub audit_id: Option<Uuid>,
    pub failure: Option<Failure>,
}

impl Report {
    /// Of a campaign as it is now.
    pub fn of(campaign: &Campaign, previous: Option<CampaignState>, status: Status, now: Timestamp) -> Self {
        Self {
            campaign_id: campaign.id.clone(),
            previous,
            state: campaign.seen.map(|(state, _)| state),
            status,
            holds: campaign.in_force(now).cloned().collect(),
            resumes_at: campaign.resumes_at(now),
            audit_id: None,
            failure: campaign.failure.clone(),
        }
    }
}
