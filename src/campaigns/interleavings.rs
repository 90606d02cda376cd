//! Every interleaving that chance can think of: commands in several replicas, ends of holds, crashes, somebody outside,
//! and a CXone that fails, under a clock that the test turns. The code that runs is the service's own; only Postgres and
//! CXone are models.

use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::campaign::{Campaign, Changes};
use super::command::{Command, Order};
use super::control::{Book, Commanded, Control, Dialer, Halt, Urgency};
use super::hold::{Hold, PauseReason, Trigger};
use crate::audit::{Actor, Entry};
use crate::clock::Clock;
use crate::cxone::{CampaignState, CxoneError, DialerCampaign};
use crate::trace::Traceparent;
use crate::types::{CampaignId, DailyWindow, Zone, parse_time_of_day};

const INTERLEAVINGS: u64 = 100_000;
const STEPS: usize = 40;
const LEASE_MS: i64 = 5_000;
const CHECK_EVERY: Duration = Duration::from_secs(45);

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
}

/// What all actors share: a row in Postgres, a campaign in CXone.
struct World {
    now_ms: i64,
    /// Without its holds, which are kept beside it as they are in Postgres.
    row: Campaign,
    holds: Vec<Hold>,
    leased_until_ms: i64,
    cxone: DialerCampaign,
    /// Goes up when somebody outside changes the campaign.
    revision: u32,
    seen_revision: u32,
    /// Ringback has paused it, and nobody outside has changed it since.
    is_our_pause: bool,
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
        Campaign { holds: self.holds.clone(), ..self.row.clone() }
    }

    fn note(&mut self, what: &str) {
        let _ = writeln!(self.history, "{} {what}", self.now());
    }

    /// The property itself: at the moment at which CXone is asked.
    fn check_asked(&mut self, wanted: &DialerCampaign) {
        if wanted.state != CampaignState::Active {
            return;
        }
        let now = self.now();
        if self.kept().in_force(now).next().is_some() {
            self.broken = Some("CXone was asked for ACTIVE while a hold was left".into());
        }
        let window = self.row.settings.regulatory_window.as_ref();
        let is_closed = window.is_some_and(|window| !window.is_open(now));
        if is_closed && !self.forced {
            self.broken = Some("CXone was asked for ACTIVE while the window was closed".into());
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
        let leased_by = if release && lease.is_some() { None } else { world.row.leased_by };
        let holds = Vec::new();
        world.row = Campaign { revision: campaign.revision + 1, leased_by, holds, ..campaign.clone() };
        world.holds.extend(changes.placed);
        world.holds.retain(|hold| changes.lifted.iter().all(|lifted| lifted.id != hold.id));
        for entry in changes.entries {
            world.note(&entry.action);
        }
        Ok(true)
    }

    async fn release(&self, _: &CampaignId, lease: Uuid, entry: Option<Entry>) -> Result<(), sqlx::Error> {
        turn().await;
        let mut world = self.0.lock().unwrap();
        if world.row.leased_by == Some(lease) {
            world.row.leased_by = None;
        }
        world.note(&entry.map(|entry| entry.action).unwrap_or_default());
        Ok(())
    }
}

struct Line(Shared);

impl Dialer for Line {
    async fn read(
        &self,
        _: &CampaignId,
        _: Option<Duration>,
        _: Urgency,
        _: &Traceparent,
    ) -> Result<DialerCampaign, CxoneError> {
        turn().await;
        let mut world = self.0.lock().unwrap();
        if world.mood != Mood::Well {
            return Err(unanswered(world.mood));
        }
        world.seen_revision = world.revision;
        Ok(world.cxone.clone())
    }

    async fn write(
        &self,
        _: &CampaignId,
        wanted: &DialerCampaign,
        _: &Traceparent,
    ) -> Result<DialerCampaign, CxoneError> {
        self.0.lock().unwrap().check_asked(wanted);
        turn().await;
        let answer = {
            let mut world = self.0.lock().unwrap();
            if matches!(world.mood, Mood::Down | Mood::Deaf) {
                return Err(unanswered(world.mood));
            }
            if world.seen_revision < world.revision {
                return Err(CxoneError::Conflict { reason: String::new() });
            }
            if matches!(world.cxone.state, CampaignState::Inactive | CampaignState::Suspended) {
                return Err(CxoneError::Rejected { status: 422, reason: String::new() });
            }
            let was_active = world.cxone.state == CampaignState::Active;
            world.is_our_pause = wanted.state == CampaignState::Paused && (was_active || world.is_our_pause);
            world.cxone = wanted.clone();
            world.note(&format!("CXone is now {:?} until {:?}", wanted.state, wanted.resume_at));
            if world.mood == Mood::Mute { Err(unanswered(Mood::Mute)) } else { Ok(wanted.clone()) }
        };
        turn().await;
        answer
    }

