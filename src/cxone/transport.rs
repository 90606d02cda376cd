//! Sends one request to CXone: with a token and a trace, and reads the answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::PgPool;
use tracing::Instrument as _;

use super::endpoint::{Endpoint, Operation};
use super::error::{CxoneError, Failed};
use super::gate::{Admission, Gate, StillWanted};
use super::model::RequestContext;
use super::reason::reason_of;
use super::settings::Settings;
use super::token::TokenCache;
use super::wire;
use crate::clock::Clock;

/// The limit for opening a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// A request without its token.
pub struct Call<'a> {
    pub operation: Operation,
    pub method: Method,
    /// The path after the base URL.
    pub path: &'a str,
    pub query: &'a [(&'a str, &'a str)],
    pub body: Option<&'a Value>,
    pub context: RequestContext<'a>,
    /// The request is not sent after this.
    pub send_by: Option<Timestamp>,
    /// Asked each time before the request is sent.
    pub still_wanted: Option<&'a dyn StillWanted>,
}

/// Sends requests.
pub struct Transport {
    http: reqwest::Client,
    base_url: String,
    tokens: Arc<TokenCache>,
    pub gate: Arc<Gate>,
    clock: Clock,
}

impl Transport {
    pub fn new(
        settings: Settings,
        proxy: Option<&SecretString>,
        pool: PgPool,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        let http = crate::tls::client_builder_through(proxy)?
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout.min(CONNECT_WITHIN))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("ringback/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let base_url = settings.base_url.clone();
        let gate = Arc::new(Gate::new(&settings, pool, clock.clone()));
        let tokens = TokenCache::new(settings, http.clone(), Arc::clone(&gate), clock.clone());
        Ok(Self { http, base_url, tokens: Arc::new(tokens), gate, clock })
    }

    /// The same endpoints, with the token endpoint where there is no valid token.
    pub fn needed(&self, endpoints: &[Endpoint]) -> Vec<Endpoint> {
        let token = if self.tokens.has_valid() { None } else { Some(Endpoint::Token) };
        token.into_iter().chain(endpoints.iter().copied()).collect()
    }

    /// Sends the request, and once more with a new token where the first was refused.
    pub async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Failed> {
        let operation = call.operation.name();
        let started = Instant::now();
        let span = tracing::info_span!("cxone", cxone.operation = operation, cxone.outcome = tracing::field::Empty);
        // On the heap: the future of a request takes 20 KB, which all callers would carry.
        let answered = Box::pin(self.send_authorized(&call)).instrument(span.clone()).await.and_then(|body| {
            wire::read(&body)
                .map_err(|_| CxoneError::UnexpectedAnswer { reason: reason_of(&body, &HeaderMap::new()) }.into())
        });
        let outcome = answered.as_ref().err().map_or("ok", |failed: &Failed| failed.error.code());
        span.record("cxone.outcome", outcome);
        metrics::histogram!("ringback_cxone_request_seconds", "operation" => operation, "outcome" => outcome)
            .record(started.elapsed());
        if let Err(Failed { error, .. }) = &answered {
            span.in_scope(|| tracing::warn!(error = %error, "a request to CXone failed"));
        }
        answered
    }

    async fn send_authorized(&self, call: &Call<'_>) -> Result<Bytes, Failed> {
        let (class, endpoint) = (call.context.class, call.operation.endpoint());
        if let Some(error) = self.gate.suspended(endpoint) {
            return Err(error.into());
        }
        let token = self.tokens.get(class, None).await?;
        let mut answered = self.send(call, &token).await;
        if matches!(answered, Err(Failed { error: CxoneError::Unauthorized { .. }, .. })) {
            let token = self.tokens.get(class, Some(&token)).await?;
            answered = self.send(call, &token).await;
            if let Err(Failed { error: error @ CxoneError::Unauthorized { .. }, .. }) = &answered {
                // Other endpoints may still accept the token.
                self.gate.suspend(endpoint, error);
            }
        }
        if answered.as_ref().err().is_none_or(|failed| failed.error.came_after_authorization()) {
            self.gate.resume(endpoint);
        }
        answered
    }

    async fn send(&self, call: &Call<'_>, token: &SecretString) -> Result<Bytes, Failed> {
        let url = format!("{}{}", self.base_url, call.path);
        let trace = call.context.trace.child(self.clock.new_id());
        let mut request = self.http.request(call.method.clone(), url).bearer_auth(token.expose_secret());
        request = request.header("traceparent", trace.as_str());
        if !call.query.is_empty() {
            request = request.query(call.query);
        }
        if let Some(body) = call.body {
            request = request.json(body);
        }
        let (class, operation) = (call.context.class, call.operation);
        let (endpoint, scope) = (operation.endpoint(), operation.scope());
        let admission = Admission { class, endpoint, scope, send_by: call.send_by, still_wanted: call.still_wanted };
        self.gate.send(admission, request).await
    }
}
