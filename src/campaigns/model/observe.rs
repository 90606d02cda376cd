//! What the state that CXone shows, or answers with, means for a campaign.

use jiff::Timestamp;
use uuid::Uuid;

use super::campaign::Campaign;
use super::changes::Changes;
use super::hold::Trigger;
use super::last_sent::{Cause, PendingChange, SentPause};
use super::plan::Request;
use crate::clock::Clock;
use crate::cxone::{CampaignState, CxoneError, DialerCampaign};

/// Why CXone has certainly not carried out a request.
#[derive(Clone, Debug, PartialEq)]
pub enum NotApplied {
    /// It was not sent, or may be sent again unchanged.
    Retryable,
    /// CXone rejected its attributes.
    Rejected(CxoneError),
}

impl Campaign {
    /// Takes in what CXone shows: requests of Ringback's that were never answered, and changes made outside Ringback.
    pub(super) fn observe(&mut self, shown: &DialerCampaign, changes: &mut Changes, clock: &Clock) {
        let now = clock.now();
        let before = self.seen.replace((shown.state, now));
        self.last_sent.uncertain.retain(|request| now < request.until);
        self.last_sent.shown_end = shown.resume_at.filter(|_| shown.state == CampaignState::Paused);
        match shown.state {
            CampaignState::Active if shown.is_partly_started && self.is_starting() => {}
            CampaignState::Active => self.observe_active(before, shown, changes, clock),
            CampaignState::Paused => self.observe_paused(before, shown, changes, clock),
            CampaignState::Inactive | CampaignState::Suspended => {
                (self.last_sent.change, self.last_sent.agents_due) = (None, None);
                let before = before.map(|(state, _)| state);
                if self.last_sent.pause.is_some() && before != Some(shown.state) {
                    self.record_changed_outside(before, shown, changes, clock);
                }
            }
        }
    }

    /// Whether a start was sent that CXone has not confirmed.
    pub(super) fn is_starting(&self) -> bool {
        self.last_sent.change.as_ref().is_some_and(|change| change.state == CampaignState::Active)
    }

    fn observe_active(
        &mut self,
        before: Option<(CampaignState, Timestamp)>,
        shown: &DialerCampaign,
        changes: &mut Changes,
        clock: &Clock,
    ) {
        let (state_before, now) = (before.map(|(state, _)| state), clock.now());
        if let Some(change) = self.last_sent.change.take_if(|change| change.state == CampaignState::Active) {
            return self.confirm_started(&change.cause, changes, clock);
        }
        // A pause that was sent has not taken effect yet.
        if self.last_sent.change.is_some() || state_before == Some(CampaignState::Active) {
            return;
        }
        if let Some(late) = self.last_sent.take_late(shown) {
            return self.confirm_started(&late.change.cause, changes, clock);
        }
        if let Some(cause) = self.cause_of_start_by_cxone(now) {
            let agents_due = self.agents_due_after_start(shown);
            self.confirm_started(&cause, changes, clock);
            self.last_sent.agents_due = agents_due;
            return;
        }
        let was_held = before.is_some_and(|(_, at)| self.in_force(now).any(|hold| hold.placed_at <= at));
        if self.last_sent.pause.take().is_some() || (state_before == Some(CampaignState::Paused) && was_held) {
            self.record_changed_outside(state_before, shown, changes, clock);
            self.started_externally = true;
        }
        if state_before.is_some() {
            self.counted_from = Some(now);
        }
    }

    /// The cause of a start by CXone itself, which knows when the pause ends.
    fn cause_of_start_by_cxone(&self, now: Timestamp) -> Option<Cause> {
        let has_ended = self.last_sent.pause.as_ref()?.until.is_some_and(|until| until <= now);
        self.resume.as_ref().filter(|_| has_ended && !self.is_held(now)).map(|resume| resume.cause.clone())
    }

    /// The agents that a start by Ringback would have set, and CXone has not.
    fn agents_due_after_start(&self, shown: &DialerCampaign) -> Option<u32> {
        let asked_for = self.resume.as_ref().and_then(|resume| resume.max_agents).or(self.settings.max_agents);
        let before = self.last_sent.pause.as_ref().and_then(|pause| pause.max_agents_to_restore(shown));
        asked_for.or(before).filter(|agents| shown.max_agents != Some(*agents))
    }

