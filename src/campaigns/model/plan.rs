//! What CXone is to be sent about a campaign, and what its answers mean. Pure.

use jiff::Timestamp;
use uuid::Uuid;

use super::campaign::{Campaign, Changes, Pace};
use super::hold::{PauseReason, Trigger};
use super::last_sent::{Cause, Change, SentPause};
use crate::audit::Actor;
use crate::clock::Clock;
use crate::cxone::{CampaignState, CxoneError, DialerCampaign};

/// What CXone is to be brought to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Paused,
    Active,
    AsItIs,
}

/// A request that CXone is to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub id: Uuid,
    pub wanted: DialerCampaign,
    /// CXone is in the right state, and is only sent another end of the pause, or other agents.
    pub is_adjustment: bool,
}

/// What became of a request that CXone has certainly not carried out.
#[derive(Clone, Debug, PartialEq)]
pub enum NotDone {
    /// It was not sent, or may be sent again as it was.
    Passing,
    /// CXone refused its attributes.
    Refused(CxoneError),
}

impl Campaign {
    /// What CXone is to be brought to now.
    pub fn wanted(&self, now: Timestamp) -> Wanted {
        if self.is_held(now) {
            return Wanted::Paused;
        }
        match &self.resume {
            Some(resume) if resume.is_scheduled && self.sent.pause.is_none() => Wanted::AsItIs,
            Some(resume) if resume.starts_at(now) <= now => Wanted::Active,
            _ => Wanted::AsItIs,
        }
    }

    /// Whether a request that was decided on a moment ago is still right to be sent.
    pub fn still_wants(&self, request: &Request, now: Timestamp) -> bool {
        match (request.wanted.state, self.wanted(now)) {
            (CampaignState::Active, Wanted::AsItIs) => request.is_adjustment && self.may_dial(now),
            (CampaignState::Active, wanted) => wanted == Wanted::Active,
            (_, wanted) => wanted == Wanted::Paused,
        }
    }

    fn may_dial(&self, now: Timestamp) -> bool {
        !self.is_held(now) && self.window_at(now).is_none_or(|window| window.is_open(now))
    }

    /// Decides what CXone is to be sent, now that it shows this. What is decided is noted, to be kept before it is done.
    pub fn plan(
        &mut self,
        shown: &DialerCampaign,
        pace: &Pace,
        changes: &mut Changes,
        clock: &Clock,
    ) -> Option<Request> {
        let now = clock.now();
        self.tick(pace, changes, clock);
        self.notice(shown, changes, clock);
        let refusals = self.sent.refusals;
        let request = match (self.wanted(now), shown.state) {
            (_, CampaignState::Inactive | CampaignState::Suspended) => None,
            (Wanted::Paused, CampaignState::Active) => self.pause_request(shown, pace, clock),
            (Wanted::Paused, CampaignState::Paused) => {
                self.forget_change_to(CampaignState::Active);
                self.extension(shown, pace, clock)
            }
            (Wanted::Active, CampaignState::Paused) => self.start_request(shown, pace, clock),
            (Wanted::Active | Wanted::AsItIs, CampaignState::Active) => {
                (self.sent.change, self.sent.pause, self.resume) = (None, None, None);
                self.restoration(shown, pace, clock)
            }
            (Wanted::AsItIs, CampaignState::Paused) => {
                self.forget_change_to(CampaignState::Active);
                self.drop_resume_of_anothers_pause(changes, clock);
                None
            }
        };
        if request.is_none() {
            // What CXone shows is no success while a change does not come through.
            self.failures = 0;
            // Where CXone refuses the attributes, the answer to the command says so.
            self.failure.take_if(|_| refusals == 0);
        }
        request
    }

    fn forget_change_to(&mut self, state: CampaignState) {
        self.sent.change.take_if(|change| change.state == state);
    }

    /// The end of a hold starts only what Ringback itself had paused.
    fn drop_resume_of_anothers_pause(&mut self, changes: &mut Changes, clock: &Clock) {
        if self.sent.pause.is_some() {
            return;
        }
        if let Some(resume) = self.resume.take_if(|resume| resume.is_scheduled) {
            self.record_resume_dropped(&resume.cause, "paused-outside", changes, clock);
        }
    }

