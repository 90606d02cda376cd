//! The request that CXone is to be sent about a campaign.

use jiff::Timestamp;
use uuid::Uuid;

use super::campaign::{Campaign, Resume, Timing};
use super::changes::Changes;
use super::hold::{PauseReason, Trigger};
use super::last_sent::{Cause, PendingChange, SentPause};
use crate::audit::Actor;
use crate::clock::Clock;
use crate::cxone::{CampaignState, DialerCampaign};

/// The state in which CXone should have the campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DesiredState {
    Paused,
    Active,
    /// The state that it is in, whichever that is.
    Any,
}

/// A request that CXone is to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub id: Uuid,
    pub target: DialerCampaign,
    /// Whether CXone has the right state already, and only another end of the pause, or other agents, are sent.
    pub is_adjustment: bool,
}

impl Campaign {
    /// The state in which CXone should have the campaign at `now`.
    pub fn desired_state(&self, now: Timestamp) -> DesiredState {
        if self.is_held(now) {
            return DesiredState::Paused;
        }
        match &self.resume {
            Some(resume) if resume.is_scheduled && self.last_sent.pause.is_none() => DesiredState::Any,
            Some(resume) if resume.starts_at(now) <= now => DesiredState::Active,
            _ => DesiredState::Any,
        }
    }

    /// Whether a request that was planned a moment ago is still right to be sent.
    pub fn still_wants(&self, request: &Request, now: Timestamp) -> bool {
        match (request.target.state, self.desired_state(now)) {
            (CampaignState::Active, DesiredState::Any) => request.is_adjustment && self.may_dial(now),
            (CampaignState::Active, desired) => desired == DesiredState::Active,
            (_, desired) => desired == DesiredState::Paused,
        }
    }

    /// Takes in what CXone shows, and returns the request to be sent, if any. The request is noted in `last_sent`: the
    /// campaign must be saved before it is sent.
    pub fn plan(
        &mut self,
        shown: &DialerCampaign,
        timing: &Timing,
        changes: &mut Changes,
        clock: &Clock,
    ) -> Option<Request> {
        self.advance(timing, changes, clock);
        self.observe(shown, changes, clock);
        let rejections = self.last_sent.rejections;
        let request = match (self.desired_state(clock.now()), shown.state) {
            (_, CampaignState::Inactive | CampaignState::Suspended) => None,
            (DesiredState::Paused, CampaignState::Active) => self.pause_request(shown, timing, clock),
            (DesiredState::Paused, CampaignState::Paused) => {
                self.cancel_pending_start();
                self.extension_request(shown, timing, clock)
            }
            (DesiredState::Active, CampaignState::Paused) => self.start_request(shown, timing, clock),
            (DesiredState::Active, CampaignState::Active) if shown.is_partly_started => {
                self.start_request(shown, timing, clock)
            }
            // The rest is started when the window opens.
            (DesiredState::Any, CampaignState::Active) if shown.is_partly_started && self.resume.is_some() => {
                self.cancel_pending_start();
                None
            }
            (DesiredState::Active | DesiredState::Any, CampaignState::Active) => {
                (self.last_sent.change, self.last_sent.pause, self.resume) = (None, None, None);
                self.agents_request(shown, timing, clock)
            }
            (DesiredState::Any, CampaignState::Paused) => {
                self.cancel_pending_start();
                self.drop_resume_of_external_pause(changes, clock);
                None
            }
        };
        if request.is_none() {
            // While a change is pending, a successful read does not reset the failures.
            self.failures = 0;
            // The failure of a rejection stays, because the answer to the command shows it.
            self.failure.take_if(|_| rejections == 0);
        }
        request
    }

    /// The resume, where it is not the one that was known when CXone was asked.
    pub fn resume_since(&self, known: Option<&Resume>) -> Option<Resume> {
        self.resume.as_ref().filter(|resume| !resume.is_scheduled && Some(*resume) != known).cloned()
    }

