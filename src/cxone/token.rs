//! One access token for everything that happens in a replica.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::endpoint::Endpoint;
use super::error::CxoneError;
use super::gate::{Gate, Ticket};
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
/// The token, and the one lock behind which it is fetched.
pub struct TokenCache {
    settings: Settings,
    http: reqwest::Client,
    gate: Arc<Gate>,
    clock: Clock,
    current: std::sync::Mutex<Option<Token>>,
    // Held during the refresh: whoever needs a new token meanwhile waits for this one and makes no request of its own.
    refreshing: Arc<Mutex<()>>,
}

#[derive(Clone)]
struct Token {
    secret: SecretString,
    /// Then it is replaced …
    fresh_until: Timestamp,
    /// … and until then it is used where it cannot be.
    good_until: Timestamp,
}

impl TokenCache {
    pub fn new(settings: Settings, http: reqwest::Client, gate: Arc<Gate>, clock: Clock) -> Self {
        Self { settings, http, gate, clock, current: std::sync::Mutex::default(), refreshing: Arc::default() }
    }

    /// Whether there is a token that is good now, so that none need be asked for.
    pub fn has_one(&self) -> bool {
        self.usable(None).is_some()
    }

    /// A token that is good now. `refused` is one that CXone has just answered with 401: it is replaced only where it
    /// is still the current one, so that many refusals cost one refresh. One that ends soon is replaced in the
    /// background, and used meanwhile.
    pub async fn get(
        self: &Arc<Self>,
        class: Class,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, CxoneError> {
        if refused.is_some() {
            self.current().take_if(|token| token.is(refused));
        }
        if let Some(token) = self.usable(refused) {
            if self.clock.now() >= token.fresh_until
                && let Ok(refreshing) = Arc::clone(&self.refreshing).try_lock_owned()
            {
                let (tokens, refused) = (Arc::clone(self), token.secret.clone());
                tokio::spawn(async move { tokens.refresh(refreshing, class, Some(&refused)).await });
            }
            return Ok(token.secret);
        }
        let refreshing = Arc::clone(&self.refreshing).lock_owned().await;
        self.refresh(refreshing, class, refused).await
    }

    fn usable(&self, refused: Option<&SecretString>) -> Option<Token> {
        let now = self.clock.now();
        self.current().as_ref().filter(|token| now < token.good_until && !token.is(refused)).cloned()
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Token>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches a token other than the one that is to be replaced, where nobody else has just done so, or failed to.
    async fn refresh(
        &self,
        _refreshing: OwnedMutexGuard<()>,
        class: Class,
        replaced: Option<&SecretString>,
    ) -> Result<SecretString, CxoneError> {
        let now = self.clock.now();
        // After a failure, all who ask are told of it for a while, and nobody asks CXone.
        if let Some(error) = self.gate.held(Endpoint::Token) {
            return Err(error);
        }
        if let Some(token) = self.usable(replaced) {
            return Ok(token.secret);
        }
        let fetched = self.fetch(class, now).await;
        metrics::counter!("ringback_cxone_token_requests_total",
            "outcome" => fetched.as_ref().err().map_or("ok", CxoneError::code))
        .increment(1);
        match fetched {
            Ok(token) => {
                let secret = token.secret.clone();
                *self.current() = Some(token);
                self.gate.release(Endpoint::Token);
                Ok(secret)
            }
            Err(error) => {
                tracing::warn!(error = %error, "no access token from CXone");
                // The quota is another matter, with a wait of its own.
                if !matches!(error, CxoneError::OverBudget { .. } | CxoneError::RateLimited { .. }) {
                    self.gate.hold(Endpoint::Token, &error);
                }
                Err(error)
            }
        }
    }

    async fn fetch(&self, class: Class, now: Timestamp) -> Result<Token, CxoneError> {
        // A token is for all: it does not wait for the routine's share.
        let class = if class.is_routine() { Class::Background } else { class };
        let ticket = Ticket { class, endpoint: Endpoint::Token, scope: SCOPES, send_by: None, still_wanted: None };
        let body = self.gate.send(ticket, self.request()).await.map_err(|failed| of_token(failed.error))?;
        let granted: Granted =
            wire::read(&body).map_err(|_| unavailable("the token endpoint gave an answer of no known form".into()))?;
        if !is_sendable(granted.access_token.expose_secret()) {
            return Err(unavailable("the token endpoint gave a token that cannot be sent".into()));
        }
        metrics::gauge!("ringback_cxone_token_fetched_at_seconds").set(now.as_duration().as_secs_f64());
        let life = granted.life();
        let used_for = life.saturating_sub(MARGIN.min(life / 2)).max(SHORTEST_USE);
        let (fresh_until, good_until) = (now + used_for, now + used_for.max(life));
        Ok(Token { secret: granted.access_token, fresh_until, good_until })
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
