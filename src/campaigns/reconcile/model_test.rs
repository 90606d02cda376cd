//! Every interleaving that chance can think of: commands in several replicas whose clocks differ, commands that come
//! again, ends of holds, crashes, somebody outside, and a CXone that fails in all the ways that are known, under a clock
//! that the test turns. The code that runs is the service's own; only Postgres and CXone are models.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::reconciler::{Book, Check, Commanded, Control, Dialer, Halt, Urgency};
use crate::audit::{Actor, Entry};
use crate::campaigns::model::{Campaign, Changes, Pace};
use crate::campaigns::model::{Command, Ending, Order};
use crate::campaigns::model::{Hold, PauseReason, Trigger};
use crate::campaigns::model::{Report, Status};
use crate::clock::Clock;
use crate::cxone::{CampaignState, CxoneError, DialerCampaign};
use crate::trace::Traceparent;
use crate::types::{CampaignId, DailyWindow, Zone, parse_time_of_day};

const INTERLEAVINGS: u64 = 100_000;
const STEPS: usize = 40;
const LEASE_MS: i64 = 5_000;
/// Replicas follow Postgres's clock with such an error.
const CLOCK_ERROR_MS: [i64; 2] = [100, -100];
const PACE: Pace =
    Pace { lead: Duration::from_secs(2), doubt: Duration::from_secs(60), check_every: Duration::from_secs(45) };
/// A request that takes effect late does so in this time.
const LATEST_EFFECT_MS: i64 = 55_000;
/// Once CXone is well, a late effect is corrected in this time.
const CORRECTED_WITHIN_MS: i64 = 8_000;

/// How CXone meets the next request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Well,
    /// It does not do it, and says so.
    Down,
    /// It never answers, and has not done it.
    Deaf,
    /// It never answers, and has done it.
    Mute,
    /// It never answers a change, and does it later.
    Late,
    /// It answers a change with the campaign as it is, and does nothing.
    Ignoring,
    /// It takes no attributes but those that it has.
    Refusing,
    /// A gateway in front of it says that there is no such campaign.
    Gateway404,
    /// It refuses the client this campaign.
    Forbidding,
}

const MOODS: [Mood; 12] = [
    Mood::Well,
    Mood::Well,
    Mood::Well,
    Mood::Well,
    Mood::Down,
    Mood::Deaf,
    Mood::Mute,
    Mood::Late,
    Mood::Ignoring,
    Mood::Refusing,
    Mood::Gateway404,
    Mood::Forbidding,
];

/// What all actors share: a row in Postgres, a campaign in CXone.
struct World {
    now_ms: i64,
    /// Without its holds, which are kept beside it as they are in Postgres.
    row: Campaign,
    holds: Vec<Hold>,
    /// All that were ever placed.
    placed: HashSet<Uuid>,
    /// What commands were answered with.
    reports: HashMap<Uuid, Report>,
    /// Which commands are resumes.
    resumes: HashSet<Uuid>,
    leased_until_ms: i64,
    cxone: DialerCampaign,
    /// CXone acts on the end of a pause by itself.
    resumes_itself: bool,
    /// What takes effect later, and when.
    late: Vec<(i64, DialerCampaign)>,
    /// When something last took effect late.
    late_effect_ms: i64,
    /// Goes up when somebody outside changes the campaign.
    revision: u32,
    seen_revision: u32,
    /// Ringback has paused it, and nobody outside has changed it since.
    is_our_pause: bool,
    /// A command to resume was accepted, and the campaign has not dialed since.
    is_start_owed: bool,
    mood: Mood,
    /// Somebody with the right to do so has put the window aside.
    forced: bool,
    history: String,
    broken: Option<String>,
}

type Shared = Arc<Mutex<World>>;