    /// What CXone showed before a resume was accepted does not fulfil it.
    pub fn keep_resume(&mut self, newer: Option<Resume>, clock: &Clock) {
        if self.resume.is_none() && !self.is_held(clock.now()) {
            self.resume = newer;
        }
    }

    fn cancel_pending_start(&mut self) {
        self.last_sent.change.take_if(|change| change.state == CampaignState::Active);
    }

    /// The end of a hold starts only what Ringback itself had paused.
    fn drop_resume_of_external_pause(&mut self, changes: &mut Changes, clock: &Clock) {
        if self.last_sent.pause.is_some() {
            return;
        }
        if let Some(resume) = self.resume.take_if(|resume| resume.is_scheduled) {
            self.record_resume_dropped(&resume.cause, "paused-outside", changes, clock);
        }
    }

    fn request(
        &mut self,
        target: DialerCampaign,
        cause: Cause,
        pause: Option<SentPause>,
        timing: &Timing,
        clock: &Clock,
    ) -> Request {
        let (id, now) = (clock.new_id(), clock.now());
        let change = PendingChange { id, state: target.state, cause };
        self.last_sent.add_uncertain(change, pause, now, now + timing.uncertain_for);
        Request { id, target, is_adjustment: false }
    }

    fn pause_request(&mut self, shown: &DialerCampaign, timing: &Timing, clock: &Clock) -> Option<Request> {
        let cause = self.pause_cause(shown.state, clock.now())?;
        let pause = self.pause_to_send(shown, cause.clone(), clock.now());
        let target = pause_target(&pause, shown);
        self.last_sent.pause = Some(pause.clone());
        self.last_sent.agents_due = None;
        let request = self.request(target, cause.clone(), Some(pause), timing, clock);
        self.last_sent.change = Some(PendingChange { id: request.id, state: CampaignState::Paused, cause });
        Some(request)
    }

    /// Sends the new end of a pause of Ringback's own, where it has moved.
    fn extension_request(&mut self, shown: &DialerCampaign, timing: &Timing, clock: &Clock) -> Option<Request> {
        let sent = self.last_sent.pause.clone().filter(|sent| !sent.is_minimal)?;
        if self.last_sent.rejections > 0 || self.resumes_at(clock.now()) == sent.until {
            return None;
        }
        let pause = self.pause_to_send(shown, sent.cause, clock.now());
        let (target, cause) = (pause_target(&pause, shown), pause.cause.clone());
        let request = self.request(target, cause, Some(pause), timing, clock);
        Some(Request { is_adjustment: true, ..request })
    }

    /// Sends the agents from before the pause to a campaign that dials with others.
    fn agents_request(&mut self, shown: &DialerCampaign, timing: &Timing, clock: &Clock) -> Option<Request> {
        let now = clock.now();
        let differs = |agents: &u32| shown.max_agents != Some(*agents);
        self.last_sent.agents_due = self.last_sent.agents_due.filter(differs).filter(|_| self.may_dial(now));
        let target = start_target(Some(self.last_sent.agents_due?), shown);
        let cause = self.reconciler_cause(Trigger::ScheduledResume, now);
        let request = self.request(target, cause, None, timing, clock);
        Some(Request { is_adjustment: true, ..request })
    }

    /// Starts the campaign with the agents that were asked for, or those from before the pause. Agents that CXone has
    /// rejected are not sent again.
    fn start_request(&mut self, shown: &DialerCampaign, timing: &Timing, clock: &Clock) -> Option<Request> {
        let resume = self.resume.as_ref()?;
        let cause = Cause { previous: shown.state, ..resume.cause.clone() };
        let before = self.last_sent.pause.as_ref().and_then(|pause| pause.max_agents_to_restore(shown));
        let asked_for = resume.max_agents.or(self.settings.max_agents).or(before);
        let max_agents = match self.last_sent.rejections {
            0 => asked_for,
            1 => before.filter(|before| asked_for != Some(*before)),
            _ => None,
        };
        let target = start_target(max_agents.or(shown.max_agents), shown);
        let request = self.request(target, cause.clone(), None, timing, clock);
        self.last_sent.change = Some(PendingChange { id: request.id, state: CampaignState::Active, cause });
        Some(request)
    }

