//! A campaign as Ringback keeps it, and the only ways in which it changes. Pure: the same campaign, sight of CXone and
//! moment give the same decision.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::answer_rate::Counts;
use super::hold::{Hold, PauseReason, Trigger};
use super::regulatory_window::RegulatoryWindowView;
use super::settings::CampaignSettings;
use crate::audit::{Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::cxone::{CampaignState, CxoneError, DialerCampaign};
use crate::types::{CampaignId, DailyWindow};
use crate::webhooks::announced;

/// The first wait after CXone did not do it: from, and to. A pause does not wait as long as a callback may.
const FIRST_WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3));
/// No wait is longer than this, but where CXone itself asks for it.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A campaign that CXone does not know, and whose window is to be enforced, may be made there later.
const UNKNOWN_WAIT: Duration = Duration::from_secs(3600);
/// Windows in different places may take a few openings until all are open at once.
const OPENINGS_LOOKED_AT: usize = 32;

/// Who wanted a change, and since when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    pub by: Actor,
    pub triggered_by: Trigger,
    pub request_id: Option<String>,
    /// When it was asked for, or fell due.
    pub since: Timestamp,
    /// What CXone showed before.
    pub previous: CampaignState,
    /// What an override put aside.
    pub overrode: Vec<String>,
    /// What its dialer had done then, in the answer rate's window.
    pub counts: Counts,
    /// Whether the answer rate caused the pause, also one that is being ended.
    pub by_answer_rate: bool,
    /// Scheduled callbacks that a pause covered when it was asked for.
    pub affected_callbacks: Option<u32>,
}

/// What Ringback told CXone last. While it is kept, the campaign's pause is Ringback's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub state: CampaignState,
    /// Of the pause, also while it is being ended: by these it is known again.
    pub reason: Option<PauseReason>,
    pub until: Option<Timestamp>,
    /// False from just before it is sent until CXone is known to have it.
    pub confirmed: bool,
    /// Whether the pause, also one that is being ended, is Ringback's own.
    pub is_ours: bool,
    pub cause: Cause,
}

/// A command to resume, until CXone has confirmed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    pub by: Actor,
    pub asked_at: Timestamp,
    pub request_id: Option<String>,
    pub max_agents: Option<u32>,
    /// The windows of the holds that it lifted: not one may be closed when the campaign starts …
    pub windows: Vec<RegulatoryWindowView>,
    /// … but until then, where somebody with the right to do so put them aside.
    pub forced_until: Option<Timestamp>,
    /// What that was.
    pub overrode: Vec<String>,
}

/// What the last attempt met with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
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
    pub told: Option<Told>,
    pub resume: Option<Resume>,
    /// The regulatory window of the settings is put aside until then.
    pub override_until: Option<Timestamp>,
    /// Attempts in a row that CXone did not carry out.
    pub failures: u32,
    pub failure: Option<Failure>,
    /// When it is next looked at.
    pub due_at: Option<Timestamp>,
    /// What the next change is made to.
    pub revision: i64,
    pub leased_by: Option<Uuid>,
    /// Since when events of its dialer count: its last start.
    pub counted_from: Option<Timestamp>,
    /// What its dialer did in the answer rate's window, when this was read.
    pub counts: Counts,
    /// Found out just now: somebody outside has started it, and it was not our pause that they ended.
    pub started_outside: bool,
    pub created_at: Timestamp,
}

/// What is to be kept with a campaign, beside itself.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub placed: Vec<Hold>,
    pub lifted: Vec<Lifted>,
    pub entries: Vec<Entry>,
}

/// A hold that is lifted.
#[derive(Clone, Debug, Serialize)]
pub struct Lifted {
    pub id: Uuid,
    pub at: Timestamp,
    pub by: Actor,
}

/// What CXone is to be brought to.
#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    Paused,
    Active,
    AsItIs,
}

/// What is to be done about a campaign.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    /// Nothing: CXone is as it should be, or is left alone.
    Rest,
    /// CXone is to be told this.
    Tell(DialerCampaign),
    /// CXone is in the right state, and was told another end of the pause.
    Refresh(DialerCampaign),
}

