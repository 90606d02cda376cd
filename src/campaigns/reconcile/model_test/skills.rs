//! The campaign in the API that NICE publishes. It has two skills, and each is stopped or started by a request of its own.
//! It dials while one of them runs. CXone keeps no reason, end or number of agents of a pause, and never starts a campaign
//! itself.

use super::cxone::{ModelGateway, failure};
use super::world::{Behavior, MAX_LATENESS_MS, Shared, World, yield_now};
use crate::campaigns::ports::SendCheck;
use crate::cxone::{CampaignState, CxoneError, DialerCampaign};

const SKILLS: usize = 2;
/// The reads that confirm a change.
const CONFIRMATIONS: usize = 4;

/// The skills, and what Ringback has stored about them.
pub struct Skills {
    running: [bool; SKILLS],
    /// Those that Ringback has stopped, and has not started again.
    stopped: [bool; SKILLS],
    /// Whether somebody else has changed the campaign since Ringback stopped or started it.
    is_changed_outside: bool,
    /// Changes that take effect later, and when.
    late: Vec<(i64, usize, bool)>,
}

impl Skills {
    pub fn new(state: CampaignState) -> Self {
        let running = [state == CampaignState::Active; SKILLS];
        Self { running, stopped: [false; SKILLS], is_changed_outside: false, late: Vec::new() }
    }

    /// Somebody else changes the campaign.
    pub fn change_outside(&mut self, state: CampaignState, second: bool) {
        self.is_changed_outside = true;
        self.running = if state == CampaignState::Active { [true, second] } else { [false; SKILLS] };
    }

    /// Whether a skill that Ringback has stopped does not run.
    pub fn is_partly_started(&self) -> bool {
        self.stopped.iter().zip(self.running).any(|(is_stopped, runs)| *is_stopped && !runs)
    }

    /// Whether Ringback has left a skill stopped.
    pub fn is_left_partly_started(&self) -> bool {
        self.is_partly_started() && !self.is_changed_outside
    }

    fn stop_running(&mut self) -> Vec<usize> {
        self.is_changed_outside = false;
        let running: Vec<usize> = (0..SKILLS).filter(|skill| self.running[*skill]).collect();
        for skill in &running {
            self.stopped[*skill] = true;
        }
        running
    }

    fn start_stopped(&mut self) -> Vec<usize> {
        self.is_changed_outside = false;
        let all = self.stopped == [false; SKILLS] && self.running == [false; SKILLS];
        let is_to_start = |skill: &usize| !self.running[*skill] && (all || self.stopped[*skill]);
        let to_start: Vec<usize> = (0..SKILLS).filter(is_to_start).collect();
        for skill in &to_start {
            self.stopped[*skill] = true;
        }
        to_start
    }
}

impl World {
    fn is_running(&self) -> bool {
        matches!(self.cxone.state, CampaignState::Active | CampaignState::Paused)
    }

    fn change_skill(&mut self, skill: usize, runs: bool) {
        let Some(skills) = self.skills.as_mut() else { return };
        skills.running[skill] = runs;
        let state = if skills.running.contains(&true) { CampaignState::Active } else { CampaignState::Paused };
        self.log(format_args!("skill {skill} runs: {runs}"));
        if state != self.cxone.state {
            let target = DialerCampaign { state, ..self.cxone.clone() };
            self.change_cxone(&target);
        }
    }

    /// Carries out what is late.
    pub fn change_late_skills(&mut self) {
        let now_ms = self.now_ms;
        let Some(skills) = self.skills.as_mut() else { return };
        let (due, left): (Vec<_>, Vec<_>) = skills.late.drain(..).partition(|(at, _, _)| *at <= now_ms);
        skills.late = left;
        for (_, skill, runs) in due {
            if self.is_running() {
                self.log(format_args!("late:"));
                self.change_skill(skill, runs);
                self.late_effect_ms = now_ms;
            }
        }
    }
}

impl ModelGateway {
    /// As the wire does it, see `cxone::wire::nice`.
    pub(super) async fn update_skills(
        &self,
        target: &DialerCampaign,
        check: &impl SendCheck,
    ) -> Result<DialerCampaign, CxoneError> {
        yield_now().await;
        let starts = target.state == CampaignState::Active;
        let changed = self.skills_to_change(starts)?;
        let (mut failure, mut failed) = (None, 0);
        for skill in &changed {
            yield_now().await;
            let change = if check.is_still_wanted().await {
                self.receive_skill(*skill, target)
            } else {
                Err(CxoneError::Superseded)
            };
            failed += usize::from(change.is_err());
            failure = failure.or(change.err());
            yield_now().await;
        }
        match failure {
            Some(error) if failed == changed.len() => Err(error),
            Some(_) => Err(CxoneError::OutcomeUnknown { reason: String::new() }),
            None => confirm(&self.world, target, &changed).await,
        }
    }

    fn skills_to_change(&self, starts: bool) -> Result<Vec<usize>, CxoneError> {
        let mut world = self.world.lock().unwrap();
        answer_read(&world)?;
        let is_running = world.is_running();
        let Some(skills) = world.skills.as_mut().filter(|_| is_running) else { return Ok(Vec::new()) };
        Ok(if starts { skills.start_stopped() } else { skills.stop_running() })
    }

    fn receive_skill(&self, skill: usize, target: &DialerCampaign) -> Result<(), CxoneError> {
        let mut world = self.world.lock().unwrap();
        world.check_request(target);
        if !world.is_running() {
            return Err(CxoneError::Rejected { status: 400, reason: String::new() });
        }
        let runs = target.state == CampaignState::Active;
        match world.behavior {
            Behavior::Rejecting if skill > 0 => {
                return Err(CxoneError::Rejected { status: 400, reason: String::new() });
            }
            Behavior::Normal | Behavior::NotAnswering | Behavior::Rejecting => world.change_skill(skill, runs),
            Behavior::Late => {
                let at = world.now_ms + self.rng.lock().unwrap().i64(0..MAX_LATENESS_MS);
                world.skills.as_mut().unwrap().late.push((at, skill, runs));
            }
            // A 202 without effect.
            Behavior::Ignoring => {}
            behavior => return Err(failure(behavior)),
        }
        match world.behavior {
            behavior @ (Behavior::NotAnswering | Behavior::Late) => Err(failure(behavior)),
            _ => Ok(()),
        }
    }
}

/// Reads the campaign until it is as wanted.
async fn confirm(world: &Shared, target: &DialerCampaign, changed: &[usize]) -> Result<DialerCampaign, CxoneError> {
    let runs = target.state == CampaignState::Active;
    let mut shown = target.clone();
    for _ in 0..CONFIRMATIONS {
        yield_now().await;
        let mut world = world.lock().unwrap();
        answer_read(&world)?;
        shown = world.shown();
        let Some(skills) = world.skills.as_mut() else { continue };
        if shown.state == target.state && changed.iter().all(|skill| skills.running[*skill] == runs) {
            if runs {
                skills.stopped = [false; SKILLS];
            }
            return Ok(DialerCampaign { is_partly_started: false, ..shown });
        }
    }
    if shown.state == target.state {
        return Err(CxoneError::OutcomeUnknown { reason: String::new() });
    }
    Ok(shown)
}

/// Whether CXone answers reads.
pub fn answer_read(world: &World) -> Result<(), CxoneError> {
    match world.behavior {
        Behavior::Normal | Behavior::Late | Behavior::Ignoring | Behavior::Rejecting => Ok(()),
        behavior => Err(failure(behavior)),
    }
}