    /// The pause to send: the reason of the hold that ends last, its end, and the agents of the newest hold that limits
    /// them. Where CXone has rejected this, the attributes are sent as CXone showed them; without a reason after an odd
    /// number of rejections, with it after an even one.
    fn pause_to_send(&self, shown: &DialerCampaign, cause: Cause, now: Timestamp) -> SentPause {
        let last = self.in_force(now).max_by_key(|hold| {
            let end = hold.end(now, self.window_at(now));
            (end.is_none(), end, hold.placed_at)
        });
        let reason = last.map(|hold| hold.reason);
        // CXone may have taken the agents of a pause, and not its state.
        let known = self.last_sent.agents_due.or(shown.max_agents);
        let agents_before = self.last_sent.pause.as_ref().map_or(known, |pause| pause.agents_before);
        let minimal =
            SentPause { reason: None, until: None, agents: shown.max_agents, agents_before, is_minimal: true, cause };
        match self.last_sent.rejections {
            0 => {
                let limits = self.in_force(now).filter(|hold| hold.max_agents.is_some());
                let newest = limits.max_by_key(|hold| hold.placed_at).and_then(|hold| hold.max_agents);
                let (until, agents) = (self.resumes_at(now), newest.or(shown.max_agents));
                SentPause { reason, until, agents, is_minimal: false, ..minimal }
            }
            rejections if rejections % 2 == 1 => minimal,
            _ => SentPause { reason, ..minimal },
        }
    }

    /// The newest hold; Ringback itself, where somebody has undone the pause outside Ringback. A change that is tried again
    /// keeps its cause.
    fn pause_cause(&self, previous: CampaignState, now: Timestamp) -> Option<Cause> {
        let hold = self.in_force(now).max_by_key(|hold| (hold.revision, hold.placed_at))?;
        let tried = self.last_sent.change.as_ref().filter(|change| change.state == CampaignState::Paused);
        if let Some(change) = tried.filter(|change| hold.placed_at <= change.cause.since) {
            return Some(change.cause.clone());
        }
        let cause = Cause {
            by: hold.placed_by.clone(),
            triggered_by: hold.triggered_by,
            request_id: hold.request_id.clone(),
            since: hold.placed_at,
            previous,
            overrode: Vec::new(),
            counts: hold.counts,
            by_answer_rate: hold.triggered_by == Trigger::SlidingWindowThrottle,
            affected_callbacks: hold.affected_callbacks,
            command_id: Some(hold.id),
        };
        if self.started_externally {
            return Some(Cause {
                by: Actor::system("reconciler"),
                request_id: None,
                since: now,
                counts: self.counts,
                affected_callbacks: None,
                command_id: None,
                ..cause
            });
        }
        Some(cause)
    }
}

fn pause_target(pause: &SentPause, shown: &DialerCampaign) -> DialerCampaign {
    DialerCampaign {
        state: CampaignState::Paused,
        pause_reason: pause.reason.as_ref().map(PauseReason::as_ref).map(Into::into),
        resume_at: pause.until,
        max_agents: pause.agents,
        dialing_mode: shown.dialing_mode.clone(),
        is_partly_started: false,
        keeps_reasons: true,
    }
}

fn start_target(max_agents: Option<u32>, shown: &DialerCampaign) -> DialerCampaign {
    DialerCampaign {
        state: CampaignState::Active,
        pause_reason: None,
        resume_at: None,
        max_agents,
        dialing_mode: shown.dialing_mode.clone(),
        is_partly_started: false,
        keeps_reasons: true,
    }
}
