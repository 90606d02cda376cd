//! The result of work on a campaign, as commands are answered with it and as it is stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::hold::Hold;
use crate::cxone::{CampaignState, CxoneError};
use crate::types::CampaignId;

/// How far a command or a reconciliation has come in CXone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CommandStatus)]
pub enum Status {
    /// CXone has confirmed it.
    Applied,
    /// CXone was in that state already; nothing was sent.
    Unchanged,
    /// It is stored; CXone has not confirmed it yet, and is asked until it does.
    Pending,
}

/// The error of the last attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = CampaignFailure)]
pub struct Failure {
    /// For programs.
    #[schema(example = "cxone-unavailable")]
    pub code: String,
    /// For people; CXone's own message where it gave one.
    pub detail: String,
}

impl From<&CxoneError> for Failure {
    fn from(error: &CxoneError) -> Self {
        Self { code: error.code().into(), detail: error.to_string() }
    }
}

/// The state of a campaign after work on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub campaign_id: CampaignId,
    /// What CXone showed before; `None` where it did not answer.
    pub previous: Option<CampaignState>,
    /// What CXone last showed or confirmed.
    pub state: Option<CampaignState>,
    pub status: Status,
    /// The holds in force.
    pub holds: Vec<Hold>,
    pub resumes_at: Option<Timestamp>,
    /// The audit entry of the command.
    pub audit_id: Option<Uuid>,
    pub failure: Option<Failure>,
}
