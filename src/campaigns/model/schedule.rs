//! When a campaign is next worked on.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::campaign::{Campaign, Timing};
use super::hold::{MAX_LEAD, Trigger};
use super::last_sent::UncertainRequest;
use super::plan::DesiredState;
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::cxone::{CampaignState, CxoneError};

/// The backoff after a failure is drawn from this …
const SHORTEST_BACKOFF: Duration = Duration::from_millis(300);
/// … to this, later ones from a quarter of the doubled time …
const FIRST_BACKOFF: Duration = Duration::from_millis(700);
/// … up to this, unless CXone asks for a longer one.
const BACKOFF: Backoff = backoff_up_to(Duration::from_secs(30));
/// The backoff of a campaign that CXone does not have, and has never shown. It may be created there later.
const BACKOFF_NOT_FOUND: Backoff = backoff_up_to(Duration::from_mins(5));
/// After more failures than this, a campaign that is not known to dial is not urgent.
const MAX_URGENT_FAILURES: u32 = 5;
/// The wait before a campaign with an uncertain request is read again is half of the time since the request was sent; at
/// least this …
const MIN_UNCERTAIN_WAIT: SignedDuration = SignedDuration::from_secs(1);
/// … and at most this.
const MAX_UNCERTAIN_WAIT: SignedDuration = SignedDuration::from_secs(5);
/// A campaign whose pause ends in CXone is read this much later.
const STARTED_AFTER: SignedDuration = SignedDuration::from_secs(1);
/// The wait for the time to send the pause of a window's close is not halved below this.
const MIN_HALF: SignedDuration = SignedDuration::from_millis(500);

const fn backoff_up_to(longest: Duration) -> Backoff {
    Backoff::doubling(FIRST_BACKOFF, longest).jittered_from_quarter(SHORTEST_BACKOFF)
}

impl Campaign {
    /// Whether CXone has not yet confirmed what the holds and the resume ask for.
    pub fn is_pending(&self, now: Timestamp) -> bool {
        self.last_sent.change.is_some() || self.resume.is_some() || (self.is_held(now) && self.may_be_dialing())
    }

    fn may_be_dialing(&self) -> bool {
        self.state().is_none_or(|state| state == CampaignState::Active)
    }

    /// Whether CXone may be asked to pause or start it.
    fn is_running(&self) -> bool {
        self.state().is_none_or(|state| matches!(state, CampaignState::Active | CampaignState::Paused))
    }

    /// Whether there is more to do now than to check whether the campaign was changed outside Ringback.
    pub fn is_due(&self, now: Timestamp, timing: &Timing) -> bool {
        let has_ended = self.in_force(now).count() < self.holds.len();
        let closes = self.closes_at(now).is_some_and(|closes| closes <= now + timing.pause_lead);
        let starts = self.desired_state(now) == DesiredState::Active && self.is_running();
        let extends = self.needs_adjustment(now);
        let is_new = self.is_held(now) && self.may_be_dialing();
        has_ended
            || closes
            || starts
            || extends
            || is_new
            || self.last_sent.change.is_some()
            || self.is_uncertain_due(now)
            || self.may_have_started_itself(now)
    }

