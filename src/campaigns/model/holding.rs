//! How holds are placed, refreshed and lifted, by commands and by time.

use jiff::Timestamp;

use super::campaign::{Campaign, Resume, Timing};
use super::changes::{Changes, Lifted};
use super::hold::{Hold, MAX_LEAD, PauseReason, Trigger};
use super::last_sent::Cause;
use super::regulatory_window::RegulatoryWindowView;
use crate::audit::Actor;
use crate::clock::Clock;
use crate::cxone::CampaignState;

impl Campaign {
    /// Applies what time alone has changed: ended holds are lifted, and an enforced window that closes places its own.
    pub fn advance(&mut self, timing: &Timing, changes: &mut Changes, clock: &Clock) {
        self.hold_for_closing_window(timing, changes, clock);
        self.lift_ended(changes, clock);
    }

    /// With `enforceRegulatoryWindow`: places a hold from shortly before the window's close to its next opening, where there
    /// is none.
    fn hold_for_closing_window(&mut self, timing: &Timing, changes: &mut Changes, clock: &Clock) {
        let now = clock.now();
        let Some(window) = self.enforced_window() else { return };
        let closes = window.next_close(now).unwrap_or(now);
        let is_open = now + timing.pause_lead.min(MAX_LEAD.unsigned_abs()) < closes;
        let is_overridden = self.override_until.is_some_and(|until| now < until);
        let has_hold = self.holds.iter().any(|hold| hold.triggered_by == Trigger::RegulatoryWindow);
        if is_open || is_overridden || has_hold {
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

    /// Places a hold. An accepted resume stays: it is carried out when the holds are gone.
    pub fn place(&mut self, hold: Hold, changes: &mut Changes, clock: &Clock) {
        // A save adds one to the revision.
        let hold = Hold { revision: self.revision + 1, ..hold };
        changes.entries.push(self.hold_placed_entry(&hold, clock));
        // CXone may accept of this pause what it rejected of another.
        self.last_sent.rejections = 0;
        changes.placed.push(hold.clone());
        self.holds.push(hold);
    }

    /// Refreshes the hold of the same pause, whose end moves only later. Returns false where there is no such hold.
    pub fn refresh(&mut self, again: &Hold, changes: &mut Changes, clock: &Clock) -> bool {
        let revision = self.revision + 1;
        let Some(hold) = self.holds.iter_mut().find(|hold| hold.is_same_pause(again)) else { return false };
        // A resume that arrived before this pause does not lift it.
        hold.revision = revision;
        let before = hold.ends_at;
        // No end is later than any end.
        hold.ends_at = before.zip(again.ends_at).map(|(before, again)| before.max(again));
        let hold = hold.clone();
        if hold.ends_at != before {
            changes.entries.push(self.hold_extended_entry(&hold, before, again, clock));
        }
        changes.refreshed.push(hold);
        true
    }

    /// Lifts the holds that `selects` picks, and returns them.
    pub fn lift(
        &mut self,
        selects: impl Fn(&Hold) -> bool,
        by: &Actor,
        trigger: Trigger,
        request_id: Option<&str>,
        changes: &mut Changes,
        clock: &Clock,
    ) -> Vec<Hold> {
        let now = clock.now();
        let (lifted, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.holds).into_iter().partition(selects);
        self.holds = left;
        for hold in &lifted {
            if hold.triggered_by == Trigger::SlidingWindowThrottle {
                self.counted_from = Some(now);
            }
            changes.entries.push(self.hold_lifted_entry(hold, by, trigger, request_id, clock));
            changes.lifted.push(Lifted { id: hold.id, at: now, by: by.clone() });
        }
        lifted
    }

    /// Holds are lifted at their end, whether CXone answers or not. If they were the last of a pause of Ringback's own, a
    /// resume takes their place, until CXone has confirmed the start.
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
        if self.holds.is_empty() && self.last_sent.pause.is_some() {
            let since = lifted.iter().filter_map(|hold| hold.ends_at).max().unwrap_or(now).min(now);
            let windows = lifted.iter().flat_map(|hold| hold.windows(window.as_ref())).map(Into::into).collect();
            self.schedule_resume(trigger, since, windows);
        }
    }

    /// Notes that the last hold is gone, so that a pause of Ringback's own ends.
    pub fn schedule_resume(&mut self, trigger: Trigger, since: Timestamp, mut windows: Vec<RegulatoryWindowView>) {
        self.last_sent.rejections = 0;
        if let Some(resume) = &mut self.resume {
            windows.retain(|window| !resume.windows.contains(window));
            resume.windows.append(&mut windows);
            return;
        }
        let cause = self.reconciler_cause(trigger, since);
        self.resume = Some(Resume { cause, is_scheduled: true, max_agents: None, windows, forced_until: None });
    }

    /// The cause of a start that no command asked for.
    pub fn reconciler_cause(&self, triggered_by: Trigger, since: Timestamp) -> Cause {
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
