//! Pauses and starts campaigns by their skills. CXone keeps no reason, end or number of agents of a pause.

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
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
/// The requests about the skills of one campaign that are sent at the same time.
const AT_ONCE: usize = 8;

/// The skills of a campaign, as far as CXone shows them.
struct ReadSkills {
    skills: Vec<Skill>,
    /// Why others could not be read.
    unread: Option<CxoneError>,
}

impl Nice {
    pub async fn read_campaign(
        &self,
        transport: &Transport,
        id: &CampaignId,
        context: RequestContext<'_>,
    ) -> Result<DialerCampaign, CxoneError> {
        let ReadSkills { skills, unread } = self.read_skills(transport, id, context).await?;
        let state = state_of(&skills);
        let is_unread = unread.is_some();
        // One that runs is enough to know that the campaign dials.
        if let Some(error) = unread.filter(|_| state != CampaignState::Active) {
            return Err(error);
        }
        let stopped = stored(self.stopped.without_running(id, &running(&skills), self.clock.now()).await)?;
        let is_missing = |stopped: &i64| match skills.iter().find(|skill| skill.id == *stopped) {
            Some(skill) => skill.is_active && !skill.is_running,
            None => is_unread,
        };
        Ok(campaign(state, stopped.iter().any(is_missing)))
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
        let read = self.read_skills(transport, id, context).await?;
        let changed = match wanted.state {
            CampaignState::Active => self.skills_to_start(id, &read).await?,
            _ => self.skills_to_stop(id, &read.skills).await?,
        };
        let change = |skill| self.change_skill(transport, skill, wanted.state, context, still_wanted);
        let results = at_once(changed.iter().copied().map(change)).await;
        let failures: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        if let Some(error) = failure_of_all(&failures, changed.len()) {
            return Err(error);
        }
        if let Some(error) = read.unread {
            return Err(if changed.is_empty() { error } else { in_part(&error) });
        }
        let skills = self.confirmed(transport, wanted.state, &changed, read.skills, context).await;
        let skills = skills.map_err(|error| if changed.is_empty() { error } else { in_part(&error) })?;
        let state = state_of(&skills);
        if state == CampaignState::Active && wanted.state == CampaignState::Active {
            stored(self.stopped.forget(id, &running(&skills)).await).map_err(|error| in_part(&error))?;
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

    /// The skills that Ringback has stopped. Where it has stopped none that is still active, and none runs, all skills of the
    /// campaign: a command starts a campaign that somebody else has paused.
    async fn skills_to_start(&self, id: &CampaignId, read: &ReadSkills) -> Result<Vec<i64>, CxoneError> {
        let remembered = stored(self.stopped.stopped(id).await)?;
        let is_ours = |skill: &Skill| remembered.contains(&skill.id);
        let dialers = || read.skills.iter().filter(|skill| skill.has_dialer && skill.is_active);
        let starts_all = read.unread.is_none() && !dialers().any(|skill| skill.is_running || is_ours(skill));
        let to_start = dialers().filter(|skill| !skill.is_running && (starts_all || is_ours(skill)));
        let to_start: Vec<i64> = to_start.map(|skill| skill.id).collect();
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

    /// The skills after a change. Those that were changed are read until they are as wanted, or the waits are over.
    async fn confirmed(
        &self,
        transport: &Transport,
        wanted: CampaignState,
        changed: &[i64],
        mut skills: Vec<Skill>,
        context: RequestContext<'_>,
    ) -> Result<Vec<Skill>, CxoneError> {
        let runs = wanted == CampaignState::Active;
        let is_done = |skill: &Skill| !changed.contains(&skill.id) || skill.is_running == runs;
        for wait in CONFIRM_AFTER {
            if skills.iter().all(is_done) {
                break;
            }
            tokio::time::sleep(wait).await;
            let read = at_once(changed.iter().copied().map(|skill| self.read_skill(transport, skill, context))).await;
            for skill in read {
                let skill = skill?;
                skills.iter_mut().filter(|known| known.id == skill.id).for_each(|known| *known = skill);
            }
        }
        // Some skills run and others do not.
        if state_of(&skills) == wanted && !skills.iter().all(is_done) {
            return Err(CxoneError::OutcomeUnknown { reason: "not all skills have changed".into() });
        }
        Ok(skills)
    }

    /// Reads all skills of a campaign. One that CXone does not have any more is not active; but one of them must exist. The first
    /// is read alone: after an outage, only one request is sent to see whether CXone answers.
    async fn read_skills(
        &self,
        transport: &Transport,
        id: &CampaignId,
        context: RequestContext<'_>,
    ) -> Result<ReadSkills, CxoneError> {
        let ids = self.skills_of(transport, id, context).await?;
        let read = |skill| self.read_skill_twice(transport, skill, context);
        let mut results = at_once(ids.iter().copied().take(1).map(read)).await;
        results.extend(at_once(ids.iter().copied().skip(1).map(read)).await);
        let (mut skills, mut not_found, mut unread) = (Vec::new(), None, None);
        for skill in results {
            match skill {
                Ok(skill) if skill.has_dialer && skill.is_active && !skill.shows_running => {
                    let reason = format!("skill {} does not show whether it runs", skill.id);
                    unread = Some(CxoneError::UnexpectedAnswer { reason });
                }
                Ok(skill) => skills.push(skill),
                Err(error @ CxoneError::NotFound { .. }) => not_found = Some(error),
                Err(error) => unread = unread.or(Some(error)),
            }
        }
        match not_found.filter(|_| skills.is_empty() && unread.is_none()) {
            Some(error) => Err(error),
            None => Ok(ReadSkills { skills, unread }),
        }
    }

    /// A gateway can answer 404 once.
    async fn read_skill_twice(
        &self,
        transport: &Transport,
        skill: i64,
        context: RequestContext<'_>,
    ) -> Result<Skill, CxoneError> {
        match self.read_skill(transport, skill, context).await {
            Err(CxoneError::NotFound { .. }) => self.read_skill(transport, skill, context).await,
            read => read,
        }
    }
}

/// Sends the requests for several skills, up to [`AT_ONCE`] at a time. The results are in the same order.
async fn at_once<F: Future>(requests: impl Iterator<Item = F>) -> Vec<F::Output> {
    stream::iter(requests).buffered(AT_ONCE).collect().await
}

fn running(skills: &[Skill]) -> Vec<i64> {
    skills.iter().filter(|skill| skill.is_running).map(|skill| skill.id).collect()
}

/// The failure of a change, if it is one. It says that nothing was done only where that is so of all skills.
fn failure_of_all(failures: &[CxoneError], skills: usize) -> Option<CxoneError> {
    let may_have_changed = |error: &CxoneError| {
        matches!(
            error,
            CxoneError::OutcomeUnknown { .. } | CxoneError::ServerError { .. } | CxoneError::UnexpectedAnswer { .. }
        )
    };
    let first = failures.first()?;
    if failures.len() < skills {
        return Some(in_part(first));
    }
    Some(failures.iter().find(|error| may_have_changed(error)).unwrap_or(first).clone())
}

/// The failure of a step after a skill was, or may have been, changed.
fn in_part(error: &CxoneError) -> CxoneError {
    CxoneError::OutcomeUnknown { reason: format!("not all skills have changed: {error}") }
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
            shows_running: true,
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

    #[test]
    fn a_change_is_refused_only_where_no_skill_can_have_changed() {
        let refused = || CxoneError::Rejected { status: 400, reason: String::new() };
        let unknown = || CxoneError::OutcomeUnknown { reason: String::new() };
        assert_eq!(failure_of_all(&[], 2), None);
        assert_eq!(failure_of_all(&[refused(), refused()], 2), Some(refused()));
        for failures in [vec![refused()], vec![refused(), unknown()], vec![unknown(), unknown()]] {
            let failure = failure_of_all(&failures, 2);
            assert!(matches!(failure, Some(CxoneError::OutcomeUnknown { .. })), "{failure:?}");
        }
    }
}
