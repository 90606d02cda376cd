//! The calls that dialers made, in intervals of 15 minutes.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Deserialize;

use super::calls::Call;

/// In seconds.
const INTERVAL: i64 = 15 * 60;

/// The intervals that the control API has set, by skill.
#[derive(Default)]
pub(in crate::simulator) struct Dialers(HashMap<u64, Vec<Dialed>>);

/// The calls of one interval.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::simulator) struct Dialed {
    pub(in crate::simulator) start: Timestamp,
    pub(in crate::simulator) dials: u32,
    pub(in crate::simulator) connects: u32,
}

impl Dialers {
    pub(in crate::simulator) fn put(&mut self, skill: u64, intervals: Vec<Dialed>) {
        self.0.insert(skill, intervals);
    }

    pub(in crate::simulator) fn remove(&mut self, skill: u64) {
        self.0.remove(&skill);
    }

    /// The intervals of a skill that begin in the range: those that were set, or else those of its calls.
    pub(in crate::simulator) fn intervals<'a>(
        &self,
        skill: u64,
        (start, end): (Timestamp, Timestamp),
        calls: impl Iterator<Item = &'a Call>,
    ) -> Vec<Dialed> {
        let mut intervals = self.0.get(&skill).cloned().unwrap_or_else(|| of_calls(skill, calls));
        intervals.retain(|interval| start <= interval.start && interval.start < end);
        intervals
    }
}

fn of_calls<'a>(skill: u64, calls: impl Iterator<Item = &'a Call>) -> Vec<Dialed> {
    let mut intervals = BTreeMap::new();
    for call in calls.filter(|call| call.skill_id == skill && call.was_dialled()) {
        let start = call.start.as_second().div_euclid(INTERVAL) * INTERVAL;
        let start = Timestamp::from_second(start).unwrap_or(call.start);
        let interval = intervals.entry(start).or_insert(Dialed { start, dials: 0, connects: 0 });
        interval.dials += 1;
        interval.connects += u32::from(call.was_answered());
    }
    intervals.into_values().collect()
}
