//! The model of the API that NICE publishes. Each request to create a contact creates another one; an earlier one is found
//! by its marker. A contact is called at its time, or at once where that has passed.
//!
//! A request without an answer takes effect within three seconds. It may be later where its call is not near: Ringback looks
//! for surplus contacts for the last time [`LAST_LOOK`] before the call. Where no attempt has succeeded by then, because
//! CXone or all replicas were down, nobody could look: a second call by such a late contact is then excused.

use std::collections::HashMap;

use futures::pending;
use jiff::{SignedDuration, Timestamp};

use super::cxone::ModelGateway;
use super::world::{Behavior, World};
use crate::callbacks::model::Status;
use crate::callbacks::outcomes::surplus;
use crate::callbacks::store::Marked;
use crate::cxone::{ContactAnswer, ContactId, CxoneError, NewContact, WaitingContact};

/// The times of the looks for surplus contacts are those of `outcomes` and of the store.
const FIRST_LOOK: SignedDuration = SignedDuration::from_secs(8);
const LAST_LOOK: SignedDuration = SignedDuration::from_secs(20);
const POLL: SignedDuration = SignedDuration::from_mins(2);
const LATE_MS: i64 = 3_000;
const LATEST_MS: i64 = 40_000;
const RECORDED_AFTER: SignedDuration = SignedDuration::from_mins(20);
const SEND_BEFORE: SignedDuration = SignedDuration::from_secs(5);
/// Between the two looks before a second request.
const LOOK_AGAIN_AFTER_MS: i64 = 4_000;

/// What NICE has.
pub struct Nice {
    /// The contacts that are still to be called: number and time.
    waiting: Vec<(i64, Timestamp)>,
    /// When the calls were due that were made.
    called: Vec<Timestamp>,
    created: i64,
    /// The requests that take effect later: when, and the time of the contact.
    late: Vec<(Timestamp, Timestamp)>,
    /// When contacts took effect more than three seconds late.
    very_late: Vec<Timestamp>,
    recorded_after: SignedDuration,
    recheck_at: Option<Timestamp>,
    poll_at: Timestamp,
}

#[derive(Clone, Copy)]
enum Event {
    Late(usize),
    Call(usize),
    Recheck,
    Poll,
}

impl Nice {
    pub fn new(now: Timestamp, rng: &mut fastrand::Rng) -> Self {
        Self {
            waiting: Vec::new(),
            called: Vec::new(),
            created: 0,
            late: Vec::new(),
            very_late: Vec::new(),
            recorded_after: SignedDuration::from_secs(rng.i64(0..19 * 60)),
            recheck_at: None,
            poll_at: now,
        }
    }

    /// Whether it will call, or has called.
    pub fn has_contact(&self) -> bool {
        !self.waiting.is_empty() || !self.called.is_empty()
    }

    pub fn has_contact_at(&self, at: Option<Timestamp>) -> bool {
        let times = self.waiting.iter().map(|(_, at)| at).chain(&self.called);
        times.copied().any(|time| Some(time) == at)
    }

    pub fn calls(&self) -> &[Timestamp] {
        &self.called
    }

    /// An attempt has stored the contact. After a doubt there may be another one.
    pub fn look_again(&mut self, dispatch_time: Timestamp, now: Timestamp) {
        self.recheck_at = Some((now + FIRST_LOOK).min(now.max(dispatch_time - LAST_LOOK)));
    }

    fn take_effect_late(&mut self, at: Timestamp, now: Timestamp, rng: &mut fastrand::Rng) {
        let latest = now + SignedDuration::from_millis(rng.i64(0..LATEST_MS));
        let soon = now + SignedDuration::from_millis(rng.i64(0..LATE_MS));
        let effect = latest.min(at - LAST_LOOK - SignedDuration::from_secs(3)).max(soon);
        if effect > now + SignedDuration::from_millis(LATE_MS) {
            self.very_late.push(effect);
        }
        self.late.push((effect, at));
    }

    fn next_event(&self, until: Timestamp, skew: SignedDuration) -> Option<(Timestamp, Event)> {
        let late = self.late.iter().enumerate().map(|(index, (effect, _))| (*effect, Event::Late(index)));
        let calls = self.waiting.iter().enumerate().map(|(index, (_, at))| (*at - skew, Event::Call(index)));
        let recheck = self.recheck_at.map(|at| (at, Event::Recheck));
        let poll = (!self.waiting.is_empty()).then_some((self.poll_at, Event::Poll));
        let events = late.chain(calls).chain(recheck).chain(poll);
        events.filter(|(at, _)| *at <= until).min_by_key(|(at, _)| *at)
    }
}

impl World {
    /// What NICE does until now, and the looks for surplus contacts.
    pub fn run_nice(&mut self) {
        let (now, skew) = (self.now(), SignedDuration::from_millis(self.cxone_skew_ms));
        while let Some((at, event)) = self.nice.as_ref().and_then(|nice| nice.next_event(now, skew)) {
            let Some(nice) = self.nice.as_mut() else { return };
            match event {
                Event::Late(index) => {
                    let (_, time) = nice.late.swap_remove(index);
                    self.create_at_nice(time, at);
                }
                Event::Call(index) => {
                    let (number, due) = nice.waiting.swap_remove(index);
                    let nobody_looked = self.row.status == Status::Accepted && !nice.very_late.is_empty();
                    if !nobody_looked || nice.called.is_empty() {
                        nice.called.push(due);
                        self.check_call(number, due);
                    }
                }
                Event::Recheck => {
                    nice.recheck_at = self.row.dispatch_time.map(|time| time - LAST_LOOK).filter(|last| *last > at);
                    self.delete_surplus(at);
                }
                Event::Poll => {
                    nice.poll_at = at + POLL;
                    self.delete_surplus(at);
                }
            }
        }
    }

