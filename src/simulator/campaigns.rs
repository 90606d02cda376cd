//! Campaigns: read by clients, changed by clients and by others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Simulator;
use super::answer::{Answer, Refusal};
use super::fields::{Fields, Sent};
use super::history::{By, Change, History};
use super::state::{lock, now};
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

impl Campaign {
    /// When it is to go on by itself, where it is paused.
    fn starts_at(&self) -> Option<Timestamp> {
        let time = self.scheduled_resume_time.as_deref().filter(|_| self.state == CampaignState::Paused)?;
        time.parse().ok()
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

/// A member of a client's change that CXone can be told to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Attribute {
    MaxAgents,
    ScheduledResumeTime,
    PauseReason,
}

impl Attribute {
    const ALL: [Self; 3] = [Self::MaxAgents, Self::ScheduledResumeTime, Self::PauseReason];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::MaxAgents => "maxAgents",
            Self::ScheduledResumeTime => "scheduledResumeTime",
            Self::PauseReason => "pauseReason",
        }
    }
}

/// How a client's change is carried out; faults decide it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    AtOnce,
    /// After so long, over whatever was changed meanwhile.
    Late(Duration),
    Never,
}

/// When a request came in.
#[derive(Clone, Copy)]
pub(super) struct Arrived(pub(super) Timestamp);

/// All campaigns by id, and what became of them.
#[derive(Default)]
pub(super) struct Campaigns {
    by_id: BTreeMap<String, Kept>,
    history: History,
    /// Whether a paused campaign starts when its `scheduledResumeTime` is reached.
    pub(super) resume_themselves: bool,
}

struct Kept {
    campaign: Campaign,
    /// Goes up when somebody who is not a client changes the campaign.
    revision: u64,
    /// What each client saw when it last read the campaign.
    seen: HashMap<Arc<str>, u64>,
}

impl Campaigns {
    pub(super) fn new(resume_themselves: bool) -> Self {
        Self { resume_themselves, ..Self::default() }
    }

    pub(super) fn get(&self, id: &str) -> Option<&Campaign> {
        self.by_id.get(id).map(|kept| &kept.campaign)
    }

    /// The campaign as it is by now.
    pub(super) fn current(&mut self, id: &str) -> Option<Campaign> {
        self.start_what_is_due();
        self.get(id).cloned()
    }

    /// Makes a campaign or changes it behind the clients' backs; says its revision.
    pub(super) fn put(&mut self, id: &str, campaign: Campaign) -> u64 {
        self.start_what_is_due();
        self.history.note(Change::new(id, &campaign, By::Somebody, now()));
        if let Some(kept) = self.by_id.get_mut(id) {
            kept.campaign = campaign;
            kept.revision += 1;
            return kept.revision;
        }
        self.by_id.insert(id.to_owned(), Kept { campaign, revision: 1, seen: HashMap::new() });
        1
    }

    /// Every campaign with its revision.
    pub(super) fn list(&mut self) -> Vec<Value> {
        self.start_what_is_due();
        let listed = self.by_id.iter().map(|(id, kept)| with_revision(id, &kept.campaign, kept.revision));
        listed.collect()
    }

    /// The changes of one campaign, or all.
    pub(super) fn changes(&mut self, id: Option<&str>) -> Vec<Value> {
        self.start_what_is_due();
        self.history.list(id)
    }

    pub(super) fn forget_changes(&mut self) {
        self.history.clear();
    }

    /// Which attributes of a client's change differ from what the campaign has now.
    pub(super) fn changed_by(&mut self, id: &str, body: &[u8]) -> Vec<Attribute> {
        let (Some(campaign), Ok(body)) = (self.current(id), serde_json::from_slice::<Value>(body)) else {
            return Vec::new();
        };
        let shown = json!(campaign);
        let differs = |name: &str| body.get(name).is_some_and(|wanted| !is_same(wanted, &shown[name]));
        Attribute::ALL.into_iter().filter(|attribute| differs(attribute.name())).collect()
    }

    fn read(&mut self, id: &str, client: Arc<str>) -> Option<Campaign> {
        self.start_what_is_due();
        let kept = self.by_id.get_mut(id)?;
        kept.seen.insert(client, kept.revision);
        Some(kept.campaign.clone())
    }

    /// The campaign as it is, where this client may change it in this way.
    fn check(&mut self, id: &str, client: &str, wanted: &Campaign) -> Result<Campaign, Refusal> {
        self.start_what_is_due();
        let kept = self.by_id.get(id).ok_or_else(|| Refusal::no_campaign(id))?;
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
        Ok(kept.campaign.clone())
    }

    /// Carries out a client's change that was checked when it arrived. One that is closed by now stays as it is.
    fn carry_out(&mut self, id: &str, wanted: Campaign, Arrived(at): Arrived) {
        self.start_what_is_due();
        let Some(kept) = self.by_id.get_mut(id).filter(|kept| kept.campaign.state.is_open()) else {
            return;
        };
        self.history.note(Change::new(id, &wanted, By::Client, now()).sent(at));
        kept.campaign = wanted;
    }

    /// Nobody sees a campaign but through these methods, so that a start is in time whenever it is worked out.
    fn start_what_is_due(&mut self) {
        if !self.resume_themselves {
            return;
        }
        let now = now();
        for (id, kept) in &mut self.by_id {
            let Some(at) = kept.campaign.starts_at().filter(|at| *at <= now) else {
                continue;
            };
            let campaign = &mut kept.campaign;
            (campaign.state, campaign.pause_reason, campaign.scheduled_resume_time) =
                (CampaignState::Active, None, None);
            kept.revision += 1;
            self.history.note(Change::new(id, campaign, By::Schedule, at));
        }
    }
}

/// Whether two values say the same; instants may be written in more than one way.
fn is_same(one: &Value, other: &Value) -> bool {
    let instant = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    one == other || instant(one).is_some_and(|at| instant(other) == Some(at))
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
    Extension(arrived): Extension<Arrived>,
    Extension(manner): Extension<Manner>,
    Path(id): Path<String>,
    Sent(body): Sent,
) -> Answer {
    let wanted = wanted(&body)?;
    let mut campaigns = lock(&simulator.state().campaigns);
    let unchanged = campaigns.check(&id, &client, &wanted)?;
    match manner {
        Manner::AtOnce => {
            campaigns.carry_out(&id, wanted.clone(), arrived);
            Ok((StatusCode::OK, Json(with_id(&id, &wanted))))
        }
        Manner::Late(delay) => {
            let (simulator, id) = (simulator.clone(), id.clone());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                lock(&simulator.state().campaigns).carry_out(&id, wanted, arrived);
            });
            Ok((StatusCode::ACCEPTED, Json(Value::Null)))
        }
        Manner::Never => Ok((StatusCode::OK, Json(with_id(&id, &unchanged)))),
    }
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
