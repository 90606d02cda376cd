//! The span of a request, where traces are exported.

use std::sync::Arc;

use axum::http::StatusCode;
use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute::{HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE};
use parking_lot::Mutex;

use crate::trace::{Span, Traceparent};

/// An extension of the request, until it is handled. Extensions must be cloneable.
#[derive(Clone)]
pub struct ServerSpan(Arc<Mutex<Span>>);

impl ServerSpan {
    /// The span of a request, and what it is to the spans below it.
    pub fn start(parent: Option<&Traceparent>, method: &'static str, route: &str) -> Option<(Self, Traceparent)> {
        let span = Span::server(parent, || {
            let attributes = [KeyValue::new(HTTP_REQUEST_METHOD, method), KeyValue::new(HTTP_ROUTE, route.to_owned())];
            (format!("{method} {route}"), attributes.into())
        });
        let traceparent = span.traceparent()?;
        Some((Self(Arc::new(Mutex::new(span))), traceparent))
    }

    /// Ends the span.
    pub fn answered(self, status: StatusCode) {
        let mut span = self.0.lock();
        span.set(HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()));
        if status.is_server_error() {
            span.fail(status.as_str().to_owned());
        }
    }
}
