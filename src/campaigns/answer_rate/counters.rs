//! What one replica has counted of the campaigns whose answer rates are watched: those with `answerRate` settings. Of
//! other campaigns nothing is kept but a short memory that they have none. Pure.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::store::{Shared, Watching};
use super::window::{Counts, Guard, Step, Window};
use crate::types::CampaignId;

/// Campaigns that one replica watches at a time. Each takes some kilobytes.
const MOST_CAMPAIGNS: usize = 10_000;
/// After so long the settings of a campaign without `answerRate` are read again.
const UNWATCHED_FOR: Duration = Duration::from_secs(1);
/// Campaigns without `answerRate` that are remembered at a time.
const MOST_UNWATCHED: usize = 1_000;
/// Events may still be on their way through the sharing for so long after they have left the window.
const KEPT_AFTER: Duration = Duration::from_secs(1);
/// After the figures have asked for a hold: until it is seen, or has failed to be placed.
const PLACING: Duration = Duration::from_secs(5);

/// What happened in a dialer: so many attempts, so many answers, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happening {
    pub at: Timestamp,
    pub counts: Counts,
}

/// More campaigns with `answerRate` settings are reported on than one replica watches.
#[derive(Debug, PartialEq, Eq)]
pub struct TooManyCampaigns;

/// What was counted in a step of a campaign's window, and under which settings and start.
pub type Addition = (CampaignId, Watching, Step);

/// A campaign whose figures ask for a hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Trip {
    pub id: CampaignId,
    pub guard: Guard,
    pub counts: Counts,
}

/// What came of a look at what all replicas have shared.
#[derive(Debug, Default, PartialEq)]
pub struct Refreshed {
    pub trips: Vec<Trip>,
    /// Campaigns whose settings have lost their `answerRate`.
    pub forgotten: Vec<CampaignId>,
}

/// A span of time, which ends also where the clock is set back.
#[derive(Clone, Copy, Debug)]
struct Span {
    begins: Timestamp,
    lasts: Duration,
}

impl Span {
    fn covers(&self, now: Timestamp) -> bool {
        now.duration_since(self.begins).unsigned_abs() < self.lasts
    }
}

struct Watched {
    watching: Watching,
    /// What all replicas had shared when this one last looked, and what it is sharing.
    shared: Window,
    /// What this replica has not shared yet.
    fresh: Window,
    last_event: Timestamp,
    /// The guard asks for nothing meanwhile.
    quiet: Option<Span>,
}

impl Watched {
    fn new(watching: Watching, now: Timestamp) -> Self {
        let (shared, fresh) = (Window::new(watching.window()), Window::new(watching.window()));
        Self { watching, shared, fresh, last_event: now, quiet: None }
    }

    fn record(&mut self, happened: &[Happening], now: Timestamp) {
        self.last_event = now;
        for happening in happened.iter().filter(|happening| happening.at >= self.watching.epoch) {
            self.fresh.record(happening.at, now, happening.counts);
        }
    }

    fn counts(&mut self, now: Timestamp) -> Counts {
        let (shared, fresh) = (self.shared.counts(now), self.fresh.counts(now));
        Counts {
            attempts: shared.attempts.saturating_add(fresh.attempts),
            answers: shared.answers.saturating_add(fresh.answers),
        }
    }

    /// Takes in what all replicas have shared. What was counted before the campaign was started, or in a window of another
    /// length, no longer counts.
    fn refresh(&mut self, found: Shared, now: Timestamp) {
        let was_started = found.watching.epoch != self.watching.epoch;
        if was_started {
            self.quiet = None;
        }
        if was_started || found.watching.window() != self.watching.window() {
            self.fresh = Window::new(found.watching.window());
        }
        self.shared = Window::new(found.watching.window());
        for step in &found.steps {
            self.shared.record(step.starts_at, now, step.counts);
        }
        self.watching = found.watching;
    }

    /// The guard, where the figures ask for its hold and nobody is placing it.
    fn trips(&mut self, now: Timestamp) -> Option<(Guard, Counts)> {
        let counts = self.counts(now);
        let is_quiet = self.watching.is_throttled || self.quiet.is_some_and(|quiet| quiet.covers(now));
        let guard = self.watching.guard.filter(|guard| !is_quiet && guard.trips(counts))?;
        self.quiet = Some(Span { begins: now, lasts: PLACING });
        Some((guard, counts))
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now.duration_since(self.last_event).unsigned_abs() > self.watching.window() + KEPT_AFTER
    }
}

