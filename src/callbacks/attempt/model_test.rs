//! The real decision code of an attempt under random interleavings: replicas with clocks that differ, crashes, SIGTERM,
//! leases that end, cancellations, clock steps, a Postgres that loses the answer to a commit, and a CXone that refuses,
//! fails, loses answers and carries requests out late. Only Postgres and CXone are models.
//!
//! Of the modelled CXones, some look first whether a contact exists, and answer 409 also when its start has passed; the
//! others look at the start first.

use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::ports::{CallbackGateway, CallbackRepository};
use super::{AttemptSettings, Attempts, WithoutForecast};
use crate::audit::Entry;
use crate::callbacks::model::{Callback, Confirmation, Status};
use crate::callbacks::outcome::Waiting;
use crate::campaigns::PlacementRules;
use crate::clock::Clock;
use crate::cxone::{Asker, Class, ContactAnswer, CxoneError, Endpoint, ForecastHour, NewContact, Sms};
use crate::placement::NOTICE;
use crate::trace::Traceparent;
use crate::types::{CampaignId, Language, PhoneNumber, TimeWindow, Zone};

const INTERLEAVINGS: u64 = 100_000;
const STEPS: usize = 60;
const HOUR_MS: i64 = 3_600_000;
/// How far the replicas' clocks, and CXone's, are from the true time.
const SKEWS_MS: [i64; 3] = [0, -1_500, 1_500];

/// How an endpoint of CXone meets the next request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Well,
    /// 429 or 503: not done.
    Busy,
    /// 400, 403, 404 or 422, whatever is asked.
    Refuses,
    /// 500, or no answer: not done, but nobody knows.
    Fails,
    /// 500, or no answer, and done.
    LosesAnswers,
    /// No answer, and done some time later.
    Late,
    /// There is nothing in the forecast, or nobody to call.
    Empty,
}

const MOODS: [Mood; 7] =
    [Mood::Well, Mood::Well, Mood::Busy, Mood::Refuses, Mood::Fails, Mood::LosesAnswers, Mood::Late];

/// What all actors share: a row in Postgres, a CXone.
struct World {
    now_ms: i64,
    row: Callback,
    /// The start under which CXone has the contact.
    contact: Option<Timestamp>,
    /// Requests without an answer that CXone has not carried out yet.
    on_their_way: Vec<Timestamp>,
    cxone_skew_ms: i64,
    /// CXone looks at the start before it looks whether the contact exists.
    validates_first: bool,
    messages: u32,
    forecast: Mood,
    contacts: Mood,
    messaging: Mood,
    /// Postgres answers.
    postgres_answers: bool,
    dice: fastrand::Rng,
    /// Written only where a run is repeated because it failed.
    history: Option<String>,
    broken: Option<String>,
}

type Shared = Arc<Mutex<World>>;

