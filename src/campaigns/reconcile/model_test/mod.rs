//! Random interleavings of commands in replicas whose clocks differ, repeated commands, ends of holds, crashes, changes
//! outside Ringback, and a CXone that fails in all known ways. The reconciler is the real one; Postgres, CXone and the
//! clock are models.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use self::actors::{Replica, converge, execute, replica};
use self::skills::Skills;
use self::world::{BEHAVIORS, Behavior, CLOCK_ERRORS_MS, Shared, World};
use crate::audit::Actor;
use crate::campaigns::model::Counts;
use crate::campaigns::model::{Campaign, Command, CommandKind, Hold, PauseReason, Trigger};
use crate::cxone::{CampaignState, DialerCampaign};
use crate::fuzz_test::number;
use crate::trace::Traceparent;
use crate::types::{CampaignId, DailyWindow, TimeZone, parse_time_of_day};

mod actors;
mod cxone;
mod postgres;
mod skills;
mod world;

/// `INTERLEAVINGS` replaces both.
const INTERLEAVINGS: u64 = 10_000;
const NICE_INTERLEAVINGS: u64 = 3_000;
const STEPS: usize = 40;
/// Once CXone behaves normally, a late effect is corrected within this time.
const CORRECTED_WITHIN_MS: i64 = 8_000;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One run: its randomness, its world, and the work that goes on.
struct Run {
    rng: fastrand::Rng,
    world: Shared,
    replicas: [Replica; 2],
    running: Vec<Work>,
    commands: Vec<Command>,
}

impl Run {
    fn new(seed: u64, has_skills: bool, history: Option<String>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let start: Timestamp = "2026-11-20T19:00:00Z".parse().unwrap();
        let now_ms = start.as_millisecond() + rng.i64(0..3 * 3_600_000);
        let state = *rng.choice(&[CampaignState::Active, CampaignState::Active, CampaignState::Paused]).unwrap();
        let mut row = Campaign::from_cxone(CampaignId::parse("c").unwrap(), state, start);
        row.seen = None;
        if rng.bool() {
            let time = |text| parse_time_of_day(text).unwrap();
            let window = DailyWindow::new(time("9:00"), time("21:00"), TimeZone::parse("UTC").unwrap()).unwrap();
            row.settings.regulatory_window = Some(window);
            row.settings.enforce_regulatory_window = rng.bool();
            row.due_at = Some(start);
        }
        let world = Arc::new(Mutex::new(World {
            now_ms,
            row,
            holds: Vec::new(),
            placed: HashSet::new(),
            reports: HashMap::new(),
            resumes: HashSet::new(),
            leased_until_ms: 0,
            cxone: DialerCampaign {
                state,
                pause_reason: None,
                resume_at: None,
                max_agents: (!has_skills).then_some(10),
                dialing_mode: (!has_skills).then(|| "PREDICTIVE".into()),
                is_partly_started: false,
                keeps_reasons: !has_skills,
            },
            skills: has_skills.then(|| Skills::new(state)),
            cxone_resumes: rng.bool() && !has_skills,
            late: Vec::new(),
            late_effect_ms: 0,
            cxone_revision: 1,
            read_revision: 0,
            is_own_pause: false,
            is_start_owed: false,
            behavior: Behavior::Normal,
            is_forced: false,
            history,
            broken: None,
        }));
        let replicas = CLOCK_ERRORS_MS.map(|error| replica(&world, error, seed));
        Self { rng, world, replicas, running: Vec::new(), commands: Vec::new() }
    }

    fn replica(&mut self) -> Replica {
        Arc::clone(self.rng.choice(&self.replicas).unwrap())
    }

    /// One random event.
    fn step(&mut self) {
        match self.rng.u8(0..20) {
            0..=9 => self.poll_one(),
            10 | 11 => self.command(),
            12 => self.converge(),
            13 => self.repeat_command(),
            14 => {
                if !self.running.is_empty() {
                    let crashed = self.rng.usize(0..self.running.len());
                    drop(self.running.swap_remove(crashed));
                    self.world.lock().unwrap().log(format_args!("a replica crashes"));
                }
            }
            15..=17 => {
                let longest = *self.rng.choice(&[200, 6_000, 60_000, 3_600_000]).unwrap();
                let passed = self.rng.i64(1..longest);
                self.world.lock().unwrap().advance(passed);
            }
            18 => self.change_outside(),
            _ => {
                let behavior = *self.rng.choice(&BEHAVIORS).unwrap();
                let mut world = self.world.lock().unwrap();
                world.behavior = behavior;
                world.log(format_args!("CXone is {behavior:?}"));
            }
        }
    }

