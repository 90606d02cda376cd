//! One access token for everything that happens in a replica.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::error::CxoneError;
use super::gate::Gate;
use super::ledger::Class;
use super::{AuthStyle, Settings};
use crate::clock::Clock;

/// All that Ringback ever asks CXone for.
const SCOPES: &str = "outbound:campaign:write outbound:statistics:read outbound:contact:write \
                      outbound:forecast:read messaging:session:write";
/// What CXone means where it does not say how long a token lives.
const DEFAULT_LIFE: Duration = Duration::from_secs(1800);
/// A token is replaced this long before its end, so that none ends on its way.
const MARGIN: Duration = Duration::from_secs(60);
/// However short CXone says that a token lives, it is used for this long: a 401 replaces it sooner, a loop never.
const SHORTEST_USE: Duration = Duration::from_secs(5);
/// How long a refusal is passed on to all who ask, so that a broken token endpoint is not stormed.
const FAILURE_HOLDS: Duration = Duration::from_secs(1);

/// The token, and the one lock behind which it is fetched.
pub struct TokenCache {
    settings: Settings,
    http: reqwest::Client,
    gate: Arc<Gate>,
    clock: Clock,
    // Held during the refresh: whoever comes meanwhile waits for this one and makes no request of its own.
    last: Mutex<Last>,
}

enum Last {
    Nothing,
    Token { token: SecretString, fresh_until: Timestamp },
    Failure { error: CxoneError, until: Timestamp },
}

impl TokenCache {
    pub fn new(settings: Settings, http: reqwest::Client, gate: Arc<Gate>, clock: Clock) -> Self {
        Self { settings, http, gate, clock, last: Mutex::new(Last::Nothing) }
    }

    /// A token that is good now. `refused` is one that CXone has just answered with 401: it is replaced only where it
    /// is still the current one, so that many refusals cost one refresh.
    pub async fn get(&self, class: Class, refused: Option<&SecretString>) -> Result<SecretString, CxoneError> {
        let mut last = self.last.lock().await;
        let now = self.clock.now();
        match &*last {
            Last::Token { token, fresh_until } if now < *fresh_until && !is_same(refused, token) => {
                return Ok(token.clone());
            }
            Last::Failure { error, until } if now < *until => return Err(error.clone()),
            Last::Token { .. } | Last::Failure { .. } | Last::Nothing => {}
        }
        let fetched = self.fetch(class, now).await;
        metrics::counter!("ringback_cxone_token_requests_total",
            "outcome" => fetched.as_ref().err().map_or("ok", CxoneError::code))
        .increment(1);
        match fetched {
            Ok((token, fresh_until)) => {
                *last = Last::Token { token: token.clone(), fresh_until };
                Ok(token)
            }
            Err(error) => {
                tracing::warn!(error = %error, "no access token from CXone");
                *last = Last::Failure { error: error.clone(), until: self.clock.now() + FAILURE_HOLDS };
                Err(error)
            }
        }
    }

    async fn fetch(&self, class: Class, now: Timestamp) -> Result<(SecretString, Timestamp), CxoneError> {
        let body = self.gate.send(class, self.request(), SCOPES).await.map_err(of_token)?;
        let granted: Granted = serde_json::from_slice(&body)
            .map_err(|_| unavailable("the token endpoint gave an answer of no known form".into()))?;
        metrics::gauge!("ringback_cxone_token_fetched_at_seconds").set(now.as_duration().as_secs_f64());
        let life = granted.life();
        let used_for = life.saturating_sub(MARGIN.min(life / 2)).max(SHORTEST_USE);
        Ok((granted.access_token, now + used_for))
    }

    fn request(&self) -> RequestBuilder {
        let settings = &self.settings;
        let request = self.http.post(format!("{}/oauth/token", settings.base_url));
        let (id, secret) = (settings.client_id.as_str(), settings.client_secret.expose_secret());
        match settings.auth {
            AuthStyle::Basic => {
                let form = [("grant_type", "client_credentials"), ("scope", SCOPES)];
                request.basic_auth(id, Some(secret)).form(&form)
            }
            AuthStyle::Form => request.form(&[
                ("grant_type", "client_credentials"),
                ("client_id", id),
                ("client_secret", secret),
                ("scope", SCOPES),
            ]),
        }
    }
}

/// The token request is not the call that it is for: whatever became of it, that call was not made.
fn of_token(error: CxoneError) -> CxoneError {
    match error {
        // OAuth says 400 where the client itself is refused.
        CxoneError::Rejected { reason, .. } | CxoneError::Forbidden { reason, .. } => {
            CxoneError::Unauthorized { reason }
        }
        CxoneError::NotFound { reason }
        | CxoneError::Conflict { reason }
        | CxoneError::OutcomeUnknown { reason }
        | CxoneError::UnexpectedAnswer { reason } => unavailable(format!("the token endpoint: {reason}")),
        CxoneError::Unauthorized { .. }
        | CxoneError::RateLimited { .. }
        | CxoneError::OverBudget { .. }
        | CxoneError::Unavailable { .. } => error,
    }
}

fn unavailable(reason: String) -> CxoneError {
    CxoneError::Unavailable { retry_after: None, reason }
}

fn is_same(refused: Option<&SecretString>, current: &SecretString) -> bool {
    refused.is_some_and(|refused| refused.expose_secret() == current.expose_secret())
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    #[serde(default)]
    expires_in: Value,
}

impl Granted {
    /// Seconds, as a number or as text; the default where it is neither.
    fn life(&self) -> Duration {
        let seconds = match &self.expires_in {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let life = seconds.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
        life.unwrap_or(DEFAULT_LIFE).min(Duration::from_secs(24 * 3600))
    }
}
