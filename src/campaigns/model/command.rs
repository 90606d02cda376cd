//! Commands to a campaign, and when they are refused.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::campaign::{Campaign, Changes, Resume};
use super::hold::{Hold, PauseReason, Trigger};
use super::last_sent::Cause;
use super::regulatory_window::first_open;
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::cxone::{CampaignState, DialerCampaign};
use crate::trace::Traceparent;
use crate::types::{CampaignId, DailyWindow};

/// A command, and who gave it.
#[derive(Clone, Debug)]
pub struct Order {
    /// The same where the command is sent again under its idempotency key. For a pause, the id of its hold.
    pub id: Uuid,
    /// Whether an earlier run of the same command may have been carried out.
    pub is_repeated: bool,
    /// The campaign's revision when the command arrived. It does not mean holds that were placed since.
    pub revision: i64,
    pub command: Command,
    pub by: Actor,
    pub request_id: Option<String>,
    pub trace: Traceparent,
    pub arrived_at: Timestamp,
    /// Whether a compliance hold and a closed window may be put aside.
    pub may_override: bool,
}

/// What a campaign is to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Hold still, for this reason.
    Pause(Box<Hold>),
    /// Lift the holds of that reason, or the one of that id, or all, and dial.
    Resume { reason: Option<PauseReason>, hold_id: Option<Uuid>, max_agents: Option<u32>, force: bool },
}

impl Command {
    /// The audit action of a command that ended so.
    fn action(&self, ending: Ending) -> Action {
        match (self, ending) {
            (Self::Pause(_), Ending::Unchanged) => Action::CampaignPauseUnchanged,
            (Self::Pause(_), Ending::Pending) => Action::CampaignPausePending,
            (Self::Pause(_), Ending::Refused) => Action::CampaignPauseRefused,
            (Self::Resume { .. }, Ending::Unchanged) => Action::CampaignResumeUnchanged,
            (Self::Resume { .. }, Ending::Pending) => Action::CampaignResumePending,
            (Self::Resume { .. }, Ending::Refused) => Action::CampaignResumeRefused,
        }
    }

    /// What it is a trigger of.
    pub fn trigger(&self) -> Trigger {
        match self {
            Self::Pause(hold) => hold.triggered_by,
            Self::Resume { .. } => Trigger::ManualResume,
        }
    }
}

/// The end of a command that did not change CXone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Unchanged,
    Pending,
    Refused,
}

impl Ending {
    fn outcome(self) -> Outcome {
        match self {
            Self::Unchanged => Outcome::Unchanged,
            Self::Pending => Outcome::Pending,
            Self::Refused => Outcome::Refused,
        }
    }
}

/// Why a command is not obeyed. Nothing is left behind.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// CXone knows no such campaign.
    Unknown,
    /// It is over, or somebody at CXone stopped it.
    NotRunning(CampaignState),
    /// A compliance hold has not ended.
    HoldInForce { hold: Uuid, ends_at: Option<Timestamp>, next_opening: Option<Timestamp> },
    /// The regulatory window is closed.
    OutsideWindow { next_opening: Timestamp },
    /// The hold that a resume names is not there, or is lifted.
    NoSuchHold,
    /// The guard's hold is in place already, or the figures are from before the campaign was started.
    Throttled,
}

impl Refusal {
    /// The slug of the problem that it is answered with.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Unknown | Self::NoSuchHold => "not-found",
            Self::NotRunning(_) => "campaign-not-running",
            Self::HoldInForce { .. } => "hold-in-force",
            Self::OutsideWindow { .. } => "outside-regulatory-window",
            Self::Throttled => "already-throttled",
        }
    }
}