    fn poll_one(&mut self) {
        if self.running.is_empty() {
            return self.converge();
        }
        let next = self.rng.usize(0..self.running.len());
        if self.running[next].as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            drop(self.running.swap_remove(next));
        }
    }

    fn converge(&mut self) {
        let replica = self.replica();
        self.running.push(Box::pin(converge(replica)));
    }

    fn execute(&mut self, replica: Replica, command: Command) {
        self.running.push(Box::pin(execute(Arc::clone(&self.world), replica, command)));
    }

    fn change_outside(&mut self) {
        use CampaignState::{Active, Inactive, Paused, Suspended};
        let state = *self.rng.choice(&[Active, Active, Active, Paused, Paused, Inactive, Suspended]).unwrap();
        let second = self.rng.bool();
        let mut world = self.world.lock().unwrap();
        if let Some(skills) = world.skills.as_mut() {
            skills.change_outside(state, second);
        }
        let pause_reason = (state == Paused && world.skills.is_none()).then(|| "OUTSIDE".to_owned());
        world.cxone = DialerCampaign { state, pause_reason, resume_at: None, ..world.cxone.clone() };
        world.cxone_revision += 1;
        world.is_own_pause = false;
        world.is_start_owed &= state != Active;
        world.log(format_args!("it is made {state:?} outside Ringback"));
    }

    fn command(&mut self) {
        let replica = self.replica();
        let (now, revision) = (replica.clock.now(), self.world.lock().unwrap().row.revision);
        let id = Uuid::from_u128(self.rng.u128(..));
        let reason = *self.rng.choice(&[PauseReason::ComplianceHold, PauseReason::CarrierThrottle]).unwrap();
        let kind = if self.rng.bool() {
            CommandKind::Pause(Box::new(self.hold(id, reason, now)))
        } else {
            let holds: Vec<Uuid> = self.world.lock().unwrap().holds.iter().map(|hold| hold.id).collect();
            let one = self.rng.choice(&holds).copied();
            CommandKind::Resume {
                reason: self.rng.bool().then_some(reason),
                hold_id: one.filter(|_| self.rng.u8(0..4) == 0),
                max_agents: (self.rng.u8(0..4) == 0).then_some(7),
                force: self.rng.u8(0..4) == 0,
            }
        };
        let command = Command {
            id,
            is_repeated: false,
            revision,
            kind,
            by: Actor::operator(),
            request_id: None,
            trace: Traceparent::root(Uuid::from_u128(1)),
            arrived_at: now,
            may_override: self.rng.bool(),
        };
        {
            let mut world = self.world.lock().unwrap();
            world.log(format_args!("{:?}, may override: {}", command.kind, command.may_override));
            if let CommandKind::Resume { force, .. } = &command.kind {
                world.is_forced |= *force && command.may_override;
                world.resumes.insert(id);
            }
        }
        self.commands.push(command.clone());
        self.execute(replica, command);
    }

    fn hold(&mut self, id: Uuid, reason: PauseReason, now: Timestamp) -> Hold {
        let compliance = reason == PauseReason::ComplianceHold;
        let is_guard = !compliance && self.rng.bool();
        let triggered_by = if is_guard { Trigger::SlidingWindowThrottle } else { Trigger::ManualPause };
        let longest = *self.rng.choice(&[1_000, 60_000, 7_200_000]).unwrap();
        let ends_in = self.rng.u64(1..longest);
        let asked_for = (compliance || self.rng.bool()).then(|| now + Duration::from_millis(ends_in));
        let window = self.world.lock().unwrap().row.settings.regulatory_window.clone();
        Hold {
            id,
            reason,
            compliance,
            triggered_by,
            placed_by: Actor::operator(),
            placed_at: now,
            ends_at: asked_for.map(|at| window.map_or(at, |window| window.next_opening(at))),
            max_agents: self.rng.bool().then_some(3),
            regulatory_window: None,
            request_id: None,
            affected_callbacks: None,
            counts: Counts::default(),
            revision: 0,
        }
    }

    /// A command is repeated under its idempotency key, perhaps at another replica.
    fn repeat_command(&mut self) {
        let Some(command) = self.rng.choice(&self.commands).cloned() else { return };
        let replica = self.replica();
        let (arrived_at, revision) = (replica.clock.now(), self.world.lock().unwrap().row.revision);
        self.world.lock().unwrap().log(format_args!("repeated: {:?}", command.kind));
        self.execute(replica, Command { is_repeated: true, arrived_at, revision, ..command });
    }

    /// CXone behaves normally, running work is lost, and the service does all that is due.
    fn settle(&mut self) {
        let settled_from = {
            let mut world = self.world.lock().unwrap();
            world.behavior = Behavior::Normal;
            world.log(format_args!("CXone behaves normally"));
            world.now_ms
        };
        self.running.clear();
        let steps = std::iter::repeat_n(1_000, 70).chain(std::iter::repeat_n(46_000, 8));
        for passed in steps {
            self.world.lock().unwrap().advance(passed);
            if self.world.lock().unwrap().is_due() {
                self.converge();
            }
            while !self.running.is_empty() {
                self.poll_one();
            }
            self.check_corrected(settled_from);
        }
    }

    /// A late effect is corrected within seconds, not at the next check.
    fn check_corrected(&self, settled_from: i64) {
        let mut world = self.world.lock().unwrap();
        let since = world.now_ms - world.late_effect_ms;
        let is_checked = world.late_effect_ms > settled_from && (CORRECTED_WITHIN_MS..30_000).contains(&since);
        if is_checked && world.cxone.state == CampaignState::Active && world.stored().is_held(world.now()) {
            world.report_broken("a late effect is not corrected within seconds");
        }
    }

    fn check_settled(&self) -> Result<(), String> {
        let world = self.world.lock().unwrap();
        let (now, row) = (world.now(), world.stored());
        let is_held = row.is_held(now);
        if is_held && world.cxone.state == CampaignState::Active {
            return Err("a hold is left, and the campaign dials".into());
        }
        if is_held && row.due_at.is_none() && row.check_at.is_none() {
            return Err("a hold is left, and the campaign is never due".into());
        }
        let waits_for_window = row.resume.is_some() && row.resumes_at(now).is_some_and(|at| now < at);
        let is_owed = world.is_own_pause || world.is_start_owed;
        if !is_held && world.cxone.state == CampaignState::Paused && is_owed && !waits_for_window {
            return Err("no hold is left, and what is to be started stays paused".into());
        }
        let is_left = world.skills.as_ref().is_some_and(Skills::is_left_partly_started);
        if !is_held && world.cxone.state == CampaignState::Active && is_left && !waits_for_window {
            return Err("the campaign was started, and a skill that was stopped stays so".into());
        }
        if row.holds.iter().any(|hold| !hold.is_in_force(now, row.window_at(now))) {
            return Err("a hold has ended and is not lifted".into());
        }
        let waits = waits_for_window && world.shown().is_partly_started;
        if !is_held && world.cxone.state == CampaignState::Active && row.is_pending(now) && !waits {
            return Err("the campaign dials as it should, and is shown as pending".into());
        }
        Ok(())
    }
}

