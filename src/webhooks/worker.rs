//! The jobs of this slice: deliveries that are due. Each job is one attempt to deliver one event to one endpoint.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::detail::DisabledDetail;
use super::endpoint_slots::{EndpointSlot, EndpointSlots};
use super::model::{ATTEMPTED_WITHIN, Attempt, Claimed, DeliveryLease, Verdict};
use super::retry::verdict;
use super::sender::{Sender, WebhookSettings};
use super::store::{Settled, WebhookStore};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::db::{release_in_background, retry};
use crate::jobs::{self, Next, PURGE, Queue};

/// Longer than an attempt can take.
const LEASE: Duration = Duration::from_secs(25);
/// A lease is longer by a random part of this. So leases end at different microseconds, also those that begin together.
const LEASE_SPREAD: Duration = Duration::from_secs(1);
// A delivery that is being attempted is not sent again.
const _: () = assert!(LEASE.as_secs() + LEASE_SPREAD.as_secs() < ATTEMPTED_WITHIN.unsigned_abs().as_secs());
/// A replica that cannot sign a delivery leaves it for this long to other replicas, or to a restart with the right settings.
const UNSIGNED_WAIT: Duration = Duration::from_secs(30);
/// How long events and their deliveries are kept.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Delivers what is due.
pub type DeliveryWorker = jobs::Worker<DeliveryQueue>;

/// A delivery that is to be attempted.
pub struct DeliveryJob {
    claimed: Claimed,
    _slot: EndpointSlot,
}

/// The deliveries in Postgres.
pub struct DeliveryQueue {
    store: WebhookStore,
    sender: Sender,
    endpoints: EndpointSlots,
    clock: Clock,
}

impl DeliveryQueue {
    /// The deliveries of this store, sent with these settings.
    ///
    /// # Errors
    /// Where the machine's TLS cannot be set up.
    pub fn new(store: WebhookStore, settings: WebhookSettings, clock: Clock) -> Result<Self, reqwest::Error> {
        let sender = Sender::new(settings, clock.clone())?;
        Ok(Self { store, sender, endpoints: EndpointSlots::default(), clock })
    }

    /// Ends deliveries that are never sent, and deletes old events, until `stop`.
    pub async fn purge(&self, stop: &CancellationToken) {
        let purge = || async {
            let now = self.clock.now();
            self.store.end_undeliverable(now).await?;
            self.store.purge(now - KEPT_FOR).await.map(drop)
        };
        PURGE.run(stop, "old webhook events were not deleted", purge).await;
    }

    async fn deliver(&self, claimed: &Claimed) -> Result<(), sqlx::Error> {
        let (at, started) = (self.clock.now(), Instant::now());
        let signature = match self.sender.signature(claimed, at) {
            Ok(signature) => signature,
            // The receiver has not failed, so this is not counted as an attempt.
            Err(error) => {
                tracing::error!(webhook.id = %claimed.endpoint, error = %error, "a webhook cannot be signed");
                return self.store.release(&claimed.lease(), at + UNSIGNED_WAIT).await;
            }
        };
        let sent = self.sender.send(claimed, at, signature).await;
        let verdict = verdict(sent.answered, claimed.attempts, claimed.failing_since, &self.clock);
        let attempt = Attempt {
            at,
            duration_ms: i32::try_from(started.elapsed().as_millis()).unwrap_or(i32::MAX),
            status: sent.status,
            error: sent.error,
            answer: sent.body,
        };
        let entry = match &verdict {
            Verdict::Disabled { reason, .. } => Some(self.disabled_entry(claimed, reason)),
            Verdict::Succeeded | Verdict::Again(_) | Verdict::Dead => None,
        };
        // Where an earlier try was committed and its answer lost, the next one changes nothing.
        let jitter = claimed.id.as_u64_pair().1;
        if let Some(settled) = retry(jitter, || self.store.settle(claimed, &attempt, &verdict, entry.clone())).await? {
            count(claimed, &verdict, settled);
        }
        Ok(())
    }

    fn disabled_entry(&self, claimed: &Claimed, reason: &str) -> Entry {
        let by = Actor::system("webhooks");
        let (id, now) = (self.clock.new_id(), self.clock.now());
        Entry::new(id, now, Action::WebhookDisabled, by, Outcome::Succeeded)
            .with_detail(&DisabledDetail { webhook_id: claimed.endpoint, reason })
    }
}

impl Queue for DeliveryQueue {
    type Job = DeliveryJob;
    type Lease = DeliveryLease;

    const JOBS: &'static str = "webhook deliveries";
    const SLOTS: usize = 32;
    const POLL: Duration = Duration::from_millis(250);
    const DRAIN: Duration = Duration::from_secs(8);
    const RENEW_EVERY: Option<Duration> = None;

    fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn claim(&self, _running: usize) -> Result<Next<DeliveryJob>, sqlx::Error> {
        let now = self.clock.now();
        let lease_end = now + LEASE + self.clock.between(Duration::ZERO, LEASE_SPREAD);
        let claimed = self.store.claim(now, lease_end, &self.endpoints.full(), self.sender.configured_url()).await;
        if claimed.is_err() {
            let (store, clock) = (self.store.clone(), self.clock.clone());
            release_in_background(move || {
                let (store, now) = (store.clone(), clock.now());
                async move { store.release_lost(lease_end, now).await }
            });
        }
        Ok(claimed?.map_or(Next::Wait(Self::POLL), |claimed| {
            let slot = self.endpoints.take(claimed.endpoint, claimed.failing_since.is_some());
            Next::Job(DeliveryJob { claimed, _slot: slot })
        }))
    }

    fn lease(&self, job: &DeliveryJob) -> DeliveryLease {
        job.claimed.lease()
    }

    async fn work(&self, job: DeliveryJob) -> Result<(), sqlx::Error> {
        self.deliver(&job.claimed).await
    }

    /// The receiver may have the event already: it is delivered at least once.
    async fn release(&self, lease: &DeliveryLease) -> Result<(), sqlx::Error> {
        self.store.release(lease, self.clock.now()).await
    }
}

fn count(claimed: &Claimed, verdict: &Verdict, settled: Settled) {
    let outcome = match verdict {
        Verdict::Succeeded => "succeeded",
        Verdict::Again(_) => "failed",
        Verdict::Dead | Verdict::Disabled { .. } => "dead",
    };
    metrics::counter!("ringback_webhook_attempts_total", "outcome" => outcome).increment(1);
    if let Verdict::Disabled { reason, .. } = verdict
        && settled.is_disabled
    {
        tracing::warn!(webhook.id = %claimed.endpoint, reason, "the endpoint is disabled");
        metrics::counter!("ringback_webhook_endpoints_disabled_total").increment(1);
    }
}
