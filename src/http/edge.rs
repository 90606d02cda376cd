//! What happens to every request, whatever its route: an id, a trace, a deadline, one log line, and errors in one form.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tracing::Instrument as _;

use super::idempotency::ResourceId;
use super::problem::{Problem, ProblemKind};
use crate::clock::Clock;
use crate::trace::Traceparent;

/// Holds the largest legal batch (1,000 callbacks, 10,000 events) with room to spare.
const MAX_BODY: usize = 1024 * 1024;
const TOO_LARGE: &str = "the body is larger than 1 MiB";
/// The longest `Prefer: wait` is 30 s; what takes longer than this is stuck.
const DEADLINE: Duration = Duration::from_secs(40);
/// Of a body that is too large, up to this much is read and thrown away, for this long: a client that is still sending
/// when its connection closes does not see the answer.
const MAX_DISCARDED: usize = 16 * MAX_BODY;
const DISCARD_WITHIN: Duration = Duration::from_secs(5);
/// An id that is longer than this, or not plain, is replaced.
const MAX_REQUEST_ID: usize = 128;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What is known of a request as soon as it arrives.
#[derive(Clone, Debug)]
pub struct RequestInfo {
    /// The caller's `X-Request-Id`, or one made here.
    pub request_id: String,
    /// The path that was asked for.
    pub path: String,
    /// The caller's trace, or one begun here.
    pub traceparent: Traceparent,
    /// When it arrived.
    pub arrived_at: jiff::Timestamp,
    /// The id for the resource that a POST creates, unless an `Idempotency-Key` has one already.
    pub resource: ResourceId,
    /// The service's clock.
    pub clock: Clock,
}

/// Puts the edge around all routes.
pub fn wrap(router: Router, clock: Clock) -> Router {
    router
        .fallback(async || Problem::new(ProblemKind::NotFound, "no such route"))
        .method_not_allowed_fallback(async || {
            Problem::new(ProblemKind::MethodNotAllowed, "method not allowed for this route")
        })
        .layer(RequestBodyLimitLayer::new(MAX_BODY))
        .layer(from_fn(refuse_large_bodies))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(within_deadline))
        .layer(from_fn_with_state(clock, request_context))
}

/// Gives a request its id and its trace, logs how it ended, and renders problems.
async fn request_context(State(clock): State<Clock>, mut request: Request, next: Next) -> Response {
    let info = RequestInfo::of(&request, &clock);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    request.extensions_mut().insert(info.clone());

    let span = tracing::info_span!(
        "request",
        http.method = %method,
        http.route = route,
        request.id = info.request_id,
        trace.id = info.traceparent.trace_id()
    );
    let started = Instant::now();
    let answered = async {
        let mut response = rendered(next.run(request).await, &info);
        let elapsed = started.elapsed();
        let status = response.status();
        tracing::info!(
            http.status = status.as_u16(),
            http.duration_ms = elapsed.as_secs_f64() * 1000.0,
            "{method} {route} {}",
            status.as_u16()
        );
        metrics::histogram!("ringback_http_request_seconds", "method" => method.to_string(), "route" => route.clone(),
            "status" => status.as_str().to_owned())
        .record(elapsed);
        if let Ok(id) = HeaderValue::from_str(&info.request_id) {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        response
    };
    answered.instrument(span).await
}

impl RequestInfo {
    fn of(request: &Request, clock: &Clock) -> Self {
        let id = clock.new_id();
        let headers = request.headers();
        Self {
            request_id: plain(headers, &X_REQUEST_ID).unwrap_or_else(|| id.to_string()),
            path: request.uri().path().to_owned(),
            traceparent: headers
                .get(TRACEPARENT)
                .and_then(|value| Traceparent::parse(value.to_str().ok()?))
                .map_or_else(|| Traceparent::root(id), |parent| parent.child(id)),
            arrived_at: clock.now(),
            resource: ResourceId { id: clock.new_id(), repeated: false },
            clock: clock.clone(),
        }
    }
}

/// A header's value where it is short and of characters that do no harm in a log.
fn plain(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte);
    ((1..=MAX_REQUEST_ID).contains(&text.len()) && text.bytes().all(harmless)).then(|| text.to_owned())
}

/// Writes the body of a problem; any other answer stays as it is.
///
/// A bare 413 comes from the body limit, which knows nothing of problems.
pub(super) fn rendered(response: Response, info: &RequestInfo) -> Response {
    let problem = match response.extensions().get::<Problem>() {
        Some(problem) => problem.clone(),
        None if response.status() == ProblemKind::PayloadTooLarge.status() => {
            Problem::new(ProblemKind::PayloadTooLarge, TOO_LARGE)
        }
        None => return response,
    };
    if response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json") {
        return response;
    }
    let mut answer = problem.render(&info.path, &info.request_id);
    for name in [header::ALLOW, header::CONNECTION] {
        let kept = response.headers().get(&name).cloned();
        answer.headers_mut().extend(kept.map(|value| (name, value)));
    }
    answer.extensions_mut().insert(problem);
    answer
}

/// Refuses a body that says it is too large, and closes its connection: what is left of the body is not the next request.
/// One that does not say so meets the limit where it is read.
async fn refuse_large_bodies(request: Request, next: Next) -> Response {
    if request.body().size_hint().lower() <= MAX_BODY as u64 {
        return next.run(request).await;
    }
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

async fn within_deadline(request: Request, next: Next) -> Response {
    tokio::time::timeout(DEADLINE, next.run(request)).await.unwrap_or_else(|_| {
        Problem::new(ProblemKind::Unavailable, "the request took too long and was given up")
            .retry_after(5)
            .into_response()
    })
}

pub(super) fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let text = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("of no known kind"), "a request panicked");
    Problem::new(ProblemKind::Internal, "internal error").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_taken_only_where_it_is_plain() {
        let taken = |text: &str| {
            let headers = HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_str(text).unwrap())]);
            plain(&headers, &X_REQUEST_ID)
        };
        assert_eq!(taken("ivr-42/a.b:c"), Some("ivr-42/a.b:c".into()));
        assert_eq!(taken(""), None);
        assert_eq!(taken("with space"), None);
        assert_eq!(taken(&"x".repeat(129)), None);
    }
}
