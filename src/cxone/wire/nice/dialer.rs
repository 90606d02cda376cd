//! Pauses and starts campaigns by their skills. CXone keeps no reason, end or number of agents of a pause.

use std::time::Duration;

use reqwest::Method;

use super::skills::Skill;
use super::{Nice, Request, stored};
use crate::cxone::endpoint::Operation;
use crate::cxone::error::CxoneError;
use crate::cxone::gate::StillWanted;
use crate::cxone::model::{CampaignState, DialerCampaign, RequestContext};
use crate::cxone::transport::Transport;
use crate::types::CampaignId;

/// The waits before the reads that confirm a change. CXone accepts a start before it has effect.
const CONFIRM_AFTER: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(7)];

impl Nice {
    pub async fn read_campaign(
        &self,
        transport: &Transport,
        id: &CampaignId,
        context: RequestContext<'_>,
    ) -> Result<DialerCampaign, CxoneError> {
        let skills = self.read_skills(transport, id, context).await?;
        let stopped = stored(self.stopped.stopped(id).await)?;
        let is_missing = |skill: &Skill| stopped.contains(&skill.id) && skill.is_active && !skill.is_running;
        Ok(campaign(state_of(&skills), skills.iter().any(is_missing)))
    }

    /// Brings the skills to the wanted state. A skill that fails is tried again with the next call; the others are done.
    pub async fn update_campaign(
        &self,
        transport: &Transport,
        id: &CampaignId,
        wanted: &DialerCampaign,
        context: RequestContext<'_>,
        still_wanted: &dyn StillWanted,
    ) -> Result<DialerCampaign, CxoneError> {
        let skills = self.read_skills(transport, id, context).await?;
        let changed = match wanted.state {
            CampaignState::Active => self.skills_to_start(id, &skills).await?,
            _ => self.skills_to_stop(id, &skills).await?,
        };
        let mut failures = Vec::new();
        for skill in &changed {
            let change = self.change_skill(transport, *skill, wanted.state, context, still_wanted).await;
            failures.extend(change.err());
        }
        if let Some(error) = failure_of_all(failures, changed.len()) {
            return Err(error);
        }
        let state = self.confirmed_state(transport, id, wanted.state, &changed, context).await?;
        if state == CampaignState::Active && wanted.state == CampaignState::Active {
            stored(self.stopped.forget(id).await)?;
        }
        Ok(campaign(state, false))
    }

    /// Running skills, remembered before they are stopped.
    async fn skills_to_stop(&self, id: &CampaignId, skills: &[Skill]) -> Result<Vec<i64>, CxoneError> {
        let running: Vec<i64> =
            skills.iter().filter(|skill| skill.has_dialer && skill.is_running).map(|skill| skill.id).collect();
        stored(self.stopped.remember(id, &running, self.clock.now()).await)?;
        Ok(running)
    }

    /// The skills that Ringback has stopped. Where it has stopped none, and none runs, all skills of the campaign: a command
    /// starts a campaign that somebody else has paused.
    async fn skills_to_start(&self, id: &CampaignId, skills: &[Skill]) -> Result<Vec<i64>, CxoneError> {
        let stopped = stored(self.stopped.stopped(id).await)?;
        let is_any_running = skills.iter().any(|skill| skill.has_dialer && skill.is_running);
        let is_to_start = |skill: &&Skill| {
            let is_ours = stopped.contains(&skill.id);
            skill.has_dialer
                && skill.is_active
                && !skill.is_running
                && (is_ours || (stopped.is_empty() && !is_any_running))
        };
        let to_start: Vec<i64> = skills.iter().filter(is_to_start).map(|skill| skill.id).collect();
        stored(self.stopped.remember(id, &to_start, self.clock.now()).await)?;
        Ok(to_start)
    }

