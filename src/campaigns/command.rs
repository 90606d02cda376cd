//! Commands to a campaign, and when they are refused.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::campaign::{Campaign, Changes, Resume, first_open};
use super::hold::{Hold, PauseReason, Trigger};
use super::regulatory_window::RegulatoryWindowView;
use crate::audit::{Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::cxone::{CampaignState, CxoneError, DialerCampaign};
use crate::trace::Traceparent;
use crate::types::{CampaignId, DailyWindow};

/// A command, and who gave it.
#[derive(Clone, Debug)]
pub struct Order {
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
    /// Lift the holds of that reason, or all, and dial.
    Resume { reason: Option<PauseReason>, max_agents: Option<u32>, force: bool },
}

impl Command {
    /// Its word in the audit log.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pause(_) => "pause",
            Self::Resume { .. } => "resume",
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
    /// CXone refused it, and will refuse it again.
    Rejected(CxoneError),
    /// The guard's hold is in place already, or the figures are from before the campaign was started.
    Throttled,
}

impl Refusal {
    /// The slug of the problem that it is answered with.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Unknown => "not-found",
            Self::NotRunning(_) => "campaign-not-running",
            Self::HoldInForce { .. } => "hold-in-force",
            Self::OutsideWindow { .. } => "outside-regulatory-window",
            Self::Rejected(_) => "cxone-rejected",
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
                self.place(hold.as_ref().clone(), changes, clock);
                Ok(())
            }
            Command::Resume { reason, max_agents, force } => {
                self.resume(order, *reason, *max_agents, *force && order.may_override, changes, clock)
            }
        }
    }

    fn resume(
        &mut self,
        order: &Order,
        reason: Option<PauseReason>,
        max_agents: Option<u32>,
        forced: bool,
        changes: &mut Changes,
        clock: &Clock,
    ) -> Result<(), Refusal> {
        let now = clock.now();
        // What was placed after the command arrived was not meant by it.
        let is_meant =
            |hold: &Hold| reason.is_none_or(|reason| hold.reason == reason) && hold.placed_at <= order.arrived_at;
        let windows = self.windows_of(is_meant);
        let opening = first_open(&windows, now);
        let in_the_way = self.in_the_way(is_meant, opening, now);
        let overrode = in_the_way.iter().map(|refusal| refusal.slug().to_owned()).collect();
        if let Some(refusal) = in_the_way.into_iter().next().filter(|_| !forced) {
            return Err(refusal);
        }
        let request_id = order.request_id.as_deref();
        self.lift(is_meant, &order.by, Trigger::ManualResume, request_id, changes, clock);
        let forced_until = (forced && now < opening).then_some(opening);
        if forced_until.is_some() {
            self.override_until = self.settings.regulatory_window.as_ref().map(|window| window.next_opening(now));
        }
        self.resume = Some(Resume {
            by: order.by.clone(),
            asked_at: order.arrived_at,
            request_id: order.request_id.clone(),
            max_agents,
            windows: windows.iter().map(RegulatoryWindowView::from).collect(),
            forced_until,
            overrode,
        });
        if self.in_force(now).next().is_some() {
            // What is left decides when the campaign dials again.
            self.resume = None;
        }
        Ok(())
    }

    fn was_throttled_since(&self, figures_of: Timestamp) -> bool {
        let is_throttled = self.holds.iter().any(|hold| hold.triggered_by == Trigger::SlidingWindowThrottle);
        is_throttled || self.counted_from.is_some_and(|from| figures_of < from)
    }

    /// The windows in which the campaign may dial once those holds are gone.
    fn windows_of(&self, is_meant: impl Fn(&Hold) -> bool) -> Vec<DailyWindow> {
        let of_settings = self.settings.regulatory_window.as_ref();
        let meant = self.holds.iter().filter(|hold| is_meant(hold));
        let mut windows: Vec<DailyWindow> = meant.filter_map(|hold| hold.window(of_settings).cloned()).collect();
        if windows.is_empty() {
            windows.extend(of_settings.cloned());
        }
        windows.dedup();
        windows
    }

    fn in_the_way(&self, is_meant: impl Fn(&Hold) -> bool, opening: Timestamp, now: Timestamp) -> Vec<Refusal> {
        let meant = self.holds.iter().filter(|hold| is_meant(hold));
        let early = meant.filter(|hold| hold.compliance && hold.ends_at.is_none_or(|end| now < end));
        let compliance = early.max_by_key(|hold| hold.ends_at).map(|hold| Refusal::HoldInForce {
            hold: hold.id,
            ends_at: hold.ends_at,
            next_opening: hold.end(now, self.settings.regulatory_window.as_ref()),
        });
        let window = (now < opening).then_some(Refusal::OutsideWindow { next_opening: opening });
        compliance.into_iter().chain(window).collect()
    }

    /// The entry for a command that did not change CXone.
    pub fn order_entry(&self, order: &Order, ending: &str, outcome: Outcome, clock: &Clock) -> Entry {
        let state = self.seen.map(|(state, _)| state.as_str().to_owned());
        let holds: Vec<_> = self.in_force(clock.now()).map(|hold| hold.id).collect();
        let mut detail = json!({ "holds": holds });
        if let Some(affected) = order.affected_callbacks() {
            detail["affectedCallbacks"] = json!(affected);
        }
        Entry {
            previous_state: state.clone(),
            new_state: state,
            compliance_hold: Some(self.in_force(clock.now()).any(|hold| hold.compliance)),
            ..order.entry(&self.id, ending, outcome, detail, clock)
        }
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
    pub fn entry(&self, campaign: &CampaignId, ending: &str, outcome: Outcome, detail: Value, clock: &Clock) -> Entry {
        let now = clock.now();
        let action = format!("campaign.{}_{ending}", self.command.word());
        Entry {
            campaign_id: Some(campaign.to_string()),
            latency_ms: Some(now.duration_since(self.arrived_at).as_millis().try_into().unwrap_or(i64::MAX)),
            triggered_by: Some(self.command.trigger().as_str().into()),
            request_id: self.request_id.clone(),
            detail,
            ..Entry::new(clock.new_id(), now, &action, self.by.clone(), outcome)
        }
    }
}
