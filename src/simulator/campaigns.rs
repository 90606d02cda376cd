//! Campaigns: read by clients, changed by clients and by others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Simulator;
use super::answer::{Answer, Refusal};
use super::fields::{Fields, Sent};
use super::state::lock;
use super::tokens::Caller;

/// What a campaign is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CampaignState {
    /// It dials.
    Active,
    /// It holds still, and can be resumed.
    Paused,
    /// It is over.
    Inactive,
    /// Somebody at CXone stopped it.
    Suspended,
}

impl CampaignState {
    /// Whether clients may change the campaign and add contacts to it.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Active | Self::Paused)
    }
}

/// A campaign as CXone shows it, without its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Campaign {
    /// What it is doing.
    pub state: CampaignState,
    /// Why it is paused, where somebody said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_reason: Option<String>,
    /// When it is to go on, as the client wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_resume_time: Option<String>,
    /// How many agents it may use.
    pub max_agents: u32,
    /// How it dials; clients cannot change it.
    pub dialing_mode: String,
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

/// All campaigns by id.
#[derive(Default)]
pub(super) struct Campaigns(BTreeMap<String, Kept>);

struct Kept {
    campaign: Campaign,
    /// Goes up when somebody who is not a client changes the campaign.
    revision: u64,
    /// What each client saw when it last read the campaign.
    seen: HashMap<Arc<str>, u64>,
}

impl Campaigns {
    pub(super) fn get(&self, id: &str) -> Option<&Campaign> {
        self.0.get(id).map(|kept| &kept.campaign)
    }

    /// Makes a campaign or changes it behind the clients' backs; says its revision.
    pub(super) fn put(&mut self, id: &str, campaign: Campaign) -> u64 {
        if let Some(kept) = self.0.get_mut(id) {
            kept.campaign = campaign;
            kept.revision += 1;
            return kept.revision;
        }
        self.0.insert(id.to_owned(), Kept { campaign, revision: 1, seen: HashMap::new() });
        1
    }

    /// Every campaign with its revision.
    pub(super) fn list(&self) -> Vec<Value> {
        let listed = self.0.iter().map(|(id, kept)| with_revision(id, &kept.campaign, kept.revision));
        listed.collect()
    }

    fn read(&mut self, id: &str, client: Arc<str>) -> Option<Campaign> {
        let kept = self.0.get_mut(id)?;
        kept.seen.insert(client, kept.revision);
        Some(kept.campaign.clone())
    }

    fn update(&mut self, id: &str, client: &str, wanted: Campaign) -> Result<Campaign, Refusal> {
        let kept = self.0.get_mut(id).ok_or_else(|| Refusal::no_campaign(id))?;
        // Before all else: what the client would hear about may be just what it has not seen yet.
        if kept.seen.get(client).is_some_and(|&seen| seen < kept.revision) {
            let words = "somebody changed the campaign after you read it: read it again";
            return Err(Refusal::new(StatusCode::CONFLICT, "campaign_changed", words));
        }
        if !kept.campaign.state.is_open() {
            return Err(Refusal::unprocessable("an inactive or suspended campaign cannot be changed"));
        }
        if wanted.dialing_mode != kept.campaign.dialing_mode {
            let words = format!("dialingMode is {:?} and cannot be changed", kept.campaign.dialing_mode);
            return Err(Refusal::unprocessable(words));
        }
        kept.campaign = wanted;
        Ok(kept.campaign.clone())
    }
}

/// `GET /api/v2/outbound/campaigns/{campaignId}`
pub(super) async fn read(
    State(simulator): State<Simulator>,
    Extension(Caller(client)): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let campaign = lock(&simulator.state().campaigns).read(&id, client);
    let campaign = campaign.ok_or_else(|| Refusal::no_campaign(&id))?;
    Ok((StatusCode::OK, Json(with_id(&id, &campaign))))
}

/// `PUT /api/v2/outbound/campaigns/{campaignId}`
pub(super) async fn update(
    State(simulator): State<Simulator>,
    Extension(Caller(client)): Extension<Caller>,
    Path(id): Path<String>,
    Sent(body): Sent,
) -> Answer {
    let wanted = wanted(&body)?;
    let campaign = lock(&simulator.state().campaigns).update(&id, &client, wanted)?;
    Ok((StatusCode::OK, Json(with_id(&id, &campaign))))
}

/// The campaign that a client asks for; what it leaves out is cleared, and an active one has nothing to resume from.
fn wanted(body: &Value) -> Result<Campaign, Refusal> {
    let known = ["state", "pauseReason", "scheduledResumeTime", "maxAgents", "dialingMode"];
    let fields = Fields::known(body, "", &known)?;
    let state = fields.text("state")?;
    let pause_reason = fields.optional_text("pauseReason")?;
    let resume = fields.optional_text("scheduledResumeTime")?;
    let dialing_mode = fields.text("dialingMode")?.to_owned();
    let max_agents = fields.count("maxAgents")?;
    if resume.is_some_and(|time| time.parse::<Timestamp>().is_err()) {
        return Err(Refusal::unprocessable("scheduledResumeTime must be an ISO 8601 instant"));
    }
    match state {
        "ACTIVE" => Ok(Campaign { max_agents, dialing_mode, ..Campaign::default() }),
        "PAUSED" => Ok(Campaign {
            state: CampaignState::Paused,
            pause_reason: pause_reason.map(str::to_owned),
            scheduled_resume_time: resume.map(str::to_owned),
            max_agents,
            dialing_mode,
        }),
        _ => Err(Refusal::unprocessable("state must be ACTIVE or PAUSED")),
    }
}

fn with_id(id: &str, campaign: &Campaign) -> Value {
    let mut shown = json!(campaign);
    shown["id"] = id.into();
    shown
}

/// A campaign as the control API shows it.
pub(super) fn with_revision(id: &str, campaign: &Campaign, revision: u64) -> Value {
    let mut shown = with_id(id, campaign);
    shown["revision"] = revision.into();
    shown
}
