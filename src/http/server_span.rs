//! The trace of a request, and its span, where traces are exported.

use axum::http::{HeaderMap, HeaderName, StatusCode};
use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute::{HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE};
use uuid::Uuid;

use crate::trace::{Span, Traceparent};

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The span of a request that is being handled.
pub(super) struct ServerSpan(Span);

/// Starts the span of a request with this method and route, if it has one, and returns what the request is to the spans below
/// it: a child in the sender's trace, or the start of a new one. `id` makes it different from others.
pub(super) fn start(
    headers: &HeaderMap,
    traced: Option<(&'static str, &str)>,
    id: Uuid,
) -> (Option<ServerSpan>, Traceparent) {
    let parent = headers.get(TRACEPARENT).and_then(|value| Traceparent::parse(value.to_str().ok()?));
    let span = traced.map(|(method, route)| span(parent.as_ref(), method, route));
    match span.and_then(|span| Some((span.traceparent()?, span))) {
        Some((traceparent, span)) => (Some(ServerSpan(span)), traceparent),
        None => (None, parent.map_or_else(|| Traceparent::root(id), |parent| parent.child(id))),
    }
}

fn span(parent: Option<&Traceparent>, method: &'static str, route: &str) -> Span {
    Span::server(parent, || {
        let attributes = [KeyValue::new(HTTP_REQUEST_METHOD, method), KeyValue::new(HTTP_ROUTE, route.to_owned())];
        (format!("{method} {route}"), attributes.into())
    })
}

impl ServerSpan {
    /// Ends the span.
    pub(super) fn answered(mut self, status: StatusCode) {
        self.0.set(HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()));
        if status.is_server_error() {
            self.0.fail(status.as_str().to_owned());
        }
    }
}
