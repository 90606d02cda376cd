//! How much of CXone's quota is spent, and which class may send next. Pure.

#[cfg(test)]
mod load_test;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumTable, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::reduction::{Reduction, quota_at};
use super::spent::Spent;
use crate::cxone::endpoint::Endpoint;

/// CXone counts the requests that arrive in any 60 seconds. The rest covers the delay until a grant is used, and until the
/// request arrives.
pub const WINDOW_MS: i64 = 61_500;
/// Background work is spread evenly over periods of this length.
const PACE_MS: i64 = 3_000;
/// The same.
pub const PACE: Duration = Duration::from_millis(PACE_MS.unsigned_abs());
/// Added to each period, so that the few requests of a callback always fit.
const PACE_SLACK: u64 = 2;
/// Below this use of the quota, in percent, nothing is spread.
const UNPACED_PERCENT: u64 = 25;
/// The part of the quota, in percent, that is reserved for campaign control, and as much again for waiting clients.
const RESERVE_PERCENT: u64 = 3;
/// The part of the quota, in percent, that routine work may use. At least one request.
const ROUTINE_PERCENT: u64 = 10;
/// The requests of one pause: a token, a read and an update. Reserved in any quota that is large enough.
const ONE_PAUSE: u32 = 3;
/// Background work has this part of the quota, one in four, however many clients wait.
const BACKGROUND_PART: u32 = 4;
/// After a waiting client was refused, background work waits for this long …
const YIELD_MS: i64 = 2_000;
/// … but never longer than this at a time.
const STARVED_MS: i64 = 10_000;
/// While another endpoint is backed off, campaign control sends one request in this time.
const REDUCED_PACE_MS: i64 = 100;
/// A replica without changes for this long has no requests in the window.
const WRITER_KEPT_MS: i64 = 2 * WINDOW_MS;

/// The priority of a request, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumTable, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Class {
    /// A campaign must be paused or resumed.
    Control,
    /// A client waits for the answer.
    Waiting,
    /// No client waits.
    Background,
    /// Work that can be delayed: the check of a campaign for which nothing is due.
    Routine,
    /// A client reads the live state of a campaign. It uses at most half of the share of routine work, so that campaigns are
    /// checked however many clients read.
    ClientRead,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Control, Self::Waiting, Self::Background, Self::Routine, Self::ClientRead];

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The requests in any minute that it may use of a quota.
    pub fn quota_of(self, quota: u32) -> u32 {
        match self {
            Self::Control | Self::Waiting | Self::Background => quota,
            Self::Routine => routine_share(quota),
            Self::ClientRead => client_read_share(quota),
        }
    }

    /// Whether it uses the share of routine work.
    pub fn is_routine(self) -> bool {
        match self {
            Self::Routine | Self::ClientRead => true,
            Self::Control | Self::Waiting | Self::Background => false,
        }
    }
}

/// A job of background work that is to start.
#[derive(Clone, Copy, Debug)]
pub struct NewJob {
    /// The requests that it needs.
    pub requests: u32,
    /// The jobs that run. Each has about one request left to send.
    pub running: u32,
    /// Those of them that started within the last [`PACE`], and may not have sent anything yet.
    pub recent: u32,
}

/// Whether requests may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send now.
    Granted,
    /// Not within this time from now.
    NotFor(Duration),
}

/// The requests of the last minute, of all replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaUse {
    /// The requests that CXone accepts in any minute.
    pub quota: u32,
    pub used: u32,
    pub classes: [ClassUse; 5],
}

/// The part of one class in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassUse {
    pub class: Class,
    /// What the class may use at most. Classes share the quota.
    pub quota: u32,
    pub used: u32,
}

/// The granted requests of the last minute, and the back-offs of endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// Of all classes.
    spent: Spent,
    /// The part of routine work. A replica of an older version drops it: during an update its share may be exceeded, but never
    /// the quota.
    routine: Spent,
    /// The part of reads by clients in it.
    client_reads: Spent,
    /// The parts of these classes decide only whether waiting clients yield. A replica of an older version drops them: nobody yields
    /// then.
    control: Spent,
    waiting: Spent,
    /// Until when no request is sent to an endpoint, in milliseconds of the epoch, as all times below.
    back_offs: BTreeMap<Endpoint, i64>,
    /// Where CXone publishes no quota.
    reduction: Option<Reduction>,
    waiting_refused_at: i64,
    background_granted_at: i64,
    control_granted_at: i64,
    /// The number of the last change of each replica, and its time: a replica finds changes that a crash of Postgres lost.
    writers: BTreeMap<Uuid, (u64, i64)>,
}