impl World {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now_ms).unwrap()
    }

    fn kept(&self) -> Campaign {
        let leased_by = self.row.leased_by.filter(|_| self.now_ms < self.leased_until_ms);
        Campaign { holds: self.holds.clone(), leased_by, ..self.row.clone() }
    }

    fn is_due(&self) -> bool {
        self.row.due_at.into_iter().chain(self.row.check_at).any(|due| due <= self.now())
    }

    fn note(&mut self, what: &str) {
        let _ = writeln!(self.history, "{} {what}", self.now());
    }

    fn breaks(&mut self, rule: &str) {
        self.note(rule);
        self.broken.get_or_insert_with(|| rule.to_owned());
    }

    /// The property itself: at the moment at which CXone is asked.
    fn check_asked(&mut self, wanted: &DialerCampaign) {
        if wanted.state != CampaignState::Active {
            return;
        }
        // As the slowest clock sees it.
        let now = Timestamp::from_millisecond(self.now_ms + CLOCK_ERROR_MS[0]).unwrap();
        if self.kept().is_held(now) {
            self.breaks("CXone was asked for ACTIVE while a hold was left");
        }
        let window = self.row.settings.regulatory_window.as_ref();
        let is_open = |ms| window.is_none_or(|window| window.is_open(Timestamp::from_millisecond(ms).unwrap()));
        if !self.forced && !CLOCK_ERROR_MS.iter().any(|error| is_open(self.now_ms + error)) {
            self.breaks("CXone was asked for ACTIVE while the window was closed");
        }
    }

    /// Only its end or a command to resume lifts a hold, and a command does so once.
    fn check_saved(&mut self, changes: &Changes) {
        let resume = changes.command.as_ref().map(|(id, _)| *id).filter(|id| self.resumes.contains(id));
        let row = self.row.clone();
        for lifted in &changes.lifted {
            let hold = self.holds.iter().chain(&changes.placed).find(|hold| hold.id == lifted.id);
            // What was decided on is saved a little later.
            let has_ended = hold.is_none_or(|hold| !hold.is_in_force(lifted.at, row.window_at(lifted.at)));
            if lifted.at > self.now() + Duration::from_millis(100) {
                self.breaks("a hold was lifted in the future");
            }
            if !has_ended && resume.is_none() {
                self.breaks("a hold was lifted before its end, and by no command");
            }
        }
        if changes.placed.iter().any(|hold| self.placed.contains(&hold.id)) {
            self.breaks("a hold was placed twice");
        }
    }

    fn has_effect(&mut self, wanted: &DialerCampaign) {
        let was_active = self.cxone.state == CampaignState::Active;
        self.is_our_pause = wanted.state == CampaignState::Paused && (was_active || self.is_our_pause);
        self.cxone = wanted.clone();
        self.is_start_owed &= wanted.state != CampaignState::Active;
        self.note(&format!("CXone is now {:?} until {:?}", wanted.state, wanted.resume_at));
    }

    /// Time passes, and CXone does by itself what it does.
    fn pass(&mut self, milliseconds: i64) {
        self.now_ms += milliseconds;
        let (due, left): (Vec<_>, Vec<_>) = self.late.drain(..).partition(|(at, _)| *at <= self.now_ms);
        self.late = left;
        for (_, wanted) in due {
            if matches!(self.cxone.state, CampaignState::Active | CampaignState::Paused) {
                self.note("late:");
                self.has_effect(&wanted);
                self.late_effect_ms = self.now_ms;
            }
        }
        let has_ended = self.cxone.resume_at.is_some_and(|at| at <= self.now());
        if self.resumes_itself && has_ended && self.cxone.state == CampaignState::Paused {
            let state = CampaignState::Active;
            self.cxone = DialerCampaign { state, pause_reason: None, resume_at: None, ..self.cxone.clone() };
            (self.is_our_pause, self.is_start_owed) = (false, false);
            self.revision += 1;
            self.note("CXone starts the campaign by itself");
        }
    }
}

/// Returns after its actor was passed over once.
fn turn() -> impl Future<Output = ()> + Send {
    let mut passed = false;
    std::future::poll_fn(move |_| {
        if passed {
            return Poll::Ready(());
        }
        passed = true;
        Poll::Pending
    })
}

struct Row(Shared);

impl Book for Row {
    async fn load(&self, _: &CampaignId) -> Result<Campaign, sqlx::Error> {
        turn().await;
        Ok(self.0.lock().unwrap().kept())
    }

