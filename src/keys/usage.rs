//! What this replica knows of the use of keys: when each was last used, and what is left of its rate.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use super::bucket::{Allowance, Bucket};
use super::record::KeyRecord;
use crate::types::Rate;

/// How often the last use of a key without a rate is stored, at most.
const STORE_USE_EVERY: Duration = Duration::from_mins(1);

/// The use of keys. Never has more entries than there are keys, and none for those that were not used lately.
#[derive(Debug)]
pub struct Usage {
    keys: RwLock<HashMap<Uuid, Arc<KeyUsage>>>,
    start: Instant,
}

#[derive(Debug)]
struct KeyUsage {
    rate: Option<Rate>,
    bucket: Bucket,
    /// In milliseconds since 1970.
    last_used_at: AtomicI64,
    /// Accepted requests of a key with a rate that are not stored yet.
    unstored: AtomicU64,
    shared: Mutex<Shared>,
}

/// What is stored of a key.
#[derive(Debug, Default)]
struct Shared {
    /// The last use that is stored, and when that was.
    last_used_at: i64,
    stored_at: Option<Duration>,
    /// The requests that all replicas have accepted.
    requests: Option<i64>,
}

/// What is to be stored of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unstored {
    pub key: Uuid,
    pub last_used_at: Timestamp,
    /// Accepted requests since the last time.
    pub requests: i64,
}

impl Default for Usage {
    fn default() -> Self {
        Self { keys: RwLock::default(), start: Instant::now() }
    }
}

impl Usage {
    /// Counts a request of the key at this time. Returns what is left of its rate, if it has one.
    pub fn count(&self, key: &KeyRecord, at: Timestamp) -> Option<Allowance> {
        let usage = self.of(key);
        usage.last_used_at.fetch_max(at.as_millisecond(), Ordering::Relaxed);
        let allowance = usage.bucket.take(usage.rate?, self.now());
        if allowance.accepted {
            usage.unstored.fetch_add(1, Ordering::Relaxed);
        }
        Some(allowance)
    }

    fn of(&self, key: &KeyRecord) -> Arc<KeyUsage> {
        if let Some(known) = self.keys.read().get(&key.id) {
            return Arc::clone(known);
        }
        let new = || KeyUsage {
            rate: key.grant.rate,
            bucket: Bucket::default(),
            last_used_at: AtomicI64::new(0),
            unstored: AtomicU64::new(0),
            shared: Mutex::default(),
        };
        Arc::clone(self.keys.write().entry(key.id).or_insert_with(|| Arc::new(new())))
    }

    /// Since the start of the process.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// What is to be stored at this time, by the id of the key, and the other keys with a rate. With `all`, also uses that would
    /// otherwise wait.
    pub(super) fn unstored(&self, now: Duration, all: bool) -> (Vec<Unstored>, Vec<Uuid>) {
        let (mut unstored, mut others) = (Vec::new(), Vec::new());
        for (key, usage) in &*self.keys.read() {
            let requests = usage.unstored.swap(0, Ordering::Relaxed);
            let last_used_at = usage.last_used_at.load(Ordering::Relaxed);
            let shared = usage.shared.lock();
            let is_due = all || shared.stored_at.is_none_or(|at| now.saturating_sub(at) >= STORE_USE_EVERY);
            if requests > 0 || (is_due && last_used_at > shared.last_used_at) {
                unstored.push(Unstored {
                    key: *key,
                    last_used_at: Timestamp::from_millisecond(last_used_at).unwrap_or_default(),
                    requests: i64::try_from(requests).unwrap_or(i64::MAX),
                });
            } else if usage.rate.is_some() {
                others.push(*key);
            }
        }
        unstored.sort_unstable_by_key(|unstored| unstored.key);
        (unstored, others)
    }

    /// Counts again what could not be stored.
    pub(super) fn restore(&self, unstored: &[Unstored]) {
        let keys = self.keys.read();
        for Unstored { key, requests, .. } in unstored {
            if let Some(usage) = keys.get(key) {
                usage.unstored.fetch_add(requests.unsigned_abs(), Ordering::Relaxed);
            }
        }
    }

