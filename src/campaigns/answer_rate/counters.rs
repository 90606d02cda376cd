//! The counters of one replica, for campaigns with `answerRate` settings. A campaign without these settings is only
//! remembered for a second, so that its settings are not read for each request. Pure.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::guard_state::{BucketUpdate, GuardState, SharedCounts};
use super::window::Window;
use crate::campaigns::model::{AnswerRateGuard, AnswerRateSource, Counts};
use crate::types::CampaignId;

/// The maximum number of campaigns that one replica monitors. Each takes a few kilobytes.
const MAX_MONITORED: usize = 10_000;
/// The settings of a campaign without `answerRate` are read again after this time.
const UNMONITORED_FOR: Duration = Duration::from_secs(1);
/// The maximum number of campaigns without `answerRate` that are remembered.
const MAX_UNMONITORED: usize = 1_000;
/// A campaign is monitored for this time after its last event has left the window, until all replicas have shared it.
const KEEP_AFTER_WINDOW: Duration = Duration::from_secs(1);
/// The time that placing a hold may take. After it, the guard may trip again.
const PLACING_TIMEOUT: Duration = Duration::from_secs(5);

/// Attempts and answers that a dialer reported for one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialerSample {
    pub at: Timestamp,
    pub counts: Counts,
}

/// This replica monitors the maximum number of campaigns already.
#[derive(Debug, PartialEq, Eq)]
pub struct TooManyCampaigns;

/// A campaign whose answer rate is too low.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardTrip {
    pub campaign_id: CampaignId,
    pub guard: AnswerRateGuard,
    pub counts: Counts,
}

/// The result of [`Counters::refresh`].
#[derive(Debug, Default, PartialEq)]
pub struct Refreshed {
    pub trips: Vec<GuardTrip>,
    /// Campaigns that no longer have `answerRate` settings.
    pub unmonitored: Vec<CampaignId>,
}

/// A period of time. It also ends when the clock is set back by more than its length.
#[derive(Clone, Copy, Debug)]
struct Period {
    start: Timestamp,
    length: Duration,
}

impl Period {
    fn contains(&self, now: Timestamp) -> bool {
        now.duration_since(self.start).unsigned_abs() < self.length
    }
}

struct CampaignCounter {
    state: GuardState,
    /// The counts of all replicas at the last refresh, and the counts that this replica has handed over since then.
    shared: Window,
    /// The counts that this replica has not handed over yet.
    unshared: Window,
    last_event: Timestamp,
    /// The guard does not trip during this period.
    guard_disabled: Option<Period>,
}

impl CampaignCounter {
    fn new(state: GuardState, now: Timestamp) -> Self {
        let (shared, unshared) = (Window::new(state.window()), Window::new(state.window()));
        Self { state, shared, unshared, last_event: now, guard_disabled: None }
    }

    fn record(&mut self, samples: &[DialerSample], now: Timestamp) {
        self.last_event = now;
        // The same calls are read from CXone.
        if self.state.guard.is_some_and(|guard| guard.source == AnswerRateSource::Cxone) {
            return;
        }
        for sample in samples.iter().filter(|sample| sample.at >= self.state.counted_from) {
            self.unshared.record(sample.at, now, sample.counts);
        }
    }

    fn counts(&mut self, now: Timestamp) -> Counts {
        self.shared.counts(now).saturating_add(self.unshared.counts(now))
    }

    /// Replaces the shared counts. Counts from before a start of the campaign, or in a window of another length, are
    /// dropped.
    fn refresh(&mut self, shared: SharedCounts, now: Timestamp) {
        let was_started = shared.state.counted_from != self.state.counted_from;
        if was_started {
            self.guard_disabled = None;
        }
        if was_started || shared.state.window() != self.state.window() {
            self.unshared = Window::new(shared.state.window());
        }
        self.shared = Window::new(shared.state.window());
        for bucket in &shared.buckets {
            self.shared.record(bucket.starts_at, now, bucket.counts);
        }
        self.state = shared.state;
    }

    /// The guard and the counts, if the guard trips now.
    fn trip(&mut self, now: Timestamp) -> Option<(AnswerRateGuard, Counts)> {
        let counts = self.counts(now);
        let is_disabled = self.state.is_throttled || self.guard_disabled.is_some_and(|period| period.contains(now));
        let guard = self.state.guard.filter(|guard| !is_disabled && guard.is_tripped_by(counts))?;
        self.guard_disabled = Some(Period { start: now, length: PLACING_TIMEOUT });
        Some((guard, counts))
    }

