//! What is counted of the intervals that CXone reports. Pure.
//!
//! CXone reports the calls of each quarter hour, late and again and again. What a read has beyond the last one counts at the time
//! of the read. So no call counts twice, and a window of any length has the newest calls that are known.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::guard_state::{BucketUpdate, GuardState};
use super::window::Window;
use crate::campaigns::model::Counts;
use crate::cxone::DialerInterval;
use crate::types::CampaignId;

/// A campaign whose intervals are read.
#[derive(Clone, Debug)]
pub struct WatchedCampaign {
    pub id: CampaignId,
    /// The skills that dial for it.
    pub skills: HashSet<i64>,
    pub state: GuardState,
    /// Whether its intervals were read a short time ago. Otherwise it is not known when the calls were made that are read now.
    pub is_continued: bool,
}

/// An interval of a skill of a campaign, with the most that was read of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedInterval {
    pub campaign_id: CampaignId,
    pub skill_id: i64,
    pub starts_at: Timestamp,
    #[serde(flatten)]
    pub counts: Counts,
}

/// The intervals that are known, and the most that was read of each.
pub type Noted = HashMap<(CampaignId, i64, Timestamp), Counts>;

/// What is stored after a read.
#[derive(Debug, Default, PartialEq)]
pub struct Read {
    /// The intervals that have changed.
    pub noted: Vec<NotedInterval>,
    pub updates: Vec<BucketUpdate>,
}

/// What a read adds to the counts of the campaigns.
pub fn counted(intervals: &[DialerInterval], campaigns: &[WatchedCampaign], noted: &Noted, now: Timestamp) -> Read {
    let mut read = Read::default();
    for campaign in campaigns {
        let mut added = Counts::default();
        for interval in intervals.iter().filter(|interval| campaign.skills.contains(&interval.skill)) {
            let counts = Counts { attempts: interval.dials, answers: interval.connects };
            let known = noted.get(&(campaign.id.clone(), interval.skill, interval.start)).copied();
            let new = counts.saturating_sub(known.unwrap_or_default());
            if known.is_some() && new == Counts::default() {
                continue;
            }
            if campaign.counts(interval) {
                added = added.saturating_add(new);
            }
            read.noted.push(NotedInterval {
                campaign_id: campaign.id.clone(),
                skill_id: interval.skill,
                starts_at: interval.start,
                counts,
            });
        }
        read.updates.extend(campaign.update(added, now));
    }
    read
}

impl WatchedCampaign {
    /// An interval in which the campaign was started may have calls from before: none of it counts.
    fn counts(&self, interval: &DialerInterval) -> bool {
        self.is_continued && interval.start >= self.state.counted_from
    }

    fn update(&self, added: Counts, now: Timestamp) -> Option<BucketUpdate> {
        let mut window = Window::new(self.state.window());
        window.record(now, now, added);
        let bucket = window.drain().pop()?;
        Some(BucketUpdate { campaign_id: self.id.clone(), state: self.state, bucket })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-20T{text}Z").parse().unwrap()
    }

    fn id() -> CampaignId {
        CampaignId::parse("campaign-1").unwrap()
    }

    fn campaign(counted_from: &str, is_continued: bool) -> WatchedCampaign {
        let state = GuardState { counted_from: at(counted_from), ..GuardState::default() };
        WatchedCampaign { id: id(), skills: HashSet::from([4001, 4002]), state, is_continued }
    }

    fn interval(skill: i64, start: &str, dials: u64, connects: u64) -> DialerInterval {
        DialerInterval { skill, start: at(start), dials, connects }
    }

    /// The attempts and answers that a read at 15:10 adds, and the number of intervals that it notes.
    fn added(intervals: &[DialerInterval], campaign: WatchedCampaign, noted: &Noted) -> (u64, u64, usize) {
        let read = counted(intervals, &[campaign], noted, at("15:10:00"));
        let counts = read.updates.first().map(|update| update.bucket.counts).unwrap_or_default();
        (counts.attempts, counts.answers, read.noted.len())
    }

    #[test]
    fn what_was_read_before_never_counts_again() {
        let noted = Noted::from([
            ((id(), 4001, at("15:00:00")), Counts { attempts: 100, answers: 40 }),
            ((id(), 4002, at("14:45:00")), Counts { attempts: 50, answers: 10 }),
        ]);
        for (intervals, expected) in [
            (vec![], (0, 0, 0)),
            (vec![interval(4001, "15:00:00", 100, 40)], (0, 0, 0)),
            (vec![interval(4001, "15:00:00", 130, 45)], (30, 5, 1)),
            // A late correction of an interval that is over.
            (vec![interval(4001, "15:00:00", 130, 45), interval(4002, "14:45:00", 60, 10)], (40, 5, 2)),
            (vec![interval(4001, "15:00:00", 90, 41)], (0, 1, 1)),
            (vec![interval(4002, "15:00:00", 7, 1)], (7, 1, 1)),
            (vec![interval(4003, "15:00:00", 7, 1)], (0, 0, 0)),
        ] {
            assert_eq!(added(&intervals, campaign("00:00:00", true), &noted), expected, "{intervals:?}");
        }
    }

    #[test]
    fn calls_from_before_a_start_or_from_an_unknown_time_are_noted_and_do_not_count() {
        let intervals = [interval(4001, "14:45:00", 100, 1), interval(4001, "15:00:00", 20, 2)];
        for (counted_from, is_continued, expected) in [
            ("14:00:00", true, (120, 3, 2)),
            ("15:00:00", true, (20, 2, 2)),
            ("15:00:01", true, (0, 0, 2)),
            ("14:00:00", false, (0, 0, 2)),
        ] {
            let campaign = campaign(counted_from, is_continued);
            assert_eq!(added(&intervals, campaign, &Noted::new()), expected, "{counted_from} {is_continued}");
        }
    }

    #[test]
    fn what_is_added_counts_from_the_time_of_the_read() {
        let read =
            counted(&[interval(4001, "14:30:00", 9, 3)], &[campaign("14:00:00", true)], &Noted::new(), at("15:10:03"));
        let bucket = read.updates[0].bucket;
        assert_eq!((bucket.starts_at, bucket.counts_until), (at("15:10:00"), at("15:15:00")));
    }
}