    async fn save(
        &self,
        campaign: &Campaign,
        changes: Changes,
        lease: Option<Uuid>,
        release: bool,
    ) -> Result<bool, sqlx::Error> {
        turn().await;
        let mut world = self.0.lock().unwrap();
        if world.row.revision != campaign.revision || (lease.is_some() && world.row.leased_by != lease) {
            return Ok(false);
        }
        if changes.command.as_ref().is_some_and(|(id, _)| world.reports.contains_key(id)) {
            return Ok(false);
        }
        world.check_saved(&changes);
        let leased_by = if release && lease.is_some() { None } else { world.row.leased_by };
        let holds = Vec::new();
        world.row = Campaign { revision: campaign.revision + 1, leased_by, holds, ..campaign.clone() };
        world.placed.extend(changes.placed.iter().map(|hold| hold.id));
        world.holds.extend(changes.placed);
        for refreshed in changes.refreshed {
            world.holds.iter_mut().filter(|hold| hold.id == refreshed.id).for_each(|hold| *hold = refreshed.clone());
        }
        world.holds.retain(|hold| changes.lifted.iter().all(|lifted| lifted.id != hold.id));
        if let Some((id, report)) = changes.command {
            let is_kept = campaign.resume.as_ref().is_some_and(|resume| resume.cause.command_id == Some(id));
            let is_to_start = report.status == Status::Pending && (report.holds.is_empty() || is_kept);
            let is_resume = world.resumes.contains(&id);
            world.is_start_owed |= is_resume && is_to_start && world.cxone.state == CampaignState::Paused;
            world.reports.insert(id, report);
        }
        for entry in changes.entries {
            world.note(entry.action.as_str());
        }
        Ok(true)
    }

    async fn release(&self, _: &CampaignId, lease: Uuid, entry: Option<Entry>) -> Result<(), sqlx::Error> {
        turn().await;
        let mut world = self.0.lock().unwrap();
        if world.row.leased_by == Some(lease) {
            world.row.leased_by = None;
        }
        world.note(entry.map_or("", |entry| entry.action.as_str()));
        Ok(())
    }

    async fn report_of(&self, command: Uuid) -> Result<Option<Report>, sqlx::Error> {
        turn().await;
        Ok(self.0.lock().unwrap().reports.get(&command).cloned())
    }
}

struct Line {
    world: Shared,
    rng: Mutex<fastrand::Rng>,
}

impl Line {
    fn ask(&self, wanted: &DialerCampaign) -> Result<DialerCampaign, CxoneError> {
        let mut world = self.world.lock().unwrap();
        world.check_asked(wanted);
        match world.mood {
            Mood::Well | Mood::Mute | Mood::Refusing => {}
            Mood::Late => {
                let at = world.now_ms + self.rng.lock().unwrap().i64(0..LATEST_EFFECT_MS);
                world.late.push((at, wanted.clone()));
                return Err(unanswered(Mood::Late));
            }
            Mood::Ignoring => return Ok(world.cxone.clone()),
            mood => return Err(unanswered(mood)),
        }
        if world.seen_revision < world.revision {
            return Err(CxoneError::Conflict { reason: String::new() });
        }
        let is_open = matches!(world.cxone.state, CampaignState::Active | CampaignState::Paused);
        let has_own_attributes = wanted.max_agents != world.cxone.max_agents || wanted.resume_at.is_some();
        if !is_open || (world.mood == Mood::Refusing && has_own_attributes) {
            return Err(CxoneError::Rejected { status: 422, reason: String::new() });
        }
        world.has_effect(wanted);
        if world.mood == Mood::Mute { Err(unanswered(Mood::Mute)) } else { Ok(wanted.clone()) }
    }
}

impl Dialer for Line {
    async fn read(
        &self,
        _: &CampaignId,
        _: Option<Duration>,
        _: Urgency,
        _: &Traceparent,
    ) -> Result<DialerCampaign, CxoneError> {
        turn().await;
        let mut world = self.world.lock().unwrap();
        if !matches!(world.mood, Mood::Well | Mood::Late | Mood::Ignoring | Mood::Refusing) {
            return Err(unanswered(world.mood));
        }
        world.seen_revision = world.revision;
        Ok(world.cxone.clone())
    }

