//! Commands to a campaign: when they are refused, and what they do to the holds.

use jiff::Timestamp;
use uuid::Uuid;

use super::campaign::{Campaign, Resume};
use super::changes::Changes;
use super::hold::{Hold, PauseReason, Trigger};
use super::last_sent::Cause;
use super::regulatory_window::first_open;
use crate::audit::Actor;
use crate::clock::Clock;
use crate::cxone::{CampaignState, DialerCampaign};
use crate::trace::Traceparent;
use crate::types::DailyWindow;

/// A command to a campaign.
#[derive(Clone, Debug)]
pub struct Command {
    /// The same for all repetitions under one idempotency key. For a pause, the id of its hold.
    pub id: Uuid,
    /// Whether an earlier run of the same command may have been executed.
    pub is_repeated: bool,
    /// The campaign's revision when the command arrived. A resume does not lift holds that were placed since.
    pub revision: i64,
    pub kind: CommandKind,
    pub by: Actor,
    pub request_id: Option<String>,
    pub trace: Traceparent,
    pub arrived_at: Timestamp,
    /// Whether the caller may override a compliance hold and a closed window.
    pub may_override: bool,
}

/// What a command asks for.
#[derive(Clone, Debug)]
pub enum CommandKind {
    /// Place this hold.
    Pause(Box<Hold>),
    /// Lift the holds of that reason, or the hold with that id, or all, and dial.
    Resume { reason: Option<PauseReason>, hold_id: Option<Uuid>, max_agents: Option<u32>, force: bool },
}

impl CommandKind {
    /// The trigger of the changes that it causes.
    pub fn trigger(&self) -> Trigger {
        match self {
            Self::Pause(hold) => hold.triggered_by,
            Self::Resume { .. } => Trigger::ManualResume,
        }
    }
}

/// Why a command is refused. A refused command changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// CXone has no such campaign.
    CampaignNotFound,
    /// The campaign is over, or was stopped in CXone.
    NotRunning(CampaignState),
    /// A compliance hold has not ended.
    HoldInForce { hold: Uuid, ends_at: Option<Timestamp>, next_opening: Option<Timestamp> },
    /// The regulatory window is closed.
    OutsideWindow { next_opening: Timestamp },
    /// The hold that a resume names does not exist, or is lifted.
    HoldNotFound,
    /// The answer rate's hold is in place already, or the counts are from before the campaign's last start.
    AlreadyThrottled,
}

impl Refusal {
    /// The code of the problem that it is answered with.
    pub fn code(&self) -> &'static str {
        match self {
            Self::CampaignNotFound | Self::HoldNotFound => "not-found",
            Self::NotRunning(_) => "campaign-not-running",
            Self::HoldInForce { .. } => "hold-in-force",
            Self::OutsideWindow { .. } => "outside-regulatory-window",
            Self::AlreadyThrottled => "already-throttled",
        }
    }
}

impl Campaign {
    /// Places or lifts holds as the command asks for. `shown` is what CXone shows, where it was read.
    ///
    /// # Errors
    /// Why it is refused. The caller then discards the campaign and the changes.
    pub fn apply(
        &mut self,
        command: &Command,
        shown: Option<&DialerCampaign>,
        changes: &mut Changes,
        clock: &Clock,
    ) -> Result<(), Refusal> {
        if let Some(state @ (CampaignState::Inactive | CampaignState::Suspended)) = shown.map(|shown| shown.state) {
            return Err(Refusal::NotRunning(state));
        }
        match &command.kind {
            CommandKind::Pause(hold) => self.apply_pause(command, hold, changes, clock),
            CommandKind::Resume { reason, hold_id, max_agents, force } => {
                let selects = |hold: &Hold| {
                    hold.revision <= command.revision
                        && reason.is_none_or(|reason| hold.reason == reason)
                        && hold_id.is_none_or(|id| hold.id == id)
                };
                if hold_id.is_some() && !self.holds.iter().any(selects) {
                    return Err(Refusal::HoldNotFound);
                }
                self.apply_resume(command, selects, *max_agents, *force && command.may_override, changes, clock)
            }
        }
    }

    fn apply_pause(
        &mut self,
        command: &Command,
        hold: &Hold,
        changes: &mut Changes,
        clock: &Clock,
    ) -> Result<(), Refusal> {
        let is_throttle = hold.triggered_by == Trigger::SlidingWindowThrottle;
        if is_throttle && self.was_throttled_since(command.arrived_at) {
            return Err(Refusal::AlreadyThrottled);
        }
        if !self.refresh(hold, changes, clock) {
            // The guard brings the counts that it decided on.
            let counts = if is_throttle { hold.counts } else { self.counts };
            self.place(Hold { counts, ..hold.clone() }, changes, clock);
        }
        Ok(())
    }

