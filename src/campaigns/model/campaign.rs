//! A campaign as Ringback keeps it, and its holds. Pure: the same campaign, state of CXone and moment give the same
//! decision.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::answer_rate::Counts;
use super::hold::{Hold, LONGEST_LEAD, PauseReason, Trigger};
use super::last_sent::{Cause, LastSent};
use super::regulatory_window::{RegulatoryWindowView, first_open};
use super::report::Report;
use super::settings::CampaignSettings;
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::cxone::{CampaignState, CxoneError};
use crate::types::{CampaignId, DailyWindow};

/// A wish that the campaign dials, until CXone has confirmed that it does: a command to resume, or the end of the last
/// hold on a campaign that Ringback had paused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    pub cause: Cause,
    /// By the end of a hold: it starts only what Ringback itself had paused.
    pub is_scheduled: bool,
    pub max_agents: Option<u32>,
    /// The windows that must be open when the campaign starts …
    pub windows: Vec<RegulatoryWindowView>,
    /// … but until then, where somebody with the right to do so put them aside.
    pub forced_until: Option<Timestamp>,
}

impl Resume {
    /// The first moment at which all windows are open, or are put aside.
    pub fn starts_at(&self, now: Timestamp) -> Timestamp {
        if self.forced_until.is_some_and(|until| now < until) {
            return now;
        }
        let windows: Vec<DailyWindow> =
            self.windows.iter().filter_map(|kept| DailyWindow::try_from(kept.clone()).ok()).collect();
        first_open(&windows.iter().collect::<Vec<_>>(), now)
    }
}

/// What the last attempt met with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = CampaignFailure)]
pub struct Failure {
    /// For programs.
    #[schema(example = "cxone-unavailable")]
    pub code: String,
    /// For people; CXone's own words where it gave any.
    pub detail: String,
}

impl From<&CxoneError> for Failure {
    fn from(error: &CxoneError) -> Self {
        Self { code: error.code().into(), detail: error.to_string() }
    }
}

/// A campaign.
#[derive(Clone, Debug, PartialEq)]
pub struct Campaign {
    pub id: CampaignId,
    pub settings: CampaignSettings,
    /// Those that are not lifted.
    pub holds: Vec<Hold>,
    /// What CXone last showed or confirmed, and when.
    pub seen: Option<(CampaignState, Timestamp)>,
    pub sent: LastSent,
    pub resume: Option<Resume>,
    /// The regulatory window of the settings is put aside until then.
    pub override_until: Option<Timestamp>,
    /// Attempts in a row that CXone did not carry out.
    pub failures: u32,
    pub failure: Option<Failure>,
    /// When something is next to be done.
    pub due_at: Option<Timestamp>,
    /// When it is next to be checked whether somebody outside has changed it.
    pub check_at: Option<Timestamp>,
    /// What the next change is made to.
    pub revision: i64,
    pub leased_by: Option<Uuid>,
    /// Since when events of its dialer count: its last start.
    pub counted_from: Option<Timestamp>,
    /// What its dialer did in the answer rate's window, when this was read.
    pub counts: Counts,
    /// Found out just now: somebody outside has started it.
    pub started_outside: bool,
    pub created_at: Timestamp,
}

/// What is to be kept with a campaign, beside itself.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub placed: Vec<Hold>,
    /// Holds of pauses that came again.
    pub refreshed: Vec<Hold>,
    pub lifted: Vec<Lifted>,
    pub entries: Vec<Entry>,
    /// A command that is carried out, and what it is answered with should it come again.
    pub command: Option<(Uuid, Report)>,
    /// Commands that CXone has now carried out.
    pub confirmed: Vec<Confirmed>,
}

/// A command that CXone has carried out.
#[derive(Clone, Debug, Serialize)]
pub struct Confirmed {
    pub command_id: Uuid,
    /// What of the command's report is now otherwise.
    pub report: serde_json::Value,
}

/// A hold that is lifted.
#[derive(Clone, Debug, Serialize)]
pub struct Lifted {
    pub id: Uuid,
    pub at: Timestamp,
    pub by: Actor,
}

/// How CXone is to be spoken to.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The pause for the close of an enforced window is sent so long before it.
    pub lead: Duration,
    /// A request whose outcome is unknown may still take effect for so long after it was decided on.
    pub doubt: Duration,
    /// A campaign that is held is checked so often.
    pub check_every: Duration,
}

impl Campaign {
    /// One of which nothing is known but what CXone shows.
    pub fn only_seen(id: CampaignId, state: CampaignState, now: Timestamp) -> Self {
        Self {
            id,
            settings: CampaignSettings::default(),
            holds: Vec::new(),
            seen: Some((state, now)),
            sent: LastSent::default(),
            resume: None,
            override_until: None,
            failures: 0,
            failure: None,
            due_at: None,
            check_at: None,
            revision: 1,
            leased_by: None,
            counted_from: None,
            counts: Counts::default(),
            started_outside: false,
            created_at: now,
        }
    }