impl Ledger {
    /// Takes `count` requests to an endpoint from the quota.
    pub fn take(&mut self, class: Class, endpoint: Endpoint, count: u32, quota: u32, now: Timestamp) -> Decision {
        let now_ms = now.as_millisecond();
        let quota = quota_at(self.reduction, quota, now_ms);
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
            Class::Control | Class::Waiting | Class::Routine | Class::ClientRead => {}
        }
        Decision::Granted
    }

    /// Adds requests that were granted to a class at a time, which may be in the past.
    pub fn add(&mut self, class: Class, at_ms: i64, count: u32) {
        self.spent.add(at_ms, count);
        if class.is_routine() {
            self.routine.add(at_ms, count);
        }
        let part = match class {
            Class::Control => &mut self.control,
            Class::Waiting => &mut self.waiting,
            Class::ClientRead => &mut self.client_reads,
            Class::Background | Class::Routine => return,
        };
        part.add(at_ms, count);
    }

    /// Whether a job of background work with requests to these endpoints may start.
    pub fn may_start(&self, endpoints: &[Endpoint], job: NewJob, quota: u32, now: Timestamp) -> Decision {
        let now_ms = now.as_millisecond();
        let quota = quota_at(self.reduction, quota, now_ms);
        let NewJob { requests, running, recent } = job;
        let all = requests.saturating_add(running);
        let wait = self.wait_for(Class::Background, endpoints, all, quota, now_ms);
        if u64::from(self.used(now)) + u64::from(all) <= u64::from(quota) * UNPACED_PERCENT / 100 {
            return not_for(wait);
        }
        let pace = u64::from(allowance(Class::Background, quota)) * PACE_MS.unsigned_abs();
        let pace = u32::try_from(pace.div_ceil(WINDOW_MS.unsigned_abs()) + PACE_SLACK).unwrap_or(u32::MAX);
        let room_for = pace.saturating_sub(requests.min(pace - 1));
        // Routine work has its own limit.
        let paced = self.spent.without(&self.routine).wait_until_below(room_for, PACE_MS, now_ms);
        // What jobs have not sent yet is not spent: many that start at once would also send at once.
        let crowded = if recent < pace { 0 } else { PACE_MS / i64::from(pace) };
        not_for(wait.max(paced).max(crowded))
    }

    /// Whether waiting clients leave background work less than its share. It begins when the quota is used up, and ends when the
    /// share is reached, or well below the quota.
    pub fn starves_background(&self, has_starved: bool, quota: u32, now: Timestamp) -> bool {
        let used = self.quota_use(quota, now);
        let limit = allowance(Class::Background, used.quota);
        let of_class = |class| used.classes.iter().find(|part| part.class == class).map_or(0, |part| part.used);
        let share = limit / BACKGROUND_PART;
        let is_full = used.used >= if has_starved { limit - share } else { limit.saturating_sub(1).max(1) };
        is_full && of_class(Class::Background) < share && of_class(Class::Waiting) > share
    }

    /// CXone answered 429: no request is sent to this endpoint until then, in milliseconds of the epoch.
    pub fn back_off(&mut self, endpoint: Endpoint, until_ms: i64) {
        let kept = self.back_offs.entry(endpoint).or_default();
        *kept = until_ms.max(*kept);
    }

    /// The pauses that have not ended.
    pub fn back_offs(&self, now: Timestamp) -> Vec<(Endpoint, Timestamp)> {
        let end = |(endpoint, until): (&Endpoint, &i64)| Some((*endpoint, Timestamp::from_millisecond(*until).ok()?));
        self.back_offs.iter().filter_map(end).filter(|(_, until)| *until > now).collect()
    }

    /// CXone, which publishes no quota, refused requests at this rate.
    pub fn reduce(&mut self, quota: u32, now: Timestamp) {
        self.reduction = Some(Reduction::after_refusal(self.reduction, quota, now.as_millisecond()));
    }

    /// The milliseconds for which an endpoint is backed off; zero or less where it is not.
    fn backed_off_for(&self, endpoint: Endpoint, now: i64) -> i64 {
        self.back_offs.get(&endpoint).map_or(0, |until| until - now)
    }

    /// Whether requests to this endpoint are sent one by one, if at all: none may be taken in advance.
    pub fn is_restrained(&self, class: Class, endpoint: Endpoint, now: Timestamp) -> bool {
        let now = now.as_millisecond();
        self.backed_off_for(endpoint, now) > 0 || self.is_reduced(class, endpoint, now)
    }

    fn is_reduced(&self, class: Class, endpoint: Endpoint, now: i64) -> bool {
        class == Class::Control && endpoint == Endpoint::Campaigns && self.back_offs.values().any(|until| *until > now)
    }

    /// The number of the last change of a replica that is in the ledger.
    pub fn last_change_of(&self, replica: Uuid) -> u64 {
        self.writers.get(&replica).map_or(0, |(number, _)| *number)
    }

    /// Marks the ledger with the change of a replica before it is written, and removes what is outdated.
    pub fn sign(&mut self, replica: Uuid, number: u64, now: Timestamp) {
        let now = now.as_millisecond();
        self.writers.insert(replica, (number, now));
        self.writers.retain(|_, (_, at)| *at > now - WRITER_KEPT_MS);
        self.back_offs.retain(|_, until| *until > now);
        self.spent.forget_before(now - WINDOW_MS);
        self.routine.forget_before(now - WINDOW_MS);
        self.client_reads.forget_before(now - WINDOW_MS);
        self.control.forget_before(now - WINDOW_MS);
        self.waiting.forget_before(now - WINDOW_MS);
    }

    /// The requests of the last minute.
    pub fn used(&self, now: Timestamp) -> u32 {
        self.spent.since(now.as_millisecond() - WINDOW_MS)
    }

    /// The use of the quota, and of the share of each class, in the last minute.
    pub fn quota_use(&self, quota: u32, now: Timestamp) -> QuotaUse {
        let now_ms = now.as_millisecond();
        let quota = quota_at(self.reduction, quota, now_ms);
        let since = |spent: &Spent| spent.since(now_ms - WINDOW_MS);
        let (all, control, waiting) = (since(&self.spent), since(&self.control), since(&self.waiting));
        let (routine, client_reads) = (since(&self.routine), since(&self.client_reads));
        let of = |class| ClassUse {
            class,
            quota: class.quota_of(quota),
            used: match class {
                Class::Control => control,
                Class::Waiting => waiting,
                Class::Background => all.saturating_sub(control + waiting + routine),
                Class::Routine => routine.saturating_sub(client_reads),
                Class::ClientRead => client_reads,
            },
        };
        QuotaUse { quota, used: all, classes: Class::ALL.map(of) }
    }

    /// The milliseconds to wait; zero or less where the requests may be sent now.
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
        let client_reads =
            if class == Class::ClientRead { wait(&self.client_reads, client_read_share(quota)) } else { 0 };
        wait(&self.routine, routine_share(quota)).max(client_reads)
    }

    /// Background and routine work let waiting clients go first, for a limited time.
    fn wait_for_waiting(&self, class: Class, now: i64) -> i64 {
        let granted_at = match class {
            Class::Control | Class::Waiting => return 0,
            Class::Background => self.background_granted_at,
            Class::Routine | Class::ClientRead => self.routine.last_at().unwrap_or(0),
        };
        if now - granted_at >= STARVED_MS { 0 } else { self.waiting_refused_at + YIELD_MS - now }
    }
}