    /// Notes what was stored and, for each key, how many requests all replicas have accepted. What the others have accepted since
    /// the last time is taken from the bucket.
    pub(super) fn stored(&self, stored: &[Unstored], totals: &[(Uuid, i64)], now: Duration) {
        let keys = self.keys.read();
        let own: HashMap<Uuid, &Unstored> = stored.iter().map(|stored| (stored.key, stored)).collect();
        for (key, stored) in &own {
            let Some(usage) = keys.get(key) else { continue };
            let mut shared = usage.shared.lock();
            shared.last_used_at = stored.last_used_at.as_millisecond();
            shared.stored_at = Some(now);
        }
        for (key, total) in totals {
            let Some(usage) = keys.get(key) else { continue };
            let known = usage.shared.lock().requests.replace(*total);
            let (Some(known), Some(rate)) = (known, usage.rate) else { continue };
            let own = own.get(key).map_or(0, |own| own.requests);
            let others = u64::try_from(total.saturating_sub(known).saturating_sub(own)).unwrap_or(0);
            usage.bucket.charge(rate, others, now);
        }
    }

    /// Forgets keys of which everything is stored, whose bucket is full, and that were not used for a minute.
    pub(super) fn forget_idle(&self, now: Duration) {
        let is_idle = |usage: &KeyUsage| {
            let shared = usage.shared.lock();
            let is_stored = shared.last_used_at == usage.last_used_at.load(Ordering::Relaxed);
            let is_old = shared.stored_at.is_some_and(|at| now.saturating_sub(at) > STORE_USE_EVERY);
            is_stored && is_old && usage.unstored.load(Ordering::Relaxed) == 0 && usage.bucket.is_full(now)
        };
        self.keys.write().retain(|_, usage| !is_idle(usage));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Grant;
    use crate::types::AllowedCampaigns;

    const LATER: Duration = Duration::from_secs(61);

    fn at() -> Timestamp {
        "2026-11-20T15:00:00Z".parse().unwrap()
    }

    fn key(number: u128, rate: Option<&str>) -> KeyRecord {
        let rate = rate.map(|text| Rate::parse(text).unwrap());
        KeyRecord {
            id: Uuid::from_u128(number),
            name: "ivr".into(),
            grant: Grant::new(Vec::new(), AllowedCampaigns::all(), rate, None),
            created_at: at(),
            last_used_at: None,
            revoked_at: None,
            replaces: None,
            replaced_by: None,
        }
    }

    #[test]
    fn each_key_has_a_bucket_of_its_own_and_one_without_a_rate_has_none() {
        let (usage, one, other, free) = (Usage::default(), key(1, Some("2/h")), key(2, Some("2/h")), key(3, None));
        let accepted = |key: &KeyRecord| usage.count(key, at()).is_some_and(|allowance| allowance.accepted);
        assert!(accepted(&one) && accepted(&one) && !accepted(&one) && accepted(&other));
        assert_eq!(usage.count(&free, at()), None);
    }

    #[test]
    fn what_others_have_accepted_since_the_first_report_is_taken_from_the_bucket() {
        let (usage, key, start) = (Usage::default(), key(1, Some("10/h")), Usage::default().now());
        let remaining = || usage.count(&key, at()).unwrap().remaining;
        assert_eq!(remaining(), 9);
        let (unstored, _) = usage.unstored(start, false);
        assert_eq!(unstored[0].requests, 1);
        usage.stored(&unstored, &[(key.id, 101)], start);
        assert_eq!(remaining(), 8);
        let (unstored, _) = usage.unstored(start, false);
        usage.stored(&unstored, &[(key.id, 105)], usage.now());
        assert_eq!(remaining(), 4);
        usage.restore(&usage.unstored(start, false).0);
        assert_eq!(usage.unstored(start, false).0[0].requests, 1);
    }

    #[test]
    fn the_last_use_of_a_key_is_stored_once_a_minute_and_then_forgotten() {
        let (usage, key) = (Usage::default(), key(1, None));
        usage.count(&key, at());
        let (unstored, others) = usage.unstored(Duration::ZERO, false);
        assert_eq!((unstored.len(), others.len()), (1, 0));
        usage.stored(&unstored, &[], Duration::ZERO);
        usage.count(&key, at() + jiff::SignedDuration::from_secs(1));
        assert!(usage.unstored(Duration::ZERO, false).0.is_empty());
        assert_eq!(usage.unstored(Duration::ZERO, true).0.len(), 1);
        usage.forget_idle(LATER);
        let (unstored, _) = usage.unstored(LATER, false);
        assert_eq!(unstored.len(), 1);
        usage.stored(&unstored, &[], LATER);
        usage.forget_idle(LATER * 3);
        assert!(usage.keys.read().is_empty());
    }
}
