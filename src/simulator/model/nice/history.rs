//! What skills handled in the last weeks, in intervals of 15 minutes.

use std::collections::HashMap;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

/// In seconds.
const INTERVAL: i64 = 15 * 60;
const WEEK: SignedDuration = SignedDuration::from_hours(24 * 7);
/// The contacts of an interval in the busiest hour of a weekday, and the agents then.
const BUSY_CONTACTS: f64 = 12.0;
const BUSY_AGENTS: f64 = 10.0;
/// The hours of the day with contacts, in the business unit's time zone.
const OPEN: std::ops::Range<i8> = 8..20;

/// The histories that differ from the default, by skill.
#[derive(Default)]
pub(in crate::simulator) struct Histories(HashMap<u64, History>);

/// What a skill handled.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::simulator) struct History {
    /// The skill's rows of contacts, instead of computed ones.
    pub(in crate::simulator) raw: Option<Vec<Value>>,
    #[serde(default = "default_weeks")]
    weeks: u32,
    /// The contacts of every interval, day and night; without it they follow the time of day.
    contacts_per_interval: Option<u32>,
    /// The agents at any time; without it they follow the time of day.
    agents: Option<u32>,
}

/// Its length, in weeks.
fn default_weeks() -> u32 {
    8
}

/// What a skill handled in 15 minutes.
pub(in crate::simulator) struct Interval {
    pub(in crate::simulator) start: Timestamp,
    pub(in crate::simulator) contacts: u32,
    pub(in crate::simulator) handled: u32,
    /// In seconds.
    pub(in crate::simulator) handle_time: u32,
    pub(in crate::simulator) dials: u32,
}

impl Default for History {
    fn default() -> Self {
        Self { raw: None, weeks: default_weeks(), contacts_per_interval: None, agents: None }
    }
}

impl Histories {
    pub(in crate::simulator) fn get(&self, skill: u64) -> History {
        self.0.get(&skill).cloned().unwrap_or_default()
    }

    pub(in crate::simulator) fn put(&mut self, skill: u64, history: History) {
        self.0.insert(skill, history);
    }

    pub(in crate::simulator) fn remove(&mut self, skill: u64) {
        self.0.remove(&skill);
    }
}

impl History {
    /// The intervals with contacts that begin in the range, are over by now, and are not older than the history.
    pub(in crate::simulator) fn intervals(
        &self,
        seed: u64,
        zone: &TimeZone,
        (start, end): (Timestamp, Timestamp),
        now: Timestamp,
    ) -> Vec<Interval> {
        let oldest = now.checked_sub(WEEK * i32::try_from(self.weeks).unwrap_or(i32::MAX));
        let start = start.max(oldest.unwrap_or(Timestamp::MIN));
        let last = end.as_second().min(now.as_second() + 1 - INTERVAL);
        let first = (start.as_second() + INTERVAL - 1).div_euclid(INTERVAL);
        let starts = (first..).map(|number| number * INTERVAL).take_while(|second| *second < last);
        let intervals = starts.filter_map(|second| self.interval(seed, zone, Timestamp::from_second(second).ok()?));
        intervals.collect()
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are small and not negative")]
    fn interval(&self, seed: u64, zone: &TimeZone, start: Timestamp) -> Option<Interval> {
        let number = start.as_second().div_euclid(INTERVAL).unsigned_abs();
        let mut rng = fastrand::Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let of_day = BUSY_CONTACTS * load(zone, start) * (0.9 + 0.2 * rng.f64());
        let contacts = self.contacts_per_interval.unwrap_or(of_day.round() as u32);
        let handle_time = rng.u32(240..=360);
        let handled = contacts - contacts / 20;
        (contacts > 0).then_some(Interval { start, contacts, handled, handle_time, dials: contacts + contacts / 4 })
    }

    /// The agents logged in at this time.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number, not negative")]
    pub(in crate::simulator) fn agents_at(&self, zone: &TimeZone, at: Timestamp) -> u32 {
        self.agents.unwrap_or_else(|| (BUSY_AGENTS * load(zone, at)).ceil() as u32)
    }

    /// All agents of the skill.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a constant")]
    pub(in crate::simulator) fn agents(&self) -> u32 {
        self.agents.unwrap_or(BUSY_AGENTS as u32)
    }
}

/// The load at this time, from 0 to 1: highest in the middle of the day, 0 when closed, lower at weekends.
fn load(zone: &TimeZone, at: Timestamp) -> f64 {
    let local = at.to_zoned(zone.clone());
    if !OPEN.contains(&local.hour()) {
        return 0.0;
    }
    let is_weekend = matches!(local.weekday(), Weekday::Saturday | Weekday::Sunday);
    let hour = f64::from(local.hour()) + f64::from(local.minute()) / 60.0;
    let bell = (1.0 - ((hour - 14.0) / 8.0).powi(2)).max(0.2);
    if is_weekend { bell * 0.4 } else { bell }
}
