//! The gate that every request to CXone passes: it enforces the budget, the breakers and the suspensions, and measures.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use jiff::Timestamp;
use parking_lot::Mutex;
use reqwest::RequestBuilder;
use sqlx::PgPool;
use strum::VariantArray as _;

use super::breaker::Breaker;
use super::budget::{Budget, Class, Decision, GRANT_LASTS, NewJob, QuotaUse};
use super::endpoint::{Condition, Endpoint, EndpointCondition, EndpointTable};
use super::error::{CxoneError, Failed};
use super::response::{Accepted, Answer};
use super::settings::Settings;
use super::slowest::Slowest;
use super::suspension::Suspension;
use crate::clock::Clock;

/// The waits after the first refusals of an API that publishes no quota …
const WAITS_WITHOUT_QUOTA: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(6)];
/// … and after each further one.
const LONGEST_WAIT_WITHOUT_QUOTA: Duration = Duration::from_mins(1);

/// Asked immediately before a request is sent: whether it is still wanted.
pub trait StillWanted: Send + Sync {
    /// Answers within half a second. Without an answer in time, the request is not sent.
    fn ask(&self) -> BoxFuture<'_, bool>;
}

impl<F, A> StillWanted for F
where
    F: Fn() -> A + Send + Sync,
    A: Future<Output = bool> + Send,
{
    fn ask(&self) -> BoxFuture<'_, bool> {
        Box::pin(async { self().await })
    }
}

/// The conditions under which a request is sent.
#[derive(Clone, Copy)]
pub struct Admission<'a> {
    pub class: Class,
    pub endpoint: Endpoint,
    /// What the request needs: a scope, or a permission of a role.
    pub permission: &'static str,
    pub accepted: Accepted,
    /// The request is not sent after this.
    pub send_by: Option<Timestamp>,
    /// The request is not sent where the answer is no.
    pub still_wanted: Option<&'a dyn StillWanted>,
    /// Gets the status of the response.
    pub status: Option<&'a AtomicU16>,
}

/// One for all requests of a replica.
pub struct Gate {
    budget: Budget,
    breakers: EndpointTable<Breaker>,
    suspensions: Mutex<EndpointTable<Suspension>>,
    slowest: EndpointTable<Slowest>,
    /// Where CXone publishes no quota: the refusals of an endpoint in a row.
    refusals: Option<Mutex<EndpointTable<usize>>>,
    clock: Clock,
    /// The settings that contain the credentials.
    credentials: &'static str,
}

