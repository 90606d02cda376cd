//! The layers around all routes: request id, trace, log line, metric, time and size limits, response headers, compression.

use std::any::Any;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower::util::MapRequestLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tracing::Span;
use uuid::Uuid;

use super::client_address::client_address;
use super::idempotency_store::ResourceId;
use super::problem::{Problem, ProblemKind};
use super::server_span::ServerSpan;
use crate::clock::Clock;
use crate::trace::Traceparent;
use crate::types::TrustedProxies;

/// Holds the largest legal batch (1,000 callbacks, 10,000 events) with room to spare.
pub(super) const MAX_BODY: usize = 1024 * 1024;
pub(super) const TOO_LARGE: &str = "the body is larger than 1 MiB";
/// Of a body that is too large, up to this much is read and discarded, for this long: a client that is still sending when
/// its connection closes does not see the response.
const MAX_DISCARDED: usize = 16 * MAX_BODY;
const DISCARD_WITHIN: Duration = Duration::from_secs(5);
/// An id that is longer than this, or has other characters than [`is_safe_id`] allows, is replaced.
const MAX_REQUEST_ID: usize = 128;
/// The routes that answer in spite of the limits on requests and connections.
const UNLIMITED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// Smaller responses are not compressed, in bytes.
const COMPRESS_FROM: u64 = 1024;

/// The route of a path that has none.
pub(super) const NO_ROUTE: &str = "none";

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What is left of the rate of an API key, and the rate itself.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

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

/// What is known of a request when it arrives.
#[derive(Clone, Debug)]
pub struct RequestInfo {
    /// The sender's `X-Request-Id`, or a generated one.
    pub request_id: String,
    /// The path of the request.
    pub path: String,
    /// The sender's trace, or a new one.
    pub traceparent: Traceparent,
    /// When it arrived.
    pub arrived_at: jiff::Timestamp,
    /// The id for the resource that a POST creates, unless an `Idempotency-Key` has one already.
    pub resource: ResourceId,
    /// The service's clock.
    pub clock: Clock,
    /// The address of the client, as far as trusted proxies report it.
    pub client: Option<IpAddr>,
    /// The API key that was sent, once it is found.
    pub key_id: OnceLock<Uuid>,
}

/// Adds the layers to all routes. Those further up run first. All that needs a future of its own is in [`handle`]: each such
/// layer allocates and copies all layers below it, for each request. `proxies` report the addresses of clients.
pub fn wrap(router: Router, clock: Clock, limits: RequestLimits, proxies: TrustedProxies) -> Router {
    let headers = |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    let slots = Arc::new(Semaphore::new(limits.requests));
    // A compressed stream of events would be held back until a block is full.
    let is_compressed = SizeAbove::new(COMPRESS_FROM).and(NotForContentType::SSE);
    let layers = ServiceBuilder::new()
        .layer(CompressionLayer::new().compress_when(is_compressed))
        .layer(headers(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(headers(header::CACHE_CONTROL, "no-store"))
        .layer(headers(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .layer(headers(header::X_FRAME_OPTIONS, "DENY"))
        .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION, header::COOKIE]))
        .layer(MapRequestLayer::new(remove_unsafe_id))
        .layer(SetRequestIdLayer::new(X_REQUEST_ID, NewRequestId(clock.clone())))
        .layer(PropagateRequestIdLayer::new(X_REQUEST_ID))
        .layer(MapRequestLayer::new(move |request| with_info(request, clock.clone(), &proxies)))
        .layer(from_fn_with_state(slots, handle))
        .layer(TraceLayer::new_for_http().make_span_with(request_span).on_request(()).on_response(()).on_failure(()))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, limits.deadline))
        .layer(CatchPanicLayer::custom(panicked));
    router
        .fallback(async || Problem::new(ProblemKind::NotFound, "no such route"))
        .method_not_allowed_fallback(not_allowed)
        .layer(layers)
}

/// Admits the request, runs it, renders its problem, logs it, and records how long it took.
async fn handle(State(slots): State<Arc<Semaphore>>, mut request: Request, next: Next) -> Response {
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let info = request.extensions().get::<Arc<RequestInfo>>().cloned();
    let span = request.extensions_mut().remove::<ServerSpan>();
    let started = Instant::now();
    let mut response = admitted(&slots, request, next).await;
    if let Some(info) = &info {
        response = rendered(response, info);
    }
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    record(method, route, response.status(), started.elapsed(), info.as_deref());
    if let Some(span) = span {
        span.answered(response.status());
    }
    response
}

/// axum adds `Allow`.
async fn not_allowed(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    Problem::new(ProblemKind::MethodNotAllowed, "method not allowed for this route").into_response()
}

/// Generates the id of a request that has none.
#[derive(Clone)]
struct NewRequestId(Clock);

impl MakeRequestId for NewRequestId {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        HeaderValue::from_str(&self.0.new_id().to_string()).ok().map(RequestId::new)
    }
}

/// Removes a request id that must not appear in logs.
fn remove_unsafe_id(mut request: Request) -> Request {
    if request.headers().get(&X_REQUEST_ID).is_some_and(|id| !is_safe_id(id)) {
        request.headers_mut().remove(&X_REQUEST_ID);
    }
    request
}

