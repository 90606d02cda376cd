//! A quota that CXone does not publish: halved when CXone refuses requests, and raised slowly. Pure.

use serde::{Deserialize, Serialize};

/// Refusals within this time are one: they are of requests that were sent at the same rate.
const SAME_REFUSAL_MS: i64 = 10_000;
/// The part of the whole quota, in percent, that is added again each minute.
const RAISED_PERCENT: i64 = 5;
const MINUTE_MS: i64 = 60_000;

/// The quota after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reduction {
    quota: u32,
    /// In milliseconds of the epoch.
    at: i64,
}

impl Reduction {
    /// After a refusal at `now`.
    pub fn after_refusal(before: Option<Self>, whole: u32, now: i64) -> Self {
        match before {
            Some(before) if now - before.at < SAME_REFUSAL_MS => before,
            _ => Self { quota: (quota_at(before, whole, now) / 2).max(1), at: now },
        }
    }
}

/// The quota at `now`.
pub fn quota_at(reduction: Option<Reduction>, whole: u32, now: i64) -> u32 {
    let Some(Reduction { quota, at }) = reduction else { return whole };
    let raised = i64::from(whole) * RAISED_PERCENT * (now - at).max(0) / MINUTE_MS / 100;
    u32::try_from(i64::from(quota) + raised).unwrap_or(whole).min(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_halves_the_quota_which_rises_by_a_twentieth_a_minute() {
        assert_eq!(quota_at(None, 100, 0), 100);
        let first = Reduction::after_refusal(None, 100, 0);
        assert_eq!((quota_at(Some(first), 100, 0), quota_at(Some(first), 100, 5 * MINUTE_MS)), (50, 75));
        // Refused again at the same rate, and later.
        assert_eq!(Reduction::after_refusal(Some(first), 100, SAME_REFUSAL_MS - 1), first);
        let second = Reduction::after_refusal(Some(first), 100, 2 * MINUTE_MS);
        assert_eq!(quota_at(Some(second), 100, 2 * MINUTE_MS), 30);
        assert_eq!(quota_at(Some(second), 100, 60 * MINUTE_MS), 100);
        let lowest = (0..20).fold(None, |before, n| Some(Reduction::after_refusal(before, 100, n * SAME_REFUSAL_MS)));
        assert!(quota_at(lowest, 100, 19 * SAME_REFUSAL_MS) >= 1);
    }
}
