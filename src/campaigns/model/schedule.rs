//! When a campaign is next worked on. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::campaign::{Campaign, Pace};
use super::hold::{LONGEST_LEAD, Trigger};
use super::plan::Wanted;
use crate::clock::Clock;
use crate::cxone::{CampaignState, CxoneError};

/// The first wait after CXone did not do it: from, and to. A pause does not wait as long as a callback may.
const FIRST_WAIT: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(700));
/// No wait is longer than this, unless CXone itself asks for it.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A campaign that CXone has never shown may be made there later.
const UNKNOWN_WAIT: Duration = Duration::from_secs(300);
/// After so many failures a campaign that is not known to dial is only checked.
const URGENT_FAILURES: u32 = 5;
/// A request of unknown outcome is looked for when half as much time again has passed since it was sent, but not sooner
/// than this …
const FIRST_LOOK: SignedDuration = SignedDuration::from_secs(1);
/// … and not later.
const LONGEST_LOOK: SignedDuration = SignedDuration::from_secs(5);
/// Shorter waits for the lead of a window's close are not divided.
const LEAST_HALF: SignedDuration = SignedDuration::from_millis(500);

impl Campaign {
    /// Whether CXone is not yet what the holds and the resume say.
    pub fn is_pending(&self, now: Timestamp) -> bool {
        self.sent.change.is_some() || self.resume.is_some() || (self.is_held(now) && self.dials_as_far_as_known())
    }

    fn dials_as_far_as_known(&self) -> bool {
        self.seen.is_none_or(|(state, _)| state == CampaignState::Active)
    }

    fn is_open(&self) -> bool {
        self.seen.is_none_or(|(state, _)| matches!(state, CampaignState::Active | CampaignState::Paused))
    }

    /// Whether there is more to do now than to check whether somebody outside has changed the campaign.
    pub fn is_due(&self, now: Timestamp, pace: &Pace) -> bool {
        let has_ended = self.in_force(now).count() < self.holds.len();
        let closes = self.closes_at(now).is_some_and(|closes| closes <= now + pace.lead);
        let starts = self.wanted(now) == Wanted::Active && self.is_open();
        let extends = self.needs_adjustment(now);
        let is_new = self.is_held(now) && self.dials_as_far_as_known();
        has_ended || closes || starts || extends || is_new || self.sent.change.is_some() || self.is_doubt_due(now)
    }

    /// Whether the next request may be sent before all others. What fails again and again, and is not known to dial,
    /// must not take the quota of the rest.
    pub fn is_urgent(&self, now: Timestamp, pace: &Pace) -> bool {
        let is_hopeless =
            self.failures > URGENT_FAILURES && self.seen.is_none_or(|(state, _)| state != CampaignState::Active);
        self.is_due(now, pace) && !is_hopeless
    }

    fn needs_adjustment(&self, now: Timestamp) -> bool {
        let dials = self.seen.is_some_and(|(state, _)| state == CampaignState::Active);
        self.needs_extension(now) || (dials && self.sent.agents_due.is_some())
    }

    fn needs_extension(&self, now: Timestamp) -> bool {
        let is_paused = self.seen.is_some_and(|(state, _)| state == CampaignState::Paused);
        let sent = self.sent.pause.as_ref().filter(|sent| is_paused && !sent.is_plain && self.sent.refusals == 0);
        sent.is_some_and(|sent| self.is_held(now) && sent.until != self.resumes_at(now))
    }

    fn is_doubt_due(&self, now: Timestamp) -> bool {
        let seen = self.seen.map_or(Timestamp::MIN, |(_, at)| at);
        self.sent.doubts.iter().any(|doubt| next_look(doubt.since, doubt.until, seen).is_some_and(|at| at <= now))
    }

