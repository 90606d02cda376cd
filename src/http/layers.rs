//! What all requests pass through: limits, trace, log line, metric, the headers of responses, compression.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::stream::poll_fn;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::ServiceBuilder;
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tracing::{Instrument as _, Span};

use super::compression::compressed;
use super::problem::{Problem, ProblemKind};
use super::request_info::{RequestInfo, X_REQUEST_ID};
use super::server_span;
use crate::clock::Clock;
use crate::types::TrustedProxies;

/// Enough for 1,000 callbacks of 1 KiB or 10,000 events of 100 bytes.
pub(super) const MAX_BODY: usize = 1024 * 1024;
pub(super) const TOO_LARGE: &str = "the body is larger than 1 MiB";
/// Of a body that is too large, up to this much is read and discarded, for this long: a client that is still sending when
/// its connection closes does not see the response.
const MAX_DISCARDED: usize = 16 * MAX_BODY;
const DISCARD_WITHIN: Duration = Duration::from_secs(5);
/// The routes that answer in spite of the limits on requests and connections.
const UNLIMITED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The route of a path that has none.
pub(super) const NO_ROUTE: &str = "none";

/// What is left of the rate of an API key, and the rate itself.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The headers of a response, unless its route has set them.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// What requests may take.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Requests at the same time, health checks and metrics excepted. Each may hold a body of 1 MiB.
    pub requests: usize,
    /// The longest time of a request, its body included. The longest `Prefer: wait` is 30 s.
    pub deadline: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { requests: 2048, deadline: Duration::from_secs(40) }
    }
}

/// An extension of requests on connections beyond the limit.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimitReached;

/// What each request passes through.
struct Edge {
    clock: Clock,
    proxies: TrustedProxies,
    slots: Semaphore,
    deadline: Duration,
}

/// Adds to all routes what each request passes through. Nearly all is in [`handle`]: each layer of a router copies and
/// allocates all below it, for each request. `proxies` report the addresses of clients.
pub fn wrap(router: Router, clock: Clock, limits: RequestLimits, proxies: TrustedProxies) -> Router {
    let RequestLimits { requests, deadline } = limits;
    let edge = Edge { clock, proxies, slots: Semaphore::new(requests), deadline };
    let layers = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION, header::COOKIE]))
        .layer(from_fn_with_state(Arc::new(edge), handle));
    router
        .fallback(async || Problem::new(ProblemKind::NotFound, "no such route"))
        .method_not_allowed_fallback(not_allowed)
        .layer(layers)
}

/// Runs a request, renders its problem, logs it, and records how long it took.
async fn handle(State(edge): State<Arc<Edge>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let accepted_encodings = request.headers().get_all(header::ACCEPT_ENCODING).iter().cloned().collect();
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    // Probes would fill the traces.
    let is_traced = !UNLIMITED.contains(&request.uri().path());
    let id = edge.clock.new_id();
    let (server_span, traceparent) = server_span::start(request.headers(), is_traced.then_some((method, route)), id);
    let info = Arc::new(RequestInfo::of(&request, id, traceparent, edge.clock.clone(), &edge.proxies));
    request.extensions_mut().insert(Arc::clone(&info));
    let span = tracing::info_span!("request", request.id = info.request_id, trace.id = info.traceparent.trace_id());

    let response = edge.run(request, next).instrument(span.clone()).await;

    let mut response = rendered(response, &info);
    record(method, route, response.status(), started.elapsed(), &info);
    if let Some(span) = server_span {
        span.answered(response.status());
    }
    add_headers(response.headers_mut(), &info.request_id);
    compressed(streamed_within(response, span), accepted_encodings).await
}

/// Lines that are logged while a body is streamed have the fields of the request, too.
fn streamed_within(response: Response, span: Span) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| {
        let mut stream = body.into_data_stream();
        Body::from_stream(poll_fn(move |context| span.in_scope(|| stream.poll_next_unpin(context))))
    })
}

