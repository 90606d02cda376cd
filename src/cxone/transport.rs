//! One call to CXone: with a token, traced, its answer read and its failure understood.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::PgPool;
use tracing::Instrument as _;

use super::error::{CxoneError, reason};
use super::gate::Gate;
use super::token::TokenCache;
use super::{Asker, Operation, Settings, wire};
use crate::clock::Clock;

/// A host that does not even take a connection in this time is down.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// A call, before it has a token.
pub(super) struct Call<'a> {
    pub operation: Operation,
    pub method: Method,
    /// Below the base address.
    pub path: &'a str,
    pub query: &'a [(&'a str, &'a str)],
    pub body: Option<&'a Value>,
    pub asker: Asker<'a>,
}

/// The way to CXone.
pub(super) struct Transport {
    http: reqwest::Client,
    base_url: String,
    tokens: TokenCache,
    pub gate: Arc<Gate>,
    clock: Clock,
}

impl Transport {
    pub fn new(settings: Settings, pool: PgPool, clock: Clock) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout.min(CONNECT_WITHIN))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("ringback/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let base_url = settings.base_url.clone();
        let gate = Arc::new(Gate::new(&settings, pool, clock.clone()));
        let tokens = TokenCache::new(settings, http.clone(), Arc::clone(&gate), clock.clone());
        Ok(Self { http, base_url, tokens, gate, clock })
    }

    /// Makes the call, once more with a new token where the first was refused.
    pub async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, CxoneError> {
        let operation = call.operation.name();
        let started = Instant::now();
        let span = tracing::info_span!("cxone", cxone.operation = operation, cxone.outcome = tracing::field::Empty);
        let answered = self.send_authorized(&call).instrument(span.clone()).await.and_then(|body| {
            wire::read(&body).map_err(|_| CxoneError::UnexpectedAnswer { reason: reason(&body, &HeaderMap::new()) })
        });
        let outcome = answered.as_ref().err().map_or("ok", CxoneError::code);
        span.record("cxone.outcome", outcome);
        metrics::histogram!("ringback_cxone_request_seconds", "operation" => operation, "outcome" => outcome)
            .record(started.elapsed());
        if let Err(error) = &answered {
            span.in_scope(|| tracing::warn!(error = %error, "CXone did not do it"));
        }
        answered
    }

    async fn send_authorized(&self, call: &Call<'_>) -> Result<Bytes, CxoneError> {
        let class = call.asker.class;
        let token = self.tokens.get(class, None).await?;
        let mut answered = self.send(call, &token).await;
        if matches!(answered, Err(CxoneError::Unauthorized { .. })) {
            let token = self.tokens.get(class, Some(&token)).await?;
            answered = self.send(call, &token).await;
            if let Err(error @ CxoneError::Unauthorized { .. }) = &answered {
                self.tokens.refused_again(&token, error).await;
            }
        }
        if answered.as_ref().err().is_none_or(CxoneError::came_after_authorization) {
            self.tokens.accepted().await;
        }
        answered
    }

    async fn send(&self, call: &Call<'_>, token: &SecretString) -> Result<Bytes, CxoneError> {
        let url = format!("{}{}", self.base_url, call.path);
        let trace = call.asker.trace.child(self.clock.new_id());
        let mut request = self.http.request(call.method.clone(), url).bearer_auth(token.expose_secret());
        request = request.header("traceparent", trace.as_str());
        if !call.query.is_empty() {
            request = request.query(call.query);
        }
        if let Some(body) = call.body {
            request = request.json(body);
        }
        self.gate.send(call.asker.class, request, call.operation.scope()).await
    }
}