    /// When the enforced window closes next, unless its hold is in place or it is put aside.
    fn closes_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.holds.iter().any(|hold| hold.triggered_by == Trigger::RegulatoryWindow) {
            return None;
        }
        let from = self.override_until.map_or(now, |until| until.max(now));
        let window = self.enforced_window()?;
        Some(window.next_close(from).unwrap_or(from))
    }

    /// When the campaign is to be worked on next, now that CXone has shown what it does.
    pub fn schedule(&mut self, pace: &Pace, clock: &Clock) {
        let now = clock.now();
        self.due_at = self.next_due(now, pace);
        let is_watched = !self.holds.is_empty() || self.sent.pause.is_some() || self.resume.is_some();
        self.check_at = is_watched.then(|| now + pace.check_every);
    }

    /// When there is next more to do than to check.
    pub fn next_due(&self, now: Timestamp, pace: &Pace) -> Option<Timestamp> {
        let hold_ends = self.in_force(now).filter_map(|hold| hold.end(now, self.window_at(now))).min();
        let starts = self.resume.as_ref().map(|resume| resume.starts_at(now)).filter(|_| self.is_open());
        let starts = starts.filter(|_| !self.is_held(now));
        let closes = self.closes_at(now).map(|closes| look_before_close(closes, pace.lead, now));
        // CXone was sent when the pause ends, and may act on it by itself.
        let sent_end = self.sent.pause.as_ref().and_then(|pause| pause.until).filter(|until| now < *until);
        let seen = self.seen.map_or(now, |(_, at)| at);
        let doubt = self.sent.doubts.iter().filter_map(|doubt| next_look(doubt.since, doubt.until, seen)).min();
        let disagrees = match (self.wanted(now), self.seen.map(|(state, _)| state)) {
            (Wanted::Paused, Some(CampaignState::Active)) | (Wanted::Active, Some(CampaignState::Paused)) => Some(now),
            _ => None,
        };
        let extends = self.needs_adjustment(now).then_some(now);
        [hold_ends, starts, closes, sent_end, doubt, disagrees, extends].into_iter().flatten().min()
    }

    /// CXone did not do it, or never said so; it is tried again.
    pub fn failed(&mut self, error: &CxoneError, pace: &Pace, clock: &Clock) {
        let now = clock.now();
        let was_due = self.is_due(now, pace);
        self.failures = self.failures.saturating_add(1);
        self.failure = Some(error.into());
        let is_unknown = self.seen.is_none() && matches!(error, CxoneError::NotFound { .. });
        let longest = if is_unknown { UNKNOWN_WAIT } else { LONGEST_WAIT };
        let doubled = FIRST_WAIT.1 * 2_u32.pow(self.failures.clamp(1, 10) - 1);
        let backoff = clock.between(FIRST_WAIT.0.max(doubled / 4).min(longest), doubled.min(longest));
        let again = now + backoff.max(error.retry_after().unwrap_or_default());
        let doubts = self.sent.doubts.iter().filter_map(|doubt| next_look(doubt.since, doubt.until, now)).min();
        let again = doubts.filter(|_| error.retry_after().is_none()).map_or(again, |doubt| doubt.min(again));
        let is_urgent = was_due && self.is_urgent(now, pace);
        self.due_at = if is_urgent { Some(again) } else { self.next_due(now, pace).filter(|at| now < *at) };
        self.check_at = self.check_at.filter(|_| is_urgent).or(Some(again));
    }
}

/// When a request of unknown outcome is to be looked for next, after a look at `seen`.
fn next_look(since: Timestamp, until: Timestamp, seen: Timestamp) -> Option<Timestamp> {
    let from = seen.max(since);
    let wait = (from.duration_since(since) / 2).clamp(FIRST_LOOK, LONGEST_LOOK);
    Some(from + wait).filter(|at| *at <= until)
}

/// When to look next whether the pause for a window's close is to be sent. The lead may grow until then: each look comes
/// after half of what is left.
fn look_before_close(closes: Timestamp, lead: Duration, now: Timestamp) -> Timestamp {
    let first = closes - LONGEST_LEAD;
    if now < first {
        return first;
    }
    let send_at = closes - SignedDuration::try_from(lead).unwrap_or(LONGEST_LEAD);
    let half = send_at.duration_since(now) / 2;
    if half < LEAST_HALF { send_at } else { now + half }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_for_the_pause_of_a_close_is_looked_for_more_and_more_often() {
        let closes: Timestamp = "2026-11-20T21:00:00Z".parse().unwrap();
        let before = |milliseconds| closes - SignedDuration::from_millis(milliseconds);
        let cases =
            [(90_000, 60_000), (60_000, 31_000), (31_000, 16_500), (3_100, 2_550), (2_900, 2_000), (1_000, 2_000)];
        for (now, next) in cases {
            let looked_for = look_before_close(closes, Duration::from_secs(2), before(now));
            assert_eq!(looked_for, before(next), "{now} ms before the close");
        }
    }
}
