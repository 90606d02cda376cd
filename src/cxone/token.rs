//! The access token of a replica.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;

use super::budget::Class;
use super::endpoint::Endpoint;
use super::error::CxoneError;
use super::gate::{Admission, Gate};
use super::settings::{AuthStyle, Settings};
use super::wire;
use crate::clock::Clock;

/// The scopes of all operations.
const SCOPES: &str = "outbound:campaign:write outbound:statistics:read outbound:contact:write \
                      outbound:forecast:read messaging:session:write";
/// The lifetime of a token where CXone gives none.
const DEFAULT_LIFE: Duration = Duration::from_mins(30);
/// A token is replaced this long before it expires, so that it does not expire during a request.
const MARGIN: Duration = Duration::from_mins(1);
/// A token is used for at least this long, however short its lifetime: this prevents a loop of token requests. A 401 replaces
/// it sooner.
const SHORTEST_USE: Duration = Duration::from_secs(5);
/// The most bytes of a token: more than any has, fewer than servers accept in a header.
const MAX_TOKEN: usize = 8 * 1024;

/// The token, and the lock under which it is fetched.
pub struct TokenCache {
    settings: Settings,
    http: reqwest::Client,
    gate: Arc<Gate>,
    clock: Clock,
    current: Mutex<Option<Token>>,
    /// Held during a refresh: others that need a new token wait for its result.
    refreshing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone)]
struct Token {
    secret: SecretString,
    /// When it is replaced …
    fresh_until: Timestamp,
    /// … and until when it is used while it cannot be replaced.
    good_until: Timestamp,
}

impl TokenCache {
    pub fn new(settings: Settings, http: reqwest::Client, gate: Arc<Gate>, clock: Clock) -> Self {
        Self { settings, http, gate, clock, current: Mutex::default(), refreshing: Arc::default() }
    }

    /// Whether there is a valid token, so that none has to be fetched.
    pub fn has_valid(&self) -> bool {
        self.usable(None).is_some()
    }

    /// A valid token. `refused` is one that CXone has just answered with a 401: it is replaced only where it is still the
    /// current one, so that many refusals cause one refresh. A token that expires soon is replaced in the background, and
    /// used meanwhile.
    pub async fn get(
        self: &Arc<Self>,
        class: Class,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, CxoneError> {
        if refused.is_some() {
            self.current.lock().take_if(|token| token.is(refused));
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
        self.current.lock().as_ref().filter(|token| now < token.good_until && !token.is(refused)).cloned()
    }

    /// Fetches a token in place of `replaced`, unless another refresh has just done so, or failed.
    async fn refresh(
        &self,
        _refreshing: OwnedMutexGuard<()>,
        class: Class,
        replaced: Option<&SecretString>,
    ) -> Result<SecretString, CxoneError> {
        let now = self.clock.now();
        // For a while after a failure, no request is sent, and the failure is returned.
        if let Some(error) = self.gate.suspended(Endpoint::Token) {
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
                *self.current.lock() = Some(token);
                self.gate.resume(Endpoint::Token);
                Ok(secret)
            }
            Err(error) => {
                tracing::warn!(error = %error, "no access token could be fetched from CXone");
                // The budget has its own waits.
                if !matches!(error, CxoneError::OverBudget { .. } | CxoneError::RateLimited { .. }) {
                    self.gate.suspend(Endpoint::Token, &error);
                }
                Err(error)
            }
        }
    }

    async fn fetch(&self, class: Class, now: Timestamp) -> Result<Token, CxoneError> {
        // Every class uses the token: fetching it does not wait for the share of routine work.
        let class = if class.is_routine() { Class::Background } else { class };
        let admission =
            Admission { class, endpoint: Endpoint::Token, scope: SCOPES, send_by: None, still_wanted: None };
        let body = self.gate.send(admission, self.request()).await.map_err(|failed| of_token(failed.error))?;
        let granted: Granted = wire::read(&body)
            .map_err(|_| unavailable("the token endpoint sent an answer in an unknown format".into()))?;
        if !is_sendable(granted.access_token.expose_secret()) {
            return Err(unavailable("the token endpoint returned a token that cannot be sent".into()));
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

impl Token {
    fn is(&self, other: Option<&SecretString>) -> bool {
        other.is_some_and(|other| other.expose_secret() == self.secret.expose_secret())
    }
}

#[derive(Deserialize)]
pub(super) struct Granted {
    access_token: SecretString,
    #[serde(default)]
    expires_in: Value,
}

impl Granted {
    /// In seconds, as a number or as text. The default where it is neither.
    pub(super) fn life(&self) -> Duration {
        let seconds = match &self.expires_in {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let life = seconds.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
        life.unwrap_or(DEFAULT_LIFE).min(Duration::from_hours(24))
    }
}