/// The campaigns of which this replica has events.
#[derive(Default)]
pub struct Watchlist {
    watched: HashMap<CampaignId, Watched>,
    /// When these were found to have no `answerRate` settings.
    unwatched: HashMap<CampaignId, Span>,
}

impl Watchlist {
    /// Counts what happened in a campaign, or drops it where the campaign is known not to be watched. False where its
    /// settings have to be read first.
    pub fn count(&mut self, id: &CampaignId, happened: &[Happening], now: Timestamp) -> bool {
        match self.watched.get_mut(id) {
            Some(campaign) => {
                campaign.record(happened, now);
                true
            }
            None => self.unwatched.get(id).is_some_and(|span| span.covers(now)),
        }
    }

    /// Takes in the settings of a campaign, and what was shared of it: it is watched from here on where it has
    /// `answerRate`.
    ///
    /// # Errors
    /// Where too many are.
    pub fn meet(&mut self, id: &CampaignId, found: Shared, now: Timestamp) -> Result<(), TooManyCampaigns> {
        if found.watching.guard.is_none() {
            self.leave_unwatched(id, now);
            return Ok(());
        }
        self.unwatched.remove(id);
        if self.watched.contains_key(id) {
            return Ok(());
        }
        if self.watched.len() >= MOST_CAMPAIGNS {
            return Err(TooManyCampaigns);
        }
        let mut campaign = Watched::new(found.watching, now);
        campaign.refresh(found, now);
        self.watched.insert(id.clone(), campaign);
        Ok(())
    }

    fn leave_unwatched(&mut self, id: &CampaignId, now: Timestamp) {
        if self.unwatched.len() >= MOST_UNWATCHED {
            self.unwatched.retain(|_, span| span.covers(now));
        }
        if self.unwatched.len() >= MOST_UNWATCHED {
            self.unwatched.clear();
        }
        self.unwatched.insert(id.clone(), Span { begins: now, lasts: UNWATCHED_FOR });
    }

    /// The campaigns that are watched.
    pub fn ids(&self) -> Vec<CampaignId> {
        self.watched.keys().cloned().collect()
    }

    /// Takes what is to be shared. It counts here all the same, until what all have shared is read.
    pub fn take_fresh(&mut self) -> Vec<Addition> {
        let mut taken = Vec::new();
        for (id, campaign) in &mut self.watched {
            for step in campaign.fresh.drain() {
                taken.push((id.clone(), campaign.watching, step));
                campaign.shared.record(step.starts_at, step.starts_at, step.counts);
            }
        }
        taken
    }

    /// Takes in what all replicas have shared.
    pub fn refresh(&mut self, mut found: HashMap<CampaignId, Shared>, now: Timestamp) -> Refreshed {
        let mut refreshed = Refreshed::default();
        self.watched.retain(|id, campaign| {
            // One that was met just now is looked at next time.
            let Some(found) = found.remove(id) else { return true };
            if found.watching.guard.is_none() {
                refreshed.forgotten.push(id.clone());
                return false;
            }
            campaign.refresh(found, now);
            if let Some((guard, counts)) = campaign.trips(now) {
                refreshed.trips.push(Trip { id: id.clone(), guard, counts });
            }
            !campaign.is_over(now)
        });
        refreshed
    }

    /// Nobody is placing a hold any more; the guard asks for none for so long.
    pub fn placed(&mut self, id: &CampaignId, quiet_for: Duration, now: Timestamp) {
        if let Some(campaign) = self.watched.get_mut(id) {
            campaign.quiet = Some(Span { begins: now, lasts: quiet_for });
        }
    }

    /// What counts now, of each campaign.
    pub fn figures(&mut self, now: Timestamp) -> Vec<(CampaignId, Counts)> {
        self.watched.iter_mut().map(|(id, campaign)| (id.clone(), campaign.counts(now))).collect()
    }
}

#[cfg(test)]
#[path = "counters_test.rs"]
mod tests;
