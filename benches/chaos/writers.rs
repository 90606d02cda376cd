//! Writes to each replica at a steady rate, to measure for how long there were none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::callers::Callers;
use super::record::Record;

const WRITE_EVERY: Duration = Duration::from_millis(250);
/// Of one replica. So many wait for an answer, and others are still sent.
const AT_ONCE: usize = 40;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Until it is dropped, posts callbacks to each replica, without a wait for their outcome.
pub struct Writers {
    record: Record,
    replicas: usize,
    _stop: DropGuard,
}

impl Writers {
    pub fn start(callers: &Callers, rng: &mut Rng) -> Self {
        let stop = CancellationToken::new();
        let replicas = callers.client.replicas.len();
        for replica in 0..replicas {
            let (callers, rng, stop) = (callers.clone(), rng.fork(), stop.clone());
            tokio::spawn(async move { stop.run_until_cancelled(write(callers, replica, rng)).await });
        }
        Self { record: callers.client.record.clone(), replicas, _stop: stop.drop_guard() }
    }

    /// When each replica first acknowledged a write after this moment, as the time that it took; `None` for a replica that
    /// did not before the limit.
    pub async fn back_after(&self, moment: Instant, limit: Duration) -> Vec<Option<Duration>> {
        loop {
            let back: Vec<_> = (0..self.replicas).map(|replica| self.first_after(replica, moment)).collect();
            if back.iter().all(Option::is_some) || moment.elapsed() > limit {
                return back;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// How many writes were acknowledged after this moment.
    pub fn count_after(&self, moment: Instant) -> usize {
        self.record.kept().writes.iter().rev().take_while(|(_, at)| *at >= moment).count()
    }

    fn first_after(&self, replica: usize, moment: Instant) -> Option<Duration> {
        let kept = self.record.kept();
        let of_replica = kept.writes.iter().rev().take_while(|(_, at)| *at >= moment).filter(|(of, _)| *of == replica);
        of_replica.last().map(|(_, at)| *at - moment)
    }
}

async fn write(callers: Callers, replica: usize, mut rng: Rng) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut turns = tokio::time::interval(WRITE_EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let Ok(room) = Arc::clone(&room).try_acquire_owned() else { continue };
        let (callers, mut rng) = (callers.clone(), rng.fork());
        tokio::spawn(async move {
            callers.write(replica, &mut rng).await;
            drop(room);
        });
    }
}