    /// Whether CXone has ever shown it, or a command was accepted for it.
    pub fn is_known(&self) -> bool {
        self.seen.is_some() || !self.holds.is_empty() || self.resume.is_some() || !self.sent.is_empty()
    }

    /// The window of the settings.
    pub fn window(&self) -> Option<&DailyWindow> {
        self.settings.regulatory_window.as_ref()
    }

    /// The window of the settings, where Ringback enforces it.
    pub fn enforced_window(&self) -> Option<&DailyWindow> {
        self.window().filter(|_| self.settings.enforce_regulatory_window)
    }

    /// The window of the settings, unless it is put aside now.
    pub fn window_at(&self, now: Timestamp) -> Option<&DailyWindow> {
        self.window().filter(|_| self.override_until.is_none_or(|until| until <= now))
    }

    /// The holds that keep it from dialing now.
    pub fn in_force(&self, now: Timestamp) -> impl Iterator<Item = &Hold> {
        self.holds.iter().filter(move |hold| hold.is_in_force(now, self.window_at(now)))
    }

    /// Whether any hold keeps it from dialing now.
    pub fn is_held(&self, now: Timestamp) -> bool {
        self.in_force(now).next().is_some()
    }

    /// When the last hold ends, or an accepted resume finds the window open; never, where a hold is open-ended or there
    /// is neither.
    pub fn resumes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let ends: Option<Vec<_>> = self.in_force(now).map(|hold| hold.end(now, self.window_at(now))).collect();
        let resume = self.resume.as_ref().map(|resume| resume.starts_at(now));
        let last = ends?.into_iter().max().or(resume)?;
        Some(self.enforced_window().map_or(last, |window| window.next_opening(last)))
    }

    /// What time alone has changed: holds that have ended are lifted, and a window that closes places its own.
    pub fn tick(&mut self, pace: &Pace, changes: &mut Changes, clock: &Clock) {
        self.hold_for_closed_window(pace, changes, clock);
        self.lift_ended(changes, clock);
    }

    /// With `enforceRegulatoryWindow`: a hold from a little before the window's close to its next opening, where there is
    /// none.
    fn hold_for_closed_window(&mut self, pace: &Pace, changes: &mut Changes, clock: &Clock) {
        let now = clock.now();
        let Some(window) = self.enforced_window() else { return };
        let closes = window.next_close(now).unwrap_or(now);
        let is_open = now + pace.lead.min(LONGEST_LEAD.unsigned_abs()) < closes;
        let is_overridden = self.override_until.is_some_and(|until| now < until);
        let is_held = self.holds.iter().any(|hold| hold.triggered_by == Trigger::RegulatoryWindow);
        if is_open || is_overridden || is_held {
            return;
        }
        let hold = Hold {
            id: clock.new_id(),
            reason: PauseReason::Scheduled,
            compliance: false,
            triggered_by: Trigger::RegulatoryWindow,
            placed_by: Actor::system("regulatory-window"),
            placed_at: now,
            ends_at: Some(window.next_opening(closes)),
            max_agents: None,
            regulatory_window: None,
            request_id: None,
            affected_callbacks: None,
            counts: self.counts,
            revision: 0,
        };
        self.place(hold, changes, clock);
    }

    /// Places a hold. An accepted resume is not forgotten: it is carried out when the holds have gone.
    pub fn place(&mut self, hold: Hold, changes: &mut Changes, clock: &Clock) {
        // A save adds one to the revision.
        let hold = Hold { revision: self.revision + 1, ..hold };
        changes.entries.push(Entry {
            compliance_hold: Some(hold.compliance),
            triggered_by: Some(hold.triggered_by.as_str().into()),
            request_id: hold.request_id.clone(),
            ..self.entry(Action::HoldPlaced, hold.placed_by.clone(), Outcome::Succeeded, clock).with_detail(
                &PlacedDetail {
                    hold_id: hold.id,
                    pause_reason: hold.reason,
                    ends_at: hold.ends_at,
                    max_agents: hold.max_agents,
                    affected_callbacks: hold.affected_callbacks,
                },
            )
        });
        // What CXone refused of another pause, it may take of this one.
        self.sent.refusals = 0;
        changes.placed.push(hold.clone());
        self.holds.push(hold);
    }

    /// The same pause again takes the place of its hold, whose end moves only later. False where there is no such hold.
    pub fn refresh(&mut self, again: &Hold, changes: &mut Changes, clock: &Clock) -> bool {
        let revision = self.revision + 1;
        let Some(hold) = self.holds.iter_mut().find(|hold| hold.is_same_pause(again)) else { return false };
        // A resume that is on its way, and did not see this pause, does not lift it.
        hold.revision = revision;
        let before = hold.ends_at;
        // An open end is the latest.
        hold.ends_at = before.zip(again.ends_at).map(|(before, again)| before.max(again));
        let hold = hold.clone();
        if hold.ends_at != before {
            changes.entries.push(Entry {
                compliance_hold: Some(hold.compliance),
                triggered_by: Some(hold.triggered_by.as_str().into()),
                request_id: again.request_id.clone(),
                ..self.entry(Action::HoldExtended, again.placed_by.clone(), Outcome::Succeeded, clock).with_detail(
                    &ExtendedDetail {
                        hold_id: hold.id,
                        pause_reason: hold.reason,
                        ends_at: hold.ends_at,
                        previous_ends_at: before,
                    },
                )
            });
        }
        changes.refreshed.push(hold);
        true
    }

    /// Lifts the holds that `which` picks.
    pub fn lift(
        &mut self,
        which: impl Fn(&Hold) -> bool,
        by: &Actor,
        trigger: Trigger,
        request_id: Option<&str>,
        changes: &mut Changes,
        clock: &Clock,
    ) -> Vec<Hold> {
        let now = clock.now();
        let (lifted, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.holds).into_iter().partition(which);
        self.holds = left;
        for hold in &lifted {
            if hold.triggered_by == Trigger::SlidingWindowThrottle {
                self.counted_from = Some(now);
            }
            let before_its_time = hold.ends_at.is_none_or(|end| now < end);
            changes.entries.push(Entry {
                compliance_hold: Some(hold.compliance),
                triggered_by: Some(trigger.as_str().into()),
                request_id: request_id.map(Into::into),
                ..self.entry(Action::HoldLifted, by.clone(), Outcome::Succeeded, clock).with_detail(&LiftedDetail {
                    hold_id: hold.id,
                    pause_reason: hold.reason,
                    placed_by: &hold.placed_by,
                    placed_at: hold.placed_at,
                    ends_at: hold.ends_at,
                    before_its_time,
                })
            });
            changes.lifted.push(Lifted { id: hold.id, at: now, by: by.clone() });
        }
        lifted
    }

    /// Holds lift themselves at their end, whether CXone answers or not. The start of what Ringback had paused then
    /// becomes a resume, which lasts until CXone has confirmed it.
    fn lift_ended(&mut self, changes: &mut Changes, clock: &Clock) {
        let now = clock.now();
        let window = self.window_at(now).cloned();
        let has_ended = |hold: &Hold| !hold.is_in_force(now, window.as_ref());
        let by = Actor::system("reconciler");
        let trigger = |hold: &Hold| match hold.triggered_by {
            Trigger::RegulatoryWindow => Trigger::RegulatoryWindow,
            _ => Trigger::ScheduledResume,
        };
        let last = self.holds.iter().filter(|hold| has_ended(hold)).max_by_key(|hold| hold.ends_at);
        let Some(trigger) = last.map(trigger) else { return };
        let lifted = self.lift(has_ended, &by, trigger, None, changes, clock);
        if self.holds.is_empty() && self.sent.pause.is_some() {
            let since = lifted.iter().filter_map(|hold| hold.ends_at).max().unwrap_or(now).min(now);
            let windows = lifted.iter().flat_map(|hold| hold.windows(window.as_ref())).map(Into::into).collect();
            self.resume_by_itself(trigger, since, windows);
        }
    }

    /// The last hold is gone: the campaign is to dial again, if it is Ringback's own pause that keeps it from it.
    pub fn resume_by_itself(&mut self, trigger: Trigger, since: Timestamp, mut windows: Vec<RegulatoryWindowView>) {
        self.sent.refusals = 0;
        if let Some(resume) = &mut self.resume {
            windows.retain(|window| !resume.windows.contains(window));
            resume.windows.append(&mut windows);
            return;
        }
        let cause = self.own_cause(trigger, since);
        self.resume = Some(Resume { cause, is_scheduled: true, max_agents: None, windows, forced_until: None });
    }

    /// Of a start that Ringback itself wants.
    pub fn own_cause(&self, triggered_by: Trigger, since: Timestamp) -> Cause {
        Cause {
            by: Actor::system("reconciler"),
            triggered_by,
            request_id: None,
            since,
            previous: CampaignState::Paused,
            overrode: Vec::new(),
            counts: self.counts,
            by_answer_rate: false,
            affected_callbacks: None,
            command_id: None,
        }
    }
}

/// The detail of a hold that was placed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlacedDetail {
    hold_id: Uuid,
    pause_reason: PauseReason,
    ends_at: Option<Timestamp>,
    max_agents: Option<u32>,
    affected_callbacks: Option<u32>,
}

/// The detail of a hold whose end was moved.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtendedDetail {
    hold_id: Uuid,
    pause_reason: PauseReason,
    ends_at: Option<Timestamp>,
    previous_ends_at: Option<Timestamp>,
}

/// The detail of a hold that was lifted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LiftedDetail<'a> {
    hold_id: Uuid,
    pause_reason: PauseReason,
    placed_by: &'a Actor,
    placed_at: Timestamp,
    ends_at: Option<Timestamp>,
    before_its_time: bool,
}