    async fn write(
        &self,
        _: &CampaignId,
        wanted: &DialerCampaign,
        check: &impl Check,
        _: &Traceparent,
    ) -> Result<DialerCampaign, CxoneError> {
        // The wait for the quota and a token.
        turn().await;
        if !check.is_right().await {
            return Err(CxoneError::Superseded);
        }
        let answer = self.ask(wanted);
        turn().await;
        answer
    }

    async fn rest(&self, _: Duration) {
        turn().await;
    }

    fn pace(&self) -> Pace {
        PACE
    }
}

fn unanswered(mood: Mood) -> CxoneError {
    let reason = String::new();
    match mood {
        Mood::Deaf | Mood::Mute | Mood::Late => CxoneError::OutcomeUnknown { reason },
        Mood::Gateway404 => CxoneError::NotFound { reason },
        Mood::Forbidding => CxoneError::Forbidden { scope: "", reason },
        Mood::Down | Mood::Well | Mood::Ignoring | Mood::Refusing => {
            CxoneError::Unavailable { retry_after: None, reason }
        }
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One run: its chance, its world, and whoever is at work.
struct Run {
    rng: fastrand::Rng,
    world: Shared,
    replicas: [Arc<Control<Row, Line>>; 2],
    actors: Vec<Work>,
    sent: Vec<Order>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let start: Timestamp = "2026-11-20T19:00:00Z".parse().unwrap();
        let now_ms = start.as_millisecond() + rng.i64(0..3 * 3_600_000);
        let state = *rng.choice(&[CampaignState::Active, CampaignState::Active, CampaignState::Paused]).unwrap();
        let mut row = Campaign::only_seen(CampaignId::parse("c").unwrap(), state, start);
        row.seen = None;
        if rng.bool() {
            let time = |text| parse_time_of_day(text).unwrap();
            let window = DailyWindow::new(time("9:00"), time("21:00"), Zone::parse("UTC").unwrap()).unwrap();
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
                max_agents: Some(10),
                dialing_mode: Some("PREDICTIVE".into()),
            },
            resumes_itself: rng.bool(),
            late: Vec::new(),
            late_effect_ms: 0,
            revision: 1,
            seen_revision: 0,
            is_our_pause: false,
            is_start_owed: false,
            mood: Mood::Well,
            forced: false,
            history: String::new(),
            broken: None,
        }));
        let replicas = CLOCK_ERROR_MS.map(|error| replica(&world, error, seed));
        Self { rng, world, replicas, actors: Vec::new(), sent: Vec::new() }
    }

    fn replica(&mut self) -> Arc<Control<Row, Line>> {
        Arc::clone(self.rng.choice(&self.replicas).unwrap())
    }

    /// Something happens.
    fn step(&mut self) {
        match self.rng.u8(0..20) {
            0..=9 => self.poll_one(),
            10 | 11 => self.command(),
            12 => self.look(),
            13 => self.repeat(),
            14 => {
                if !self.actors.is_empty() {
                    let crashed = self.rng.usize(0..self.actors.len());
                    drop(self.actors.swap_remove(crashed));
                    self.world.lock().unwrap().note("somebody crashes");
                }
            }
            15..=17 => {
                let longest = *self.rng.choice(&[200, 6_000, 60_000, 3_600_000]).unwrap();
                let passed = self.rng.i64(1..longest);
                self.world.lock().unwrap().pass(passed);
            }
            18 => self.outside(),
            _ => {
                let mood = *self.rng.choice(&MOODS).unwrap();
                let mut world = self.world.lock().unwrap();
                world.mood = mood;
                world.note(&format!("CXone is {mood:?}"));
            }
        }
    }

    fn poll_one(&mut self) {
        if self.actors.is_empty() {
            return self.look();
        }
        let next = self.rng.usize(0..self.actors.len());
        if self.actors[next].as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            drop(self.actors.swap_remove(next));
        }
    }

    fn outside(&mut self) {
        use CampaignState::{Active, Inactive, Paused, Suspended};
        let state = *self.rng.choice(&[Active, Active, Active, Paused, Paused, Inactive, Suspended]).unwrap();
        let mut world = self.world.lock().unwrap();
        let pause_reason = (state == Paused).then(|| "OUTSIDE".to_owned());
        world.cxone = DialerCampaign { state, pause_reason, resume_at: None, ..world.cxone.clone() };
        world.revision += 1;
        world.is_our_pause = false;
        world.is_start_owed &= state != Active;
        world.note(&format!("somebody outside makes it {state:?}"));
    }

    fn command(&mut self) {
        let replica = self.replica();
        let (now, revision) = (replica.clock.now(), self.world.lock().unwrap().row.revision);
        let id = Uuid::from_u128(self.rng.u128(..));
        let reason = *self.rng.choice(&[PauseReason::ComplianceHold, PauseReason::CarrierThrottle]).unwrap();
        let command = if self.rng.bool() {
            Command::Pause(Box::new(self.hold(id, reason, now)))
        } else {
            let holds: Vec<Uuid> = self.world.lock().unwrap().holds.iter().map(|hold| hold.id).collect();
            let one = self.rng.choice(&holds).copied();
            Command::Resume {
                reason: self.rng.bool().then_some(reason),
                hold_id: one.filter(|_| self.rng.u8(0..4) == 0),
                max_agents: (self.rng.u8(0..4) == 0).then_some(7),
                force: self.rng.u8(0..4) == 0,
            }
        };
        let order = Order {
            id,
            is_repeated: false,
            revision,
            command,
            by: Actor::operator(),
            request_id: None,
            trace: Traceparent::root(Uuid::from_u128(1)),
            arrived_at: now,
            may_override: self.rng.bool(),
        };
        {
            let mut world = self.world.lock().unwrap();
            world.note(&format!("{:?}, may override: {}", order.command, order.may_override));
            if let Command::Resume { force, .. } = &order.command {
                world.forced |= *force && order.may_override;
                world.resumes.insert(id);
            }
        }
        self.sent.push(order.clone());
        self.actors.push(Box::pin(commanded(Arc::clone(&self.world), replica, order)));
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
            counts: crate::campaigns::model::Counts::default(),
            revision: 0,
        }
    }

    /// A command comes again under its idempotency key, later and at another replica.
    fn repeat(&mut self) {
        let Some(order) = self.rng.choice(&self.sent).cloned() else { return };
        let replica = self.replica();
        let (arrived_at, revision) = (replica.clock.now(), self.world.lock().unwrap().row.revision);
        self.world.lock().unwrap().note(&format!("again: {:?}", order.command));
        let order = Order { is_repeated: true, arrived_at, revision, ..order };
        self.actors.push(Box::pin(commanded(Arc::clone(&self.world), replica, order)));
    }

    fn look(&mut self) {
        let replica = self.replica();
        self.actors.push(Box::pin(looked_after(Arc::clone(&self.world), replica)));
    }

    /// CXone is well, nobody is left at work, and the service does all that is due.
    fn settle(&mut self) {
        let settled_from = {
            let mut world = self.world.lock().unwrap();
            world.mood = Mood::Well;
            world.note("all is well");
            world.now_ms
        };
        self.actors.clear();
        let steps = std::iter::repeat_n(1_000, 70).chain(std::iter::repeat_n(46_000, 8));
        for passed in steps {
            self.world.lock().unwrap().pass(passed);
            if self.world.lock().unwrap().is_due() {
                self.look();
            }
            while !self.actors.is_empty() {
                self.poll_one();
            }
            self.check_corrected(settled_from);
        }
    }

    /// What takes effect late is corrected within seconds, not at the next check.
    fn check_corrected(&self, settled_from: i64) {
        let mut world = self.world.lock().unwrap();
        let since = world.now_ms - world.late_effect_ms;
        let is_wrong = world.kept().is_held(world.now()) && world.cxone.state == CampaignState::Active;
        if is_wrong && world.late_effect_ms > settled_from && (CORRECTED_WITHIN_MS..30_000).contains(&since) {
            world.breaks("a late effect is not corrected within seconds");
        }
    }

    fn check_settled(&self) -> Result<(), String> {
        let world = self.world.lock().unwrap();
        let (now, row) = (world.now(), world.kept());
        let is_held = row.is_held(now);
        if is_held && world.cxone.state == CampaignState::Active {
            return Err("a hold is left, and the campaign dials".into());
        }
        if is_held && row.due_at.is_none() && row.check_at.is_none() {
            return Err("a hold is left, and nobody looks after it".into());
        }
        let waits_for_window = row.resume.is_some() && row.resumes_at(now).is_some_and(|at| now < at);
        let is_owed = world.is_our_pause || world.is_start_owed;
        if !is_held && world.cxone.state == CampaignState::Paused && is_owed && !waits_for_window {
            return Err("no hold is left, and what is to be started stays paused".into());
        }
        if row.holds.iter().any(|hold| !hold.is_in_force(now, row.window_at(now))) {
            return Err("a hold has ended and is not lifted".into());
        }
        if !is_held && world.cxone.state == CampaignState::Active && row.is_pending(now) {
            return Err("the campaign dials as it should, and is shown as pending".into());
        }
        Ok(())
    }
}