    /// CXone has started the campaign as Ringback wanted.
    fn confirm_started(&mut self, cause: &Cause, changes: &mut Changes, clock: &Clock) {
        self.record_resumed(cause, changes, clock);
        (self.last_sent.pause, self.last_sent.change, self.last_sent.agents_due) = (None, None, None);
        self.last_sent.rejections = 0;
        // A command that arrived after the start was sent may be about a pause from outside Ringback, and stays.
        self.resume.take_if(|resume| resume.cause.command_id == cause.command_id);
        // Events from before the pause must not pause it again.
        self.counted_from = Some(clock.now());
    }

    fn observe_paused(
        &mut self,
        before: Option<(CampaignState, Timestamp)>,
        shown: &DialerCampaign,
        changes: &mut Changes,
        clock: &Clock,
    ) {
        let is_new = before.is_some_and(|(state, _)| state != CampaignState::Paused);
        let may_have_changed = self.last_sent.change.is_some() || is_new;
        if self.last_sent.pause.is_some() && may_have_changed && !self.last_sent.may_be_ours(shown) {
            // It was paused outside Ringback.
            self.last_sent.pause = None;
        }
        let confirmed = self.last_sent.change.take_if(|change| change.state == CampaignState::Paused);
        if let Some((change, pause)) = confirmed.zip(self.last_sent.pause.clone()) {
            self.last_sent.rejections = 0;
            return self.record_paused(&pause, &change.cause, changes, clock);
        }
        if self.last_sent.pause.is_none()
            && is_new
            && let Some(late) = self.last_sent.take_late(shown)
        {
            self.confirm_late_pause(late.pause, &late.change.cause, changes, clock);
        }
    }

    /// A pause that was given up has taken effect after all. Where nothing holds the campaign, it is started again.
    fn confirm_late_pause(&mut self, pause: Option<SentPause>, cause: &Cause, changes: &mut Changes, clock: &Clock) {
        let (Some(pause), now) = (pause, clock.now()) else { return };
        self.record_paused(&pause, cause, changes, clock);
        self.last_sent.pause = Some(pause);
        if !self.is_held(now) {
            let windows = self.window().map(Into::into).into_iter().collect();
            self.schedule_resume(Trigger::ScheduledResume, now, windows);
        }
    }

    /// CXone has answered that it has carried out this request.
    pub fn confirm(&mut self, request: &Request, changes: &mut Changes, clock: &Clock) {
        let sent = self.last_sent.uncertain.iter().find(|sent| sent.change.id == request.id).cloned();
        self.last_sent.settle(request.id);
        self.seen = Some((request.target.state, clock.now()));
        self.last_sent.shown_end = request.target.resume_at.filter(|_| request.target.state == CampaignState::Paused);
        self.failures = 0;
        let change = self.last_sent.change.take_if(|change| change.id == request.id);
        if request.target.state == CampaignState::Active {
            self.confirm_active(request, change, changes, clock);
            return;
        }
        let Some(pause) = sent.and_then(|sent| sent.pause).or(self.last_sent.pause.take()) else { return };
        self.last_sent.rejections = 0;
        if let Some(change) = change {
            self.record_paused(&pause, &change.cause, changes, clock);
        }
        self.last_sent.pause = Some(pause);
    }

    fn confirm_active(
        &mut self,
        request: &Request,
        change: Option<PendingChange>,
        changes: &mut Changes,
        clock: &Clock,
    ) {
        self.last_sent.agents_due = None;
        let Some(change) = change else { return };
        // After a rejection the start was sent without the agents from before the pause. CXone may accept them now.
        let before = self.last_sent.pause.as_ref().and_then(|pause| pause.max_agents_to_restore(&request.target));
        let differs = |agents: &u32| request.target.max_agents != Some(*agents);
        let agents_due = before.filter(differs).filter(|_| self.last_sent.rejections > 0);
        self.confirm_started(&change.cause, changes, clock);
        self.last_sent.agents_due = agents_due;
    }

    /// CXone has certainly not carried out the request with this id.
    pub fn record_not_applied(&mut self, request_id: Uuid, reason: &NotApplied) {
        self.last_sent.settle(request_id);
        if let NotApplied::Rejected(error) = reason {
            if self.last_sent.agents_due.take().is_none() {
                self.last_sent.rejections = self.last_sent.rejections.saturating_add(1);
            }
            self.failure = Some(error.into());
        }
    }
}