    async fn change_skill(
        &self,
        transport: &Transport,
        skill: i64,
        state: CampaignState,
        context: RequestContext<'_>,
        still_wanted: &dyn StillWanted,
    ) -> Result<(), CxoneError> {
        let starts = state == CampaignState::Active;
        let (path, query): (_, &[(&str, &str)]) = if starts {
            (format!("skills/{skill}/start"), &[])
        } else {
            // `force` may end calls in progress.
            (format!("skills/{skill}/stop"), &[("force", "false")])
        };
        let permission = "the permission to start and stop skills";
        let request = Request {
            still_wanted: Some(still_wanted),
            ..Request::new(Operation::UpdateCampaign, Method::POST, path, permission).query(query)
        };
        self.call(transport, request, context, |_| Some(())).await
    }

    /// The state after a change, read until it is as wanted or the waits are over.
    async fn confirmed_state(
        &self,
        transport: &Transport,
        id: &CampaignId,
        wanted: CampaignState,
        changed: &[i64],
        context: RequestContext<'_>,
    ) -> Result<CampaignState, CxoneError> {
        let mut state = wanted;
        for wait in CONFIRM_AFTER {
            tokio::time::sleep(wait).await;
            let skills = self.read_skills(transport, id, context).await?;
            state = state_of(&skills);
            let runs = wanted == CampaignState::Active;
            let is_done = |skill: &Skill| !changed.contains(&skill.id) || skill.is_running == runs;
            if state == wanted && skills.iter().all(is_done) {
                return Ok(state);
            }
        }
        // Some skills run and others do not.
        if state == wanted {
            Err(CxoneError::OutcomeUnknown { reason: "not all skills have changed".into() })
        } else {
            Ok(state)
        }
    }

    async fn read_skills(
        &self,
        transport: &Transport,
        id: &CampaignId,
        context: RequestContext<'_>,
    ) -> Result<Vec<Skill>, CxoneError> {
        let mut skills = Vec::new();
        for skill in self.skills_of(transport, id, context).await? {
            skills.push(self.read_skill(transport, skill, context).await?);
        }
        Ok(skills)
    }
}

/// The failure of a change. Where some skills have changed, it does not say that nothing was done.
fn failure_of_all(mut failures: Vec<CxoneError>, skills: usize) -> Option<CxoneError> {
    let is_partial = failures.len() < skills;
    let first = failures.drain(..).next()?;
    Some(if is_partial {
        CxoneError::OutcomeUnknown { reason: format!("not all skills have changed: {first}") }
    } else {
        first
    })
}

fn campaign(state: CampaignState, is_partly_started: bool) -> DialerCampaign {
    DialerCampaign {
        state,
        is_partly_started,
        keeps_reasons: false,
        pause_reason: None,
        resume_at: None,
        max_agents: None,
        dialing_mode: None,
    }
}

/// A campaign dials while the dialer of one of its skills runs.
fn state_of(skills: &[Skill]) -> CampaignState {
    if skills.iter().any(|skill| skill.has_dialer && skill.is_running) {
        CampaignState::Active
    } else if skills.iter().any(|skill| skill.is_active) {
        CampaignState::Paused
    } else {
        CampaignState::Inactive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_campaign_is_that_of_its_dialers() {
        let skill = |active: bool, dialer: bool, running: bool| Skill {
            id: 1,
            is_active: active,
            is_outbound: true,
            is_phone: true,
            has_dialer: dialer,
            is_running: running,
        };
        for (skills, state) in [
            (vec![skill(true, true, true), skill(true, true, false)], CampaignState::Active),
            (vec![skill(true, true, false), skill(true, true, false)], CampaignState::Paused),
            // A skill without a dialer has nothing that runs.
            (vec![skill(true, false, true)], CampaignState::Paused),
            (vec![skill(false, true, false)], CampaignState::Inactive),
            (vec![], CampaignState::Inactive),
        ] {
            assert_eq!(state_of(&skills), state, "{skills:?}");
        }
    }
}