    /// Takes in what CXone shows: what Ringback had sent it without an answer, and what somebody else has changed.
    fn notice(&mut self, shown: &DialerCampaign, changes: &mut Changes, clock: &Clock) {
        let now = clock.now();
        let before = self.seen.replace((shown.state, now));
        self.sent.doubts.retain(|doubt| now < doubt.until);
        match shown.state {
            CampaignState::Active => self.notice_active(before, shown, changes, clock),
            CampaignState::Paused => self.notice_paused(before, shown, changes, clock),
            CampaignState::Inactive | CampaignState::Suspended => {
                (self.sent.change, self.sent.agents_due) = (None, None);
                let before = before.map(|(state, _)| state);
                if self.sent.pause.is_some() && before != Some(shown.state) {
                    self.record_changed_outside(before, shown, changes, clock);
                }
            }
        }
    }

    fn notice_active(
        &mut self,
        before: Option<(CampaignState, Timestamp)>,
        shown: &DialerCampaign,
        changes: &mut Changes,
        clock: &Clock,
    ) {
        let (state_before, now) = (before.map(|(state, _)| state), clock.now());
        if let Some(change) = self.sent.change.take_if(|change| change.state == CampaignState::Active) {
            return self.started(&change.cause, changes, clock);
        }
        // A pause that was sent has not taken effect yet.
        if self.sent.change.is_some() || state_before == Some(CampaignState::Active) {
            return;
        }
        if let Some(late) = self.sent.take_late(shown) {
            return self.started(&late.change.cause, changes, clock);
        }
        if let Some(cause) = self.started_by_cxone(now) {
            let agents_due = self.agents_due(shown);
            self.started(&cause, changes, clock);
            self.sent.agents_due = agents_due;
            return;
        }
        let was_held = before.is_some_and(|(_, at)| self.in_force(now).any(|hold| hold.placed_at <= at));
        if self.sent.pause.take().is_some() || (state_before == Some(CampaignState::Paused) && was_held) {
            self.record_changed_outside(state_before, shown, changes, clock);
            self.started_outside = true;
        }
        if state_before.is_some() {
            self.counted_from = Some(now);
        }
    }

    /// CXone knows when the pause ends, and may start the campaign by itself.
    fn started_by_cxone(&self, now: Timestamp) -> Option<Cause> {
        let has_ended = self.sent.pause.as_ref()?.until.is_some_and(|until| until <= now);
        self.resume.as_ref().filter(|_| has_ended && !self.is_held(now)).map(|resume| resume.cause.clone())
    }

    /// The agents that a start is to set, where CXone has not.
    fn agents_due(&self, shown: &DialerCampaign) -> Option<u32> {
        let asked_for = self.resume.as_ref().and_then(|resume| resume.max_agents).or(self.settings.max_agents);
        let before = self.sent.pause.as_ref().and_then(|pause| pause.restored(shown));
        asked_for.or(before).filter(|agents| shown.max_agents != Some(*agents))
    }

    /// CXone is known to have started the campaign for Ringback.
    fn started(&mut self, cause: &Cause, changes: &mut Changes, clock: &Clock) {
        self.record_resumed(cause, changes, clock);
        (self.sent.pause, self.sent.change, self.sent.agents_due) = (None, None, None);
        self.sent.refusals = 0;
        // A command that came while the start was on its way may have met somebody else's pause.
        self.resume.take_if(|resume| resume.cause.command_id == cause.command_id);
        // What was before the pause must not pause it again.
        self.counted_from = Some(clock.now());
    }

    fn notice_paused(
        &mut self,
        before: Option<(CampaignState, Timestamp)>,
        shown: &DialerCampaign,
        changes: &mut Changes,
        clock: &Clock,
    ) {
        let is_new = before.is_some_and(|(state, _)| state != CampaignState::Paused);
        if self.sent.pause.is_some() && (self.sent.change.is_some() || is_new) && !self.sent.may_be_ours(shown) {
            // Somebody else has paused it.
            self.sent.pause = None;
        }
        let confirmed = self.sent.change.take_if(|change| change.state == CampaignState::Paused);
        if let Some((change, pause)) = confirmed.zip(self.sent.pause.clone()) {
            self.sent.refusals = 0;
            return self.record_paused(&pause, &change.cause, changes, clock);
        }
        if self.sent.pause.is_none()
            && is_new
            && let Some(late) = self.sent.take_late(shown)
        {
            self.paused_late(late.pause, &late.change.cause, changes, clock);
        }
    }

