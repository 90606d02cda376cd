//! Delivers events: signed, in order for each campaign and endpoint, until they are taken or time is up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::address::{GuardedResolver, Reach};
use super::detail::DisabledDetail;
use super::endpoint::{Attempt, Claimed, Verdict};
use super::retry::{Answered, verdict};
use super::secret::{Seal, SecretError, SigningSecret};
use super::store::WebhookStore;
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::db::{release_in_background, retry};
use crate::types::parse_retry_after;

/// A receiver that has not answered by then has failed (Standard Webhooks suggests 15 to 30 s).
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Longer than an attempt can take.
const LEASE: Duration = Duration::from_secs(25);
/// Deliveries that one replica makes at a time …
const SLOTS: usize = 32;
/// … and of those, to one endpoint: a slow one delays only itself.
const SLOTS_OF_AN_ENDPOINT: usize = 4;
/// One that fails may hang in each of its attempts.
const SLOTS_OF_A_FAILING_ENDPOINT: usize = 1;
/// A replica that cannot sign leaves the delivery to others, or to a restart with the right settings, for so long.
const UNSIGNED_WAIT: Duration = Duration::from_secs(30);
/// How often a replica looks for deliveries that are due.
const POLL: Duration = Duration::from_millis(250);
/// After SIGTERM, attempts may go on for so long; what is unfinished then is given back.
const DRAIN: Duration = Duration::from_secs(8);
/// No more of an answer is read …
const MOST_READ: usize = 16 * 1024;
/// … and of that, no more is kept.
const MOST_KEPT: usize = 1024;
/// How long events and their deliveries can be looked up and delivered again.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);
const PURGE_EVERY: Duration = Duration::from_secs(600);
/// After a failure.
const PURGE_AGAIN_AFTER: Duration = Duration::from_secs(15);

/// How webhooks are sent.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// Where they may go.
    pub reach: Reach,
    /// What opens secrets; without it only the configuration's endpoint can be told.
    pub seal: Option<Seal>,
    /// The endpoint of the configuration.
    pub configured: Option<(String, SigningSecret)>,
}

/// An endpoint that deliveries are on their way to.
#[derive(Clone, Copy, Default)]
struct Busy {
    deliveries: usize,
    is_failing: bool,
}

/// Delivers what is due.
pub struct DeliveryWorker {
    store: WebhookStore,
    settings: WebhookSettings,
    http: reqwest::Client,
    clock: Clock,
    slots: Arc<Semaphore>,
    busy: Mutex<HashMap<Uuid, Busy>>,
    running: TaskTracker,
    give_up: CancellationToken,
}