impl Campaign {
    /// One of which nothing is known but what CXone shows.
    pub fn only_seen(id: CampaignId, state: CampaignState, now: Timestamp) -> Self {
        Self {
            id,
            settings: CampaignSettings::default(),
            holds: Vec::new(),
            seen: Some((state, now)),
            told: None,
            resume: None,
            override_until: None,
            failures: 0,
            failure: None,
            due_at: None,
            revision: 1,
            leased_by: None,
            counted_from: None,
            counts: Counts::default(),
            started_outside: false,
            created_at: now,
        }
    }

    /// The holds that keep it from dialing now.
    pub fn in_force(&self, now: Timestamp) -> impl Iterator<Item = &Hold> {
        let window = self.settings.regulatory_window.as_ref();
        self.holds.iter().filter(move |hold| hold.is_in_force(now, window))
    }

    /// When the last hold ends, or a command to resume finds the window open; never, where a hold is open-ended or there
    /// is neither.
    pub fn resumes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let window = self.settings.regulatory_window.as_ref();
        let ends: Option<Vec<_>> = self.in_force(now).map(|hold| hold.end(now, window)).collect();
        let resume = self.resume.as_ref().map(|resume| resume.starts_at(now));
        let last = ends?.into_iter().max().or(resume)?;
        Some(self.enforced_window().map_or(last, |window| window.next_opening(last)))
    }

    /// Whether there is more to do than to look whether somebody outside has changed the campaign.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let is_paused = self.seen.is_some_and(|(state, _)| state == CampaignState::Paused);
        let has_ended = self.in_force(now).count() < self.holds.len();
        self.is_pending() || !is_paused || has_ended || self.wanted(now) != Wanted::Paused
    }

    /// Whether CXone is not yet what the holds say.
    pub fn is_pending(&self) -> bool {
        self.resume.is_some() || self.told.as_ref().is_some_and(|told| !told.confirmed) || self.failure.is_some()
    }

    fn enforced_window(&self) -> Option<&DailyWindow> {
        self.settings.regulatory_window.as_ref().filter(|_| self.settings.enforce_regulatory_window)
    }

    /// With `enforceRegulatoryWindow`: a hold from the window's close to its next opening, where there is none.
    pub fn keep_window(&mut self, changes: &mut Changes, clock: &Clock) {
        let now = clock.now();
        let Some(window) = self.enforced_window().filter(|window| !window.is_open(now)) else { return };
        let is_overridden = self.override_until.is_some_and(|until| now < until);
        let is_held = self.holds.iter().any(|hold| hold.triggered_by == Trigger::RegulatoryWindow);
        if is_overridden || is_held {
            return;
        }
        let hold = Hold {
            id: clock.new_id(),
            reason: PauseReason::Scheduled,
            compliance: false,
            triggered_by: Trigger::RegulatoryWindow,
            placed_by: Actor::system("regulatory-window"),
            placed_at: now,
            ends_at: Some(window.next_opening(now)),
            max_agents: None,
            regulatory_window: None,
            request_id: None,
            affected_callbacks: None,
        };
        self.place(hold, changes, clock);
    }

    /// Places a hold; once, also where the command that places it is sent again.
    pub fn place(&mut self, hold: Hold, changes: &mut Changes, clock: &Clock) {
        if self.holds.iter().any(|placed| placed.id == hold.id) {
            return;
        }
        // What was wanted before the hold is no longer wanted.
        self.resume = None;
        changes.entries.push(Entry {
            compliance_hold: Some(hold.compliance),
            triggered_by: Some(hold.triggered_by.as_str().into()),
            request_id: hold.request_id.clone(),
            detail: json!({
                "holdId": hold.id, "pauseReason": hold.reason, "endsAt": hold.ends_at, "maxAgents": hold.max_agents,
                "affectedCallbacks": hold.affected_callbacks,
            }),
            ..self.entry("hold.placed", hold.placed_by.clone(), Outcome::Succeeded, clock)
        });
        changes.placed.push(hold.clone());
        self.holds.push(hold);
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
    ) {
        let now = clock.now();
        let (lifted, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.holds).into_iter().partition(which);
        self.holds = left;
        for hold in lifted {
            if hold.triggered_by == Trigger::SlidingWindowThrottle {
                self.counted_from = Some(now);
            }
            let before_its_time = hold.ends_at.is_none_or(|end| now < end);
            changes.entries.push(Entry {
                compliance_hold: Some(hold.compliance),
                triggered_by: Some(trigger.as_str().into()),
                request_id: request_id.map(Into::into),
                detail: json!({
                    "holdId": hold.id, "pauseReason": hold.reason, "placedBy": hold.placed_by,
                    "placedAt": hold.placed_at, "endsAt": hold.ends_at, "beforeItsTime": before_its_time,
                }),
                ..self.entry("hold.lifted", by.clone(), Outcome::Succeeded, clock)
            });
            changes.lifted.push(Lifted { id: hold.id, at: now, by: by.clone() });
        }
    }

    /// Those that have ended lift themselves.
    fn lift_ended(&mut self, changes: &mut Changes, clock: &Clock) {
        let now = clock.now();
        let window = self.settings.regulatory_window.clone();
        let ended = |hold: &Hold| !hold.is_in_force(now, window.as_ref());
        let opened = self.holds.iter().any(|hold| ended(hold) && hold.triggered_by == Trigger::RegulatoryWindow);
        let trigger = if opened { Trigger::RegulatoryWindow } else { Trigger::ScheduledResume };
        self.lift(ended, &Actor::system("reconciler"), trigger, None, changes, clock);
    }

    /// Decides what CXone is to be told, now that it shows this. What is decided is noted, to be kept before it is done.
    pub fn plan(&mut self, shown: &DialerCampaign, changes: &mut Changes, clock: &Clock) -> Move {
        let now = clock.now();
        self.keep_window(changes, clock);
        self.notice(shown, changes, clock);
        (self.failures, self.failure) = (0, None);
        let wanted = self.wanted(now);
        let next = match (wanted, shown.state) {
            (_, CampaignState::Inactive | CampaignState::Suspended) => {
                (self.told, self.resume) = (None, None);
                Move::Rest
            }
            (Wanted::Paused, CampaignState::Active) => self.pause_in_cxone(shown, now),
            (Wanted::Paused, CampaignState::Paused) => self.refresh(shown, now),
            (Wanted::Active, CampaignState::Paused) => return self.start_in_cxone(shown, now),
            (Wanted::Active | Wanted::AsItIs, CampaignState::Active) => {
                (self.told, self.resume) = (None, None);
                Move::Rest
            }
            (Wanted::AsItIs, CampaignState::Paused) => Move::Rest,
        };
        // Where the campaign is to start, its holds stay until it has: the window may close before CXone answers.
        self.lift_ended(changes, clock);
        next
    }

    /// Whether a change that was decided on a moment ago is still right to be asked for.
    pub fn still_wants(&self, change: &DialerCampaign, now: Timestamp) -> bool {
        change.state != CampaignState::Active || self.wanted(now) == Wanted::Active
    }

    fn wanted(&self, now: Timestamp) -> Wanted {
        if self.in_force(now).next().is_some() {
            return Wanted::Paused;
        }
        match &self.resume {
            Some(resume) if resume.may_start(now) => Wanted::Active,
            Some(_) => Wanted::AsItIs,
            None if self.told.is_some() => Wanted::Active,
            None => Wanted::AsItIs,
        }
    }

    /// Takes in what CXone shows: what Ringback had told it without an answer, and what somebody else has changed.
    fn notice(&mut self, shown: &DialerCampaign, changes: &mut Changes, clock: &Clock) {
        let now = clock.now();
        let before = self.seen.replace((shown.state, now));
        let was_started_outside = self.told.is_none() && self.was_started_outside(before, shown, now);
        match &mut self.told {
            Some(told) if !told.confirmed && shown.state == CampaignState::Paused && !told.may_be(shown) => {
                self.told = None;
            }
            Some(told) if !told.confirmed && told.state == shown.state => {
                told.confirmed = true;
                let told = told.clone();
                changes.entries.push(self.changed_entry(&told, clock));
            }
            // It was not started: our pause stands.
            Some(told) if !told.confirmed && shown.state == CampaignState::Paused => {
                (told.state, told.confirmed) = (CampaignState::Paused, true);
            }
            Some(told) if told.confirmed && told.state != shown.state => {
                let outside = Actor::outside();
                let entry = self.entry("campaign.changed_outside", outside, Outcome::Succeeded, clock);
                changes.entries.push(Entry {
                    previous_state: before.map(|(state, _)| state.as_str().into()),
                    new_state: Some(shown.state.as_str().into()),
                    detail: json!({ "pauseReason": shown.pause_reason, "scheduledResumeTime": shown.resume_at }),
                    ..entry
                });
            }
            None if was_started_outside => {
                let entry = self.entry("campaign.changed_outside", Actor::outside(), Outcome::Succeeded, clock);
                changes.entries.push(Entry {
                    previous_state: Some(CampaignState::Paused.as_str().into()),
                    new_state: Some(shown.state.as_str().into()),
                    ..entry
                });
                self.started_outside = true;
            }
            _ => {}
        }
    }

    /// A campaign that somebody else had paused, and that was held all the while since it was last seen so.
    fn was_started_outside(
        &self,
        before: Option<(CampaignState, Timestamp)>,
        shown: &DialerCampaign,
        now: Timestamp,
    ) -> bool {
        let Some((CampaignState::Paused, at)) = before else { return false };
        shown.state == CampaignState::Active && self.in_force(now).any(|hold| hold.placed_at <= at)
    }

    fn pause_in_cxone(&mut self, shown: &DialerCampaign, now: Timestamp) -> Move {
        let is_our_pause = |told: &Told| told.confirmed && told.state == CampaignState::Paused;
        let changed_outside = self.started_outside || self.told.as_ref().is_some_and(is_our_pause);
        let Some(cause) = self.pause_cause(shown.state, now, changed_outside) else { return Move::Rest };
        let told = self.pause(now, cause);
        let change = self.pause_change(shown, &told, now);
        self.told = Some(told);
        Move::Tell(change)
    }

    /// Where the pause is ours and its end has moved, CXone is told the new one.
    fn refresh(&self, shown: &DialerCampaign, now: Timestamp) -> Move {
        let Some(told) = self.told.as_ref().filter(|told| told.state == CampaignState::Paused && told.confirmed) else {
            return Move::Rest;
        };
        let wanted = self.pause(now, told.cause.clone());
        if wanted.until == told.until { Move::Rest } else { Move::Refresh(self.pause_change(shown, &wanted, now)) }
    }

    fn start_in_cxone(&mut self, shown: &DialerCampaign, now: Timestamp) -> Move {
        let cause = self.start_cause(shown.state, now);
        let asked_for = self.resume.as_ref().and_then(|resume| resume.max_agents);
        let (reason, until) = self.told.as_ref().map_or((None, None), |told| (told.reason, told.until));
        let is_ours = self.told.is_some();
        self.told = Some(Told { state: CampaignState::Active, reason, until, confirmed: false, is_ours, cause });
        Move::Tell(DialerCampaign {
            state: CampaignState::Active,
            pause_reason: None,
            resume_at: None,
            max_agents: asked_for.or(self.settings.max_agents).or(shown.max_agents),
            dialing_mode: shown.dialing_mode.clone(),
        })
    }

    /// What CXone is told of a pause: the reason of the hold that ends last, and its end.
    fn pause(&self, now: Timestamp, cause: Cause) -> Told {
        let window = self.settings.regulatory_window.as_ref();
        let last = self.in_force(now).max_by_key(|hold| {
            let end = hold.end(now, window);
            (end.is_none(), end, hold.placed_at)
        });
        Told {
            state: CampaignState::Paused,
            reason: last.map(|hold| hold.reason),
            until: self.resumes_at(now),
            confirmed: false,
            is_ours: true,
            cause,
        }
    }

    fn pause_change(&self, shown: &DialerCampaign, told: &Told, now: Timestamp) -> DialerCampaign {
        let limits = self.in_force(now).filter(|hold| hold.max_agents.is_some());
        let newest = limits.max_by_key(|hold| hold.placed_at).and_then(|hold| hold.max_agents);
        DialerCampaign {
            state: CampaignState::Paused,
            pause_reason: told.reason.map(|reason| reason.as_str().into()),
            resume_at: told.until,
            max_agents: newest.or(shown.max_agents),
            dialing_mode: shown.dialing_mode.clone(),
        }
    }

    /// The newest hold; where somebody outside has undone the pause, Ringback itself.
    fn pause_cause(&self, previous: CampaignState, now: Timestamp, changed_outside: bool) -> Option<Cause> {
        let hold = self.in_force(now).max_by_key(|hold| hold.placed_at)?;
        let cause = Cause {
            by: hold.placed_by.clone(),
            triggered_by: hold.triggered_by,
            request_id: hold.request_id.clone(),
            since: hold.placed_at,
            previous,
            overrode: Vec::new(),
            counts: self.counts,
            by_answer_rate: hold.triggered_by == Trigger::SlidingWindowThrottle,
            affected_callbacks: hold.affected_callbacks,
        };
        if changed_outside {
            let by = Actor::system("reconciler");
            return Some(Cause { by, request_id: None, since: now, affected_callbacks: None, ..cause });
        }
        Some(cause)
    }

    fn start_cause(&self, previous: CampaignState, now: Timestamp) -> Cause {
        let counts = self.counts;
        let by_answer_rate = self.told.as_ref().is_some_and(|told| told.cause.by_answer_rate);
        if let Some(resume) = &self.resume {
            return Cause {
                by: resume.by.clone(),
                triggered_by: Trigger::ManualResume,
                request_id: resume.request_id.clone(),
                since: resume.asked_at,
                previous,
                overrode: resume.overrode.clone(),
                counts,
                by_answer_rate,
                affected_callbacks: None,
            };
        }
        let last = self.holds.iter().max_by_key(|hold| hold.ends_at);
        let triggered_by = match last.map(|hold| hold.triggered_by) {
            Some(Trigger::RegulatoryWindow) => Trigger::RegulatoryWindow,
            _ => Trigger::ScheduledResume,
        };
        let since = last.and_then(|hold| hold.ends_at).unwrap_or(now);
        let by = Actor::system("reconciler");
        Cause {
            by,
            triggered_by,
            request_id: None,
            since,
            previous,
            overrode: Vec::new(),
            counts,
            by_answer_rate,
            affected_callbacks: None,
        }
    }

    /// CXone has done what it was told.
    pub fn confirmed(&mut self, change: &DialerCampaign, changes: &mut Changes, clock: &Clock) {
        self.seen = Some((change.state, clock.now()));
        (self.failures, self.failure) = (0, None);
        if change.state == CampaignState::Active {
            if let Some(told) = self.told.take() {
                changes.entries.push(self.changed_entry(&told, clock));
            }
            self.resume = None;
            self.lift_ended(changes, clock);
            // What was before the pause must not pause it again.
            self.counted_from = Some(clock.now());
            return;
        }
        let Some(mut told) = self.told.take() else { return };
        if !told.confirmed {
            changes.entries.push(self.changed_entry(&told, clock));
        }
        told.until = change.resume_at;
        told.reason = change.pause_reason.as_deref().and_then(|reason| PauseReason::parse(reason).ok());
        told.confirmed = true;
        self.told = Some(told);
    }

    /// CXone did not do it, or never said so; it is tried again.
    pub fn failed(&mut self, error: &CxoneError, clock: &Clock) {
        self.failures = self.failures.saturating_add(1);
        self.failure = Some(error.into());
        if let (CxoneError::Rejected { .. }, Some(resume)) = (error, &mut self.resume) {
            // What CXone refuses for good is not asked for again.
            resume.max_agents = None;
        }
        let doubled = FIRST_WAIT.1 * 2_u32.pow(self.failures.clamp(1, 5) - 1);
        let backoff = clock.between(FIRST_WAIT.0, doubled.min(LONGEST_WAIT));
        self.due_at = Some(clock.now() + backoff.max(error.retry_after().unwrap_or_default()));
    }

    /// CXone refused the pause for good: the hold is not left behind.
    pub fn withdrawn(&mut self, hold: Uuid, order: (&Actor, Option<&str>), changes: &mut Changes, clock: &Clock) {
        self.told = None;
        self.lift(|placed| placed.id == hold, order.0, Trigger::ManualPause, order.1, changes, clock);
    }

    /// CXone knows no such campaign: there is nothing to hold.
    pub fn unknown_to_cxone(&mut self, changes: &mut Changes, clock: &Clock) {
        (self.told, self.resume, self.seen) = (None, None, None);
        (self.failures, self.failure) = (0, None);
        let by = Actor::system("reconciler");
        self.lift(|_| true, &by, Trigger::ScheduledResume, None, changes, clock);
        self.due_at = self.enforced_window().map(|_| clock.now() + UNKNOWN_WAIT);
    }

    /// When the campaign is to be looked at next, now that CXone has shown what it does.
    pub fn look_again(&mut self, check_every: Duration, clock: &Clock) {
        let now = clock.now();
        let window = self.settings.regulatory_window.as_ref();
        let hold_ends = self.in_force(now).filter_map(|hold| hold.end(now, window)).min();
        let resume_opens = self.resume.as_ref().map(|resume| resume.starts_at(now));
        let window_turns = self.enforced_window().and_then(|window| {
            window.next_close(now).or_else(|| self.override_until.filter(|until| now < *until)).or(Some(now))
        });
        // CXone was told when the pause ends, and may act on it by itself.
        let told_end = self.told.as_ref().and_then(|told| told.until).filter(|until| now < *until);
        let is_held = self.in_force(now).next().is_some();
        let window_turns = window_turns.filter(|turn| now < *turn || !is_held);
        let check = (is_held || self.told.is_some()).then(|| now + check_every);
        let disagrees = match (self.wanted(now), self.seen.map(|(state, _)| state)) {
            (Wanted::Paused, Some(CampaignState::Active)) | (Wanted::Active, Some(CampaignState::Paused)) => Some(now),
            _ => None,
        };
        let turns = [hold_ends, resume_opens, window_turns, told_end, check, disagrees];
        self.due_at = turns.into_iter().flatten().min();
    }

    fn changed_entry(&self, told: &Told, clock: &Clock) -> Entry {
        let now = clock.now();
        let is_pause = told.state == CampaignState::Paused;
        let action = if is_pause { "campaign.paused" } else { "campaign.resumed" };
        let holds: Vec<_> = self.in_force(now).map(|hold| hold.id).collect();
        let mut detail = json!({
            "pauseReason": told.reason,
            "scheduledResumeTime": told.until.filter(|_| is_pause),
            "holds": holds,
            "overrode": told.cause.overrode,
            "byAnswerRate": told.cause.by_answer_rate,
        });
        if let Some(affected) = told.cause.affected_callbacks {
            detail["affectedCallbacks"] = json!(affected);
        }
        announced(Entry {
            previous_state: Some(told.cause.previous.as_str().into()),
            new_state: Some(told.state.as_str().into()),
            latency_ms: Some(now.duration_since(told.cause.since).as_millis().try_into().unwrap_or(i64::MAX).max(0)),
            triggered_by: Some(told.cause.triggered_by.as_str().into()),
            request_id: told.cause.request_id.clone(),
            call_volume_before: i64::try_from(told.cause.counts.attempts).ok(),
            answer_rate: told.cause.counts.rate(),
            // It is confirmed only now.
            call_volume_after: Some(0),
            detail,
            ..self.entry(action, told.cause.by.clone(), Outcome::Succeeded, clock)
        })
    }

    /// An entry about this campaign.
    pub fn entry(&self, action: &str, by: Actor, outcome: Outcome, clock: &Clock) -> Entry {
        let now = clock.now();
        Entry {
            campaign_id: Some(self.id.to_string()),
            compliance_hold: Some(self.in_force(now).any(|hold| hold.compliance)),
            call_volume_before: i64::try_from(self.counts.attempts).ok(),
            answer_rate: self.counts.rate(),
            ..Entry::new(clock.new_id(), now, action, by, outcome)
        }
    }
}