    /// A pause that was given up has taken effect after all. Where nothing holds the campaign, it is started again.
    fn paused_late(&mut self, pause: Option<SentPause>, cause: &Cause, changes: &mut Changes, clock: &Clock) {
        let (Some(pause), now) = (pause, clock.now()) else { return };
        self.record_paused(&pause, cause, changes, clock);
        self.sent.pause = Some(pause);
        if !self.is_held(now) {
            let windows = self.window().map(Into::into).into_iter().collect();
            self.resume_by_itself(Trigger::ScheduledResume, now, windows);
        }
    }

    fn request(
        &mut self,
        wanted: DialerCampaign,
        cause: Cause,
        pause: Option<SentPause>,
        pace: &Pace,
        clock: &Clock,
    ) -> Request {
        let (id, now) = (clock.new_id(), clock.now());
        let change = Change { id, state: wanted.state, cause };
        self.sent.expect(change, pause, now, now + pace.doubt);
        Request { id, wanted, is_adjustment: false }
    }

    fn pause_request(&mut self, shown: &DialerCampaign, pace: &Pace, clock: &Clock) -> Option<Request> {
        let cause = self.pause_cause(shown.state, clock.now())?;
        let pause = self.pause(shown, cause.clone(), clock.now());
        let wanted = pause_of(&pause, shown);
        self.sent.pause = Some(pause.clone());
        self.sent.agents_due = None;
        let request = self.request(wanted, cause.clone(), Some(pause), pace, clock);
        self.sent.change = Some(Change { id: request.id, state: CampaignState::Paused, cause });
        Some(request)
    }

    /// Where the pause is Ringback's and its end has moved, CXone is sent the new one.
    fn extension(&mut self, shown: &DialerCampaign, pace: &Pace, clock: &Clock) -> Option<Request> {
        let sent = self.sent.pause.clone().filter(|sent| !sent.is_plain)?;
        if self.sent.refusals > 0 || self.resumes_at(clock.now()) == sent.until {
            return None;
        }
        let pause = self.pause(shown, sent.cause, clock.now());
        let (wanted, cause) = (pause_of(&pause, shown), pause.cause.clone());
        let request = self.request(wanted, cause, Some(pause), pace, clock);
        Some(Request { is_adjustment: true, ..request })
    }

    /// The campaign dials, with other agents than it should have.
    fn restoration(&mut self, shown: &DialerCampaign, pace: &Pace, clock: &Clock) -> Option<Request> {
        let now = clock.now();
        let lacks = |agents: &u32| shown.max_agents != Some(*agents);
        self.sent.agents_due = self.sent.agents_due.filter(lacks).filter(|_| self.may_dial(now));
        let max_agents = Some(self.sent.agents_due?);
        let (state, dialing_mode) = (CampaignState::Active, shown.dialing_mode.clone());
        let wanted = DialerCampaign { state, pause_reason: None, resume_at: None, max_agents, dialing_mode };
        let request = self.request(wanted, self.own_cause(Trigger::ScheduledResume, now), None, pace, clock);
        Some(Request { is_adjustment: true, ..request })
    }

    fn start_request(&mut self, shown: &DialerCampaign, pace: &Pace, clock: &Clock) -> Option<Request> {
        let resume = self.resume.as_ref()?;
        let cause = Cause { previous: shown.state, ..resume.cause.clone() };
        let before = self.sent.pause.as_ref().and_then(|pause| pause.restored(shown));
        let asked_for = resume.max_agents.or(self.settings.max_agents).or(before);
        let max_agents = match self.sent.refusals {
            0 => asked_for,
            1 => before.filter(|before| asked_for != Some(*before)),
            _ => None,
        };
        let max_agents = max_agents.or(shown.max_agents);
        let (state, dialing_mode) = (CampaignState::Active, shown.dialing_mode.clone());
        let wanted = DialerCampaign { state, pause_reason: None, resume_at: None, max_agents, dialing_mode };
        let request = self.request(wanted, cause.clone(), None, pace, clock);
        self.sent.change = Some(Change { id: request.id, state, cause });
        Some(request)
    }