    fn apply_resume(
        &mut self,
        command: &Command,
        selects: impl Fn(&Hold) -> bool + Copy,
        max_agents: Option<u32>,
        is_forced: bool,
        changes: &mut Changes,
        clock: &Clock,
    ) -> Result<(), Refusal> {
        let now = clock.now();
        let windows = self.windows_after(selects);
        let opening = self.opening(selects, &windows, now);
        let refusals = self.refusals(selects, opening, now);
        let overrode = refusals.iter().map(|refusal| refusal.code().to_owned()).collect();
        if let Some(refusal) = refusals.into_iter().next().filter(|_| !is_forced) {
            return Err(refusal);
        }
        let reopening = self.reopening(now);
        self.lift(selects, &command.by, Trigger::ManualResume, command.request_id.as_deref(), changes, clock);
        let forced_until = (is_forced && now < opening).then_some(opening);
        if forced_until.is_some() {
            self.override_until = reopening;
        }
        if self.in_force(now).any(|hold| hold.revision <= command.revision) {
            // The command left these holds, so they decide when the campaign dials again. Holds that were placed since only
            // delay the resume.
            return Ok(());
        }
        let cause = Cause {
            by: command.by.clone(),
            triggered_by: Trigger::ManualResume,
            request_id: command.request_id.clone(),
            since: command.arrived_at,
            previous: CampaignState::Paused,
            overrode,
            counts: self.counts,
            by_answer_rate: false,
            affected_callbacks: None,
            command_id: Some(command.id),
        };
        let windows = windows.iter().map(Into::into).collect();
        self.resume = Some(Resume { cause, is_scheduled: false, max_agents, windows, forced_until });
        self.last_sent.rejections = 0;
        Ok(())
    }

    fn was_throttled_since(&self, counted_at: Timestamp) -> bool {
        let is_throttled = self.holds.iter().any(|hold| hold.triggered_by == Trigger::SlidingWindowThrottle);
        is_throttled || self.counted_from.is_some_and(|from| counted_at < from)
    }

    /// The windows that must be open when the campaign starts after the selected holds are lifted.
    fn windows_after(&self, selects: impl Fn(&Hold) -> bool) -> Vec<DailyWindow> {
        let selected = self.holds.iter().filter(|hold| selects(hold));
        let own = selected.filter_map(|hold| hold.regulatory_window.as_ref());
        let mut windows: Vec<DailyWindow> = Vec::new();
        for window in own.chain(self.window()) {
            if !windows.contains(window) {
                windows.push(window.clone());
            }
        }
        windows
    }

    /// When all windows are open. A window that is about to close, and whose hold is in place, counts as closed.
    fn opening(&self, selects: impl Fn(&Hold) -> bool, windows: &[DailyWindow], now: Timestamp) -> Timestamp {
        let is_closing = self.in_force(now).any(|hold| selects(hold) && hold.triggered_by == Trigger::RegulatoryWindow);
        let from = self.reopening(now).filter(|_| is_closing).unwrap_or(now);
        first_open(&windows.iter().collect::<Vec<_>>(), from)
    }

    /// When the window of the settings is open, after the close for which a hold is in place.
    fn reopening(&self, now: Timestamp) -> Option<Timestamp> {
        let closing = self.in_force(now).filter(|hold| hold.triggered_by == Trigger::RegulatoryWindow);
        let from = closing.filter_map(|hold| hold.end(now, self.window_at(now))).max().unwrap_or(now);
        self.window().map(|window| window.next_opening(from))
    }

    /// The reasons against a resume, the strongest first.
    fn refusals(&self, selects: impl Fn(&Hold) -> bool, opening: Timestamp, now: Timestamp) -> Vec<Refusal> {
        let selected = self.holds.iter().filter(|hold| selects(hold));
        let early = selected.filter(|hold| hold.compliance && hold.ends_at.is_none_or(|end| now < end));
        let compliance = early.max_by_key(|hold| hold.ends_at).map(|hold| Refusal::HoldInForce {
            hold: hold.id,
            ends_at: hold.ends_at,
            next_opening: hold.end(now, self.window_at(now)),
        });
        let window = (now < opening).then_some(Refusal::OutsideWindow { next_opening: opening });
        compliance.into_iter().chain(window).collect()
    }
}

impl Command {
    /// The scheduled callbacks that the hold of a pause covers.
    pub fn affected_callbacks(&self) -> Option<u32> {
        match &self.kind {
            CommandKind::Pause(hold) => hold.affected_callbacks,
            CommandKind::Resume { .. } => None,
        }
    }
}
