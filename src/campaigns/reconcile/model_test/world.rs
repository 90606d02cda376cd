//! What all actors share: the campaign's row in Postgres, the campaign in CXone, the time; and the rules that must hold at
//! every moment.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::skills::Skills;
use crate::campaigns::model::{Campaign, Changes, Hold, Report};
use crate::cxone::{CampaignState, DialerCampaign};

/// The errors of the replicas' clocks against Postgres's, in milliseconds.
pub const CLOCK_ERRORS_MS: [i64; 2] = [100, -100];

/// A late change takes effect within this time.
pub const MAX_LATENESS_MS: i64 = 55_000;

/// How CXone handles the next request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Behavior {
    Normal,
    /// It refuses, and does nothing.
    Unavailable,
    /// It never answers, and does nothing.
    NotReceiving,
    /// It carries the request out, and never answers.
    NotAnswering,
    /// It never answers a change, and carries it out later.
    Late,
    /// It answers a change with the campaign as it is, and does nothing.
    Ignoring,
    /// It rejects attributes other than those that the campaign has.
    Rejecting,
    /// A gateway in front of it answers that there is no such campaign.
    NotFound,
    /// It forbids the client this campaign.
    Forbidding,
}

/// Normal behavior is the most frequent.
pub const BEHAVIORS: [Behavior; 12] = [
    Behavior::Normal,
    Behavior::Normal,
    Behavior::Normal,
    Behavior::Normal,
    Behavior::Unavailable,
    Behavior::NotReceiving,
    Behavior::NotAnswering,
    Behavior::Late,
    Behavior::Ignoring,
    Behavior::Rejecting,
    Behavior::NotFound,
    Behavior::Forbidding,
];

/// The state that all actors share.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact that the rules ask for")]
pub struct World {
    pub now_ms: i64,
    /// The stored campaign without its holds, which are stored beside it as in Postgres.
    pub row: Campaign,
    pub holds: Vec<Hold>,
    /// The ids of all holds that were ever placed.
    pub placed: HashSet<Uuid>,
    /// The reports of executed commands.
    pub reports: HashMap<Uuid, Report>,
    /// The ids of commands to resume.
    pub resumes: HashSet<Uuid>,
    pub leased_until_ms: i64,
    pub cxone: DialerCampaign,
    /// The skills of the campaign, where the API has skills.
    pub skills: Option<Skills>,
    /// Whether CXone itself starts the campaign at the end of a pause.
    pub cxone_resumes: bool,
    /// Changes that take effect later, and when.
    pub late: Vec<(i64, DialerCampaign)>,
    /// When a late change last took effect.
    pub late_effect_ms: i64,
    /// The revision of the campaign in CXone. It grows with each change outside Ringback.
    pub cxone_revision: u32,
    /// The revision in CXone that was read last.
    pub read_revision: u32,
    /// Whether Ringback has paused the campaign, and nobody has changed it since.
    pub is_own_pause: bool,
    /// Whether a command to resume was accepted, and the campaign has not dialed since.
    pub is_start_owed: bool,
    pub behavior: Behavior,
    /// Whether a command has overridden the window.
    pub is_forced: bool,
    /// What happened, in words. None unless a run is repeated to explain its failure.
    pub history: Option<String>,
    /// The first rule that was broken.
    pub broken: Option<String>,
}

pub type Shared = Arc<Mutex<World>>;