    fn is_idle(&self, now: Timestamp) -> bool {
        now.duration_since(self.last_event).unsigned_abs() > self.state.window() + KEEP_AFTER_WINDOW
    }
}

/// The counters of the campaigns for which this replica receives events, or reads intervals.
#[derive(Default)]
pub struct Counters {
    monitored: HashMap<CampaignId, CampaignCounter>,
    /// Campaigns without `answerRate` settings, and how long this is assumed.
    unmonitored: HashMap<CampaignId, Period>,
}

impl Counters {
    /// Counts the samples, or drops them if the campaign is known to have no `answerRate` settings. Returns false if the
    /// settings are not known: they must be added by [`Self::add_campaign`] first.
    pub fn record(&mut self, id: &CampaignId, samples: &[DialerSample], now: Timestamp) -> bool {
        match self.monitored.get_mut(id) {
            Some(counter) => {
                counter.record(samples, now);
                true
            }
            None => self.unmonitored.get(id).is_some_and(|period| period.contains(now)),
        }
    }

    /// Adds a campaign with its settings and the counts of all replicas. It is monitored if it has `answerRate` settings.
    ///
    /// # Errors
    /// If the maximum number of campaigns is monitored already.
    pub fn add_campaign(
        &mut self,
        id: &CampaignId,
        shared: SharedCounts,
        now: Timestamp,
    ) -> Result<(), TooManyCampaigns> {
        if shared.state.guard.is_none() {
            self.remember_unmonitored(id, now);
            return Ok(());
        }
        self.unmonitored.remove(id);
        if self.monitored.contains_key(id) {
            return Ok(());
        }
        if self.monitored.len() >= MAX_MONITORED {
            return Err(TooManyCampaigns);
        }
        let mut counter = CampaignCounter::new(shared.state, now);
        counter.refresh(shared, now);
        self.monitored.insert(id.clone(), counter);
        Ok(())
    }

    fn remember_unmonitored(&mut self, id: &CampaignId, now: Timestamp) {
        if self.unmonitored.len() >= MAX_UNMONITORED {
            self.unmonitored.retain(|_, period| period.contains(now));
        }
        if self.unmonitored.len() >= MAX_UNMONITORED {
            self.unmonitored.clear();
        }
        self.unmonitored.insert(id.clone(), Period { start: now, length: UNMONITORED_FOR });
    }

    /// The monitored campaigns.
    pub fn ids(&self) -> Vec<CampaignId> {
        self.monitored.keys().cloned().collect()
    }

    /// Takes the counts that are not shared yet. They still count here until the next [`Self::refresh`].
    pub fn take_unshared(&mut self) -> Vec<BucketUpdate> {
        let mut updates = Vec::new();
        for (id, counter) in &mut self.monitored {
            for bucket in counter.unshared.drain() {
                counter.shared.record(bucket.starts_at, bucket.starts_at, bucket.counts);
                updates.push(BucketUpdate { campaign_id: id.clone(), state: counter.state, bucket });
            }
        }
        updates
    }

    /// Replaces the shared counts of all campaigns, removes campaigns without recent events, and returns the guards that
    /// trip.
    pub fn refresh(&mut self, mut shared: HashMap<CampaignId, SharedCounts>, now: Timestamp) -> Refreshed {
        let mut refreshed = Refreshed::default();
        self.monitored.retain(|id, counter| {
            // Absent if the campaign was added after the read. The next refresh includes it.
            let Some(shared) = shared.remove(id) else { return true };
            if shared.state.guard.is_none() {
                refreshed.unmonitored.push(id.clone());
                return false;
            }
            counter.refresh(shared, now);
            if let Some((guard, counts)) = counter.trip(now) {
                refreshed.trips.push(GuardTrip { campaign_id: id.clone(), guard, counts });
            }
            !counter.is_idle(now)
        });
        refreshed
    }

    /// Ends the placement of a hold that a [`GuardTrip`] asked for. The guard does not trip again for `disabled_for`.
    pub fn placement_finished(&mut self, id: &CampaignId, disabled_for: Duration, now: Timestamp) {
        if let Some(counter) = self.monitored.get_mut(id) {
            counter.guard_disabled = Some(Period { start: now, length: disabled_for });
        }
    }

    /// The current counts of each monitored campaign.
    pub fn counts(&mut self, now: Timestamp) -> Vec<(CampaignId, Counts)> {
        self.monitored.iter_mut().map(|(id, counter)| (id.clone(), counter.counts(now))).collect()
    }
}

#[cfg(test)]
#[path = "counters_test.rs"]
mod tests;