impl DeliveryWorker {
    /// With nothing to do yet.
    ///
    /// # Errors
    /// Where the machine's TLS cannot be set up.
    pub fn new(store: WebhookStore, settings: WebhookSettings, clock: Clock) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(GuardedResolver(settings.reach)))
            .user_agent(concat!("ringback/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            store,
            settings,
            http,
            clock,
            slots: Arc::new(Semaphore::new(SLOTS)),
            busy: Mutex::default(),
            running: TaskTracker::new(),
            give_up: CancellationToken::new(),
        })
    }

    /// Delivers what is due, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::join!(self.claim_and_start(&stop), stop.run_until_cancelled(self.purge()));
    }

    /// A claim is never cut off in the middle: Postgres might carry it out all the same, for nobody.
    async fn claim_and_start(self: &Arc<Self>, stop: &CancellationToken) {
        loop {
            // The semaphore is never closed.
            let slot = stop.run_until_cancelled(Arc::clone(&self.slots).acquire_owned()).await;
            let Some(Ok(slot)) = slot else { return };
            match self.claim().await {
                Ok(Some(claimed)) if stop.is_cancelled() => {
                    if let Err(error) = self.store.release(&claimed, self.clock.now()).await {
                        tracing::error!(error = %error, "a delivery could not be released; it is due when its lease ends");
                    }
                    return;
                }
                Ok(Some(claimed)) => {
                    let worker = Arc::clone(self);
                    worker.occupy(&claimed);
                    self.running.spawn(async move {
                        worker.deliver_or_release(&claimed).await;
                        worker.leave(claimed.endpoint);
                        drop(slot);
                    });
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::error!(error = %error, "webhook deliveries cannot be claimed"),
            }
            drop(slot);
            stop.run_until_cancelled(tokio::time::sleep(self.clock.between(POLL / 2, POLL))).await;
        }
    }

    async fn claim(&self) -> Result<Option<Claimed>, sqlx::Error> {
        let now = self.clock.now();
        let lease_end = now + LEASE;
        let configured = self.settings.configured.as_ref().map(|(url, _)| url.as_str());
        let claimed = self.store.claim(now, lease_end, &self.saturated(), configured).await;
        if claimed.is_err() {
            let (store, clock) = (self.store.clone(), self.clock.clone());
            release_in_background(move || {
                let (store, now) = (store.clone(), clock.now());
                async move { store.release_lost(lease_end, now).await }
            });
        }
        claimed
    }

    async fn purge(&self) {
        let mut timer = tokio::time::interval(PURGE_EVERY);
        loop {
            timer.tick().await;
            if let Err(error) = self.store.purge(self.clock.now() - KEPT_FOR).await {
                tracing::error!(error = %error, "old webhook events were not deleted");
                timer.reset_after(PURGE_AGAIN_AFTER);
            }
        }
    }

    fn saturated(&self) -> Vec<Uuid> {
        let busy = self.lock();
        let is_full = |busy: &Busy| {
            let slots = if busy.is_failing { SLOTS_OF_A_FAILING_ENDPOINT } else { SLOTS_OF_AN_ENDPOINT };
            busy.deliveries >= slots
        };
        busy.iter().filter(|(_, busy)| is_full(busy)).map(|(id, _)| *id).collect()
    }

    fn occupy(&self, claimed: &Claimed) {
        let mut busy = self.lock();
        let endpoint = busy.entry(claimed.endpoint).or_default();
        endpoint.deliveries += 1;
        endpoint.is_failing = claimed.failing_since.is_some();
    }

    fn leave(&self, endpoint: Uuid) {
        let mut busy = self.lock();
        if let Some(endpoint) = busy.get_mut(&endpoint) {
            endpoint.deliveries = endpoint.deliveries.saturating_sub(1);
        }
        busy.retain(|_, endpoint| endpoint.deliveries > 0);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Busy>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets what runs finish, and gives back what does not in time. Nothing may be started any more.
    pub async fn drain(&self) {
        self.running.close();
        if tokio::time::timeout(DRAIN, self.running.wait()).await.is_err() {
            self.give_up.cancel();
            self.running.wait().await;
        }
    }

    async fn deliver_or_release(&self, claimed: &Claimed) {
        let delivered = self.give_up.run_until_cancelled(self.deliver(claimed)).await;
        let written = match delivered {
            Some(written) => written,
            // The receiver may have it: it is delivered at least once.
            None => self.store.release(claimed, self.clock.now()).await,
        };
        if let Err(error) = written {
            tracing::error!(error = %error, "an attempt was not written down; it is made again");
            let (store, clock, claimed) = (self.store.clone(), self.clock.clone(), claimed.clone());
            release_in_background(move || {
                let (store, claimed, now) = (store.clone(), claimed.clone(), clock.now());
                async move { store.release(&claimed, now).await }
            });
        }
    }

    async fn deliver(&self, claimed: &Claimed) -> Result<(), sqlx::Error> {
        let (at, started) = (self.clock.now(), Instant::now());
        let signature = match self.signature(claimed, at) {
            Ok(signature) => signature,
            // That is no fault of the receiver's, and costs it no attempt.
            Err(error) => {
                tracing::error!(webhook.id = %claimed.endpoint, error = %error, "a webhook cannot be signed");
                return self.store.release(claimed, at + UNSIGNED_WAIT).await;
            }
        };
        let (answered, answer, error) = self.send(claimed, at, signature).await;
        let attempt = Attempt {
            at,
            duration_ms: i32::try_from(started.elapsed().as_millis()).unwrap_or(i32::MAX),
            status: answered.status.or(answer.status),
            error,
            answer: answer.text,
        };
        let mut verdict = verdict(answered, claimed.attempts, claimed.failing_since, &self.clock);
        if matches!(verdict, Verdict::Disabled(_)) {
            // It may have taken another event meanwhile.
            let failing_since = self.store.find(claimed.endpoint).await?.and_then(|endpoint| endpoint.failing_since);
            verdict = super::retry::verdict(answered, claimed.attempts, failing_since, &self.clock);
        }
        let entry = match &verdict {
            Verdict::Disabled(reason) => Some(self.disabled_entry(claimed, reason)),
            Verdict::Succeeded | Verdict::Again(_) | Verdict::Dead => None,
        };
        // A try whose answer was lost has settled it; the next finds nothing to do.
        let jitter = claimed.id.as_u64_pair().1;
        if retry(jitter, || self.store.settle(claimed, &attempt, &verdict, entry.clone())).await? {
            count(claimed, &verdict);
        }
        Ok(())
    }

    fn disabled_entry(&self, claimed: &Claimed, reason: &str) -> Entry {
        let by = Actor::system("webhooks");
        let (id, now) = (self.clock.new_id(), self.clock.now());
        Entry::new(id, now, Action::WebhookDisabled, by, Outcome::Succeeded)
            .with_detail(&DisabledDetail { webhook_id: claimed.endpoint, reason })
    }

    async fn send(&self, claimed: &Claimed, at: Timestamp, signature: String) -> (Answered, Excerpt, Option<String>) {
        let failed = |error: String| (Answered { status: None, retry_after: None }, Excerpt::default(), Some(error));
        // Once more: the settings may have changed since the endpoint was made.
        let url = match self.settings.reach.parse(&claimed.url) {
            Ok(url) => url,
            Err(fault) => return failed(format!("the URL {}", fault.detail)),
        };
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", claimed.event_id.to_string())
            .header("webhook-timestamp", at.as_second().to_string())
            .header("webhook-signature", signature)
            .body(claimed.body.clone());
        match request.send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                let retry_after = retry_after(answer.headers(), self.clock.now());
                let (text, whole) = read(answer).await;
                let excerpt = Excerpt { status: Some(status), text };
                if whole {
                    return (Answered { status: Some(status), retry_after }, excerpt, None);
                }
                let error = "the answer broke off, or took longer than 15 seconds".to_owned();
                (Answered { status: None, retry_after }, excerpt, Some(error))
            }
            Err(error) => failed(reason(&error)),
        }
    }

    /// A signature by each secret that still counts.
    fn signature(&self, claimed: &Claimed, at: Timestamp) -> Result<String, SecretError> {
        let sign = |secret: &SigningSecret| secret.sign(claimed.event_id, at.as_second(), &claimed.body);
        if claimed.is_configured {
            let configured = self.settings.configured.as_ref().filter(|(url, _)| *url == claimed.url);
            return configured.map_or(Err(SecretError::NoKey), |(_, secret)| sign(secret));
        }
        let seal = self.settings.seal.as_ref().ok_or(SecretError::NoKey)?;
        let current = claimed.secrets.current.as_deref().ok_or(SecretError::NoKey)?;
        let mut signatures = vec![sign(&seal.open(claimed.endpoint, current)?)?];
        for (previous, _) in claimed.secrets.previous.iter().filter(|(_, until)| at < *until) {
            signatures.push(sign(&seal.open(claimed.endpoint, previous)?)?);
        }
        Ok(signatures.join(" "))
    }
}