/// Runs a seed again if it fails, with its history.
fn run(seed: u64, has_skills: bool) -> Result<(), String> {
    run_with(seed, has_skills, None).or_else(|_| run_with(seed, has_skills, Some(String::new())))
}

fn run_with(seed: u64, has_skills: bool, history: Option<String>) -> Result<(), String> {
    let mut run = Run::new(seed, has_skills, history);
    for _ in 0..STEPS {
        run.step();
    }
    run.settle();
    let settled = run.check_settled();
    let world = run.world.lock().unwrap();
    let broken = world.broken.clone().map_or(settled, Err);
    let history = world.history.as_deref().unwrap_or_default();
    broken.map_err(|rule| format!("seed {seed}: {rule}\n{history}\n{:#?}\n{:?}", world.row, world.cxone))
}

#[test]
fn cxone_is_asked_for_active_only_when_no_hold_is_left_and_is_paused_while_one_is() {
    run_all(false, INTERLEAVINGS);
}

#[test]
fn a_campaign_of_several_skills_is_started_as_a_whole_and_only_when_no_hold_is_left() {
    run_all(true, NICE_INTERLEAVINGS);
}

fn run_all(has_skills: bool, interleavings: u64) {
    let failure = (0..number("INTERLEAVINGS").unwrap_or(interleavings)).find_map(|seed| run(seed, has_skills).err());
    assert!(failure.is_none(), "{}", failure.unwrap_or_default());
}