fn replica(world: &Shared, error_ms: i64, seed: u64) -> Arc<Control<Row, Line>> {
    let told = Arc::clone(world);
    let now = move || Timestamp::from_millisecond(told.lock().unwrap().now_ms + error_ms).unwrap();
    let rng = Mutex::new(fastrand::Rng::with_seed(seed));
    let line = Line { world: Arc::clone(world), rng };
    Arc::new(Control { book: Row(Arc::clone(world)), dialer: line, clock: Clock::manual(now, seed) })
}

/// As the worker does it for a caller: with the lease where it is free, else without CXone.
async fn commanded(world: Shared, control: Arc<Control<Row, Line>>, order: Order) {
    let id = CampaignId::parse("c").unwrap();
    let kept = Mutex::new(false);
    let report = match claim(&world, &control, false) {
        None => control.command_later(&id, &order).await,
        Some(lease) => {
            let is_kept = |_: &Report, _: &Campaign| *kept.lock().unwrap() = true;
            let commanded = Commanded { order: &order, patience: Duration::ZERO, kept: &is_kept };
            match control.command(&id, lease, &commanded).await {
                Err(Halt::Refused(_)) => {
                    let entry = order.entry(&id, Ending::Refused, &control.clock);
                    control.book.release(&id, lease, Some(entry)).await.unwrap();
                    return;
                }
                Err(Halt::Repeated(report)) => {
                    control.book.release(&id, lease, None).await.unwrap();
                    Ok(*report)
                }
                Err(Halt::LeaseLost) if !*kept.lock().unwrap() => control.command_later(&id, &order).await,
                worked => worked,
            }
        }
    };
    if matches!(report, Err(Halt::Database(_))) {
        world.lock().unwrap().breaks("the database failed");
    }
}