fn is_safe_id(id: &HeaderValue) -> bool {
    let is_safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(is_safe)
}

/// Adds what is known of the request to its extensions.
fn with_info(mut request: Request, clock: Clock, proxies: &TrustedProxies) -> Request {
    let mut info = RequestInfo::of(&request, clock, proxies);
    // Probes would fill the traces.
    if !UNLIMITED.contains(&request.uri().path()) {
        let (parent, method) = (traceparent_of(request.headers()), method_label(request.method()));
        if let Some((span, traceparent)) = ServerSpan::start(parent.as_ref(), method, route_of(&request)) {
            info.traceparent = traceparent;
            request.extensions_mut().insert(span);
        }
    }
    request.extensions_mut().insert(Arc::new(info));
    request
}

impl RequestInfo {
    fn of(request: &Request, clock: Clock, proxies: &TrustedProxies) -> Self {
        let id = clock.new_id();
        let request_id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
        let parent = traceparent_of(request.headers());
        Self {
            request_id: request_id.unwrap_or_default().to_owned(),
            path: request.uri().path().to_owned(),
            traceparent: parent.map_or_else(|| Traceparent::root(id), |parent| parent.child(id)),
            arrived_at: clock.now(),
            resource: ResourceId { id, repeated: false },
            clock,
            client: client_address(request, proxies),
            key_id: OnceLock::new(),
        }
    }
}

/// The sender's trace.
pub(super) fn traceparent_of(headers: &HeaderMap) -> Option<Traceparent> {
    headers.get(TRACEPARENT).and_then(|value| Traceparent::parse(value.to_str().ok()?))
}

fn route_of(request: &Request) -> &str {
    request.extensions().get::<MatchedPath>().map_or(NO_ROUTE, MatchedPath::as_str)
}

fn request_span(request: &Request) -> Span {
    let info = request.extensions().get::<Arc<RequestInfo>>();
    tracing::info_span!(
        "request",
        http.method = %request.method(),
        http.route = route_of(request),
        request.id = info.map(|info| info.request_id.as_str()),
        trace.id = info.map(|info| info.traceparent.trace_id())
    )
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
fn record(method: &'static str, route: &str, status: StatusCode, took: Duration, info: Option<&RequestInfo>) {
    metrics::histogram!("ringback_http_request_seconds", "method" => method, "route" => route.to_owned(),
        "status" => status.as_str().to_owned())
    .record(took);
    // With all its fields and without its span, whose fields would be parsed for each line.
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(parent: None,
                request.id = info.map(|info| info.request_id.as_str()),
                trace.id = info.map(|info| info.traceparent.trace_id()),
                client.address = info.and_then(|info| info.client).map(tracing::field::display),
                key.id = info.and_then(|info| info.key_id.get()).map(tracing::field::display),
                http.method = method, http.route = route, http.status = status.as_u16(),
                http.duration_ms = took.as_secs_f64() * 1000.0, "request answered")
        };
    }
    // Probes and Prometheus send requests all the time.
    if UNLIMITED.contains(&route) { line!(debug) } else { line!(info) }
}

/// Writes the body of a problem; any other response stays as it is. The empty response of the timeout becomes one.
pub(super) fn rendered(response: Response, info: &RequestInfo) -> Response {
    let problem = response.extensions().get::<Problem>().cloned();
    let Some(problem) = problem.or_else(|| problem_of_layer(&response)) else { return response };
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

/// The problem for the empty 503 of the timeout.
fn problem_of_layer(response: &Response) -> Option<Problem> {
    let is_timeout =
        response.status() == StatusCode::SERVICE_UNAVAILABLE && !response.headers().contains_key(header::CONTENT_TYPE);
    let problem = || Problem::new(ProblemKind::Unavailable, "the request was not received and answered in time");
    is_timeout.then(|| problem().retry_after(5))
}

/// Runs a request, unless it is beyond the limits on requests and connections.
async fn admitted(slots: &Semaphore, request: Request, next: Next) -> Response {
    let is_limited = !UNLIMITED.contains(&request.uri().path());
    let is_admitted = request.extensions().get::<ConnectionLimitReached>().is_none();
    // Held until the response is made.
    let slot = slots.try_acquire();
    if is_limited && (!is_admitted || slot.is_err()) {
        let refusal = Problem::new(ProblemKind::Unavailable, "too many requests at the same time");
        return refusal.retry_after(1).into_response();
    }
    next.run(request).await
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
    let _ = tokio::time::timeout(DISCARD_WITHIN, discard).await;
    let mut refusal = Problem::new(ProblemKind::PayloadTooLarge, TOO_LARGE).into_response();
    refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    refusal
}

pub(super) fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let text = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("unknown"), "a request panicked");
    Problem::new(ProblemKind::Internal, "internal error").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_kept_only_if_it_is_safe_in_a_log() {
        let is_safe = |text: &str| is_safe_id(&HeaderValue::from_str(text).unwrap());
        assert!(is_safe("ivr-42/a.b:c") && is_safe(&"x".repeat(128)));
        assert!(!is_safe("") && !is_safe("with space") && !is_safe(&"x".repeat(129)));
    }
}
