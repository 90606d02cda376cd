//! Conditional requests (RFC 9110, section 13) on resources with a version.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_extra::TypedHeader;
use axum_extra::headers::{ETag, HeaderMapExt as _, IfMatch, IfNoneMatch};
use serde::Serialize;

use super::problem::Problem;
use crate::types::Fault;

/// `If-Match` and `If-None-Match`: lists of entity tags, or `*`.
pub struct Preconditions {
    if_match: Option<IfMatch>,
    if_none_match: Option<IfNoneMatch>,
}

impl Preconditions {
    /// Whether the request depends on the current version.
    pub fn any(&self) -> bool {
        self.if_match.is_some() || self.if_none_match.is_some()
    }

    /// Whether a resource of this version may be replaced.
    pub fn allow_replacing(&self, version: i64) -> bool {
        let tag = entity_tag(version);
        let matches = self.if_match.as_ref().is_none_or(|condition| condition.precondition_passes(&tag));
        matches && !self.is_known(version)
    }

    /// Whether the client has this version already.
    pub fn is_known(&self, version: i64) -> bool {
        let tag = entity_tag(version);
        self.if_none_match.as_ref().is_some_and(|condition| !condition.precondition_passes(&tag))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Preconditions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let unreadable = || {
            let fault = Fault::new("not-entity-tags", "must be * or a list of entity tags in double quotes");
            Problem::fault("/If-Match", fault)
        };
        let headers = &parts.headers;
        if has_space_in_tag(headers, &header::IF_MATCH) {
            return Err(unreadable());
        }
        let if_none_match = headers.typed_get().filter(|_| !has_space_in_tag(headers, &header::IF_NONE_MATCH));
        Ok(Self { if_match: headers.typed_try_get().map_err(|_| unreadable())?, if_none_match })
    }
}

/// No entity tag has a space. The parser takes one, and panics in a debug build.
fn has_space_in_tag(headers: &HeaderMap, name: &HeaderName) -> bool {
    let inside_quotes = |value: &HeaderValue| {
        let mut tags = value.as_bytes().split(|byte| *byte == b'"').skip(1).step_by(2);
        tags.any(|tag| tag.iter().any(u8::is_ascii_whitespace))
    };
    headers.get_all(name).iter().any(inside_quotes)
}

fn entity_tag(version: i64) -> ETag {
    #[expect(clippy::expect_used, reason = "digits in quotes are an entity tag")]
    format!("\"{version}\"").parse().expect("an entity tag")
}

/// A 200 with the body and the `ETag` of this version.
pub fn tagged<T: Serialize>(body: T, version: i64) -> Response {
    (TypedHeader(entity_tag(version)), Json(body)).into_response()
}

/// A 304: the client has this version.
pub fn not_modified(version: i64) -> Response {
    (StatusCode::NOT_MODIFIED, TypedHeader(entity_tag(version))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_tag_has_no_space() {
        for (value, expected) in [
            ("\"a b\"", true),
            ("\"a\", W/\"b\\tc\"", false),
            ("\"a\",\t \"b\tc\"", true),
            ("\"a\" , \"b\"", false),
            ("*", false),
        ] {
            let headers = HeaderMap::from_iter([(header::IF_MATCH, value.parse().unwrap())]);
            assert_eq!(has_space_in_tag(&headers, &header::IF_MATCH), expected, "{value}");
        }
    }
}
