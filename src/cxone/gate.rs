//! The one door through which every request to CXone goes: within the budget, past the breaker, bounded, measured.

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

/// What CXone answered, read to its end.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The body, or why it was given up.
    pub body: Result<Bytes, String>,
}

/// The door.
pub(super) struct Gate {
    budget: Budget,
    breaker: Breaker,
    /// Until when CXone is not asked, since it refused the client.
    refused_until: Mutex<Option<Timestamp>>,
    clock: Clock,
}

impl Gate {
    pub fn new(settings: &Settings, pool: PgPool, clock: Clock) -> Self {
        Self {
            budget: Budget::new(pool, settings.requests_per_minute),
            breaker: Breaker::new(settings.timeout * 2),
            refused_until: Mutex::new(None),
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
        let sent = match request.send().await {
            Ok(answer) => Ok(read(answer).await),
            Err(error) => Err(CxoneError::from_transport(&error)),
        };
        let outcome = sent.and_then(|answer| self.understand(answer, scope));
        match &outcome {
            Err(CxoneError::Unavailable { .. } | CxoneError::OutcomeUnknown { .. }) => {
                self.breaker.failed(self.clock.now());
            }
            _ => self.breaker.answered(),
        }
        if let Err(CxoneError::RateLimited { retry_after }) = &outcome {
            self.budget.back_off(*retry_after).await;
        }
        outcome
    }

    fn understand(&self, answer: Answer, scope: &'static str) -> Result<Bytes, CxoneError> {
        if matches!(answer.status, StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED) {
            return answer.body.map_err(|reason| CxoneError::UnexpectedAnswer { reason });
        }
        let body = answer.body.unwrap_or_default();
        Err(CxoneError::from_answer(answer.status, &answer.headers, &body, scope, self.clock.now()))
    }

    fn check_breaker(&self) -> Result<(), CxoneError> {
        self.breaker.closed_for(self.clock.now()).map_or(Ok(()), |wait| Err(down(wait)))
    }

    /// CXone refused the client; it is not asked again before `until`.
    pub fn client_refused(&self, until: Timestamp) {
        *self.refused_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        metrics::gauge!("ringback_cxone_unauthorized").set(1.0);
    }

    /// CXone took the client.
    pub fn client_accepted(&self) {
        *self.refused_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
        metrics::gauge!("ringback_cxone_unauthorized").set(0.0);
    }

    /// For how long no request goes out, whatever the budget.
    fn closed_for(&self) -> Option<Duration> {
        let now = self.clock.now();
        let refused_until = *self.refused_until.lock().unwrap_or_else(PoisonError::into_inner);
        let refused_for = refused_until.and_then(|until| Duration::try_from(until.duration_since(now)).ok());
        self.breaker.closed_for(now).or(refused_for.filter(|wait| !wait.is_zero()))
    }

    /// Whether a request would be let out now, as far as this replica knows without asking.
    pub fn looks_open(&self) -> bool {
        self.closed_for().is_none() && !self.budget.was_just_refused()
    }

    /// Whether work that needs `count` requests may be started in the background, or for how long not.
    pub async fn may_start(&self, count: u32) -> Decision {
        if let Some(wait) = self.closed_for() {
            return Decision::NotFor(wait);
        }
        // Where the budget cannot be read, the request itself will say so.
        self.budget.may_start(count).await.unwrap_or(Decision::Granted)
    }

    /// How CXone is, as operators want to know it.
    pub fn condition(&self) -> Condition {
        if self.refused_until.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Condition::Unauthorized;
        }
        if self.check_breaker().is_err() { Condition::Down } else { Condition::Ok }
    }
}

fn down(wait: Duration) -> CxoneError {
    let reason = "it has not answered for a while, and is asked again only now and then".into();
    CxoneError::Unavailable { retry_after: Some(wait), reason }
}

async fn read(mut answer: Response) -> Answer {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut body = BytesMut::new();
    let body = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER => body.extend_from_slice(&chunk),
            Ok(Some(_)) => break Err(format!("the answer is larger than {MAX_ANSWER} bytes")),
            Ok(None) => break Ok(body.freeze()),
            Err(_) => break Err("the answer broke off".into()),
        }
    };
    Answer { status, headers, body }
}
