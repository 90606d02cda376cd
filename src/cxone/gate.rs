//! The one door through which every request to CXone goes: within the budget, past the breaker, bounded, measured.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, Response, StatusCode};
use sqlx::PgPool;

use super::Settings;
use super::breaker::Breaker;
use super::budget::Budget;
use super::endpoint::{Condition, Endpoint};
use super::error::CxoneError;
use super::ledger::{Class, Decision};
use super::ledger_store::GRANT_LASTS;
use super::slowest::Slowest;
use crate::clock::Clock;

/// No answer of CXone's that Ringback reads is anywhere near as long.
const MAX_ANSWER: usize = 256 * 1024;

/// What CXone answered, as far as it was read.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// Why the rest of the body was given up.
    cut_off: Option<CutOff>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CutOff {
    TooLong,
    BrokeOff,
}

/// Asked immediately before a request is sent: whether it is still wanted.
pub trait StillWanted: Send + Sync {
    /// There is half a second for the answer; where it does not come in time, nothing is sent.
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

/// What a request needs to be let out.
#[derive(Clone, Copy)]
pub(super) struct Ticket<'a> {
    pub class: Class,
    pub endpoint: Endpoint,
    /// What CXone wants for it.
    pub scope: &'static str,
    /// After this it is not sent any more.
    pub send_by: Option<Timestamp>,
    /// Where this says no, it is not sent any more.
    pub still_wanted: Option<&'a dyn StillWanted>,
}

/// A failure, with CXone's whole answer where there was one.
#[derive(Debug)]
pub(super) struct Failed {
    pub error: CxoneError,
    pub body: Bytes,
}

impl From<CxoneError> for Failed {
    fn from(error: CxoneError) -> Self {
        Self { error, body: Bytes::new() }
    }
}

impl From<Failed> for CxoneError {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

/// The first wait of a hold, and the longest: a client that is refused, or an endpoint that is broken, costs next to nothing
/// of the quota.
const FIRST_HOLD: Duration = Duration::from_secs(1);
const LONGEST_HOLD: Duration = Duration::from_secs(30);

/// An endpoint that is not asked for a while.
#[derive(Default)]
struct Hold {
    /// Why, and until when.
    failure: Option<(CxoneError, Timestamp)>,
    last_wait: Duration,
}

impl Hold {
    /// Many may be refused at once: that is one hold.
    fn extend(&mut self, error: &CxoneError, now: Timestamp) -> Timestamp {
        if let Some((_, until)) = self.failure.as_ref().filter(|(_, until)| now < *until) {
            return *until;
        }
        self.last_wait = (self.last_wait * 2).clamp(FIRST_HOLD, LONGEST_HOLD);
        let until = now + self.last_wait;
        self.failure = Some((error.clone(), until));
        until
    }

    fn left(&self, now: Timestamp) -> Option<Duration> {
        let (_, until) = self.failure.as_ref()?;
        Duration::try_from(until.duration_since(now)).ok().filter(|wait| !wait.is_zero())
    }

    fn is_unauthorized(&self) -> bool {
        matches!(self.failure, Some((CxoneError::Unauthorized { .. }, _)))
    }
}

fn report_authorization(holds: &[Hold]) {
    let unauthorized = holds.iter().any(Hold::is_unauthorized);
    metrics::gauge!("ringback_cxone_unauthorized").set(if unauthorized { 1.0 } else { 0.0 });
}

/// The door.
pub(super) struct Gate {
    budget: Budget,
    breakers: [Breaker; Endpoint::ALL.len()],
    /// Where CXone has refused the client, or gave no token.
    holds: Mutex<[Hold; Endpoint::ALL.len()]>,
    slowest: [Slowest; Endpoint::ALL.len()],
    clock: Clock,
}

impl Gate {
    pub fn new(settings: &Settings, pool: PgPool, clock: Clock) -> Self {
        metrics::gauge!("ringback_cxone_unauthorized").set(0.0);
        Self {
            budget: Budget::new(pool, settings.requests_per_minute, clock.new_id()),
            breakers: Endpoint::ALL.map(|endpoint| Breaker::new(endpoint, settings.timeout * 2)),
            holds: Mutex::default(),
            slowest: Endpoint::ALL.map(|_| Slowest::new(Instant::now())),
            clock,
        }
    }