impl Campaign {
    /// Does with the holds what the command says, where it may be obeyed. `shown` is what CXone shows, where it does.
    ///
    /// # Errors
    /// Why it is refused; the campaign is to be left as it was.
    pub fn obey(
        &mut self,
        order: &Order,
        shown: Option<&DialerCampaign>,
        changes: &mut Changes,
        clock: &Clock,
    ) -> Result<(), Refusal> {
        if let Some(state @ (CampaignState::Inactive | CampaignState::Suspended)) = shown.map(|shown| shown.state) {
            return Err(Refusal::NotRunning(state));
        }
        match &order.command {
            Command::Pause(hold) => {
                if hold.triggered_by == Trigger::SlidingWindowThrottle && self.was_throttled_since(order.arrived_at) {
                    return Err(Refusal::Throttled);
                }
                if !self.refresh(hold, changes, clock) {
                    // The guard has acted on counts of its own.
                    let is_guard = hold.triggered_by == Trigger::SlidingWindowThrottle;
                    let counts = if is_guard { hold.counts } else { self.counts };
                    self.place(Hold { counts, ..hold.as_ref().clone() }, changes, clock);
                }
                Ok(())
            }
            Command::Resume { reason, hold_id, max_agents, force } => {
                let is_meant = |hold: &Hold| {
                    hold.revision <= order.revision
                        && reason.is_none_or(|reason| hold.reason == reason)
                        && hold_id.is_none_or(|id| hold.id == id)
                };
                if hold_id.is_some() && !self.holds.iter().any(is_meant) {
                    return Err(Refusal::NoSuchHold);
                }
                self.obey_resume(order, is_meant, *max_agents, *force && order.may_override, changes, clock)
            }
        }
    }

    fn obey_resume(
        &mut self,
        order: &Order,
        is_meant: impl Fn(&Hold) -> bool + Copy,
        max_agents: Option<u32>,
        forced: bool,
        changes: &mut Changes,
        clock: &Clock,
    ) -> Result<(), Refusal> {
        let now = clock.now();
        let windows = self.windows_of(is_meant);
        let opening = self.opening(is_meant, &windows, now);
        let in_the_way = self.in_the_way(is_meant, opening, now);
        let overrode = in_the_way.iter().map(|refusal| refusal.slug().to_owned()).collect();
        if let Some(refusal) = in_the_way.into_iter().next().filter(|_| !forced) {
            return Err(refusal);
        }
        let reopening = self.reopening(now);
        let request_id = order.request_id.as_deref();
        self.lift(is_meant, &order.by, Trigger::ManualResume, request_id, changes, clock);
        let forced_until = (forced && now < opening).then_some(opening);
        if forced_until.is_some() {
            self.override_until = reopening;
        }
        if self.in_force(now).any(|hold| hold.revision <= order.revision) {
            // Holds that are left on purpose decide when the campaign dials again. Those that came meanwhile only put
            // off the resume.
            return Ok(());
        }
        let cause = Cause {
            by: order.by.clone(),
            triggered_by: Trigger::ManualResume,
            request_id: order.request_id.clone(),
            since: order.arrived_at,
            previous: CampaignState::Paused,
            overrode,
            counts: self.counts,
            by_answer_rate: false,
            affected_callbacks: None,
            command_id: Some(order.id),
        };
        let windows = windows.iter().map(Into::into).collect();
        self.resume = Some(Resume { cause, is_scheduled: false, max_agents, windows, forced_until });
        self.sent.refusals = 0;
        Ok(())
    }

    fn was_throttled_since(&self, figures_of: Timestamp) -> bool {
        let is_throttled = self.holds.iter().any(|hold| hold.triggered_by == Trigger::SlidingWindowThrottle);
        is_throttled || self.counted_from.is_some_and(|from| figures_of < from)
    }

    /// The windows that must be open when the campaign starts once those holds are gone.
    fn windows_of(&self, is_meant: impl Fn(&Hold) -> bool) -> Vec<DailyWindow> {
        let meant = self.holds.iter().filter(|hold| is_meant(hold));
        let own = meant.filter_map(|hold| hold.regulatory_window.as_ref());
        let mut windows: Vec<DailyWindow> = Vec::new();
        for window in own.chain(self.window()) {
            if !windows.contains(window) {
                windows.push(window.clone());
            }
        }
        windows
    }