impl Told {
    /// Whether the pause that CXone shows can be the one it was told. What CXone does not show says nothing; a pause of
    /// ours that is being ended was known before.
    fn may_be(&self, shown: &DialerCampaign) -> bool {
        if self.state == CampaignState::Active {
            return self.is_ours;
        }
        let reason = self.reason.map(PauseReason::as_str);
        let same_reason = shown.pause_reason.as_deref().is_none_or(|shown| reason == Some(shown));
        let same_end = shown.resume_at.is_none_or(|shown| self.until == Some(shown));
        self.is_ours && same_reason && same_end
    }
}

impl Resume {
    fn may_start(&self, now: Timestamp) -> bool {
        self.starts_at(now) <= now
    }

    /// The first moment at which all windows are open, or are put aside.
    fn starts_at(&self, now: Timestamp) -> Timestamp {
        if self.forced_until.is_some_and(|until| now < until) {
            return now;
        }
        let windows: Vec<DailyWindow> =
            self.windows.iter().filter_map(|kept| DailyWindow::try_from(kept.clone()).ok()).collect();
        first_open(&windows, now)
    }
}

/// The first moment from `now` on at which all windows are open. Where they never are, as far as is looked, one at
/// which it is worth looking again.
pub fn first_open(windows: &[DailyWindow], now: Timestamp) -> Timestamp {
    let mut at = now;
    for _ in 0..OPENINGS_LOOKED_AT {
        let latest = windows.iter().map(|window| window.next_opening(at)).max().unwrap_or(at);
        if latest == at {
            break;
        }
        at = latest;
    }
    at
}