impl Edge {
    /// Runs a request, unless it is beyond the limits on requests and connections.
    async fn run(&self, request: Request, next: Next) -> Response {
        let is_limited = !UNLIMITED.contains(&request.uri().path());
        let is_admitted = request.extensions().get::<ConnectionLimitReached>().is_none();
        // Held until the response is made.
        let slot = self.slots.try_acquire();
        if is_limited && (!is_admitted || slot.is_err()) {
            let refusal = Problem::new(ProblemKind::Unavailable, "too many requests at the same time");
            return refusal.retry_after(1).into_response();
        }
        match timeout(self.deadline, AssertUnwindSafe(next.run(request)).catch_unwind()).await {
            Ok(Ok(response)) => response,
            Ok(Err(cause)) => panicked(cause),
            Err(_) => {
                let refusal =
                    Problem::new(ProblemKind::Unavailable, "the request was not received and answered in time");
                refusal.retry_after(5).into_response()
            }
        }
    }
}

/// Headers that a route has set stay.
fn add_headers(headers: &mut HeaderMap, request_id: &str) {
    headers.reserve(HEADERS.len() + 1);
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.entry(X_REQUEST_ID).or_insert(id);
    }
}

/// axum adds `Allow`.
async fn not_allowed(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    Problem::new(ProblemKind::MethodNotAllowed, "method not allowed for this route").into_response()
}

/// A label of a fixed set: clients can send any method.
pub(super) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Logs a request, and records how long it took.
fn record(method: &'static str, route: &str, status: StatusCode, took: Duration, info: &RequestInfo) {
    metrics::histogram!("ringback_http_request_seconds", "method" => method, "route" => route.to_owned(),
        "status" => status.as_str().to_owned())
    .record(took);
    // With all its fields and without its span, whose fields would be parsed for each line.
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(parent: None,
                request.id = info.request_id.as_str(), trace.id = info.traceparent.trace_id(),
                client.address = info.client.map(tracing::field::display),
                key.id = info.key_id.get().map(tracing::field::display),
                http.method = method, http.route = route, http.status = status.as_u16(),
                http.duration_ms = took.as_secs_f64() * 1000.0, "request answered")
        };
    }
    // Probes and Prometheus send requests all the time.
    if UNLIMITED.contains(&route) { line!(debug) } else { line!(info) }
}

/// Writes the body of a problem; any other response stays as it is.
pub(super) fn rendered(response: Response, info: &RequestInfo) -> Response {
    let Some(problem) = response.extensions().get::<Problem>().cloned() else { return response };
    if response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json") {
        return response;
    }
    let mut answer = problem.render(&info.path, &info.request_id);
    for name in [header::ALLOW, header::CONNECTION, RATE_LIMIT, RATE_LIMIT_POLICY] {
        let kept = response.headers().get(&name).cloned();
        answer.headers_mut().extend(kept.map(|value| (name, value)));
    }
    answer.extensions_mut().insert(problem);
    answer
}

/// Whether the `Content-Length` of a body is too large. A body without a length reaches the limit while it is read.
pub(super) fn has_large_body(request: &Request) -> bool {
    request.body().size_hint().lower() > MAX_BODY as u64
}

/// Refuses a body whose `Content-Length` is too large, and closes its connection: what is left of the body is not the next
/// request.
pub(super) async fn refuse_large_body(request: Request) -> Response {
    let mut body = request.into_body().into_data_stream();
    let discard = async {
        let mut discarded = 0;
        while let Some(Ok(piece)) = body.next().await
            && discarded < MAX_DISCARDED
        {
            discarded += piece.len();
        }
    };
    let _ = timeout(DISCARD_WITHIN, discard).await;
    let mut refusal = Problem::new(ProblemKind::PayloadTooLarge, TOO_LARGE).into_response();
    refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    refusal
}

pub(super) fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let text = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("unknown"), "a request panicked");
    Problem::new(ProblemKind::Internal, "internal error").into_response()
}