    /// When all windows are open. A window that is about to close, and whose hold is in place, counts as closed.
    fn opening(&self, is_meant: impl Fn(&Hold) -> bool, windows: &[DailyWindow], now: Timestamp) -> Timestamp {
        let is_closing =
            self.in_force(now).any(|hold| is_meant(hold) && hold.triggered_by == Trigger::RegulatoryWindow);
        let from = self.reopening(now).filter(|_| is_closing).unwrap_or(now);
        first_open(&windows.iter().collect::<Vec<_>>(), from)
    }

    /// When the window of the settings is open, past the close that a hold is in place for.
    fn reopening(&self, now: Timestamp) -> Option<Timestamp> {
        let closing = self.in_force(now).filter(|hold| hold.triggered_by == Trigger::RegulatoryWindow);
        let from = closing.filter_map(|hold| hold.end(now, self.window_at(now))).max().unwrap_or(now);
        self.window().map(|window| window.next_opening(from))
    }

    fn in_the_way(&self, is_meant: impl Fn(&Hold) -> bool, opening: Timestamp, now: Timestamp) -> Vec<Refusal> {
        let meant = self.holds.iter().filter(|hold| is_meant(hold));
        let early = meant.filter(|hold| hold.compliance && hold.ends_at.is_none_or(|end| now < end));
        let compliance = early.max_by_key(|hold| hold.ends_at).map(|hold| Refusal::HoldInForce {
            hold: hold.id,
            ends_at: hold.ends_at,
            next_opening: hold.end(now, self.window_at(now)),
        });
        let window = (now < opening).then_some(Refusal::OutsideWindow { next_opening: opening });
        compliance.into_iter().chain(window).collect()
    }

    /// The entry for a command that did not change CXone.
    pub fn order_entry(&self, order: &Order, ending: Ending, clock: &Clock) -> Entry {
        let state = self.seen.map(|(state, _)| state.as_str().to_owned());
        let holds: Vec<_> = self.in_force(clock.now()).map(|hold| hold.id).collect();
        let detail = OrderDetail { holds, affected_callbacks: order.affected_callbacks() };
        Entry {
            previous_state: state.clone(),
            new_state: state,
            compliance_hold: Some(self.in_force(clock.now()).any(|hold| hold.compliance)),
            ..order.entry(&self.id, ending, clock).with_detail(&detail)
        }
    }

    /// The entry for a command that CXone has not confirmed when it is answered. A command has one at most.
    pub fn pending_entry(&self, order: &Order, clock: &Clock) -> Entry {
        Entry { id: order.id, ..self.order_entry(order, Ending::Pending, clock) }
    }
}

impl Order {
    /// Scheduled callbacks that the hold of a pause covers.
    pub fn affected_callbacks(&self) -> Option<u32> {
        match &self.command {
            Command::Pause(hold) => hold.affected_callbacks,
            Command::Resume { .. } => None,
        }
    }

    /// An entry about this command.
    pub fn entry(&self, campaign: &CampaignId, ending: Ending, clock: &Clock) -> Entry {
        let now = clock.now();
        let action = self.command.action(ending);
        Entry {
            campaign_id: Some(campaign.to_string()),
            latency_ms: Some(now.duration_since(self.arrived_at).as_millis().try_into().unwrap_or(i64::MAX)),
            triggered_by: Some(self.command.trigger().as_str().into()),
            request_id: self.request_id.clone(),
            ..Entry::new(clock.new_id(), now, action, self.by.clone(), ending.outcome())
        }
    }
}

/// The detail of a command that did not change CXone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderDetail {
    /// The holds in force.
    holds: Vec<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    affected_callbacks: Option<u32>,
}
