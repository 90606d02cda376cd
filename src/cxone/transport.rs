//! Sends one request to CXone: with a token and a trace, and reads the answer.

use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute::{HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, SERVER_ADDRESS};
use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tracing::Instrument as _;

use super::budget::Class;
use super::endpoint::{Endpoint, Operation};
use super::error::{CxoneError, Failed};
use super::gate::{Admission, Gate, StillWanted};
use super::grant::TokenRequests;
use super::model::RequestContext;
use super::reason::reason_of;
use super::response::Accepted;
use super::token::TokenCache;
use crate::clock::Clock;
use crate::trace::{Span, Traceparent};

/// A request without its token.
pub struct Call<'a> {
    pub operation: Operation,
    pub method: Method,
    pub url: &'a str,
    pub query: &'a [(&'a str, &'a str)],
    pub body: Option<&'a Value>,
    /// What it needs: a scope, or a permission of a role.
    pub permission: &'static str,
    pub accepted: Accepted,
    pub context: RequestContext<'a>,
    /// The request is not sent after this.
    pub send_by: Option<Timestamp>,
    /// Asked each time before the request is sent.
    pub still_wanted: Option<&'a dyn StillWanted>,
}

/// Sends requests.
pub struct Transport {
    http: reqwest::Client,
    tokens: Arc<TokenCache>,
    pub gate: Arc<Gate>,
    clock: Clock,
}

impl Transport {
    pub fn new(http: reqwest::Client, tokens: Arc<TokenCache>, gate: Arc<Gate>, clock: Clock) -> Self {
        Self { http, tokens, gate, clock }
    }

    /// Makes sure that there is a token.
    pub async fn authorize(&self, class: Class) -> Result<(), CxoneError> {
        self.tokens.get(class, None).await.map(drop)
    }

    /// For requests that need no token.
    pub fn token_requests(&self, class: Class) -> TokenRequests<'_> {
        TokenRequests { http: &self.http, gate: &self.gate, class }
    }

    /// The same endpoints, with the token endpoint where there is no valid token.
    pub fn needed(&self, endpoints: &[Endpoint]) -> Vec<Endpoint> {
        let token = if self.tokens.has_valid() { None } else { Some(Endpoint::Token) };
        token.into_iter().chain(endpoints.iter().copied()).collect()
    }

    /// Sends the request, and once more with a new token where the first was refused. `read` returns none where the answer
    /// is in an unknown format.
    pub async fn call<T>(&self, call: Call<'_>, read: impl FnOnce(&[u8]) -> Option<T>) -> Result<T, Failed> {
        let operation = call.operation.name();
        let started = Instant::now();
        let span = tracing::info_span!("cxone", cxone.operation = operation, cxone.outcome = tracing::field::Empty);
        let (mut client, status) = (client_span(&call), AtomicU16::default());
        let trace = client.traceparent().unwrap_or_else(|| call.context.trace.child(self.clock.new_id()));
        // On the heap: the future of a request takes 20 KB, which all callers would carry.
        let answered =
            Box::pin(self.send_authorized(&call, &trace, &status)).instrument(span.clone()).await.and_then(|body| {
                read(&body).ok_or_else(|| CxoneError::unexpected(reason_of(&body, &HeaderMap::new())).into())
            });
        let outcome = answered.as_ref().err().map_or("ok", |failed: &Failed| failed.error.code());
        span.record("cxone.outcome", outcome);
        let status = status.into_inner();
        if status > 0 {
            client.set(HTTP_RESPONSE_STATUS_CODE, i64::from(status));
        }
        metrics::histogram!("ringback_cxone_request_seconds", "operation" => operation, "outcome" => outcome)
            .record(started.elapsed());
        if let Err(Failed { error, .. }) = &answered {
            client.fail(outcome);
            span.in_scope(|| tracing::warn!(error = %error, "a request to CXone failed"));
        }
        answered
    }

    async fn send_authorized(&self, call: &Call<'_>, trace: &Traceparent, status: &AtomicU16) -> Result<Bytes, Failed> {
        let (class, endpoint) = (call.context.class, call.operation.endpoint());
        if let Some(error) = self.gate.suspended(endpoint) {
            return Err(error.into());
        }
        let token = self.tokens.get(class, None).await?;
        let mut answered = self.send(call, &token, trace, status).await;
        if matches!(answered, Err(Failed { error: CxoneError::Unauthorized { .. }, .. })) {
            let token = self.tokens.get(class, Some(&token)).await?;
            answered = self.send(call, &token, trace, status).await;
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

    async fn send(
        &self,
        call: &Call<'_>,
        token: &SecretString,
        trace: &Traceparent,
        status: &AtomicU16,
    ) -> Result<Bytes, Failed> {
        let mut request = self.http.request(call.method.clone(), call.url).bearer_auth(token.expose_secret());
        request = request.header(ACCEPT, "application/json").header("traceparent", trace.as_str());
        if !call.query.is_empty() {
            request = request.query(call.query);
        }
        if let Some(body) = call.body {
            request = request.json(body);
        }
        let admission = Admission {
            class: call.context.class,
            endpoint: call.operation.endpoint(),
            permission: call.permission,
            accepted: call.accepted,
            send_by: call.send_by,
            still_wanted: call.still_wanted,
            status: Some(status),
        };
        self.gate.send(admission, request).await
    }
}

/// Without the path and the query, which may have phone numbers.
fn client_span(call: &Call<'_>) -> Span {
    Span::client(call.context.trace, call.operation.name(), || {
        let host = reqwest::Url::parse(call.url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let host = host.map(|host| KeyValue::new(SERVER_ADDRESS, host));
        host.into_iter().chain([KeyValue::new(HTTP_REQUEST_METHOD, call.method.to_string())]).collect()
    })
}
