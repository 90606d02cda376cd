//! The span of a request, where traces are exported.

use axum::http::StatusCode;
use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute::{HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE};

use crate::trace::{Span, Traceparent};

/// The span of a request that is being handled.
pub struct ServerSpan(Span);

impl ServerSpan {
    /// The span of a request, and what it is to the spans below it.
    pub fn start(parent: Option<&Traceparent>, method: &'static str, route: &str) -> Option<(Self, Traceparent)> {
        let span = Span::server(parent, || {
            let attributes = [KeyValue::new(HTTP_REQUEST_METHOD, method), KeyValue::new(HTTP_ROUTE, route.to_owned())];
            (format!("{method} {route}"), attributes.into())
        });
        let traceparent = span.traceparent()?;
        Some((Self(span), traceparent))
    }

    /// Ends the span.
    pub fn answered(mut self, status: StatusCode) {
        let Self(span) = &mut self;
        span.set(HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()));
        if status.is_server_error() {
            span.fail(status.as_str().to_owned());
        }
    }
}
