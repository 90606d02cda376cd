//! The access token of a replica.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OwnedMutexGuard;

use super::budget::Class;
use super::endpoint::Endpoint;
use super::error::CxoneError;
use super::gate::Gate;
use super::grant::{Granted, Grants, TokenRequests};
use crate::clock::Clock;
use crate::trace::Span;

/// A token is used for at least this long, however short its lifetime: this prevents a loop of token requests. A 401 replaces
/// it sooner.
const SHORTEST_USE: Duration = Duration::from_secs(5);

/// The token, and the lock under which it is fetched.
pub struct TokenCache {
    auth: Arc<dyn Grants>,
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
    pub fn new(auth: Arc<dyn Grants>, http: reqwest::Client, gate: Arc<Gate>, clock: Clock) -> Self {
        Self { auth, http, gate, clock, current: Mutex::default(), refreshing: Arc::default() }
    }

    /// Whether there is a valid token, so that none has to be fetched.
    pub fn has_valid(&self) -> bool {
        let now = self.clock.now();
        self.current.lock().as_ref().is_some_and(|token| token.is_usable(now, None))
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
        self.current.lock().as_ref().filter(|token| token.is_usable(now, refused)).cloned()
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
        // In a trace of its own: other requests use the token, too.
        let mut span = Span::internal(None, "fetch_token", Vec::new);
        let fetched = self.fetch(class, now).await;
        if let Err(error) = &fetched {
            span.fail(error.code());
        }
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
        let requests = TokenRequests { http: &self.http, gate: &self.gate, class };
        let Granted { token, life, margin } = self.auth.grant(&requests).await?;
        metrics::gauge!("ringback_cxone_token_timestamp_seconds").set(now.as_duration().as_secs_f64());
        let used_for = life.saturating_sub(margin.min(life / 2)).max(SHORTEST_USE);
        let (fresh_until, good_until) = (now + used_for, now + used_for.max(life));
        Ok(Token { secret: token, fresh_until, good_until })
    }
}

impl Token {
    fn is_usable(&self, now: Timestamp, refused: Option<&SecretString>) -> bool {
        now < self.good_until && !self.is(refused)
    }

    fn is(&self, other: Option<&SecretString>) -> bool {
        other.is_some_and(|other| other.expose_secret() == self.secret.expose_secret())
    }
}