    fn create_at_nice(&mut self, time: Timestamp, now: Timestamp) -> i64 {
        let Some(nice) = self.nice.as_mut() else { return 0 };
        nice.created += 1;
        let number = nice.created;
        nice.waiting.push((number, time));
        self.log(|_| format!("CXone creates contact {number}, for {time}"));
        if now > time + SEND_BEFORE {
            self.violation = Some("a contact is created after its time".into());
        }
        number
    }

    fn check_call(&mut self, number: i64, due: Timestamp) {
        self.log(|_| format!("CXone calls contact {number}, which was due at {due}"));
        let calls = self.nice.as_ref().map_or(0, |nice| nice.called.len());
        if calls > 1 {
            self.violation = Some("two calls".into());
        } else if matches!(self.row.status, Status::Failed | Status::Cancelled) {
            self.violation = Some(format!("a call for a callback that is {:?}", self.row.status));
        } else if !self.row.window.contains(due) {
            self.violation = Some("a call outside the window".into());
        }
    }

    fn delete_surplus(&mut self, now: Timestamp) {
        let row = &self.row;
        let number = row.contact_id.and_then(ContactId::number);
        let marked = Marked { status: row.status, number, dispatch_time: row.dispatch_time };
        let callback_id = row.id;
        let Some(nice) = self.nice.as_mut() else { return };
        let waiting: Vec<_> =
            nice.waiting.iter().map(|(number, _)| WaitingContact { number: *number, callback_id }).collect();
        let surplus = surplus(&waiting, &HashMap::from([(callback_id, marked)]), now);
        nice.waiting.retain(|(number, _)| surplus.iter().all(|surplus| surplus.number != *number));
        if !surplus.is_empty() {
            self.log(|_| format!("deletes {surplus:?}"));
        }
    }
}

impl ModelGateway {
    /// As the wire does it, see `cxone::wire::nice`.
    pub(super) async fn create_at_nice(&self, contact: &NewContact<'_>) -> Result<ContactAnswer, CxoneError> {
        if contact.may_exist {
            if let Some(existing) = self.existing().await? {
                return Ok(existing);
            }
            if contact.at <= self.clock.now() {
                return self.after_its_time(contact.at).await;
            }
            pending!();
            self.world.lock().unwrap().advance(LOOK_AGAIN_AFTER_MS);
            if let Some(existing) = self.existing().await? {
                return Ok(existing);
            }
        }
        pending!();
        let send_by = contact.send_by.unwrap_or(contact.at - SEND_BEFORE);
        self.admit(Some(send_by), contact.still_wanted).await?;
        let answer = self.receive_at_nice(contact.at);
        pending!();
        answer
    }

    fn receive_at_nice(&self, at: Timestamp) -> Result<ContactAnswer, CxoneError> {
        let mut world = self.world.lock().unwrap();
        let world = &mut *world;
        let now = world.now();
        match world.contacts {
            Behavior::Normal | Behavior::Empty => {
                let contact = ContactId::Number(world.create_at_nice(at, now));
                Ok(ContactAnswer::Created { contact })
            }
            Behavior::Refuses => Err(world.refusal()),
            Behavior::Busy => Err(world.busy()),
            Behavior::Fails => Err(world.unknown()),
            Behavior::LosesAnswers => {
                world.create_at_nice(at, now);
                Err(world.unknown())
            }
            Behavior::Late => {
                if let Some(nice) = world.nice.as_mut() {
                    nice.take_effect_late(at, now, &mut world.rng);
                }
                Err(world.unknown())
            }
        }
    }

    /// The list of contacts.
    async fn existing(&self) -> Result<Option<ContactAnswer>, CxoneError> {
        pending!();
        let listed = {
            let mut world = self.world.lock().unwrap();
            world.answer_read()?;
            let Some(nice) = world.nice.as_mut() else { return Ok(None) };
            let oldest = nice.waiting.iter().min_by_key(|(number, _)| *number).copied();
            nice.waiting.retain(|contact| Some(*contact) == oldest);
            oldest
        };
        pending!();
        Ok(listed.map(|(number, at)| ContactAnswer::Exists {
            contact: ContactId::Number(number),
            at: Some(at),
            deleted: Vec::new(),
        }))
    }

    /// The records of calls.
    async fn after_its_time(&self, at: Timestamp) -> Result<ContactAnswer, CxoneError> {
        pending!();
        let is_recorded = self.clock.now() >= at + RECORDED_AFTER;
        let mut world = self.world.lock().unwrap();
        world.answer_read()?;
        let now = world.now();
        let Some(nice) = world.nice.as_ref() else { return Ok(ContactAnswer::Absent) };
        if nice.called.iter().any(|called| *called >= at && *called + nice.recorded_after <= now) {
            return Ok(ContactAnswer::Exists { contact: ContactId::Number(0), at: None, deleted: Vec::new() });
        }
        if is_recorded { Ok(ContactAnswer::Absent) } else { Err(world.unknown()) }
    }
}

impl World {
    /// A refused read says nothing about the contact.
    fn answer_read(&mut self) -> Result<(), CxoneError> {
        match self.contacts {
            Behavior::Normal | Behavior::Empty | Behavior::Late => Ok(()),
            Behavior::Busy => Err(self.busy()),
            Behavior::Refuses => match self.refusal() {
                CxoneError::Rejected { reason, .. } => Err(CxoneError::UnexpectedAnswer { reason }),
                refusal => Err(refusal),
            },
            Behavior::Fails | Behavior::LosesAnswers => Err(self.unknown()),
        }
    }
}
