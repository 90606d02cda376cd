//! What has been spent of CXone's quota, and who may spend next. Pure: the same ledger, question and moment give the
//! same answer.

mod spent;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::spent::Spent;
use super::endpoint::Endpoint;

/// CXone counts requests in any 60 seconds as they arrive. What is more covers how late a grant is used, and what a
/// request may need to get there.
pub(super) const WINDOW_MS: i64 = 61_500;
/// Work in the background is spread over the window in pieces of so long.
const PACE_MS: i64 = 3_000;
/// Whole callbacks of a few requests must fit a piece, whatever the rounding.
const PACE_SLACK: u64 = 2;
/// Until so much of the quota is used, in percent, there is no need to.
const UNPACED_PERCENT: u64 = 25;
/// So much of the quota is kept for campaign control, and as much again for callers who wait, in percent.
const RESERVE_PERCENT: u64 = 3;
/// Routine work may use so much of the quota, in percent, and at least one request.
const ROUTINE_PERCENT: u64 = 10;
/// A token, a read and a write: what a pause needs at most, and is kept of any quota that is large enough.
const ONE_PAUSE: u32 = 3;
/// After a caller who waits was refused, the background holds off for so long …
const YIELD_MS: i64 = 2_000;
/// … but never for longer than this at a time.
const STARVED_MS: i64 = 10_000;
/// While another endpoint is backed off, campaign control sends one request in so long.
const REDUCED_PACE_MS: i64 = 100;
/// A replica that has written nothing for so long has nothing in the window any more.
const WRITER_KEPT_MS: i64 = 2 * WINDOW_MS;

/// Who asks, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A campaign is to be paused or resumed.
    Control,
    /// Someone waits for the answer.
    Waiting,
    /// Nobody waits.
    Background,
    /// It may just as well be done later: a campaign is checked, and nothing is due.
    Routine,
    /// A client looks at a campaign. Routine as well, in at most half of its share, so that however many look, campaigns are
    /// checked.
    Look,
}

impl Class {
    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Waiting => "waiting",
            Self::Background => "background",
            Self::Routine => "routine",
            Self::Look => "look",
        }
    }

    /// Whether it has a share of its own in what the background has.
    pub(super) fn is_routine(self) -> bool {
        match self {
            Self::Routine | Self::Look => true,
            Self::Control | Self::Waiting | Self::Background => false,
        }
    }
}

/// The answer to a question for requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send now.
    Granted,
    /// Not before so long from now.
    NotFor(Duration),
}

/// Requests by the step in which they were granted, and until when which endpoint is left alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// Of all classes.
    spent: Spent,
    /// The routine's part of it. A replica of an older version drops it: during an update the routine's share may be exceeded,
    /// the quota never.
    routine: Spent,
    /// The part of clients' looks in the routine's.
    looks: Spent,
    /// Until when no request is sent there. In milliseconds of the epoch, as all that follows.
    back_offs: BTreeMap<Endpoint, i64>,
    waiting_refused_at: i64,
    background_granted_at: i64,
    control_granted_at: i64,
    /// Each replica's number of its last change, and when it made it: so it finds out whether a crash of Postgres lost
    /// any.
    writers: BTreeMap<Uuid, (u64, i64)>,
}

impl Ledger {
    /// Takes `count` requests to an endpoint, of a quota of so many a minute.
    pub fn take(&mut self, class: Class, endpoint: Endpoint, count: u32, quota: u32, now: Timestamp) -> Decision {
        let now_ms = now.as_millisecond();
        let wait = self.wait_for(class, &[endpoint], count, quota, now_ms);
        if wait > 0 {
            if class == Class::Waiting {
                self.waiting_refused_at = now_ms;
            }
            return not_for(wait);
        }
        self.add(class, now_ms, count);
        match class {
            Class::Background => self.background_granted_at = now_ms,
            Class::Control if endpoint == Endpoint::Campaigns => self.control_granted_at = now_ms,
            Class::Control | Class::Waiting | Class::Routine | Class::Look => {}
        }
        Decision::Granted
    }

    /// Adds requests that were granted to a class at a moment, which may have passed.
    pub fn add(&mut self, class: Class, at_ms: i64, count: u32) {
        self.spent.add(at_ms, count);
        if class.is_routine() {
            self.routine.add(at_ms, count);
        }
        if class == Class::Look {
            self.looks.add(at_ms, count);
        }
    }

    /// Whether work that will need `count` requests to these endpoints may be started in the background.
    pub fn may_start(&self, endpoints: &[Endpoint], count: u32, quota: u32, now: Timestamp) -> Decision {
        let now_ms = now.as_millisecond();
        let wait = self.wait_for(Class::Background, endpoints, count, quota, now_ms);
        // At rest nothing is slowed.
        if u64::from(self.used(now)) + u64::from(count) <= u64::from(quota) * UNPACED_PERCENT / 100 {
            return not_for(wait);
        }
        let pace = u64::from(allowance(Class::Background, quota)) * PACE_MS.unsigned_abs();
        let pace = u32::try_from(pace.div_ceil(WINDOW_MS.unsigned_abs()) + PACE_SLACK).unwrap_or(u32::MAX);
        let room_for = pace.saturating_sub(count.min(pace - 1));
        // The routine has a limit of its own.
        let paced = self.spent.without(&self.routine).wait_until_below(room_for, PACE_MS, now_ms);
        not_for(wait.max(paced))
    }

