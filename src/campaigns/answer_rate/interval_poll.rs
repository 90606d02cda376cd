//! Reads attempts and answers from CXone, for the campaigns whose settings say so. One replica at a time reads, one request for
//! all of them; the counts are stored like those of events, and the same rule pauses a campaign.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::interval_store::IntervalStore;
use super::intervals::{WatchedCampaign, counted};
use super::monitor::AnswerRateMonitor;
use super::store::AnswerRateStore;
use crate::clock::Clock;
use crate::cxone::{Class, Cxone, CxoneError, DialerIntervals, RequestContext};
use crate::trace::Traceparent;
use crate::types::CampaignId;

/// How often a replica looks whether a read is due.
const CHECK: Duration = Duration::from_secs(4);
/// Longer than a read may take.
const LEASE: SignedDuration = SignedDuration::from_mins(3);
/// A read that fails is repeated this much later, at the latest.
const AFTER_FAILURE: SignedDuration = SignedDuration::from_secs(30);
/// Intervals that began this long ago are still read, and those of a campaign that was not read for this time are only noted.
const LATEST: SignedDuration = SignedDuration::from_hours(1);

/// Reads the intervals of dialers.
pub struct IntervalPoller {
    store: IntervalStore,
    rates: AnswerRateStore,
    monitor: Arc<AnswerRateMonitor>,
    cxone: Arc<Cxone>,
    every: Duration,
    clock: Clock,
}

/// Why intervals could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Cxone(#[from] CxoneError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl IntervalPoller {
    /// Reads every so often, and lets the monitor watch the counts.
    pub fn new(
        stores: (IntervalStore, AnswerRateStore),
        monitor: Arc<AnswerRateMonitor>,
        cxone: Arc<Cxone>,
        every: Duration,
        clock: Clock,
    ) -> Self {
        let (store, rates) = stores;
        Self { store, rates, monitor, cxone, every, clock }
    }

    /// Runs until `stop`. Ends at once where CXone reports no intervals.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.repeat()).await;
    }

    async fn repeat(&self) {
        let Some(intervals) = self.cxone.dialer_intervals() else { return };
        let longest = CHECK.min(self.every);
        loop {
            if let Err(error) = Box::pin(self.read_due(intervals)).await {
                tracing::warn!(error = %error, "the answer rates of campaigns could not be read");
            }
            tokio::time::sleep(self.clock.between(longest / 2, longest)).await;
        }
    }

    /// Reads if that is due, and no other replica does.
    async fn read_due(&self, intervals: DialerIntervals<'_>) -> Result<(), ReadError> {
        let (lease, now) = (self.clock.new_id(), self.clock.now());
        if !self.store.claim(lease, now, now + LEASE).await? {
            return Ok(());
        }
        let read = self.read(intervals, lease).await;
        let every = SignedDuration::try_from(self.every).unwrap_or(LEASE);
        let next = now + if read.is_ok() { every } else { every.min(AFTER_FAILURE) };
        self.store.release(lease, next).await?;
        read
    }

    async fn read(&self, intervals: DialerIntervals<'_>, lease: Uuid) -> Result<(), ReadError> {
        let trace = Traceparent::root(self.clock.new_id());
        let context = RequestContext { class: Class::Routine, trace: &trace };
        let ids = self.store.campaigns().await?;
        if ids.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        // First, because the skills of many campaigns can use up the share of the quota.
        let read = intervals.read(now - LATEST, now, context).await?;
        let mut campaigns = self.watched(ids, intervals, context).await?;
        let ids: Vec<CampaignId> = campaigns.iter().map(|campaign| campaign.id.clone()).collect();
        let known = self.store.known(&ids, now - LATEST).await?;
        for campaign in &mut campaigns {
            campaign.is_continued = known.continued.contains(&campaign.id);
        }
        let now = self.clock.now();
        let counted = counted(&read, &campaigns, &known.noted, now);
        if self.store.save(lease, &ids, &counted, now).await? {
            self.monitor.watch(&ids).await?;
        }
        Ok(())
    }

    /// The campaigns whose intervals are read. One whose skills cannot be read is left out.
    async fn watched(
        &self,
        ids: Vec<CampaignId>,
        intervals: DialerIntervals<'_>,
        context: RequestContext<'_>,
    ) -> Result<Vec<WatchedCampaign>, ReadError> {
        let mut shared = self.rates.shared_counts(&ids, self.clock.now()).await?;
        let mut watched = Vec::new();
        for id in ids {
            let state = shared.remove(&id).unwrap_or_default().state;
            match intervals.skills_of(&id, context).await {
                Ok(skills) => {
                    let skills = skills.into_iter().collect();
                    watched.push(WatchedCampaign { id, skills, state, is_continued: false });
                }
                Err(error) => {
                    tracing::warn!(campaign.id = %id, error = %error, "the skills of the campaign are not known");
                }
            }
        }
        Ok(watched)
    }
}