impl World {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now_ms).unwrap()
    }

    fn note(&mut self, what: impl FnOnce(&Self) -> String) {
        let line = self.history.is_some().then(|| what(self));
        let now = self.now();
        if let Some((history, line)) = self.history.as_mut().zip(line) {
            let _ = writeln!(history, "{now} {line}");
        }
    }

    fn is_claimed_as(&self, attempts: i32) -> bool {
        self.row.attempts == attempts && self.row.due_at.is_some()
    }

    fn keep(&mut self, callback: &Callback, why: &str) {
        self.row = callback.clone();
        self.note(|world| {
            let Callback { attempts, status, dispatch_time, earlier_dispatch_time, .. } = &world.row;
            format!("attempt {attempts}: {why}: {status:?} at {dispatch_time:?}, before {earlier_dispatch_time:?}")
        });
        let (status, at) = (self.row.status, self.row.dispatch_time);
        if status == Status::Scheduled && self.contact.is_none() {
            self.broken = Some("scheduled, and CXone has no contact".into());
        }
        if status == Status::Scheduled && self.contact != at {
            self.broken = Some("dispatchTime is not the time that CXone has".into());
        }
    }

    /// CXone carries out a request for the contact.
    fn make_contact(&mut self, at: Timestamp) -> Result<ContactAnswer, CxoneError> {
        let has_passed = at.as_millisecond() <= self.now_ms + self.cxone_skew_ms;
        if self.contact.is_some() && !(self.validates_first && has_passed) {
            return Ok(ContactAnswer::Exists { at: None });
        }
        if has_passed {
            return Err(CxoneError::Rejected { status: 400, reason: "the start is not in the future".into() });
        }
        self.contact = Some(at);
        self.note(|_| format!("CXone has the contact, for {at}"));
        if matches!(self.row.status, Status::Failed | Status::Cancelled) {
            self.broken = Some(format!("CXone makes a contact for a callback that is {:?}", self.row.status));
        }
        Ok(ContactAnswer::Created)
    }

    fn send_message(&mut self) {
        self.messages += 1;
        self.note(|_| "CXone sends the SMS".into());
        if self.messages > 1 {
            self.broken = Some("two SMS".into());
        }
        if self.contact.is_none() {
            self.broken = Some("an SMS without a contact".into());
        }
    }

    fn refusal(&mut self) -> CxoneError {
        let reason = String::new;
        match self.dice.u8(0..4) {
            0 => CxoneError::Rejected { status: 400, reason: reason() },
            1 => CxoneError::Rejected { status: 422, reason: reason() },
            2 => CxoneError::Forbidden { scope: "s", reason: reason() },
            _ => CxoneError::NotFound { reason: reason() },
        }
    }

    fn busy(&mut self) -> CxoneError {
        match self.dice.u8(0..4) {
            0 => CxoneError::RateLimited { retry_after: Duration::from_secs(40) },
            1 => CxoneError::OverBudget { retry_after: Duration::from_secs(1) },
            2 => CxoneError::Unauthorized { reason: String::new() },
            _ => CxoneError::Unavailable { retry_after: None, reason: String::new() },
        }
    }

    fn unknown(&mut self) -> CxoneError {
        match self.dice.u8(0..3) {
            0 => CxoneError::ServerError { retry_after: None, reason: String::new() },
            1 => CxoneError::UnexpectedAnswer { reason: String::new() },
            _ => CxoneError::OutcomeUnknown { reason: String::new() },
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

fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

struct Repository(Shared);

impl CallbackRepository for Repository {
    async fn rules(&self, _: &CampaignId) -> Result<PlacementRules, sqlx::Error> {
        turn().await;
        Ok(PlacementRules::default())
    }

    async fn place(
        &self,
        callback: &mut Callback,
        hours: &[Timestamp],
        decide: impl FnOnce(&[u32]) -> Option<Timestamp> + Send,
    ) -> Result<bool, sqlx::Error> {
        turn().await;
        let mut world = self.0.lock().unwrap();
        let placed: Vec<u32> = hours.iter().map(|_| world.dice.u32(0..100)).collect();
        drop(world);
        let Some(at) = decide(&placed) else { return Ok(true) };
        callback.placed(at);
        let mut world = self.0.lock().unwrap();
        if !world.is_claimed_as(callback.attempts) {
            return Ok(false);
        }
        world.keep(callback, "placed");
        if world.postgres_answers { Ok(true) } else { Err(no_answer()) }
    }

    async fn save(&self, callback: &Callback, entry: Option<Entry>) -> Result<bool, sqlx::Error> {
        turn().await;
        let mut world = self.0.lock().unwrap();
        if !world.is_claimed_as(callback.attempts) {
            return Ok(false);
        }
        if !world.postgres_answers && world.dice.bool() {
            return Err(no_answer());
        }
        world.keep(callback, entry.as_ref().map_or("saved", |entry| entry.action.as_str()));
        if world.postgres_answers { Ok(true) } else { Err(no_answer()) }
    }
}

struct Gateway {
    world: Shared,
    clock: Clock,
}

impl Gateway {
    /// The request leaves in time, or not at all.
    fn leaves(&self, send_by: Option<Timestamp>) -> Result<(), CxoneError> {
        let is_late = send_by.is_some_and(|by| self.clock.now() > by);
        if is_late { Err(CxoneError::NotSentInTime) } else { Ok(()) }
    }
}

impl CallbackGateway for Gateway {
    async fn forecast(
        &self,
        _: &CampaignId,
        window: &TimeWindow,
        _: Asker<'_>,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        turn().await;
        let mut world = self.world.lock().unwrap();
        let mood = world.forecast;
        let agents = match mood {
            Mood::Well => 3.0,
            Mood::Empty if world.dice.bool() => return Ok(Vec::new()),
            Mood::Empty => 0.0,
            Mood::Refuses => return Err(world.refusal()),
            Mood::Busy => return Err(world.busy()),
            Mood::Fails | Mood::LosesAnswers | Mood::Late => return Err(world.unknown()),
        };
        let hours = (0..4).map(|hour| window.start() + SignedDuration::from_hours(hour));
        Ok(hours.map(|hour| ForecastHour { hour, available_agents: agents, expected_calls: 0.0 }).collect())
    }

    async fn create_contact(&self, contact: &NewContact<'_>, _: Asker<'_>) -> Result<ContactAnswer, CxoneError> {
        turn().await;
        self.leaves(contact.send_by)?;
        turn().await;
        let answer = {
            let mut world = self.world.lock().unwrap();
            let passed = world.contact.is_some_and(|at| at.as_millisecond() <= world.now_ms + world.cxone_skew_ms);
            match world.contacts {
                // What exists and has passed is always answered as what exists, where CXone looks at that first.
                Mood::Refuses if !passed || world.validates_first => Err(world.refusal()),
                Mood::Well | Mood::Refuses | Mood::Empty => world.make_contact(contact.at),
                Mood::Busy => Err(world.busy()),
                Mood::Fails => Err(world.unknown()),
                Mood::LosesAnswers => {
                    let _ = world.make_contact(contact.at);
                    Err(world.unknown())
                }
                Mood::Late => {
                    world.on_their_way.push(contact.at);
                    Err(world.unknown())
                }
            }
        };
        turn().await;
        answer
    }

    async fn send_sms(&self, sms: &Sms<'_>, _: Asker<'_>) -> Result<String, CxoneError> {
        turn().await;
        self.leaves(sms.send_by)?;
        turn().await;
        let answer = {
            let mut world = self.world.lock().unwrap();
            match world.messaging {
                Mood::Well | Mood::Empty => {
                    world.send_message();
                    Ok("session".to_owned())
                }
                Mood::Busy => Err(world.busy()),
                Mood::Refuses => Err(world.refusal()),
                Mood::Fails => Err(world.unknown()),
                Mood::LosesAnswers | Mood::Late => {
                    world.send_message();
                    Err(world.unknown())
                }
            }
        };
        turn().await;
        answer
    }

    fn is_up(&self, _: &[Endpoint]) -> bool {
        true
    }
}

/// Someone at work on the callback, under a claim.
struct Actor {
    attempts: i32,
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// One run: its dice, its world, its replicas, and whoever is at work.
struct Run {
    dice: fastrand::Rng,
    world: Shared,
    replicas: Vec<Arc<Attempts<Repository, Gateway>>>,
    actors: Vec<Actor>,
}

impl Run {
    fn new(seed: u64, history: Option<String>) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let start: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
        // From two hours before the window to near its end.
        let now_ms = start.as_millisecond() + dice.i64(-2 * HOUR_MS..2 * HOUR_MS - 120_000);
        let now = Timestamp::from_millisecond(now_ms).unwrap();
        let world = Arc::new(Mutex::new(World {
            now_ms,
            row: callback(start, now),
            contact: None,
            on_their_way: Vec::new(),
            cxone_skew_ms: *dice.choice(&SKEWS_MS).unwrap(),
            validates_first: dice.bool(),
            messages: 0,
            forecast: Mood::Well,
            contacts: Mood::Well,
            messaging: Mood::Well,
            postgres_answers: true,
            dice: fastrand::Rng::with_seed(seed),
            history,
            broken: None,
        }));
        let replicas = SKEWS_MS.map(|skew| Arc::new(replica(&world, skew, seed))).into_iter().collect();
        Self { dice, world, replicas, actors: Vec::new() }
    }

    /// Something happens.
    fn step(&mut self) {
        match self.dice.u8(0..24) {
            0..=10 => self.poll_one(),
            11..=13 => self.claim(),
            14 => self.crash(),
            15 => self.terminate(),
            16..=18 => self.pass_time(),
            19 => self.change_mood(),
            20 => self.cancel(),
            21 => self.carry_out_late(),
            22 => self.renew(),
            _ => {
                let mut world = self.world.lock().unwrap();
                world.postgres_answers = world.dice.u8(0..3) > 0;
            }
        }
    }

    fn poll_one(&mut self) {
        if self.actors.is_empty() {
            return self.claim();
        }
        let next = self.dice.usize(0..self.actors.len());
        if self.actors[next].work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            drop(self.actors.swap_remove(next));
        }
    }

    /// A replica takes the callback, where it is due by that replica's clock.
    fn claim(&mut self) {
        let replica = Arc::clone(self.dice.choice(&self.replicas).unwrap());
        let (now, lease_end) = (replica.clock.now(), replica.lease_end());
        let mut world = self.world.lock().unwrap();
        if world.row.due_at.is_none_or(|due| due > now) {
            return;
        }
        world.row.attempts += 1;
        world.row.due_at = Some(lease_end);
        let mut callback = world.row.clone();
        let attempts = callback.attempts;
        world.note(|_| format!("attempt {attempts} starts"));
        drop(world);
        let work = async move {
            let _ = replica.attempt(&mut callback, Class::Background).await;
        };
        self.actors.push(Actor { attempts, work: Box::pin(work) });
    }

    fn crash(&mut self) {
        if !self.actors.is_empty() {
            let crashed = self.dice.usize(0..self.actors.len());
            let actor = self.actors.swap_remove(crashed);
            self.world.lock().unwrap().note(|_| format!("attempt {} crashes", actor.attempts));
        }
    }

    /// SIGTERM: what does not finish is released.
    fn terminate(&mut self) {
        if self.actors.is_empty() {
            return;
        }
        let ended = self.dice.usize(0..self.actors.len());
        let actor = self.actors.swap_remove(ended);
        let mut world = self.world.lock().unwrap();
        if world.is_claimed_as(actor.attempts) {
            world.row.due_at = Some(world.now());
        }
        world.note(|_| format!("attempt {} is released", actor.attempts));
    }

    fn renew(&mut self) {
        let Some(actor) = self.actors.last() else { return };
        let mut world = self.world.lock().unwrap();
        if world.is_claimed_as(actor.attempts) {
            world.row.due_at = Some(world.now() + Duration::from_secs(15));
        }
    }

    /// Mostly a little, sometimes an hour; now and then the clocks step back.
    fn pass_time(&mut self) {
        let longest = *self.dice.choice(&[200, 5_000, 40_000, 600_000, HOUR_MS]).unwrap();
        let step = if self.dice.u8(0..10) == 0 { -self.dice.i64(1..3_000) } else { self.dice.i64(1..longest) };
        let mut world = self.world.lock().unwrap();
        world.now_ms += step;
    }

    fn change_mood(&mut self) {
        let mood = *self.dice.choice(&MOODS).unwrap();
        let mut world = self.world.lock().unwrap();
        match self.dice.u8(0..3) {
            0 => world.forecast = if mood == Mood::Late { Mood::Empty } else { mood },
            1 => world.contacts = mood,
            _ => world.messaging = mood,
        }
        world.note(|world| format!("moods {:?} {:?} {:?}", world.forecast, world.contacts, world.messaging));
    }

    fn cancel(&mut self) {
        let mut world = self.world.lock().unwrap();
        if world.row.status == Status::Accepted && world.row.dispatch_time.is_none() && self.dice.u8(0..4) == 0 {
            world.row.status = Status::Cancelled;
            world.row.attempts += 1;
            world.row.due_at = None;
            world.note(|_| "cancelled".into());
            if world.contact.is_some() {
                world.broken = Some("cancelled, and CXone has the contact".into());
            }
        }
    }

    fn carry_out_late(&mut self) {
        let mut world = self.world.lock().unwrap();
        if let Some(at) = world.on_their_way.pop() {
            let _ = world.make_contact(at);
        }
    }

    /// Everybody crashes, and what is due is done until nothing is left. CXone is well, or its contacts fail for ever.
    fn settle(&mut self) {
        self.actors.clear();
        self.carry_out_late();
        {
            let mut world = self.world.lock().unwrap();
            world.postgres_answers = true;
            world.forecast = Mood::Well;
            world.messaging = Mood::Well;
            world.contacts = *self.dice.choice(&[Mood::Well, Mood::Well, Mood::Fails, Mood::Refuses]).unwrap();
            world.note(|_| "the end begins".into());
        }
        for _ in 0..400 {
            let Some(due) = self.world.lock().unwrap().row.due_at else { break };
            let mut world = self.world.lock().unwrap();
            world.now_ms = world.now_ms.max(due.as_millisecond()) + 2_000;
            drop(world);
            self.claim();
            while !self.actors.is_empty() {
                self.poll_one();
            }
        }
    }

    fn check_settled(&self) -> Result<(), &'static str> {
        let world = self.world.lock().unwrap();
        let row = &world.row;
        let says_so = row.failure.as_ref().is_some_and(|failure| failure.detail.contains("may have it"));
        if row.due_at.is_some() {
            return Err("it never reaches a final state");
        }
        match row.status {
            Status::Accepted => return Err("nobody works on it"),
            Status::Scheduled if world.contact != row.dispatch_time => return Err("CXone has another time"),
            Status::Failed | Status::Cancelled if world.contact.is_some() => {
                return Err("CXone will call all the same");
            }
            Status::Expired if world.contact.is_some() && !says_so => {
                return Err("CXone may call, and nobody is told");
            }
            _ => {}
        }
        match row.confirmation {
            Confirmation::Sent if world.messages != 1 => Err("confirmed without an SMS"),
            Confirmation::Pending | Confirmation::Failed | Confirmation::Skipped if world.messages != 0 => {
                Err("an SMS was sent that the callback does not know of")
            }
            Confirmation::Pending if row.status == Status::Scheduled => Err("the SMS is forgotten"),
            _ => Ok(()),
        }
    }
}