impl Gate {
    pub fn new(settings: &Settings, pool: PgPool, clock: Clock) -> Self {
        report_authorization(false);
        let has_quota = settings.api.publishes_quota();
        Self {
            refusals: (!has_quota).then(Mutex::default),
            budget: Budget::new(pool, settings.requests_per_minute, has_quota, clock.new_id()),
            breakers: EndpointTable::from_closure(|endpoint| Breaker::new(endpoint, settings.timeout * 2)),
            suspensions: Mutex::default(),
            slowest: EndpointTable::from_closure(|_| Slowest::new(Instant::now())),
            clock,
            credentials: settings.api.credentials(),
        }
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    /// Where it was not sent, got no response, or one that is not a success.
    pub async fn send(&self, admission: Admission<'_>, request: RequestBuilder) -> Result<Bytes, Failed> {
        let endpoint = admission.endpoint;
        self.admit(admission).await?;
        let mut in_flight = InFlight { gate: self, endpoint, sent_at: Instant::now(), is_answered: false };
        let outcome = match request.send().await {
            Ok(response) => {
                if let Some(status) = admission.status {
                    status.store(response.status().as_u16(), Ordering::Relaxed);
                }
                let answer = Answer::read(response, admission.accepted.max_body).await;
                self.report(endpoint, answer.is_healthy());
                answer.into_success(admission.accepted, admission.permission, self.clock.now())
            }
            // An invalid request does not show whether CXone works.
            Err(error) if error.is_builder() => Err(CxoneError::from_transport(&error).into()),
            Err(error) => {
                self.report(endpoint, false);
                Err(CxoneError::from_transport(&error).into())
            }
        };
        in_flight.is_answered = true;
        drop(in_flight);
        if let Err(Failed { error: CxoneError::RateLimited { retry_after }, .. }) = &outcome {
            let wait = self.wait_after_refusal(endpoint, *retry_after);
            self.budget.back_off(endpoint, wait).await;
            return Err(CxoneError::RateLimited { retry_after: wait }.into());
        }
        if let (Ok(_), Some(refusals)) = (&outcome, &self.refusals) {
            refusals.lock()[endpoint] = 0;
        }
        outcome
    }

    /// An API without a published quota gives no reliable `Retry-After`: the waits grow with each refusal in a row.
    fn wait_after_refusal(&self, endpoint: Endpoint, retry_after: Duration) -> Duration {
        let Some(refusals) = &self.refusals else { return retry_after };
        let mut refusals = refusals.lock();
        let wait = WAITS_WITHOUT_QUOTA.get(refusals[endpoint]).copied().unwrap_or(LONGEST_WAIT_WITHOUT_QUOTA);
        refusals[endpoint] += 1;
        retry_after.max(wait)
    }

    /// Returns when the request may be sent. Nothing is awaited between this and the sending.
    async fn admit(&self, admission: Admission<'_>) -> Result<(), CxoneError> {
        let Admission { class, endpoint, send_by, still_wanted, .. } = admission;
        let breaker = &self.breakers[endpoint];
        breaker.closed_for(self.clock.now()).map_or(Ok(()), |wait| Err(down(endpoint, wait)))?;
        self.budget.take(class, endpoint).await?;
        if let Some(still_wanted) = still_wanted {
            verify(still_wanted).await?;
        }
        let now = self.clock.now();
        if send_by.is_some_and(|send_by| now > send_by) {
            return Err(CxoneError::NotSentInTime);
        }
        // Last, because an admitted request may be the probe.
        breaker.admit(now).map_err(|wait| down(endpoint, wait))
    }

    fn report(&self, endpoint: Endpoint, is_healthy: bool) {
        let breaker = &self.breakers[endpoint];
        if is_healthy { breaker.succeeded() } else { breaker.failed(self.clock.now()) }
    }

    /// Suspends an endpoint that refused the client or returned no token, and returns the end. Each suspension is longer
    /// than the one before, until [`resume`](Self::resume).
    pub fn suspend(&self, endpoint: Endpoint, error: &CxoneError) -> Timestamp {
        let mut suspensions = self.suspensions.lock();
        let until = suspensions[endpoint].extend(error, self.clock.now());
        report_authorization(is_unauthorized(&suspensions));
        until
    }

    /// The endpoint accepted a token, or returned one.
    pub fn resume(&self, endpoint: Endpoint) {
        let mut suspensions = self.suspensions.lock();
        if suspensions[endpoint].has_failed() {
            suspensions[endpoint] = Suspension::default();
            report_authorization(is_unauthorized(&suspensions));
        }
    }

    /// Why no request is sent to this endpoint, where it is suspended.
    pub fn suspended(&self, endpoint: Endpoint) -> Option<CxoneError> {
        self.suspensions.lock()[endpoint].reason(self.clock.now()).cloned()
    }

    /// The duration of the slowest request to this endpoint in about the last ten minutes, until it was answered, failed or
    /// was cancelled; zero where there was none.
    pub fn slowest_recent(&self, endpoint: Endpoint) -> Duration {
        self.slowest[endpoint].recent(Instant::now())
    }

    /// Whether requests are sent to all of these endpoints now.
    pub fn is_up(&self, endpoints: &[Endpoint]) -> bool {
        let now = self.clock.now();
        endpoints.iter().all(|endpoint| self.wait_for(*endpoint, now).is_none())
    }

    fn wait_for(&self, endpoint: Endpoint, now: Timestamp) -> Option<Duration> {
        let suspended = self.suspensions.lock()[endpoint].left(now);
        suspended.max(self.breakers[endpoint].closed_for(now))
    }

    /// Whether requests to these endpoints would be sent now, as far as this replica knows.
    pub fn looks_open(&self, class: Class, endpoints: &[Endpoint]) -> bool {
        self.is_up(endpoints) && !self.budget.refuses(class, endpoints)
    }

    /// Whether a job of background work with requests to these endpoints may start, or how long to wait.
    pub async fn may_start(&self, endpoints: &[Endpoint], job: NewJob) -> Decision {
        let now = self.clock.now();
        if let Some(wait) = endpoints.iter().filter_map(|endpoint| self.wait_for(*endpoint, now)).max() {
            return Decision::NotFor(wait);
        }
        // Where the budget cannot be read, the request itself fails.
        if let Ok(Decision::NotFor(wait)) = self.budget.may_start(endpoints, job).await {
            return Decision::NotFor(wait);
        }
        let refused = endpoints.iter().find_map(|endpoint| self.breakers[*endpoint].may_start(now).err());
        refused.map_or(Decision::Granted, Decision::NotFor)
    }

    /// The condition of each endpoint, by its name.
    pub async fn endpoint_conditions(&self) -> Vec<(&'static str, EndpointCondition)> {
        let pauses = self.budget.back_offs().await;
        let (now, suspensions) = (self.clock.now(), self.suspensions.lock());
        let condition = |endpoint: Endpoint| {
            let suspension = &suspensions[endpoint];
            let suspended_until = suspension.left(now).map(|left| now + left);
            let paused_until = pauses.iter().find(|(paused, _)| *paused == endpoint).map(|(_, until)| *until);
            if let Some(left) = self.breakers[endpoint].closed_for(now) {
                return EndpointCondition::Down(now + left);
            }
            match suspended_until.max(paused_until) {
                _ if suspension.is_unauthorized() => EndpointCondition::Unauthorized(suspended_until.unwrap_or(now)),
                Some(until) => EndpointCondition::BackOff(until),
                None => EndpointCondition::Works,
            }
        };
        Endpoint::VARIANTS.iter().map(|endpoint| (endpoint.as_str(), condition(*endpoint))).collect()
    }

    /// The use of the quota in the last minute, of all replicas.
    pub async fn quota_use(&self) -> Result<QuotaUse, CxoneError> {
        self.budget.quota_use().await
    }

    /// The condition that the readiness page shows.
    pub fn condition(&self) -> Condition {
        if is_unauthorized(&self.suspensions.lock()) {
            return Condition::Unauthorized(self.credentials);
        }
        let now = self.clock.now();
        let is_down = |endpoint: &Endpoint| self.breakers[*endpoint].closed_for(now).is_some();
        match Endpoint::VARIANTS.iter().copied().filter(is_down).collect::<Vec<_>>() {
            down if down.is_empty() => Condition::Ok,
            down => Condition::Down(down),
        }
    }
}

/// A request that was sent. One that is cancelled counts as a failure, so that a probe does not block the breaker.
struct InFlight<'a> {
    gate: &'a Gate,
    endpoint: Endpoint,
    sent_at: Instant,
    is_answered: bool,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.gate.slowest[self.endpoint].add(self.sent_at.elapsed(), Instant::now());
        if !self.is_answered {
            self.gate.report(self.endpoint, false);
        }
    }
}

/// Waits for the answer no longer than a grant of the budget lasts.
async fn verify(still_wanted: &dyn StillWanted) -> Result<(), CxoneError> {
    match tokio::time::timeout(GRANT_LASTS, still_wanted.ask()).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(CxoneError::Superseded),
        Err(_) => {
            let reason = "it could not be verified in time that the change is still wanted".into();
            Err(CxoneError::Unavailable { retry_after: None, reason })
        }
    }
}

fn down(endpoint: Endpoint, wait: Duration) -> CxoneError {
    let name = endpoint.as_str();
    let reason = format!("{name} does not respond; only a probe is sent from time to time");
    CxoneError::Unavailable { retry_after: Some(wait), reason }
}

fn is_unauthorized(suspensions: &EndpointTable<Suspension>) -> bool {
    Endpoint::VARIANTS.iter().any(|endpoint| suspensions[*endpoint].is_unauthorized())
}

fn report_authorization(is_unauthorized: bool) {
    metrics::gauge!("ringback_cxone_unauthorized").set(if is_unauthorized { 1.0 } else { 0.0 });
}