impl World {
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now_ms).unwrap()
    }

    /// The campaign as the repository loads it.
    pub fn stored(&self) -> Campaign {
        let leased_by = self.row.leased_by.filter(|_| self.now_ms < self.leased_until_ms);
        Campaign { holds: self.holds.clone(), leased_by, ..self.row.clone() }
    }

    /// The campaign as CXone shows it.
    pub fn shown(&self) -> DialerCampaign {
        let is_partly_started = self.skills.as_ref().is_some_and(Skills::is_partly_started);
        DialerCampaign { is_partly_started, ..self.cxone.clone() }
    }

    pub fn is_due(&self) -> bool {
        self.row.due_at.into_iter().chain(self.row.check_at).any(|due| due <= self.now())
    }

    pub fn log(&mut self, what: fmt::Arguments<'_>) {
        let now = self.now();
        if let Some(history) = &mut self.history {
            let _ = writeln!(history, "{now} {what}");
        }
    }

    pub fn report_broken(&mut self, rule: &str) {
        self.log(format_args!("{rule}"));
        self.broken.get_or_insert_with(|| rule.to_owned());
    }

    /// The main rule, checked when CXone receives a request.
    pub fn check_request(&mut self, target: &DialerCampaign) {
        if target.state != CampaignState::Active {
            return;
        }
        // As the slowest clock shows it.
        let now = Timestamp::from_millisecond(self.now_ms + CLOCK_ERRORS_MS[0]).unwrap();
        if self.stored().is_held(now) {
            self.report_broken("CXone was asked for ACTIVE while a hold was left");
        }
        let window = self.row.settings.regulatory_window.as_ref();
        let is_open = |ms| window.is_none_or(|window| window.is_open(Timestamp::from_millisecond(ms).unwrap()));
        if !self.is_forced && !CLOCK_ERRORS_MS.iter().any(|error| is_open(self.now_ms + error)) {
            self.report_broken("CXone was asked for ACTIVE while the window was closed");
        }
    }

    /// Only its end or a command to resume lifts a hold, and a command does so once.
    pub fn check_save(&mut self, changes: &Changes) {
        let resume = changes.command.as_ref().map(|(id, _)| *id).filter(|id| self.resumes.contains(id));
        let row = self.row.clone();
        for lifted in &changes.lifted {
            let hold = self.holds.iter().chain(&changes.placed).find(|hold| hold.id == lifted.id);
            // The save comes a little after the decision.
            let has_ended = hold.is_none_or(|hold| !hold.is_in_force(lifted.at, row.window_at(lifted.at)));
            if lifted.at > self.now() + Duration::from_millis(100) {
                self.report_broken("a hold was lifted in the future");
            }
            if !has_ended && resume.is_none() {
                self.report_broken("a hold was lifted before its end, and by no command");
            }
        }
        if changes.placed.iter().any(|hold| self.placed.contains(&hold.id)) {
            self.report_broken("a hold was placed twice");
        }
    }

    /// Carries out a change in CXone.
    pub fn change_cxone(&mut self, target: &DialerCampaign) {
        let was_active = self.cxone.state == CampaignState::Active;
        self.is_own_pause = target.state == CampaignState::Paused && (was_active || self.is_own_pause);
        self.cxone = target.clone();
        self.is_start_owed &= target.state != CampaignState::Active;
        self.log(format_args!("CXone is now {:?} until {:?}", target.state, target.resume_at));
    }

    /// Advances the time. CXone carries out late changes, and may start the campaign at the end of its pause.
    pub fn advance(&mut self, milliseconds: i64) {
        self.now_ms += milliseconds;
        let (due, left): (Vec<_>, Vec<_>) = self.late.drain(..).partition(|(at, _)| *at <= self.now_ms);
        self.late = left;
        for (_, target) in due {
            if matches!(self.cxone.state, CampaignState::Active | CampaignState::Paused) {
                self.log(format_args!("late:"));
                self.change_cxone(&target);
                self.late_effect_ms = self.now_ms;
            }
        }
        self.change_late_skills();
        let has_ended = self.cxone.resume_at.is_some_and(|at| at <= self.now());
        if self.cxone_resumes && has_ended && self.cxone.state == CampaignState::Paused {
            let state = CampaignState::Active;
            self.cxone = DialerCampaign { state, pause_reason: None, resume_at: None, ..self.cxone.clone() };
            (self.is_own_pause, self.is_start_owed) = (false, false);
            self.cxone_revision += 1;
            self.log(format_args!("CXone starts the campaign itself"));
        }
    }
}

/// Suspends its actor once, so that others may run.
pub fn yield_now() -> impl Future<Output = ()> + Send {
    let mut has_yielded = false;
    std::future::poll_fn(move |_| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        Poll::Pending
    })
}