    /// When CXone starts the campaign itself, although it is held: somebody has paused it there until then.
    fn starts_itself_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.last_sent.shown_end.filter(|_| self.is_held(now)).map(|end| end + STARTED_AFTER)
    }

    fn may_have_started_itself(&self, now: Timestamp) -> bool {
        let seen = self.seen.map_or(Timestamp::MIN, |(_, at)| at);
        self.starts_itself_at(now).is_some_and(|at| seen < at && at <= now)
    }

    /// Whether the next request has priority over others. A campaign that fails repeatedly, and is not known to dial, must
    /// not use up the quota.
    pub fn is_urgent(&self, now: Timestamp, timing: &Timing) -> bool {
        let is_failing = self.failures > MAX_URGENT_FAILURES && self.state() != Some(CampaignState::Active);
        self.is_due(now, timing) && !is_failing
    }

    fn needs_adjustment(&self, now: Timestamp) -> bool {
        let dials = self.state() == Some(CampaignState::Active);
        self.needs_extension(now) || (dials && self.last_sent.agents_due.is_some())
    }

    fn needs_extension(&self, now: Timestamp) -> bool {
        let is_paused = self.state() == Some(CampaignState::Paused);
        let sent = self
            .last_sent
            .pause
            .as_ref()
            .filter(|sent| is_paused && !sent.is_minimal && self.last_sent.rejections == 0);
        sent.is_some_and(|sent| self.is_held(now) && sent.until != self.resumes_at(now))
    }

    fn is_uncertain_due(&self, now: Timestamp) -> bool {
        let seen = self.seen.map_or(Timestamp::MIN, |(_, at)| at);
        self.next_uncertain_check(seen).is_some_and(|at| at <= now)
    }

    /// When to read the campaign next for its uncertain requests, after a read at `seen`. `None` where none of them can
    /// still take effect by then.
    fn next_uncertain_check(&self, seen: Timestamp) -> Option<Timestamp> {
        let check = |request: &UncertainRequest| {
            let from = seen.max(request.since);
            let wait = (from.duration_since(request.since) / 2).clamp(MIN_UNCERTAIN_WAIT, MAX_UNCERTAIN_WAIT);
            Some(from + wait).filter(|at| *at <= request.until)
        };
        self.last_sent.uncertain.iter().filter_map(check).min()
    }

    /// When the enforced window closes next. `None` where the hold for its close is in place.
    fn closes_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.holds.iter().any(|hold| hold.triggered_by == Trigger::RegulatoryWindow) {
            return None;
        }
        let from = self.override_until.map_or(now, |until| until.max(now));
        let window = self.enforced_window()?;
        Some(window.next_close(from).unwrap_or(from))
    }

    /// Sets when the campaign is next worked on, after CXone has shown its state.
    pub fn schedule(&mut self, timing: &Timing, clock: &Clock) {
        let now = clock.now();
        self.due_at = self.next_due(now, timing);
        let is_checked = !self.holds.is_empty() || self.last_sent.pause.is_some() || self.resume.is_some();
        self.check_at = is_checked.then(|| now + timing.check_interval);
    }

    /// When there is next more to do than a check.
    pub fn next_due(&self, now: Timestamp, timing: &Timing) -> Option<Timestamp> {
        let hold_ends = self.in_force(now).filter_map(|hold| hold.end(now, self.window_at(now))).min();
        let starts = self.resume.as_ref().map(|resume| resume.starts_at(now)).filter(|_| self.is_running());
        let starts = starts.filter(|_| !self.is_held(now));
        let closes = self.closes_at(now).map(|closes| next_check_before_close(closes, timing.pause_lead, now));
        let starts_itself = self.starts_itself_at(now).filter(|at| now < *at);
        // CXone was sent the end of the pause, and may start the campaign itself.
        let sent_end = self.last_sent.pause.as_ref().and_then(|pause| pause.until).filter(|until| now < *until);
        let seen = self.seen.map_or(now, |(_, at)| at);
        let uncertain = self.next_uncertain_check(seen);
        let disagrees = match (self.desired_state(now), self.state()) {
            (DesiredState::Paused, Some(CampaignState::Active))
            | (DesiredState::Active, Some(CampaignState::Paused)) => Some(now),
            _ => None,
        };
        let extends = self.needs_adjustment(now).then_some(now);
        [hold_ends, starts, closes, sent_end, starts_itself, uncertain, disagrees, extends].into_iter().flatten().min()
    }

    /// Records a request that CXone did not carry out, or did not answer, and sets when it is tried again.
    pub fn record_failure(&mut self, error: &CxoneError, timing: &Timing, clock: &Clock) {
        let now = clock.now();
        let was_due = self.is_due(now, timing);
        // While CXone takes no requests, none use up the quota: a campaign that may be dialing stays urgent.
        let most = if matches!(error, CxoneError::Unavailable { .. }) && self.may_be_dialing() {
            MAX_URGENT_FAILURES
        } else {
            u32::MAX
        };
        self.failures = self.failures.saturating_add(1).min(most.max(self.failures));
        self.failure = Some(error.into());
        let is_not_found = self.seen.is_none() && matches!(error, CxoneError::NotFound { .. });
        let backoff = if is_not_found { BACKOFF_NOT_FOUND } else { BACKOFF };
        let again = now + backoff.wait(self.failures, clock).max(error.retry_after().unwrap_or_default());
        let uncertain = self.next_uncertain_check(now);
        let again = uncertain.filter(|_| error.retry_after().is_none()).map_or(again, |uncertain| uncertain.min(again));
        let is_urgent = was_due && self.is_urgent(now, timing);
        self.due_at = if is_urgent { Some(again) } else { self.next_due(now, timing).filter(|at| now < *at) };
        self.check_at = self.check_at.filter(|_| is_urgent).or(Some(again));
    }
}

/// When to check next whether the pause for a window's close is to be sent. The lead may grow until then, so each check
/// comes after half of the remaining time.
fn next_check_before_close(closes: Timestamp, lead: Duration, now: Timestamp) -> Timestamp {
    let first = closes - MAX_LEAD;
    if now < first {
        return first;
    }
    let send_at = closes - SignedDuration::try_from(lead).unwrap_or(MAX_LEAD);
    let half = send_at.duration_since(now) / 2;
    if half < MIN_HALF { send_at } else { now + half }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_before_a_close_come_after_half_of_the_remaining_time() {
        let closes: Timestamp = "2026-11-20T21:00:00Z".parse().unwrap();
        let before = |milliseconds| closes - SignedDuration::from_millis(milliseconds);
        let cases =
            [(90_000, 60_000), (60_000, 31_000), (31_000, 16_500), (3_100, 2_550), (2_900, 2_000), (1_000, 2_000)];
        for (now, next) in cases {
            let check = next_check_before_close(closes, Duration::from_secs(2), before(now));
            assert_eq!(check, before(next), "{now} ms before the close");
        }
    }
}