async fn looked_after(world: Shared, control: Arc<Control<Row, Line>>) {
    let id = CampaignId::parse("c").unwrap();
    if let Some(lease) = claim(&world, &control, true) {
        let _ = control.converge(&id, lease, &Traceparent::root(lease)).await;
    }
}

fn claim(world: &Shared, control: &Control<Row, Line>, only_due: bool) -> Option<Uuid> {
    let lease = control.clock.new_id();
    let mut world = world.lock().unwrap();
    let is_free = world.row.leased_by.is_none() || world.leased_until_ms <= world.now_ms;
    if !is_free || (only_due && !world.is_due()) {
        return None;
    }
    world.row.leased_by = Some(lease);
    world.leased_until_ms = world.now_ms + LEASE_MS;
    Some(lease)
}

fn run(seed: u64) -> Result<(), String> {
    let mut run = Run::new(seed);
    for _ in 0..STEPS {
        run.step();
    }
    run.settle();
    let settled = run.check_settled();
    let world = run.world.lock().unwrap();
    let broken = world.broken.clone().map_or(settled, Err);
    broken.map_err(|rule| format!("seed {seed}: {rule}\n{}\n{:#?}\n{:?}", world.history, world.row, world.cxone))
}

#[test]
fn cxone_is_asked_for_active_only_when_no_hold_is_left_and_is_paused_while_one_is() {
    let halves = [0, 1].map(|half| {
        std::thread::spawn(move || (0..INTERLEAVINGS).filter(|seed| seed % 2 == half).find_map(|seed| run(seed).err()))
    });
    let failures: Vec<_> = halves.into_iter().filter_map(|half| half.join().unwrap()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