    fn breaker(&self, endpoint: Endpoint) -> &Breaker {
        &self.breakers[endpoint as usize]
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// Where it was not let out, got no answer, or one that is no success.
    pub async fn send(&self, ticket: Ticket<'_>, request: RequestBuilder) -> Result<Bytes, Failed> {
        let endpoint = ticket.endpoint;
        self.let_out(ticket).await?;
        let mut sent = Sent { gate: self, endpoint, at: Instant::now(), is_answered: false };
        let outcome = match request.send().await {
            Ok(answer) => {
                let answer = read(answer).await;
                self.report(endpoint, answer.cut_off != Some(CutOff::BrokeOff) && !answer.status.is_server_error());
                self.understand(answer, ticket.scope)
            }
            // A request that could not even be made says nothing of CXone.
            Err(error) if error.is_builder() => Err(CxoneError::from_transport(&error).into()),
            Err(error) => {
                self.report(endpoint, false);
                Err(CxoneError::from_transport(&error).into())
            }
        };
        sent.is_answered = true;
        drop(sent);
        if let Err(Failed { error: CxoneError::RateLimited { retry_after }, .. }) = &outcome {
            self.budget.back_off(endpoint, *retry_after).await;
        }
        outcome
    }

    /// Returns where the request is to be sent now. Nothing is awaited between this and the sending.
    async fn let_out(&self, ticket: Ticket<'_>) -> Result<(), CxoneError> {
        let Ticket { class, endpoint, send_by, still_wanted, .. } = ticket;
        let breaker = self.breaker(endpoint);
        breaker.closed_for(self.clock.now()).map_or(Ok(()), |wait| Err(down(endpoint, wait)))?;
        self.budget.take(class, endpoint).await?;
        if let Some(still_wanted) = still_wanted {
            verify(still_wanted).await?;
        }
        let now = self.clock.now();
        if send_by.is_some_and(|send_by| now > send_by) {
            return Err(CxoneError::NotSentInTime);
        }
        // Last, for whoever is admitted may be the probe.
        breaker.admit(now).map_err(|wait| down(endpoint, wait))
    }

    fn report(&self, endpoint: Endpoint, answered: bool) {
        let breaker = self.breaker(endpoint);
        if answered { breaker.answered() } else { breaker.failed(self.clock.now()) }
    }

    fn understand(&self, answer: Answer, scope: &'static str) -> Result<Bytes, Failed> {
        if !matches!(answer.status, StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED) {
            let Answer { status, headers, body, .. } = answer;
            let error = CxoneError::from_answer(status, &headers, &body, scope, self.clock.now());
            return Err(Failed { error, body });
        }
        let reason = match answer.cut_off {
            None => return Ok(answer.body),
            Some(CutOff::TooLong) => format!("the answer is larger than {MAX_ANSWER} bytes"),
            Some(CutOff::BrokeOff) => "the answer broke off".into(),
        };
        Err(CxoneError::UnexpectedAnswer { reason }.into())
    }

    /// This endpoint refused the client, or no token is to be had: it is not asked again before the instant that is given.
    /// The wait doubles until it takes a token, or gives one.
    pub fn hold(&self, endpoint: Endpoint, error: &CxoneError) -> Timestamp {
        let now = self.clock.now();
        let mut holds = self.holds();
        let until = holds[endpoint as usize].extend(error, now);
        report_authorization(&*holds);
        until
    }

    /// This endpoint took a token, or gave one.
    pub fn release(&self, endpoint: Endpoint) {
        let mut holds = self.holds();
        if holds[endpoint as usize].failure.is_some() {
            holds[endpoint as usize] = Hold::default();
            report_authorization(&*holds);
        }
    }

    /// Why this endpoint is not asked now, where it is held.
    pub fn held(&self, endpoint: Endpoint) -> Option<CxoneError> {
        let holds = self.holds();
        let hold = &holds[endpoint as usize];
        hold.left(self.clock.now()).and(hold.failure.as_ref()).map(|(error, _)| error.clone())
    }

    fn holds(&self) -> std::sync::MutexGuard<'_, [Hold; Endpoint::ALL.len()]> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The longest that a request to this endpoint took within about the last ten minutes, from being sent until it was
    /// answered, failed or given up; zero where there was none.
    pub fn slowest_lately(&self, endpoint: Endpoint) -> Duration {
        self.slowest[endpoint as usize].lately(Instant::now())
    }

    /// Whether these endpoints are asked at all now; of the token endpoint, whether a token is asked for.
    pub fn is_up(&self, endpoints: &[Endpoint]) -> bool {
        let now = self.clock.now();
        endpoints.iter().all(|endpoint| self.wait_of(*endpoint, now).is_none())
    }

    fn wait_of(&self, endpoint: Endpoint, now: Timestamp) -> Option<Duration> {
        let held = self.holds()[endpoint as usize].left(now);
        held.max(self.breaker(endpoint).closed_for(now))
    }

    /// Whether requests to these endpoints would be let out now, as far as this replica knows without asking.
    pub fn looks_open(&self, class: Class, endpoints: &[Endpoint]) -> bool {
        self.is_up(endpoints) && !self.budget.was_just_refused(class, endpoints)
    }

    /// Whether work that needs `count` requests to these endpoints may be started in the background, or for how long
    /// not.
    pub async fn may_start(&self, endpoints: &[Endpoint], count: u32) -> Decision {
        let now = self.clock.now();
        if let Some(wait) = endpoints.iter().filter_map(|endpoint| self.wait_of(*endpoint, now)).max() {
            return Decision::NotFor(wait);
        }
        // Where the budget cannot be read, the request itself will say so.
        if let Ok(Decision::NotFor(wait)) = self.budget.may_start(endpoints, count).await {
            return Decision::NotFor(wait);
        }
        let refused = endpoints.iter().find_map(|endpoint| self.breaker(*endpoint).may_start(now).err());
        refused.map_or(Decision::Granted, Decision::NotFor)
    }

    /// How CXone is, as operators want to know it.
    pub fn condition(&self) -> Condition {
        if self.holds().iter().any(Hold::is_unauthorized) {
            return Condition::Unauthorized;
        }
        let now = self.clock.now();
        let is_down = |endpoint: &Endpoint| self.breaker(*endpoint).closed_for(now).is_some();
        match Endpoint::ALL.into_iter().filter(is_down).collect::<Vec<_>>() {
            down if down.is_empty() => Condition::Ok,
            down => Condition::Down(down),
        }
    }
}

/// A request that is out. One that its asker gives up on has not been answered: a probe must not be waited for any more.
struct Sent<'a> {
    gate: &'a Gate,
    endpoint: Endpoint,
    at: Instant,
    is_answered: bool,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        self.gate.slowest[self.endpoint as usize].add(self.at.elapsed(), Instant::now());
        if !self.is_answered {
            self.gate.report(self.endpoint, false);
        }
    }
}

/// The grant must be used soon, so the answer is not waited for longer than a grant lasts.
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
    let reason = format!("{name} has not answered for a while, and is asked again only now and then");
    CxoneError::Unavailable { retry_after: Some(wait), reason }
}

async fn read(mut answer: Response) -> Answer {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut body = BytesMut::new();
    let cut_off = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER => body.extend_from_slice(&chunk),
            Ok(Some(_)) => break Some(CutOff::TooLong),
            Ok(None) => break None,
            Err(_) => break Some(CutOff::BrokeOff),
        }
    };
    Answer { status, headers, body: body.freeze(), cut_off }
}
