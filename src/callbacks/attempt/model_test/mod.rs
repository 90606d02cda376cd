//! The real decision code of attempts in random interleavings: replicas with different clocks, crashes, SIGTERM, leases
//! that end, cancellations, other windows, clocks that are set back, a Postgres that loses the answer to a commit, and a
//! CXone that refuses, fails, loses answers and carries out requests late. Only Postgres and CXone are models.
//!
//! In some runs CXone looks up an existing contact first, and answers 409 even if its start has passed. In the others it
//! checks the start first.

mod actors;
mod cxone;
mod nice;
mod postgres;
mod world;

use actors::Run;
use futures::FutureExt as _;
use jiff::SignedDuration;
use world::Behavior;

use crate::callbacks::model::{Confirmation, Status};
use crate::cxone::StillWanted as _;
use crate::fuzz_test::number;
use crate::placement::NOTICE;

/// `INTERLEAVINGS` replaces both.
const INTERLEAVINGS: u64 = 10_000;
const NICE_INTERLEAVINGS: u64 = 3_000;
const STEPS: usize = 60;
/// The errors of the clocks of the replicas and of CXone.
const SKEWS_MS: [i64; 3] = [0, -1_500, 1_500];

impl Run {
    /// All attempts crash. Then attempts are made until nothing is left to do, while CXone works, or its contacts fail forever.
    fn settle(&mut self) {
        self.actors.clear();
        self.deliver_late();
        {
            let mut world = self.world.lock().unwrap();
            world.postgres_answers = true;
            world.forecast = Behavior::Normal;
            world.messaging = Behavior::Normal;
            world.contacts =
                *self.rng.choice(&[Behavior::Normal, Behavior::Normal, Behavior::Fails, Behavior::Refuses]).unwrap();
            world.log(|_| "the run ends".into());
        }
        for _ in 0..400 {
            let Some(due) = self.world.lock().unwrap().row.due_at else { break };
            let mut world = self.world.lock().unwrap();
            let elapsed = (due.as_millisecond() - world.now_ms).max(0) + 2_000;
            world.advance(elapsed);
            drop(world);
            self.claim();
            while !self.actors.is_empty() {
                self.poll_one();
            }
        }
        // Beyond every window: whatever CXone still has is called.
        self.world.lock().unwrap().advance(24 * 3_600_000);
    }

    fn check_settled(&self) -> Result<(), &'static str> {
        let world = self.world.lock().unwrap();
        let row = &world.row;
        let is_reported = row.failure.as_ref().is_some_and(|failure| failure.detail.contains("may have it"));
        if row.due_at.is_some() {
            return Err("it does not reach a final state");
        }
        match row.status {
            Status::Accepted => return Err("it is accepted, but not due"),
            Status::Scheduled if !world.has_contact_at(row.dispatch_time) => {
                return Err("CXone has no contact that starts at its dispatch time");
            }
            Status::Scheduled if world.nice.as_ref().is_some_and(|nice| nice.calls().len() != 1) => {
                return Err("it is scheduled, but there is not exactly one call");
            }
            Status::Scheduled if row.dispatch_time.is_none_or(|start| !row.window.contains(start)) => {
                return Err("its dispatch time is not in its window");
            }
            Status::Failed | Status::Cancelled if world.has_contact() => {
                return Err("it has ended, but CXone will call");
            }
            Status::Expired if world.has_contact() && !is_reported => {
                return Err("it has expired without a hint that CXone may call");
            }
            _ => {}
        }
        match row.confirmation {
            Confirmation::Sent if world.sms_sent != 1 => Err("it is confirmed, but there is not exactly one SMS"),
            Confirmation::Pending | Confirmation::Failed | Confirmation::Skipped if world.sms_sent != 0 => {
                Err("an SMS was sent, but its confirmation does not say so")
            }
            Confirmation::Pending if row.status == Status::Scheduled => {
                Err("it is scheduled, but its SMS is never sent")
            }
            _ => Ok(()),
        }
    }
}

fn run(seed: u64, is_nice: bool, history: Option<String>) -> Result<Status, String> {
    let mut run = Run::new(seed, is_nice, history);
    for _ in 0..STEPS {
        run.step();
    }
    run.settle();
    let settled = run.check_settled().map_err(str::to_owned);
    let world = run.world.lock().unwrap();
    let history = world.history.as_deref().unwrap_or_default();
    let result = world.violation.clone().map_or(settled, Err);
    result.map(|()| world.row.status).map_err(|rule| format!("seed {seed}: {rule}\n{history}\n{:#?}", world.row))
}

#[test]
fn no_callback_is_lost_or_called_twice_or_confirmed_wrongly() {
    run_all(false, INTERLEAVINGS);
}

#[test]
fn no_callback_is_lost_or_called_twice_where_each_request_creates_a_contact() {
    run_all(true, NICE_INTERLEAVINGS);
}

fn run_all(is_nice: bool, interleavings: u64) {
    let mut ends = [0_u32; 5];
    for seed in 0..number("INTERLEAVINGS").unwrap_or(interleavings) {
        let end = run(seed, is_nice, None).or_else(|_| run(seed, is_nice, Some(String::new())));
        ends[end.unwrap_or_else(|failure| panic!("{failure}")) as usize] += 1;
    }
    for status in [Status::Scheduled, Status::Failed, Status::Expired, Status::Cancelled] {
        assert!(ends[status as usize] > 100, "too few runs end as {status:?}: {ends:?}");
    }
}

/// A replica can be stopped between a commit and the request after it, for longer than its lease.
#[test]
fn an_attempt_verifies_its_claim_after_the_end_of_its_lease_and_in_doubt() {
    let run = Run::new(0, true, None);
    let replica = &run.replicas[0];
    let world = || run.world.lock().unwrap();
    world().row.due_at = Some(replica.lease_end());
    let callback = world().row.clone();
    let is_wanted = |is_in_doubt| replica.claim_of(&callback, is_in_doubt).ask().now_or_never().unwrap();
    assert!(is_wanted(false) && is_wanted(true));

    world().row.attempts += 1;
    assert!(is_wanted(false), "Postgres is not asked while the lease lasts");
    assert!(!is_wanted(true));
    world().advance(20_000);
    assert!(!is_wanted(false));
    world().row.attempts -= 1;
    assert!(is_wanted(false), "the lease was renewed");
}

/// The notice is longer than the difference between two clocks.
#[test]
fn the_notice_covers_the_difference_between_clocks() {
    assert!(SKEWS_MS.iter().all(|skew| SignedDuration::from_millis(2 * skew.abs()) < NOTICE));
}
