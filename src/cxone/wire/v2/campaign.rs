//! The format of campaigns.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cxone::error::CxoneError;
use crate::cxone::model::{CampaignState, DialerCampaign};
use crate::types::CampaignId;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Campaign {
    id: Option<String>,
    state: CampaignState,
    pause_reason: Option<String>,
    scheduled_resume_time: Option<String>,
    max_agents: Option<u32>,
    dialing_mode: Option<String>,
}

impl Campaign {
    /// An answer about another campaign is an error. An invalid resume time counts as none: it must not prevent a pause.
    pub fn read(self, asked: &CampaignId) -> Result<DialerCampaign, CxoneError> {
        if self.id.is_some_and(|id| !id.eq_ignore_ascii_case(asked.as_str())) {
            return Err(CxoneError::unexpected("the answer is about another campaign"));
        }
        Ok(DialerCampaign {
            state: self.state,
            pause_reason: self.pause_reason,
            resume_at: self.scheduled_resume_time.and_then(|time| time.parse().ok()),
            max_agents: self.max_agents,
            dialing_mode: self.dialing_mode,
            is_partly_started: false,
            keeps_reasons: true,
        })
    }
}

/// The body of an update. What is absent is left out, never null.
pub fn update_body(wanted: &DialerCampaign) -> Value {
    let members = [
        ("state", Some(json!(wanted.state))),
        ("pauseReason", wanted.pause_reason.as_ref().map(|reason| json!(reason))),
        ("scheduledResumeTime", wanted.resume_at.map(|at| json!(at))),
        ("maxAgents", wanted.max_agents.map(|agents| json!(agents))),
        ("dialingMode", wanted.dialing_mode.as_ref().map(|mode| json!(mode))),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_is_sent_as_it_was_read_without_absent_members() {
        let id = CampaignId::parse("0192f0c4-1111-7000-8000-000000000001").unwrap();
        let read = |json: &str| serde_json::from_str::<Campaign>(json).map(|campaign| campaign.read(&id));
        let shown = r#"{"id": "0192F0C4-1111-7000-8000-000000000001", "state": "PAUSED", "maxAgents": 10,
            "scheduledResumeTime": "soon", "dialingMode": "PREDICTIVE"}"#;

        let campaign = read(shown).unwrap().unwrap();

        assert_eq!((campaign.state, campaign.resume_at), (CampaignState::Paused, None));
        let sent = json!({"state": "PAUSED", "maxAgents": 10, "dialingMode": "PREDICTIVE"});
        assert_eq!(update_body(&campaign), sent);
        assert!(read(r#"{"id": "another", "state": "ACTIVE"}"#).unwrap().is_err());
        assert!(read(r#"{"state": "DIALING"}"#).is_err() && read(r#"{"state": "ACTIVE", "maxAgents": -1}"#).is_err());
    }
}