    /// What CXone is sent of a pause: the reason of the hold that ends last, and its end. Where CXone has refused that, only
    /// what CXone itself showed; where it refused that too, with the reason, and so in turn.
    fn pause(&self, shown: &DialerCampaign, cause: Cause, now: Timestamp) -> SentPause {
        let last = self.in_force(now).max_by_key(|hold| {
            let end = hold.end(now, self.window_at(now));
            (end.is_none(), end, hold.placed_at)
        });
        let reason = last.map(|hold| hold.reason);
        // CXone may have taken the agents of a pause, and not its state.
        let known = self.sent.agents_due.or(shown.max_agents);
        let before = self.sent.pause.as_ref().map_or(known, |pause| pause.agents_before);
        let plain = SentPause {
            reason: None,
            until: None,
            agents: shown.max_agents,
            agents_before: before,
            is_plain: true,
            cause,
        };
        match self.sent.refusals {
            0 => {
                let limits = self.in_force(now).filter(|hold| hold.max_agents.is_some());
                let newest = limits.max_by_key(|hold| hold.placed_at).and_then(|hold| hold.max_agents);
                let (until, agents) = (self.resumes_at(now), newest.or(shown.max_agents));
                SentPause { reason, until, agents, is_plain: false, ..plain }
            }
            refusals if refusals % 2 == 1 => plain,
            _ => SentPause { reason, ..plain },
        }
    }

    /// The newest hold; where somebody outside has undone the pause, Ringback itself. A change that is tried again keeps
    /// its cause.
    fn pause_cause(&self, previous: CampaignState, now: Timestamp) -> Option<Cause> {
        let hold = self.in_force(now).max_by_key(|hold| (hold.revision, hold.placed_at))?;
        let tried = self.sent.change.as_ref().filter(|change| change.state == CampaignState::Paused);
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
        if self.started_outside {
            let (by, counts) = (Actor::system("reconciler"), self.counts);
            return Some(Cause {
                by,
                request_id: None,
                since: now,
                counts,
                affected_callbacks: None,
                command_id: None,
                ..cause
            });
        }
        Some(cause)
    }

    /// CXone has answered that it has carried out this request.
    pub fn confirmed(&mut self, request: &Request, changes: &mut Changes, clock: &Clock) {
        let sent = self.sent.doubts.iter().find(|doubt| doubt.change.id == request.id).cloned();
        self.sent.settle(request.id);
        self.seen = Some((request.wanted.state, clock.now()));
        self.failures = 0;
        let change = self.sent.change.take_if(|change| change.id == request.id);
        if request.wanted.state == CampaignState::Active {
            self.confirmed_active(request, change, changes, clock);
            return;
        }
        let Some(pause) = sent.and_then(|doubt| doubt.pause).or(self.sent.pause.take()) else { return };
        self.sent.refusals = 0;
        if let Some(change) = change {
            self.record_paused(&pause, &change.cause, changes, clock);
        }
        self.sent.pause = Some(pause);
    }

    fn confirmed_active(&mut self, request: &Request, change: Option<Change>, changes: &mut Changes, clock: &Clock) {
        self.sent.agents_due = None;
        let Some(change) = change else { return };
        // It took the state without the agents of before the pause, which it may take now.
        let before = self.sent.pause.as_ref().and_then(|pause| pause.restored(&request.wanted));
        let lacks = |agents: &u32| request.wanted.max_agents != Some(*agents);
        let agents_due = before.filter(lacks).filter(|_| self.sent.refusals > 0);
        self.started(&change.cause, changes, clock);
        self.sent.agents_due = agents_due;
    }

    /// CXone has certainly not carried out this request.
    pub fn not_done(&mut self, request: Uuid, why: &NotDone) {
        self.sent.settle(request);
        if let NotDone::Refused(error) = why {
            if self.sent.agents_due.take().is_none() {
                self.sent.refusals = self.sent.refusals.saturating_add(1);
            }
            self.failure = Some(error.into());
        }
    }
}

impl SentPause {
    /// The agents of before the pause, unless somebody else has changed them since.
    fn restored(&self, shown: &DialerCampaign) -> Option<u32> {
        let is_untouched = shown.max_agents.is_none() || shown.max_agents == self.agents;
        self.agents_before.filter(|_| is_untouched)
    }
}

fn pause_of(pause: &SentPause, shown: &DialerCampaign) -> DialerCampaign {
    DialerCampaign {
        state: CampaignState::Paused,
        pause_reason: pause.reason.map(PauseReason::as_str).map(Into::into),
        resume_at: pause.until,
        max_agents: pause.agents,
        dialing_mode: shown.dialing_mode.clone(),
    }
}
