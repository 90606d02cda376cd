//! The replicas, their attempts, and the events of a run.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::SKEWS_MS;
use super::cxone::ModelGateway;
use super::nice::Nice;
use super::postgres::ModelRepository;
use super::world::{BEHAVIORS, Behavior, Shared, World};
use crate::callbacks::attempt::{AttemptSettings, Attempts, WithoutForecast};
use crate::callbacks::model::Status;
use crate::callbacks::model::testing::accepted;
use crate::callbacks::outcome::Waiters;
use crate::clock::Clock;
use crate::cxone::Class;
use crate::types::{PhoneNumber, TimeWindow, TimeZone};

const HOUR_MS: i64 = 3_600_000;

/// An attempt that runs under a claim.
pub struct Actor {
    attempts: i32,
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// One run: replicas and their running attempts in one world.
pub struct Run {
    pub rng: fastrand::Rng,
    pub world: Shared,
    pub replicas: Vec<Arc<Attempts<ModelRepository, ModelGateway>>>,
    pub actors: Vec<Actor>,
}

impl Run {
    pub fn new(seed: u64, is_nice: bool, history: Option<String>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let start: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
        // From two hours before the window to two minutes before its end.
        let now_ms = start.as_millisecond() + rng.i64(-2 * HOUR_MS..2 * HOUR_MS - 120_000);
        let now = Timestamp::from_millisecond(now_ms).unwrap();
        let world = Arc::new(Mutex::new(World {
            now_ms,
            row: accepted(0, start, now),
            contact: None,
            nice: is_nice.then(|| Nice::new(now, &mut rng)),
            in_flight: Vec::new(),
            cxone_skew_ms: *rng.choice(&SKEWS_MS).unwrap(),
            validates_first: rng.bool(),
            sms_sent: 0,
            forecast: Behavior::Normal,
            contacts: Behavior::Normal,
            messaging: Behavior::Normal,
            postgres_answers: true,
            rng: fastrand::Rng::with_seed(seed),
            history,
            violation: None,
        }));
        let replicas = SKEWS_MS.map(|skew| Arc::new(replica(&world, skew, seed))).into_iter().collect();
        Self { rng, world, replicas, actors: Vec::new() }
    }

    /// One random step.
    pub fn step(&mut self) {
        match self.rng.u8(0..25) {
            0..=10 => self.poll_one(),
            11..=13 => self.claim(),
            14 => self.crash(),
            15 => self.terminate(),
            16..=18 => self.pass_time(),
            19 => self.change_behavior(),
            20 => self.cancel(),
            21 => self.deliver_late(),
            22 => self.renew(),
            23 => self.reschedule(),
            _ => {
                let mut world = self.world.lock().unwrap();
                world.postgres_answers = world.rng.u8(0..3) > 0;
            }
        }
    }

    pub fn poll_one(&mut self) {
        if self.actors.is_empty() {
            return self.claim();
        }
        let next = self.rng.usize(0..self.actors.len());
        if self.actors[next].work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            drop(self.actors.swap_remove(next));
        }
    }

    /// A replica claims the callback if it is due by the replica's clock.
    pub fn claim(&mut self) {
        let replica = Arc::clone(self.rng.choice(&self.replicas).unwrap());
        let (now, lease_end) = (replica.clock.now(), replica.lease_end());
        let mut world = self.world.lock().unwrap();
        if world.row.due_at.is_none_or(|due| due > now) {
            return;
        }
        world.row.attempts += 1;
        world.row.due_at = Some(lease_end);
        let mut callback = world.row.clone();
        let attempts = callback.attempts;
        world.log(|_| format!("attempt {attempts} starts"));
        drop(world);
        let work = async move {
            let _ = replica.attempt(&mut callback, Class::Background).await;
        };
        self.actors.push(Actor { attempts, work: Box::pin(work) });
    }

    fn crash(&mut self) {
        if !self.actors.is_empty() {
            let crashed = self.rng.usize(0..self.actors.len());
            let actor = self.actors.swap_remove(crashed);
            self.world.lock().unwrap().log(|_| format!("attempt {} crashes", actor.attempts));
        }
    }

