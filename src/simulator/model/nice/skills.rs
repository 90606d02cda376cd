//! Skills, and the campaigns that they belong to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::simulator::model::campaign::CampaignState;
use crate::simulator::model::campaigns::Campaigns;

/// The campaign numbers and skill ids of campaigns begin after these.
const FIRST_NUMBER: u64 = 100;
const FIRST_SKILL: u64 = 4000;

pub(in crate::simulator) const PERSONAL_CONNECTION: &str = "Personal Connection";
pub(in crate::simulator) const PHONE: u64 = 4;

/// All skills, and the numbers of campaigns.
#[derive(Default)]
pub(in crate::simulator) struct Skills {
    by_id: BTreeMap<u64, Stored>,
    links: BTreeMap<String, Link>,
    /// How many campaigns got a number.
    linked: u64,
}

/// What a campaign is called in the `nice` API.
#[derive(Clone, Copy)]
pub(in crate::simulator) struct Link {
    pub(in crate::simulator) number: u64,
    /// The skill that runs while the campaign is active, and that starts and stops it.
    pub(in crate::simulator) skill_id: u64,
}

#[derive(Clone)]
struct Stored {
    name: String,
    campaign: Option<String>,
    is_active: bool,
    /// Not used for the skill of a campaign, which runs while its campaign is active.
    is_running: bool,
    starts_at: Option<Timestamp>,
    is_outbound: bool,
    outbound_strategy: String,
    media_type_id: u64,
}

/// A skill as it is now.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::simulator) struct Skill {
    pub(in crate::simulator) skill_id: u64,
    pub(in crate::simulator) skill_name: String,
    /// The id that the `v2` API and the control API use.
    pub(in crate::simulator) campaign: Option<String>,
    pub(in crate::simulator) nice_campaign_id: Option<u64>,
    pub(in crate::simulator) is_active: bool,
    pub(in crate::simulator) is_running: bool,
    pub(in crate::simulator) is_outbound: bool,
    pub(in crate::simulator) outbound_strategy: String,
    pub(in crate::simulator) media_type_id: u64,
}

/// A change through the control API; absent members are not changed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::simulator) struct SkillChange {
    pub(in crate::simulator) campaign: Option<String>,
    skill_name: Option<String>,
    is_active: Option<bool>,
    pub(in crate::simulator) is_running: Option<bool>,
    is_outbound: Option<bool>,
    outbound_strategy: Option<String>,
    media_type_id: Option<u64>,
}

impl Skill {
    /// Whether callbacks can be scheduled with it.
    pub(in crate::simulator) fn takes_callbacks(&self) -> bool {
        self.is_active && self.is_outbound && self.media_type_id == PHONE
    }

    /// Whether it can be started and stopped.
    pub(in crate::simulator) fn has_dialer(&self) -> bool {
        self.takes_callbacks() && self.outbound_strategy == PERSONAL_CONNECTION
    }
}

impl Skills {
    /// Gives a new campaign its number and its skill. A campaign whose id is a number keeps it, if it is free.
    pub(in crate::simulator) fn link(&mut self, campaign: &str) {
        if self.links.contains_key(campaign) {
            return;
        }
        self.linked += 1;
        let taken = |number: &u64| self.links.values().any(|link| link.number == *number);
        let own = campaign.parse().ok().filter(|number| *number > 0 && !taken(number));
        let next = || (FIRST_NUMBER + self.linked..=u64::MAX).find(|number| !taken(number)).unwrap_or_default();
        let number = own.unwrap_or_else(next);
        let free = |skill: &u64| !self.by_id.contains_key(skill);
        let skill_id = (FIRST_SKILL + self.linked..=u64::MAX).find(free).unwrap_or_default();
        self.links.insert(campaign.to_owned(), Link { number, skill_id });
        self.by_id.insert(skill_id, Stored::new(format!("Callbacks {number}"), Some(campaign.to_owned())));
    }

    pub(in crate::simulator) fn link_of(&self, campaign: &str) -> Option<Link> {
        self.links.get(campaign).copied()
    }

    pub(in crate::simulator) fn campaign_of(&self, skill: u64) -> Option<&str> {
        self.by_id.get(&skill)?.campaign.as_deref()
    }

