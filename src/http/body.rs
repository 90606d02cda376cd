//! The bodies of requests, and the parts of their paths.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use validator::Validate;

use super::layers::{MAX_BODY, TOO_LARGE};
use super::problem::{Problem, ProblemKind};
use super::validation::{Unknown, valid};
use crate::types::Fault;

/// How long a body may take to arrive.
pub const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// A JSON object of the request struct `T`.
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let JsonBytes(body) = JsonBytes::from_request(request, state).await?;
        parse_json(&body).map(Self)
    }
}

/// A body with a JSON content type, not yet parsed.
pub struct JsonBytes(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(not_json());
        }
        read_body(request, state).await.map(Self)
    }
}

/// A JSON object of the request struct `T`; the default where the body is empty.
pub struct OptionalJsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let body = read_body(request, state).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        if is_json { parse_json(&body).map(Self) } else { Err(not_json()) }
    }
}

/// For a request that takes nothing: no body, or an object without members.
pub struct NoBody;

#[derive(Default, Deserialize, Validate)]
struct NoMembers {
    #[serde(flatten)]
    #[validate(nested)]
    unknown: Unknown,
}

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let OptionalJsonBody(body) = OptionalJsonBody::<NoMembers>::from_request(request, state).await?;
        valid(body.validate()).map(|()| Self)
    }
}

fn not_json() -> Problem {
    Problem::new(ProblemKind::UnsupportedMediaType, "the body must be sent as application/json")
}

/// The parameter of a route's path. One that cannot be parsed names no resource: 404.
pub struct PathParam<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathParam<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = axum::extract::Path::from_request_parts(parts, state).await;
        found.map(|axum::extract::Path(part)| Self(part)).map_err(|_| Problem::not_found("resource"))
    }
}

/// Reads a body.
///
/// # Errors
/// 413 where it is too large, 408 where it is too slow, 400 where it is incomplete.
pub async fn read_body<S: Send + Sync>(mut request: Request, state: &S) -> Result<Bytes, Problem> {
    DefaultBodyLimit::max(MAX_BODY).apply(&mut request);
    let read = tokio::time::timeout(BODY_DEADLINE, Bytes::from_request(request, state)).await;
    let read =
        read.map_err(|_| Problem::new(ProblemKind::RequestTimeout, "the body did not arrive within 10 seconds"))?;
    read.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::new(ProblemKind::PayloadTooLarge, TOO_LARGE)
        } else {
            Problem::new(ProblemKind::MalformedJson, "the body is incomplete")
        }
    })
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || (essence.to_ascii_lowercase().starts_with("application/") && essence.ends_with("+json"))
}

/// Parses JSON. Malformed JSON and valid JSON of the wrong shape are different problems.
///
/// # Errors
/// 400, or a 422 for the body as a whole.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        // What is ignored may be anything else than UTF-8.
        if std::str::from_utf8(body).is_ok() && serde_json::from_slice::<IgnoredAny>(body).is_ok() {
            let detail = "must be a JSON object, each member at most once, nested less than 128 deep";
            return Problem::fault("", Fault::new("wrong-type", detail));
        }
        let place = format!("reading stopped at line {}, column {}", error.line(), error.column());
        Problem::new(ProblemKind::MalformedJson, place)
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Greeting {
        #[serde(rename = "name")]
        _name: Option<serde_json::Value>,
    }

    #[test]
    fn malformed_json_and_json_that_is_no_object_differ() {
        let kind = |json: &str| parse_json::<Greeting>(json.as_bytes()).err().map(|problem| problem.kind);
        assert_eq!(kind("{"), Some(ProblemKind::MalformedJson));
        assert_eq!(kind(&"[".repeat(100_000)), Some(ProblemKind::MalformedJson));
        let invalid_utf8 = parse_json::<Greeting>(b"{\"name\": \"\xff\"}").err().map(|problem| problem.kind);
        assert_eq!(invalid_utf8, Some(ProblemKind::MalformedJson));
        assert_eq!(
            kind(&format!(r#"{{"name": {}{}}}"#, "[".repeat(5000), "]".repeat(5000))),
            Some(ProblemKind::InvalidRequest)
        );
        assert_eq!(kind(r#"{"name": "Ada", "name": "Bob"}"#), Some(ProblemKind::InvalidRequest));
        assert_eq!(kind("[]"), Some(ProblemKind::InvalidRequest));
        assert_eq!(kind("7"), Some(ProblemKind::InvalidRequest));
    }
}
