//! The one door through which every request to CXone goes: within the budget, past the breaker, bounded, measured.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, Response, StatusCode};
use sqlx::PgPool;

use super::breaker::Breaker;
use super::budget::Budget;
use super::error::CxoneError;
use super::ledger::{Class, Decision};
use super::{Condition, Settings};
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

/// The door.
pub(super) struct Gate {
    budget: Budget,
    breaker: Breaker,
    /// Until when CXone is not asked, since there is no token to be had.
    held_until: Mutex<Option<Timestamp>>,
    unauthorized: AtomicBool,
    clock: Clock,
}

impl Gate {
    pub fn new(settings: &Settings, pool: PgPool, clock: Clock) -> Self {
        metrics::gauge!("ringback_cxone_unauthorized").set(0.0);
        Self {
            budget: Budget::new(pool, settings.requests_per_minute),
            breaker: Breaker::new(settings.timeout * 2),
            held_until: Mutex::new(None),
            unauthorized: AtomicBool::new(false),
            clock,
        }
    }

    /// Sends a request and reads the whole answer. `scope` is what CXone wants for it.
    ///
    /// # Errors
    /// Where it was not let out, got no answer, or one that is no success.
    pub async fn send(&self, class: Class, request: RequestBuilder, scope: &'static str) -> Result<Bytes, CxoneError> {
        self.check_breaker()?;
        self.budget.take(class).await?;
        self.breaker.admit(self.clock.now()).map_err(down)?;
        let mut unanswered = Unanswered { gate: self, is_over: false };
        let outcome = match request.send().await {
            Ok(answer) => {
                let answer = read(answer).await;
                let whole = answer.cut_off != Some(CutOff::BrokeOff);
                let outcome = self.understand(answer, scope);
                self.report(whole && !is_down(&outcome));
                outcome
            }
            // A request that could not even be made says nothing of CXone.
            Err(error) if error.is_builder() => Err(CxoneError::from_transport(&error)),
            Err(error) => {
                self.report(false);
                Err(CxoneError::from_transport(&error))
            }
        };
        unanswered.is_over = true;
        if let Err(CxoneError::RateLimited { retry_after }) = &outcome {
            self.budget.back_off(*retry_after).await;
        }
        outcome
    }

    fn report(&self, answered: bool) {
        if answered { self.breaker.answered() } else { self.breaker.failed(self.clock.now()) }
    }

    fn understand(&self, answer: Answer, scope: &'static str) -> Result<Bytes, CxoneError> {
        if !matches!(answer.status, StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED) {
            let Answer { status, headers, body, .. } = answer;
            return Err(CxoneError::from_answer(status, &headers, &body, scope, self.clock.now()));
        }
        let reason = match answer.cut_off {
            None => return Ok(answer.body),
            Some(CutOff::TooLong) => format!("the answer is larger than {MAX_ANSWER} bytes"),
            Some(CutOff::BrokeOff) => "the answer broke off".into(),
        };
        Err(CxoneError::UnexpectedAnswer { reason })
    }

    fn check_breaker(&self) -> Result<(), CxoneError> {
        self.breaker.closed_for(self.clock.now()).map_or(Ok(()), |wait| Err(down(wait)))
    }

    /// There is no token; CXone is not asked again before `until`.
    pub fn hold(&self, until: Timestamp, unauthorized: bool) {
        *self.held_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        self.tell_authorization(unauthorized);
    }

    /// CXone took a token.
    pub fn release(&self) {
        *self.held_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.tell_authorization(false);
    }

    fn tell_authorization(&self, unauthorized: bool) {
        self.unauthorized.store(unauthorized, Ordering::Relaxed);
        metrics::gauge!("ringback_cxone_unauthorized").set(if unauthorized { 1.0 } else { 0.0 });
    }

    fn held_for(&self, now: Timestamp) -> Option<Duration> {
        let until = (*self.held_until.lock().unwrap_or_else(PoisonError::into_inner))?;
        Duration::try_from(until.duration_since(now)).ok().filter(|wait| !wait.is_zero())
    }

    /// Whether CXone is asked at all now.
    pub fn is_up(&self) -> bool {
        let now = self.clock.now();
        self.breaker.closed_for(now).is_none() && self.held_for(now).is_none()
    }

    /// Whether a request would be let out now, as far as this replica knows without asking.
    pub fn looks_open(&self, class: Class) -> bool {
        self.is_up() && !self.budget.was_just_refused(class)
    }

    /// Whether work that needs `count` requests may be started in the background, or for how long not.
    pub async fn may_start(&self, count: u32) -> Decision {
        let now = self.clock.now();
        if let Some(wait) = self.held_for(now) {
            return Decision::NotFor(wait);
        }
        // Where the budget cannot be read, the request itself will say so.
        if let Ok(Decision::NotFor(wait)) = self.budget.may_start(count).await {
            return Decision::NotFor(wait);
        }
        self.breaker.may_start(now).map_or_else(Decision::NotFor, |()| Decision::Granted)
    }

    /// How CXone is, as operators want to know it.
    pub fn condition(&self) -> Condition {
        if self.unauthorized.load(Ordering::Relaxed) {
            return Condition::Unauthorized;
        }
        if self.check_breaker().is_err() { Condition::Down } else { Condition::Ok }
    }
}

/// A request that its asker gives up on has not been answered: a probe must not be waited for any more.
struct Unanswered<'a> {
    gate: &'a Gate,
    is_over: bool,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.gate.report(false);
        }
    }
}

fn down(wait: Duration) -> CxoneError {
    let reason = "it has not answered for a while, and is asked again only now and then".into();
    CxoneError::Unavailable { retry_after: Some(wait), reason }
}

fn is_down(outcome: &Result<Bytes, CxoneError>) -> bool {
    use CxoneError::{OutcomeUnknown, ServerError, Unavailable};
    matches!(outcome, Err(ServerError { .. } | Unavailable { .. } | OutcomeUnknown { .. }))
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