    /// SIGTERM: an attempt that does not finish is released.
    fn terminate(&mut self) {
        if self.actors.is_empty() {
            return;
        }
        let ended = self.rng.usize(0..self.actors.len());
        let actor = self.actors.swap_remove(ended);
        let mut world = self.world.lock().unwrap();
        if world.is_claimed_as(actor.attempts) {
            world.row.due_at = Some(world.now());
        }
        world.log(|_| format!("attempt {} is released", actor.attempts));
    }

    fn renew(&mut self) {
        let Some(actor) = self.actors.last() else { return };
        let mut world = self.world.lock().unwrap();
        if world.is_claimed_as(actor.attempts) {
            world.row.due_at = Some(world.now() + Duration::from_secs(15));
        }
    }

    /// Mostly seconds, sometimes an hour. Sometimes all clocks are set back.
    fn pass_time(&mut self) {
        let max = *self.rng.choice(&[200, 5_000, 40_000, 600_000, HOUR_MS]).unwrap();
        let elapsed = if self.rng.u8(0..10) == 0 { -self.rng.i64(1..3_000) } else { self.rng.i64(1..max) };
        let mut world = self.world.lock().unwrap();
        world.advance(elapsed);
    }

    fn change_behavior(&mut self) {
        let behavior = *self.rng.choice(&BEHAVIORS).unwrap();
        let mut world = self.world.lock().unwrap();
        match self.rng.u8(0..3) {
            0 => world.forecast = if behavior == Behavior::Late { Behavior::Empty } else { behavior },
            1 => world.contacts = behavior,
            _ => world.messaging = behavior,
        }
        world.log(|world| {
            format!(
                "behavior: forecast {:?}, contacts {:?}, messages {:?}",
                world.forecast, world.contacts, world.messaging
            )
        });
    }

    fn cancel(&mut self) {
        let mut world = self.world.lock().unwrap();
        if world.row.status == Status::Accepted && world.row.dispatch_time.is_none() && self.rng.u8(0..4) == 0 {
            world.row.status = Status::Cancelled;
            world.row.attempts += 1;
            world.row.due_at = None;
            world.log(|_| "cancelled".into());
            if world.has_contact() {
                world.violation = Some("it is cancelled, but CXone has the contact".into());
            }
        }
    }

    /// Moves the window by an hour.
    fn reschedule(&mut self) {
        let mut world = self.world.lock().unwrap();
        if world.row.status == Status::Accepted && world.row.dispatch_time.is_none() && self.rng.u8(0..2) == 0 {
            let hour = SignedDuration::from_hours(1);
            let window = TimeWindow::parse(world.row.window.start() + hour, world.row.window.end() + hour).unwrap();
            let now = world.now();
            world.row.reschedule(window, now);
            world.log(|_| "rescheduled".into());
            if world.has_contact() {
                world.violation = Some("it is rescheduled, but CXone has the contact".into());
            }
        }
    }

    pub fn deliver_late(&mut self) {
        let mut world = self.world.lock().unwrap();
        if let Some(at) = world.in_flight.pop() {
            let _ = world.create_contact(at);
        }
    }
}

fn replica(world: &Shared, skew_ms: i64, seed: u64) -> Attempts<ModelRepository, ModelGateway> {
    let clock_world = Arc::clone(world);
    let now = move || clock_world.lock().unwrap().now() + SignedDuration::from_millis(skew_ms);
    let clock = Clock::manual(now, seed);
    Attempts {
        repository: ModelRepository(Arc::clone(world)),
        gateway: ModelGateway { world: Arc::clone(world), clock: clock.clone() },
        clock,
        waiters: Waiters::default(),
        settings: AttemptSettings {
            without_forecast: if seed.is_multiple_of(5) {
                WithoutForecast::WindowStart
            } else {
                WithoutForecast::Reject
            },
            sms_from: PhoneNumber::from_stored("+18005551234".into()).unwrap(),
            sms_channel: None,
            default_zone: TimeZone::parse("UTC").unwrap(),
        },
    }
}
