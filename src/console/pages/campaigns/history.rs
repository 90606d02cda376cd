//! What the audit log says about a campaign: the holds that were lifted, and all changes.

use jiff::Timestamp;
use serde::Deserialize;

use super::model::Actor;
use crate::console::client::with_query;
use crate::console::page::Visit;
use crate::console::problem::ApiProblem;
use crate::console::view::List;
use crate::console::words::{self, Word};

/// Of each kind. The page of the audit log has all.
const SHOWN: &str = "20";

/// The newest entries of a campaign.
pub struct History {
    pub lifted: Vec<LiftedHold>,
    pub changes: Vec<Change>,
}

/// An entry `hold.lifted`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiftedHold {
    pub timestamp: Timestamp,
    pub actor: Actor,
    pub triggered_by: Option<String>,
    pub compliance_hold: Option<bool>,
    pub detail: LiftedDetail,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiftedDetail {
    pub pause_reason: String,
    pub placed_by: Option<Actor>,
    pub placed_at: Option<Timestamp>,
    pub before_its_time: bool,
}

/// Any entry of the campaign.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub timestamp: Timestamp,
    action: String,
    pub actor: Actor,
    outcome: String,
    pub triggered_by: Option<String>,
    pub latency_ms: Option<i64>,
    pub detail: ChangeDetail,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChangeDetail {
    pub pause_reason: Option<String>,
    /// Why a resume was dropped.
    pub reason: Option<String>,
    /// Why a command was refused.
    pub problem: Option<String>,
    /// The rules that a forced command did not follow.
    pub overrode: Vec<String>,
}

impl History {
    /// Reads the newest entries.
    ///
    /// # Errors
    /// The problem that the API answers.
    pub async fn read(visit: &Visit, campaign: &str) -> Result<Self, ApiProblem> {
        let all = [("campaignId", campaign), ("limit", SHOWN)];
        let lifted = with_query("/v1/audit", all.into_iter().chain([("action", "hold.lifted")]));
        let changes = with_query("/v1/audit", all);
        let (lifted, changes) =
            tokio::try_join!(visit.api.get::<List<LiftedHold>>(&lifted), visit.api.get::<List<Change>>(&changes))?;
        Ok(Self { lifted: lifted.data, changes: changes.data })
    }
}

impl Change {
    /// What was done.
    pub fn what(&self) -> &str {
        match self.action.as_str() {
            "campaign.paused" => "Paused in CXone",
            "campaign.resumed" => "Started in CXone",
            "campaign.pause_refused" => "Pause refused",
            "campaign.pause_pending" => "Pause not confirmed in time",
            "campaign.pause_unchanged" => "Pause: was paused already",
            "campaign.resume_refused" => "Resume refused",
            "campaign.resume_pending" => "Resume not confirmed in time",
            "campaign.resume_unchanged" => "Resume: nothing to change in CXone",
            "campaign.resume_dropped" => "Resume given up",
            "campaign.changed_outside" => "Changed in CXone by others",
            "hold.placed" => "Hold placed",
            "hold.extended" => "End of the hold moved",
            "hold.lifted" => "Hold lifted",
            "settings.updated" => "Settings replaced",
            "request.refused" => "Request refused",
            other => other,
        }
    }

    pub fn outcome(&self) -> Word<'_> {
        words::audit_outcome(&self.outcome)
    }
}
