//! One access token for everything that happens in a replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
use super::{AuthStyle, Settings, wire};
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
/// Longer than any token, shorter than what a server takes for a header.
const MAX_TOKEN: usize = 8 * 1024;
/// After a failure, all who ask are told of it for so long, and nobody asks CXone; the time doubles with each failure
/// that follows, so that a client that is refused, or an endpoint that is broken, costs next to nothing of the quota.
const FIRST_HOLD: Duration = Duration::from_secs(1);
const LONGEST_HOLD: Duration = Duration::from_secs(30);

/// The token, and the one lock behind which it is fetched.
pub struct TokenCache {
    settings: Settings,
    http: reqwest::Client,
    gate: Arc<Gate>,
    clock: Clock,
    // Held during the refresh: whoever comes meanwhile waits for this one and makes no request of its own.
    known: Mutex<Known>,
    failing: AtomicBool,
}

struct Known {
    token: Option<Token>,
    failure: Option<(CxoneError, Timestamp)>,
    hold: Duration,
}

struct Token {
    secret: SecretString,
    fresh_until: Timestamp,
}

impl TokenCache {
    pub fn new(settings: Settings, http: reqwest::Client, gate: Arc<Gate>, clock: Clock) -> Self {
        let known = Mutex::new(Known { token: None, failure: None, hold: FIRST_HOLD });
        Self { settings, http, gate, clock, known, failing: AtomicBool::new(false) }
    }

    /// A token that is good now. `refused` is one that CXone has just answered with 401: it is replaced only where it
    /// is still the current one, so that many refusals cost one refresh.
    pub async fn get(&self, class: Class, refused: Option<&SecretString>) -> Result<SecretString, CxoneError> {
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        if let Some((error, _)) = known.failure.as_ref().filter(|(_, until)| now < *until) {
            return Err(error.clone());
        }
        if let Some(token) = known.token.as_ref().filter(|token| now < token.fresh_until && !token.is(refused)) {
            return Ok(token.secret.clone());
        }
        let fetched = self.fetch(class, now).await;
        metrics::counter!("ringback_cxone_token_requests_total",
            "outcome" => fetched.as_ref().err().map_or("ok", CxoneError::code))
        .increment(1);
        match fetched {
            Ok(token) => {
                let secret = token.secret.clone();
                known.token = Some(token);
                known.failure = None;
                Ok(secret)
            }
            Err(error) => {
                tracing::warn!(error = %error, "no access token from CXone");
                // The quota is another matter, with a wait of its own.
                if !matches!(error, CxoneError::OverBudget { .. } | CxoneError::RateLimited { .. }) {
                    self.hold_off(&mut known, error.clone());
                }
                Err(error)
            }
        }
    }

    /// CXone refused a token that was fetched because it had refused the one before.
    pub async fn refused_again(&self, refused: &SecretString, error: &CxoneError) {
        let mut known = self.known.lock().await;
        if known.token.as_ref().is_some_and(|token| token.is(Some(refused))) {
            known.token = None;
            self.hold_off(&mut known, error.clone());
        }
    }

    /// CXone took a token.
    pub async fn accepted(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            self.known.lock().await.hold = FIRST_HOLD;
            self.gate.release();
        }
    }

    fn hold_off(&self, known: &mut Known, error: CxoneError) {
        let until = self.clock.now() + known.hold;
        self.gate.hold(until, matches!(error, CxoneError::Unauthorized { .. }));
        known.failure = Some((error, until));
        known.hold = (known.hold * 2).min(LONGEST_HOLD);
        self.failing.store(true, Ordering::Relaxed);
    }

    async fn fetch(&self, class: Class, now: Timestamp) -> Result<Token, CxoneError> {
        let body = self.gate.send(class, self.request(), SCOPES).await.map_err(of_token)?;
        let granted: Granted =
            wire::read(&body).map_err(|_| unavailable("the token endpoint gave an answer of no known form".into()))?;
        if !is_sendable(granted.access_token.expose_secret()) {
            return Err(unavailable("the token endpoint gave a token that cannot be sent".into()));
        }
        metrics::gauge!("ringback_cxone_token_fetched_at_seconds").set(now.as_duration().as_secs_f64());
        let life = granted.life();
        let used_for = life.saturating_sub(MARGIN.min(life / 2)).max(SHORTEST_USE);
        Ok(Token { secret: granted.access_token, fresh_until: now + used_for })
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
        CxoneError::Rejected { reason, .. }
        | CxoneError::ContactRefused { reason, .. }
        | CxoneError::Forbidden { reason, .. } => CxoneError::Unauthorized { reason },
        CxoneError::NotFound { reason }
        | CxoneError::Conflict { reason }
        | CxoneError::OutcomeUnknown { reason }
        | CxoneError::UnexpectedAnswer { reason } => unavailable(format!("the token endpoint: {reason}")),
        CxoneError::Unauthorized { .. }
        | CxoneError::RateLimited { .. }
        | CxoneError::OverBudget { .. }
        | CxoneError::ServerError { .. }
        | CxoneError::NotSentInTime
        | CxoneError::Unavailable { .. } => error,
    }
}

fn unavailable(reason: String) -> CxoneError {
    CxoneError::Unavailable { retry_after: None, reason }
}

/// Of the characters that RFC 6750 lets a bearer token have, or at least of those that a header can carry.
fn is_sendable(token: &str) -> bool {
    !token.is_empty() && token.len() <= MAX_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Token {
    fn is(&self, other: Option<&SecretString>) -> bool {
        other.is_some_and(|other| other.expose_secret() == self.secret.expose_secret())
    }
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
