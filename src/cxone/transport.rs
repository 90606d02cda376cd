//! One request to CXone: with a token, a deadline and a bound, measured, and its failure understood.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::{Method, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::Instrument as _;

use super::error::CxoneError;
use super::token::TokenCache;
use super::{Operation, Settings};
use crate::clock::Clock;
use crate::trace::Traceparent;

/// No answer of CXone's that Ringback reads is anywhere near as long.
pub(super) const MAX_ANSWER: usize = 256 * 1024;
/// A host that does not even take a connection in this time is down.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// A request, before it has a token.
pub(super) struct Call<'a> {
    pub operation: Operation,
    pub method: Method,
    /// Below the base address, with its query.
    pub path: &'a str,
    pub query: &'a [(&'a str, &'a str)],
    pub body: Option<&'a Value>,
    pub trace: Option<&'a Traceparent>,
}

/// The way to CXone.
pub(super) struct Transport {
    http: reqwest::Client,
    base_url: String,
    tokens: TokenCache,
    clock: Clock,
}

impl Transport {
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout.min(CONNECT_WITHIN))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("ringback/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let base_url = settings.base_url.clone();
        let tokens = TokenCache::new(settings, http.clone(), clock.clone());
        Ok(Self { http, base_url, tokens, clock })
    }

    /// Sends it, once more with a new token where the first was refused, and reads the answer.
    pub async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, CxoneError> {
        let operation = call.operation.name();
        let started = Instant::now();
        let span = tracing::info_span!("cxone", cxone.operation = operation, cxone.outcome = tracing::field::Empty);
        let answered = self.send_authorized(&call).instrument(span.clone()).await.and_then(|body| {
            serde_json::from_slice(&body).map_err(|error| CxoneError::UnexpectedAnswer {
                reason: format!("{:?} error in the body", error.classify()),
            })
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
        let token = self.tokens.get(None).await?;
        match self.send(call, &token).await {
            Err(CxoneError::Unauthorized { .. }) => {
                let token = self.tokens.get(Some(&token)).await?;
                self.send(call, &token).await
            }
            answered => answered,
        }
    }

    async fn send(&self, call: &Call<'_>, token: &SecretString) -> Result<Bytes, CxoneError> {
        let url = format!("{}{}", self.base_url, call.path);
        let mut request = self.http.request(call.method.clone(), url).bearer_auth(token.expose_secret());
        if !call.query.is_empty() {
            request = request.query(call.query);
        }
        if let Some(body) = call.body {
            request = request.json(body);
        }
        if let Some(trace) = call.trace {
            request = request.header("traceparent", trace.child(self.clock.new_id()).as_str());
        }
        let answer = request.send().await.map_err(|error| CxoneError::from_transport(&error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = read_bounded(answer, MAX_ANSWER).await;
        if matches!(status, StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED) {
            return body.map_err(|reason| CxoneError::UnexpectedAnswer { reason });
        }
        let body = body.unwrap_or_default();
        Err(CxoneError::from_answer(status, &headers, &body, call.operation.scope(), self.clock.now()))
    }
}

/// The whole body, or why it was given up.
pub(super) async fn read_bounded(mut answer: Response, limit: usize) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= limit => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(format!("the answer is larger than {limit} bytes")),
            Ok(None) => return Ok(body.freeze()),
            Err(_) => return Err("the answer broke off".into()),
        }
    }
}