    pub(in crate::simulator) fn campaign_with_number(&self, number: u64) -> Option<&str> {
        self.links.iter().find(|(_, link)| link.number == number).map(|(campaign, _)| campaign.as_str())
    }

    /// The numbers of all campaigns, in order, and the campaigns.
    pub(in crate::simulator) fn numbers(&self) -> BTreeMap<u64, &str> {
        self.links.iter().map(|(campaign, link)| (link.number, campaign.as_str())).collect()
    }

    /// The campaign that this skill starts and stops.
    pub(in crate::simulator) fn campaign_started_by(&self, skill: u64) -> Option<&str> {
        let campaign = self.campaign_of(skill)?;
        self.links.get(campaign).filter(|link| link.skill_id == skill).map(|_| campaign)
    }

    /// The skill as it is now, after `start_due`.
    pub(in crate::simulator) fn get(&self, id: u64, campaigns: &Campaigns) -> Option<Skill> {
        self.by_id.get(&id).map(|stored| self.shown(id, stored, campaigns))
    }

    pub(in crate::simulator) fn list(&self, campaigns: &Campaigns) -> Vec<Skill> {
        self.by_id.iter().map(|(&id, stored)| self.shown(id, stored, campaigns)).collect()
    }

    fn shown(&self, id: u64, stored: &Stored, campaigns: &Campaigns) -> Skill {
        let state = stored.campaign.as_deref().and_then(|id| campaigns.get(id)).map(|campaign| campaign.state);
        let is_open = state.is_none_or(CampaignState::is_open);
        let is_running = match self.campaign_started_by(id) {
            Some(_) => state == Some(CampaignState::Active),
            None => stored.is_running && is_open,
        };
        let number = stored.campaign.as_deref().and_then(|campaign| self.link_of(campaign)).map(|link| link.number);
        Skill {
            skill_id: id,
            skill_name: stored.name.clone(),
            campaign: stored.campaign.clone(),
            nice_campaign_id: number,
            is_active: stored.is_active && is_open,
            is_running: is_running && stored.is_active,
            is_outbound: stored.is_outbound,
            outbound_strategy: stored.outbound_strategy.clone(),
            media_type_id: stored.media_type_id,
        }
    }

    /// Starts a skill at this time.
    pub(in crate::simulator) fn start_at(&mut self, id: u64, due: Timestamp) {
        if let Some(stored) = self.by_id.get_mut(&id) {
            stored.starts_at = Some(due);
        }
    }

    pub(in crate::simulator) fn stop(&mut self, id: u64) {
        if let Some(stored) = self.by_id.get_mut(&id) {
            (stored.is_running, stored.starts_at) = (false, None);
        }
    }

    pub(super) fn start_due(&mut self, now: Timestamp) {
        let due = |stored: &&mut Stored| stored.starts_at.is_some_and(|at| at <= now);
        for stored in self.by_id.values_mut().filter(due) {
            (stored.is_running, stored.starts_at) = (true, None);
        }
    }

    /// Creates or changes a skill as an administrator would. A new one is an active Personal Connection skill that runs.
    pub(in crate::simulator) fn put(&mut self, id: u64, change: SkillChange) {
        let new = || Stored::new(format!("Skill {id}"), None);
        let stored = self.by_id.entry(id).or_insert_with(new);
        stored.campaign = change.campaign.or(stored.campaign.take());
        stored.is_active = change.is_active.unwrap_or(stored.is_active);
        stored.is_outbound = change.is_outbound.unwrap_or(stored.is_outbound);
        stored.media_type_id = change.media_type_id.unwrap_or(stored.media_type_id);
        if let Some(is_running) = change.is_running {
            (stored.is_running, stored.starts_at) = (is_running, None);
        }
        if let Some(name) = change.skill_name {
            stored.name = name;
        }
        if let Some(strategy) = change.outbound_strategy {
            stored.outbound_strategy = strategy;
        }
    }
}

impl Stored {
    fn new(name: String, campaign: Option<String>) -> Self {
        Self {
            name,
            campaign,
            is_active: true,
            is_running: true,
            starts_at: None,
            is_outbound: true,
            outbound_strategy: PERSONAL_CONNECTION.to_owned(),
            media_type_id: PHONE,
        }
    }
}