fn replica(world: &Shared, skew_ms: i64, seed: u64) -> Attempts<Repository, Gateway> {
    let told = Arc::clone(world);
    let now = move || told.lock().unwrap().now() + SignedDuration::from_millis(skew_ms);
    let clock = Clock::manual(now, seed);
    Attempts {
        repository: Repository(Arc::clone(world)),
        gateway: Gateway { world: Arc::clone(world), clock: clock.clone() },
        clock,
        waiting: Waiting::default(),
        settings: AttemptSettings {
            without_forecast: if seed.is_multiple_of(5) {
                WithoutForecast::WindowStart
            } else {
                WithoutForecast::Reject
            },
            sms_from: PhoneNumber::from_stored("+18005551234".into()).unwrap(),
            default_zone: Zone::parse("UTC").unwrap(),
        },
    }
}

fn callback(start: Timestamp, now: Timestamp) -> Callback {
    Callback {
        id: Uuid::from_u128(1),
        status: Status::Accepted,
        phone_number: PhoneNumber::from_stored("+12025550198".into()).unwrap(),
        campaign_id: CampaignId::parse("c").unwrap(),
        window: TimeWindow::parse(start, start + SignedDuration::from_hours(2)).unwrap(),
        language: Language::parse("en").unwrap(),
        timezone: None,
        dispatch_time: None,
        earlier_dispatch_time: None,
        contact_id: None,
        confirmation: Confirmation::Pending,
        skip_reason: None,
        confirmation_started_at: None,
        sms_session_id: None,
        at_risk: false,
        failure: None,
        attempts: 0,
        due_at: Some(now),
        request_id: String::new(),
        trace: Traceparent::root(Uuid::from_u128(1)),
        created_at: now,
        updated_at: now,
    }
}