fn count(claimed: &Claimed, verdict: &Verdict) {
    let outcome = match verdict {
        Verdict::Succeeded => "succeeded",
        Verdict::Again(_) => "failed",
        Verdict::Dead | Verdict::Disabled(_) => "dead",
    };
    metrics::counter!("ringback_webhook_attempts_total", "outcome" => outcome).increment(1);
    if let Verdict::Disabled(reason) = verdict {
        tracing::warn!(webhook.id = %claimed.endpoint, reason, "the endpoint is disabled");
        metrics::counter!("ringback_webhook_endpoints_disabled_total").increment(1);
    }
}

/// What is kept of an answer.
#[derive(Default)]
struct Excerpt {
    status: Option<u16>,
    text: Option<String>,
}

/// Reads a bounded piece of the answer; whether it is whole, as far as it was read.
async fn read(mut answer: reqwest::Response) -> (Option<String>, bool) {
    let mut body = Vec::new();
    let whole = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MOST_READ => body.extend_from_slice(&chunk),
            Ok(Some(_) | None) => break true,
            Err(_) => break false,
        }
    };
    body.truncate(MOST_KEPT);
    let text: String = String::from_utf8_lossy(&body).chars().filter(|c| *c != '\0').collect();
    ((!text.is_empty()).then_some(text), whole)
}

fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    parse_retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, now)
}

/// The innermost cause says most; the URL in the outermost is known.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer within 15 seconds".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().chars().take(200).collect()
}
