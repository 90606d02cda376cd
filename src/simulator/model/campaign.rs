//! One campaign, as CXone shows it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The state of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CampaignState {
    /// It dials.
    Active,
    /// It does not dial, and can be resumed.
    Paused,
    /// It has ended.
    Inactive,
    /// An administrator of CXone stopped it.
    Suspended,
}

impl CampaignState {
    /// Whether clients may change the campaign and add contacts to it.
    pub(in crate::simulator) fn is_open(self) -> bool {
        matches!(self, Self::Active | Self::Paused)
    }
}

/// A campaign as CXone shows it, without its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Campaign {
    /// Its state.
    pub state: CampaignState,
    /// Why it is paused, if a reason was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_reason: Option<String>,
    /// When it is to be resumed, as the client wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_resume_time: Option<String>,
    /// The most agents it may use.
    pub max_agents: u32,
    /// How it dials; clients cannot change it.
    pub dialing_mode: String,
}

impl Campaign {
    /// When CXone resumes it, if it is paused until a certain time.
    pub(in crate::simulator) fn resumes_at(&self) -> Option<Timestamp> {
        let time = self.scheduled_resume_time.as_deref().filter(|_| self.state == CampaignState::Paused)?;
        time.parse().ok()
    }

    /// The attributes that differ from this campaign in the body of a client's change.
    pub(in crate::simulator) fn attributes_changed_by(&self, body: &[u8]) -> Vec<Attribute> {
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return Vec::new();
        };
        let shown = json!(self);
        let differs = |name: &str| body.get(name).is_some_and(|wanted| !is_same(wanted, &shown[name]));
        Attribute::ALL.into_iter().filter(|attribute| differs(attribute.name())).collect()
    }
}

impl Default for Campaign {
    fn default() -> Self {
        Self {
            state: CampaignState::Active,
            pause_reason: None,
            scheduled_resume_time: None,
            max_agents: 10,
            dialing_mode: "PREDICTIVE".to_owned(),
        }
    }
}

/// A member of a client's change that a fault can refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::simulator) enum Attribute {
    MaxAgents,
    ScheduledResumeTime,
    PauseReason,
}

impl Attribute {
    const ALL: [Self; 3] = [Self::MaxAgents, Self::ScheduledResumeTime, Self::PauseReason];

    fn name(self) -> &'static str {
        match self {
            Self::MaxAgents => "maxAgents",
            Self::ScheduledResumeTime => "scheduledResumeTime",
            Self::PauseReason => "pauseReason",
        }
    }
}

/// Whether two values mean the same; an instant can be written in more than one way.
fn is_same(one: &Value, other: &Value) -> bool {
    let instant = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    one == other || instant(one).is_some_and(|at| instant(other) == Some(at))
}

/// A campaign as the API shows it.
pub(in crate::simulator) fn with_id(id: &str, campaign: &Campaign) -> Value {
    let mut shown = json!(campaign);
    shown["id"] = id.into();
    shown
}

/// A campaign as the control API shows it.
pub(in crate::simulator) fn with_revision(id: &str, campaign: &Campaign, revision: u64) -> Value {
    let mut shown = with_id(id, campaign);
    shown["revision"] = revision.into();
    shown
}