fn run(seed: u64, history: Option<String>) -> Result<Status, String> {
    let mut run = Run::new(seed, history);
    for _ in 0..STEPS {
        run.step();
    }
    run.settle();
    let settled = run.check_settled().map_err(str::to_owned);
    let world = run.world.lock().unwrap();
    let history = world.history.as_deref().unwrap_or_default();
    let broken = world.broken.clone().map_or(settled, Err);
    broken.map(|()| world.row.status).map_err(|rule| format!("seed {seed}: {rule}\n{history}\n{:#?}", world.row))
}

#[test]
fn a_callback_is_never_lost_doubled_or_confirmed_wrongly_whatever_happens() {
    let halves = [0, 1].map(|half| {
        std::thread::spawn(move || {
            let mut ends = [0_u32; 5];
            for seed in (0..INTERLEAVINGS).filter(|seed| seed % 2 == half) {
                ends[run(seed, None).or_else(|_| run(seed, Some(String::new())))? as usize] += 1;
            }
            Ok::<_, String>(ends)
        })
    });
    for half in halves {
        let ends = half.join().unwrap().unwrap_or_else(|failure| panic!("{failure}"));
        for status in [Status::Scheduled, Status::Failed, Status::Expired, Status::Cancelled] {
            assert!(ends[status as usize] > 100, "the runs rarely end as {status:?}: {ends:?}");
        }
    }
}

/// The notice is longer than what the clocks may differ by.
#[test]
fn the_notice_covers_clocks_that_differ() {
    assert!(SKEWS_MS.iter().all(|skew| SignedDuration::from_millis(2 * skew.abs()) < NOTICE));
}
