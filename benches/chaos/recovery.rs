//! How long it takes until things work again.

use std::time::{Duration, Instant};

/// What was disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Replica(usize),
    AllReplicas,
    Postgres,
}

/// One disturbance.
#[derive(Clone, Copy, Debug)]
pub struct Disturbance {
    pub what: &'static str,
    pub target: Target,
    pub began: Instant,
    /// From here on nothing is in the way any more.
    pub back: Instant,
}

/// How long after a kind of disturbance things worked again.
#[derive(Default)]
pub struct Recovery {
    pub what: &'static str,
    pub disturbances: usize,
    pub to_answer: Vec<Duration>,
    pub to_request: Vec<Duration>,
}

/// Of each kind, from the moment when what was disturbed is back to the first successful answer and to the first request
/// to CXone. Moments that another disturbance came into say nothing, and are left out.
pub fn recoveries(
    disturbances: &[Disturbance],
    answers: &[(usize, Instant)],
    requests: &[(usize, Instant)],
) -> Vec<Recovery> {
    let mut recoveries: Vec<Recovery> = Vec::new();
    for one in disturbances {
        let at = recoveries.iter().position(|recovery| recovery.what == one.what).unwrap_or_else(|| {
            recoveries.push(Recovery { what: one.what, ..Recovery::default() });
            recoveries.len() - 1
        });
        let recovery = &mut recoveries[at];
        recovery.disturbances += 1;
        recovery.to_answer.extend(until(one, answers, disturbances));
        recovery.to_request.extend(until(one, requests, disturbances));
    }
    for recovery in &mut recoveries {
        recovery.to_answer.sort_unstable();
        recovery.to_request.sort_unstable();
    }
    recoveries
}

fn until(one: &Disturbance, moments: &[(usize, Instant)], all: &[Disturbance]) -> Option<Duration> {
    let counts = |replica: usize| !matches!(one.target, Target::Replica(only) if only != replica);
    let later = moments.iter().filter(|(replica, at)| *at >= one.back && counts(*replica));
    let first = later.map(|(_, at)| *at).min()?;
    let is_disturbed = all.iter().any(|other| {
        (other.what, other.began) != (one.what, one.began)
            && other.began < first
            && other.back > one.back
            && concerns(other.target, one.target)
    });
    (!is_disturbed).then(|| first - one.back)
}

/// Whether a disturbance of one thing delays another.
fn concerns(other: Target, target: Target) -> bool {
    match (other, target) {
        (Target::Postgres | Target::AllReplicas, _) => true,
        (Target::Replica(other), Target::Replica(replica)) => other == replica,
        (Target::Replica(_), Target::Postgres | Target::AllReplicas) => false,
    }
}

/// The longest time without any of these, whatever failed.
pub fn longest_silence(moments: &[(usize, Instant)], until: Instant) -> Duration {
    let before = moments.iter().map(|(_, at)| *at).take_while(|at| *at <= until);
    let moments: Vec<Instant> = before.chain([until]).collect();
    moments.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

/// The value below which so many of a hundred lie.
pub fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get(last * percent / 100).copied()
}