/// The limit below which `count` more requests fit the allowance.
fn room_for(count: u32, allowance: u32) -> u32 {
    allowance.saturating_sub(count).saturating_add(1).max(1)
}

/// The requests of routine work in any minute. At least one.
fn routine_share(quota: u32) -> u32 {
    u32::try_from(u64::from(quota) * ROUTINE_PERCENT / 100).unwrap_or(quota).max(1)
}

/// The requests of reads by clients in any minute. At least one.
fn client_read_share(quota: u32) -> u32 {
    (routine_share(quota) / 2).max(1)
}

/// The requests after which a class is refused. At least one.
fn allowance(class: Class, quota: u32) -> u32 {
    let reserve = u32::try_from(u64::from(quota) * RESERVE_PERCENT / 100).unwrap_or(quota);
    let for_control = reserve.max(ONE_PAUSE.min(quota / 10));
    let for_waiting = reserve.max(1.min(quota / 10));
    let kept = match class {
        Class::Control => 0,
        Class::Waiting => for_control,
        Class::Background | Class::Routine | Class::ClientRead => for_control + for_waiting,
    };
    quota.saturating_sub(kept).max(1)
}

fn not_for(milliseconds: i64) -> Decision {
    match u64::try_from(milliseconds) {
        Ok(wait) if wait > 0 => Decision::NotFor(Duration::from_millis(wait)),
        _ => Decision::Granted,
    }
}