    async fn rest(&self, _: Duration) {
        turn().await;
    }
}

fn unanswered(mood: Mood) -> CxoneError {
    let reason = String::new();
    match mood {
        Mood::Down | Mood::Well => CxoneError::Unavailable { retry_after: None, reason },
        Mood::Deaf | Mood::Mute => CxoneError::OutcomeUnknown { reason },
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One run: its dice, its world, and whoever is at work.
struct Run {
    dice: fastrand::Rng,
    world: Shared,
    control: Arc<Control<Row, Line>>,
    actors: Vec<Work>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let start: Timestamp = "2026-11-20T19:00:00Z".parse().unwrap();
        let now_ms = start.as_millisecond() + dice.i64(0..3 * 3_600_000);
        let state = *dice.choice(&[CampaignState::Active, CampaignState::Active, CampaignState::Paused]).unwrap();
        let mut row = Campaign::only_seen(CampaignId::parse("c").unwrap(), state, start);
        row.seen = None;
        if dice.bool() {
            let time = |text| parse_time_of_day(text).unwrap();
            let window = DailyWindow::new(time("9:00"), time("21:00"), Zone::parse("UTC").unwrap()).unwrap();
            row.settings.regulatory_window = Some(window);
            row.settings.enforce_regulatory_window = dice.bool();
            row.due_at = Some(start);
        }
        let cxone = DialerCampaign {
            state,
            pause_reason: None,
            resume_at: None,
            max_agents: Some(10),
            dialing_mode: Some("PREDICTIVE".into()),
        };
        let world = Arc::new(Mutex::new(World {
            now_ms,
            row,
            holds: Vec::new(),
            leased_until_ms: 0,
            cxone,
            revision: 1,
            seen_revision: 0,
            is_our_pause: false,
            mood: Mood::Well,
            forced: false,
            history: String::new(),
            broken: None,
        }));
        let told = Arc::clone(&world);
        let clock = Clock::manual(move || told.lock().unwrap().now(), seed);
        let (book, dialer) = (Row(Arc::clone(&world)), Line(Arc::clone(&world)));
        let control = Arc::new(Control { book, dialer, clock, check_every: CHECK_EVERY });
        Self { dice, world, control, actors: Vec::new() }
    }

    /// Something happens.
    fn step(&mut self) {
        match self.dice.u8(0..20) {
            0..=9 => self.poll_one(),
            10 | 11 => self.command(),
            12 | 13 => self.look(),
            14 => {
                if !self.actors.is_empty() {
                    let crashed = self.dice.usize(0..self.actors.len());
                    drop(self.actors.swap_remove(crashed));
                    self.world.lock().unwrap().note("somebody crashes");
                }
            }
            15..=17 => {
                let longest = *self.dice.choice(&[200, 6_000, 60_000, 3_600_000]).unwrap();
                let passed = self.dice.i64(1..longest);
                self.world.lock().unwrap().now_ms += passed;
            }
            18 => self.outside(),
            _ => {
                let mood = *self.dice.choice(&[Mood::Well, Mood::Well, Mood::Down, Mood::Deaf, Mood::Mute]).unwrap();
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
        let next = self.dice.usize(0..self.actors.len());
        if self.actors[next].as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            drop(self.actors.swap_remove(next));
        }
    }

    fn outside(&mut self) {
        use CampaignState::{Active, Inactive, Paused, Suspended};
        let state = *self.dice.choice(&[Active, Active, Active, Paused, Paused, Inactive, Suspended]).unwrap();
        let mut world = self.world.lock().unwrap();
        let (pause_reason, resume_at) = (None, None);
        world.cxone = DialerCampaign { state, pause_reason, resume_at, ..world.cxone.clone() };
        world.revision += 1;
        world.is_our_pause = false;
        world.note(&format!("somebody outside makes it {state:?}"));
    }

    fn command(&mut self) {
        let now = self.world.lock().unwrap().now();
        let reason = *self.dice.choice(&[PauseReason::ComplianceHold, PauseReason::CarrierThrottle]).unwrap();
        let command = if self.dice.bool() {
            let compliance = reason == PauseReason::ComplianceHold;
            let is_guard = !compliance && self.dice.bool();
            let triggered_by = if is_guard { Trigger::SlidingWindowThrottle } else { Trigger::ManualPause };
            let ends_in = self.dice.u64(1..*self.dice.clone().choice(&[1_000, 60_000, 7_200_000]).unwrap());
            let asked_for = (compliance || self.dice.bool()).then(|| now + Duration::from_millis(ends_in));
            let window = self.world.lock().unwrap().row.settings.regulatory_window.clone();
            let ends_at = asked_for.map(|at| window.map_or(at, |window| window.next_opening(at)));
            Command::Pause(Box::new(Hold {
                id: Uuid::from_u128(self.dice.u128(..)),
                reason,
                compliance,
                triggered_by,
                placed_by: Actor::operator(),
                placed_at: now,
                ends_at,
                max_agents: None,
                regulatory_window: None,
                request_id: None,
                affected_callbacks: None,
            }))
        } else {
            Command::Resume {
                reason: self.dice.bool().then_some(reason),
                max_agents: None,
                force: self.dice.u8(0..4) == 0,
            }
        };
        let may_override = self.dice.bool();
        let order = Order {
            command,
            by: Actor::operator(),
            request_id: None,
            trace: Traceparent::root(Uuid::from_u128(1)),
            arrived_at: now,
            may_override,
        };
        let (world, control) = (Arc::clone(&self.world), Arc::clone(&self.control));
        {
            let mut world = world.lock().unwrap();
            world.note(&format!("{:?}, may override: {may_override}", order.command));
            if let (true, Command::Resume { force: true, .. }) = (may_override, &order.command) {
                world.forced = true;
            }
        }
        self.actors.push(Box::pin(commanded(world, control, order)));
    }

    fn look(&mut self) {
        let (world, control) = (Arc::clone(&self.world), Arc::clone(&self.control));
        self.actors.push(Box::pin(looked_after(world, control)));
    }

    /// CXone is well, nobody is left at work, and the service does all that is due.
    fn settle(&mut self) {
        {
            let mut world = self.world.lock().unwrap();
            world.mood = Mood::Well;
            world.note("all is well");
        }
        self.actors.clear();
        for _ in 0..8 {
            self.world.lock().unwrap().now_ms += 31_000;
            self.look();
            while !self.actors.is_empty() {
                self.poll_one();
            }
        }
    }

    fn check_settled(&self) -> Result<(), String> {
        let world = self.world.lock().unwrap();
        let (now, row) = (world.now(), world.kept());
        let is_held = row.in_force(now).next().is_some();
        let is_running = matches!(world.cxone.state, CampaignState::Active | CampaignState::Paused);
        if is_held && world.cxone.state == CampaignState::Active {
            return Err("a hold is left, and the campaign dials".into());
        }
        if is_held && row.due_at.is_none() {
            return Err("a hold is left, and nobody looks after it".into());
        }
        let waits_for_window = row.resume.is_some() && row.resumes_at(now).is_some_and(|at| now < at);
        if !is_held && is_running && (row.told.is_some() || world.is_our_pause) && !waits_for_window {
            return Err("no hold is left, and what Ringback had paused stays paused".into());
        }
        if row
            .holds
            .iter()
            .any(|hold| hold.ends_at.is_some_and(|end| end <= now) && row.in_force(now).all(|left| left.id != hold.id))
        {
            return Err("a hold has ended and is not lifted".into());
        }
        Ok(())
    }
}

/// As the conductor does it for a caller: with the lease where it is free, else without CXone.
async fn commanded(world: Shared, control: Arc<Control<Row, Line>>, order: Order) {
    let id = CampaignId::parse("c").unwrap();
    let report = match claim(&world, &control, false) {
        None => control.command_later(&id, &order).await,
        Some(lease) => {
            let commanded = Commanded { order: &order, patience: Duration::ZERO, kept: &|_, _| {} };
            match control.command(&id, lease, &commanded).await {
                Err(Halt::Refused(refusal)) => {
                    let entry = order.entry(
                        &id,
                        "refused",
                        crate::audit::Outcome::Refused,
                        refusal.slug().into(),
                        &control.clock,
                    );
                    control.book.release(&id, lease, Some(entry)).await.unwrap();
                    return;
                }
                Err(Halt::LeaseLost) => control.command_later(&id, &order).await,
                worked => worked,
            }
        }
    };
    if matches!(report, Err(Halt::Database(_))) {
        world.lock().unwrap().broken = Some("the database failed".into());
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
    let is_due = world.row.due_at.is_some_and(|due| due <= world.now());
    if !is_free || (only_due && !is_due) {
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
    for half in halves {
        if let Some(failure) = half.join().unwrap() {
            panic!("{failure}");
        }
    }
}
