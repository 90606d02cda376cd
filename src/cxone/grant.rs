//! The answer of a token endpoint.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::budget::Class;
use super::endpoint::Endpoint;
use super::error::CxoneError;
use super::gate::{Admission, Gate};
use super::json;
use super::response::Accepted;

/// The most bytes of a token: more than any has, fewer than servers accept in a header.
const MAX_TOKEN: usize = 8 * 1024;
/// A longer lifetime is taken for a mistake.
const LONGEST_LIFE: Duration = Duration::from_hours(24);
/// The answers of a token endpoint that are successes.
const ACCEPTED: Accepted = Accepted { statuses: &[200, 201, 202], max_body: 256 * 1024, is_503_certain: true };

/// How an API grants tokens.
pub trait Grants: Send + Sync {
    /// A new token.
    fn grant<'a>(&'a self, requests: &'a TokenRequests<'a>) -> BoxFuture<'a, Result<Granted, CxoneError>>;
}

/// Sends the requests for a token, which have no token themselves.
pub struct TokenRequests<'a> {
    pub http: &'a reqwest::Client,
    pub gate: &'a Gate,
    pub class: Class,
}

impl TokenRequests<'_> {
    /// The body of the answer. Where there is none, the call that needs the token was not sent.
    pub async fn send(&self, request: RequestBuilder) -> Result<Bytes, CxoneError> {
        let admission = Admission {
            class: self.class,
            endpoint: Endpoint::Token,
            permission: "an access token",
            accepted: ACCEPTED,
            send_by: None,
            still_wanted: None,
            status: None,
        };
        self.gate.send(admission, request).await.map_err(|failed| of_token(failed.error))
    }
}

/// The failure of the call that needs the token. Whatever the outcome of the token request, the call itself was not sent.
fn of_token(error: CxoneError) -> CxoneError {
    match error {
        // OAuth answers 400 where it refuses the client.
        CxoneError::Rejected { reason, .. } | CxoneError::Forbidden { reason, .. } => {
            CxoneError::Unauthorized { reason }
        }
        CxoneError::ServerError { retry_after, reason } => {
            CxoneError::Unavailable { retry_after, reason: format!("the token endpoint: {reason}") }
        }
        CxoneError::NotFound { reason }
        | CxoneError::Conflict { reason }
        | CxoneError::ContactRefused { reason, .. }
        | CxoneError::OutcomeUnknown { reason }
        | CxoneError::UnexpectedAnswer { reason } => unavailable(format!("the token endpoint: {reason}")),
        CxoneError::NotSentInTime | CxoneError::Superseded => unavailable("the token endpoint was not asked".into()),
        CxoneError::Unauthorized { .. }
        | CxoneError::RateLimited { .. }
        | CxoneError::OverBudget { .. }
        | CxoneError::Unavailable { .. } => error,
    }
}

fn unavailable(reason: String) -> CxoneError {
    CxoneError::Unavailable { retry_after: None, reason }
}

/// Whether a header can contain it. RFC 6750 allows even fewer characters.
fn is_sendable(token: &str) -> bool {
    !token.is_empty() && token.len() <= MAX_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A token as the token endpoint returned it.
pub struct Granted {
    pub token: SecretString,
    pub life: Duration,
    /// It is replaced this long before its life ends.
    pub margin: Duration,
}

#[derive(Deserialize)]
struct Grant {
    access_token: SecretString,
    #[serde(default)]
    expires_in: Value,
}

impl Granted {
    /// Reads the answer of a token endpoint. A token without a lifetime has the default.
    pub fn read(body: &[u8], default_life: Duration, margin: Duration) -> Result<Self, CxoneError> {
        let grant: Grant = json::object(body)
            .map_err(|_| unavailable("the token endpoint sent an answer in an unknown format".into()))?;
        if !is_sendable(grant.access_token.expose_secret()) {
            return Err(unavailable("the token endpoint returned a token that cannot be sent".into()));
        }
        let life = grant.life().unwrap_or(default_life).min(LONGEST_LIFE);
        Ok(Self { token: grant.access_token, life, margin })
    }
}

impl Grant {
    /// In seconds, as a number or as text.
    fn life(&self) -> Option<Duration> {
        let seconds = match &self.expires_in {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        seconds.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).ok())
    }
}