    /// CXone said 429: nobody sends to this endpoint until then, in milliseconds of the epoch.
    pub fn back_off(&mut self, endpoint: Endpoint, until_ms: i64) {
        let kept = self.back_offs.entry(endpoint).or_default();
        *kept = until_ms.max(*kept);
    }

    /// In milliseconds; none or less where the endpoint is not backed off.
    fn backed_off_for(&self, endpoint: Endpoint, now: i64) -> i64 {
        self.back_offs.get(&endpoint).map_or(0, |until| until - now)
    }

    /// Whether requests to this endpoint go out one by one, if at all: none may be taken in advance.
    pub fn is_restrained(&self, class: Class, endpoint: Endpoint, now: Timestamp) -> bool {
        let now = now.as_millisecond();
        self.backed_off_for(endpoint, now) > 0 || self.is_reduced(class, endpoint, now)
    }

    fn is_reduced(&self, class: Class, endpoint: Endpoint, now: i64) -> bool {
        class == Class::Control && endpoint == Endpoint::Campaigns && self.back_offs.values().any(|until| *until > now)
    }

    /// The number of the last change of this replica's that is in the ledger.
    pub fn last_change_of(&self, replica: Uuid) -> u64 {
        self.writers.get(&replica).map_or(0, |(number, _)| *number)
    }

    /// Notes a replica's change before it is written, and drops what is of no use any more.
    pub fn sign(&mut self, replica: Uuid, number: u64, now: Timestamp) {
        let now = now.as_millisecond();
        self.writers.insert(replica, (number, now));
        self.writers.retain(|_, (_, at)| *at > now - WRITER_KEPT_MS);
        self.back_offs.retain(|_, until| *until > now);
        self.spent.forget_before(now - WINDOW_MS);
        self.routine.forget_before(now - WINDOW_MS);
        self.looks.forget_before(now - WINDOW_MS);
    }

    /// Requests of the last minute.
    pub fn used(&self, now: Timestamp) -> u32 {
        self.spent.since(now.as_millisecond() - WINDOW_MS)
    }

    /// In milliseconds; none or less where it may be granted now.
    fn wait_for(&self, class: Class, endpoints: &[Endpoint], count: u32, quota: u32, now: i64) -> i64 {
        let backed_off = endpoints.iter().map(|endpoint| self.backed_off_for(*endpoint, now)).max().unwrap_or(0);
        let is_reduced = endpoints.iter().any(|endpoint| self.is_reduced(class, *endpoint, now));
        let reduced = if is_reduced { self.control_granted_at + REDUCED_PACE_MS - now } else { 0 };
        let full = self.spent.wait_until_below(room_for(count, allowance(class, quota)), WINDOW_MS, now);
        let share_used = if class.is_routine() { self.wait_for_share(class, count, quota, now) } else { 0 };
        backed_off.max(reduced).max(full).max(share_used).max(self.wait_for_waiting(class, now))
    }

    fn wait_for_share(&self, class: Class, count: u32, quota: u32, now: i64) -> i64 {
        let wait = |spent: &Spent, share| spent.wait_until_below(room_for(count, share), WINDOW_MS, now);
        let of_looks = if class == Class::Look { wait(&self.looks, look_share(quota)) } else { 0 };
        wait(&self.routine, routine_share(quota)).max(of_looks)
    }

    /// The background and the routine let callers who wait go first, though not for ever.
    fn wait_for_waiting(&self, class: Class, now: i64) -> i64 {
        let granted_at = match class {
            Class::Control | Class::Waiting => return 0,
            Class::Background => self.background_granted_at,
            Class::Routine | Class::Look => self.routine.last_at().unwrap_or(0),
        };
        if now - granted_at >= STARVED_MS { 0 } else { self.waiting_refused_at + YIELD_MS - now }
    }
}

/// Where fewer than so many are used, `count` more fit.
fn room_for(count: u32, allowance: u32) -> u32 {
    allowance.saturating_sub(count).saturating_add(1).max(1)
}

/// How much of the quota routine work may use up in any minute; at least one request.
pub(super) fn routine_share(quota: u32) -> u32 {
    u32::try_from(u64::from(quota) * ROUTINE_PERCENT / 100).unwrap_or(quota).max(1)
}

/// How much of it clients' looks may use up.
pub(super) fn look_share(quota: u32) -> u32 {
    (routine_share(quota) / 2).max(1)
}

/// How much of the quota a class may use up; at least one request.
fn allowance(class: Class, quota: u32) -> u32 {
    let reserve = u32::try_from(u64::from(quota) * RESERVE_PERCENT / 100).unwrap_or(quota);
    let for_control = reserve.max(ONE_PAUSE.min(quota / 10));
    let for_waiting = reserve.max(1.min(quota / 10));
    let kept = match class {
        Class::Control => 0,
        Class::Waiting => for_control,
        Class::Background | Class::Routine | Class::Look => for_control + for_waiting,
    };
    quota.saturating_sub(kept).max(1)
}

fn not_for(milliseconds: i64) -> Decision {
    match u64::try_from(milliseconds) {
        Ok(wait) if wait > 0 => Decision::NotFor(Duration::from_millis(wait)),
        _ => Decision::Granted,
    }
}
