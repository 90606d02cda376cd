//! Bodies and queries, read so that every fault in them is found at once.
//!
//! A request is a struct of [`Member`]s: reading it never stops at the first member that is wrong. [`Faults`] then
//! takes each member through the one parser of its meaning and gathers what they say.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::problem::{FieldFault, Problem, ProblemKind};
use crate::db::{PageRequest, decode_cursor};
use crate::types::Fault;

/// Rows of a page where the request does not say.
const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;

/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// One member of a request's JSON object, not yet understood.
#[derive(Clone, Debug, Default)]
pub enum Member<T> {
    /// Left out, or null.
    #[default]
    Absent,
    /// Of another JSON type.
    Mistyped,
    /// Of the right JSON type; what it means is still to be parsed.
    Given(T),
}

/// A JSON type that a member can have.
pub trait JsonType: DeserializeOwned {
    /// Its name, as in "must be a string".
    const NAME: &'static str;
}

impl JsonType for String {
    const NAME: &'static str = "a string";
}

/// Any; it is looked at later.
impl JsonType for Value {
    const NAME: &'static str = "a value";
}

impl JsonType for bool {
    const NAME: &'static str = "true or false";
}

impl JsonType for f64 {
    const NAME: &'static str = "a number";
}

impl JsonType for u32 {
    const NAME: &'static str = "a whole number, not negative";
}

impl<T: DeserializeOwned> JsonType for Vec<T> {
    const NAME: &'static str = "an array";
}

impl<'de, T: JsonType> Deserialize<'de> for Member<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Null => Self::Absent,
            value => T::deserialize(value).map_or(Self::Mistyped, Self::Given),
        })
    }
}

/// What `#[serde(flatten)]` leaves: the members that the request does not have.
pub type Unknown = BTreeMap<String, IgnoredAny>;

/// The faults found so far, below one place of the body.
#[derive(Debug, Default)]
pub struct Faults {
    base: String,
    found: Vec<FieldFault>,
}

impl Faults {
    /// None yet, in the body as a whole.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a fault at `name`, a member's name; empty for the object itself.
    pub fn add(&mut self, name: &str, fault: Fault) {
        let pointer =
            if name.is_empty() { self.base.clone() } else { format!("{}/{}", self.base, escape_pointer(name)) };
        self.found.push(FieldFault { pointer, code: fault.code, detail: fault.detail });
    }

    /// A member that must be there, through its parser.
    pub fn required<T: JsonType, M>(
        &mut self,
        name: &str,
        member: &Member<T>,
        parse: impl FnOnce(&T) -> Result<M, Fault>,
    ) -> Option<M> {
        if matches!(member, Member::Absent) {
            self.add(name, Fault::new("required", "is required"));
        }
        self.optional(name, member, parse)
    }

    /// A member that may be there, through its parser.
    pub fn optional<T: JsonType, M>(
        &mut self,
        name: &str,
        member: &Member<T>,
        parse: impl FnOnce(&T) -> Result<M, Fault>,
    ) -> Option<M> {
        let parsed = match member {
            Member::Absent => return None,
            Member::Mistyped => Err(Fault::new("wrong-type", format!("must be {}", T::NAME))),
            Member::Given(value) => parse(value),
        };
        parsed.map_err(|fault| self.add(name, fault)).ok()
    }

    /// Reads an object in the body; its faults are noted below `name`.
    pub fn within<M>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> M) -> M {
        let base = format!("{}/{}", self.base, escape_pointer(name));
        let mut inner = Self { base, found: Vec::new() };
        let result = read(&mut inner);
        self.found.append(&mut inner.found);
        result
    }

    /// A member that may be there and is an object of the request struct `T`; its faults are noted below `name`.
    pub fn object<T: DeserializeOwned, M>(
        &mut self,
        name: &str,
        member: &Member<Value>,
        read: impl FnOnce(T, &mut Self) -> Option<M>,
    ) -> Option<M> {
        let Member::Given(value) = member else { return None };
        self.within(name, |faults| match value.is_object().then(|| T::deserialize(value)) {
            Some(Ok(request)) => read(request, faults),
            _ => {
                faults.add("", Fault::new("wrong-type", "must be an object"));
                None
            }
        })
    }

    /// Members that the request does not have.
    pub fn unknown(&mut self, members: &Unknown) {
        for name in members.keys() {
            self.add(name, Fault::new("unknown-member", "is not a member of this request"));
        }
    }

    /// The value where nothing was found, else the problem with all that was.
    ///
    /// # Errors
    /// A 422 with every fault.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(Problem::invalid(self.found)),
        }
    }
}

/// `~` and `/` as RFC 6901 writes them.
fn escape_pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A JSON object of the request struct `T`.
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let JsonBytes(body) = JsonBytes::from_request(request, state).await?;
        parse_json(&body).map(Self)
    }
}

/// A body that says it is JSON, not yet read.
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

/// The same, of a route whose body may be left out.
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

fn not_json() -> Problem {
    Problem::new(ProblemKind::UnsupportedMediaType, "the body must be sent as application/json")
}

/// The part of the path that a route leaves open. One that cannot be read is the name of nothing: 404.
pub struct Segment<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segment<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = axum::extract::Path::from_request_parts(parts, state).await;
        found.map(|axum::extract::Path(part)| Self(part)).map_err(|_| Problem::not_found("thing"))
    }
}

/// Reads a body that the edge has bounded.
///
/// # Errors
/// 413 where it is too large, 408 where it is too slow, 400 where it breaks off.
pub async fn read_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(BODY_DEADLINE, Bytes::from_request(request, state)).await;
    let read =
        read.map_err(|_| Problem::new(ProblemKind::RequestTimeout, "the body did not arrive within 10 seconds"))?;
    read.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::new(ProblemKind::PayloadTooLarge, "the body is larger than 1 MiB")
        } else {
            Problem::new(ProblemKind::MalformedJson, "the body broke off before its end")
        }
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || (essence.to_ascii_lowercase().starts_with("application/") && essence.ends_with("+json"))
}

/// Reads JSON. JSON that is malformed and JSON of another shape are two different things.
///
/// # Errors
/// 400, or a 422 for the body as a whole.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        if serde_json::from_slice::<IgnoredAny>(body).is_ok() {
            let detail = "must be a JSON object, each member at most once, nested less than 128 deep";
            return Problem::fault("", Fault::new("wrong-type", detail));
        }
        let place = format!("reading stopped at line {}, column {}", error.line(), error.column());
        Problem::new(ProblemKind::MalformedJson, place)
    })
}

/// A query's parameters, each to be taken by name; what is left over is a fault.
#[derive(Debug)]
pub struct Query {
    parameters: Vec<(String, String)>,
    faults: Faults,
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let axum::extract::Query(parameters) = axum::extract::Query::try_from_uri(&parts.uri)
            .map_err(|_| Problem::fault("", Fault::new("malformed-query", "must be name=value pairs in UTF-8")))?;
        Ok(Self { parameters, faults: Faults::new() })
    }
}

impl Query {
    /// The parameter of this name, through its parser; none where it is absent or wrong. An empty one is absent.
    pub fn take<M>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<M, Fault>) -> Option<M> {
        let values: Vec<_> = self.parameters.extract_if(.., |(given, _)| given == name).collect();
        match values.as_slice() {
            [] => None,
            [(_, value)] if value.is_empty() => None,
            [(_, value)] => parse(value).map_err(|fault| self.faults.add(name, fault)).ok(),
            _ => {
                self.faults.add(name, Fault::new("repeated", "must be given once"));
                None
            }
        }
    }

    /// The page that `limit` and `cursor` ask for.
    pub fn page<P: DeserializeOwned>(&mut self) -> PageRequest<P> {
        let limit = self.take("limit", parse_limit).unwrap_or(DEFAULT_LIMIT);
        let after = self.take("cursor", |text| {
            decode_cursor(text).ok_or_else(|| Fault::new("not-a-cursor", "must be the nextCursor of an earlier page"))
        });
        PageRequest { limit, after }
    }

    /// Every parameter has been taken.
    ///
    /// # Errors
    /// A 422 with every fault, unknown parameters among them: a filter that is misspelt must not list everything.
    pub fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in &self.parameters {
            self.faults.add(name, Fault::new("unknown-parameter", "is not a parameter of this list"));
        }
        self.faults.finish(Some(()))
    }
}

fn parse_limit(text: &str) -> Result<i64, Fault> {
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Fault::new("out-of-range", format!("must be a whole number from 1 to {MAX_LIMIT}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Greeting {
        #[serde(default)]
        name: Member<String>,
        #[serde(default)]
        tags: Member<Vec<String>>,
        #[serde(flatten)]
        unknown: Unknown,
    }

    fn pointers_and_codes(json: &str) -> Vec<(String, &'static str)> {
        let greeting: Greeting = parse_json(json.as_bytes()).unwrap();
        let mut faults = Faults::new();
        faults.required("name", &greeting.name, |name| {
            if name == "Ada" { Ok(()) } else { Err(Fault::new("not-ada", "must be Ada")) }
        });
        faults.optional("tags", &greeting.tags, |_| Ok(()));
        faults.unknown(&greeting.unknown);
        faults.found.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
    }

    #[test]
    fn every_fault_is_found_at_once() {
        assert_eq!(pointers_and_codes(r#"{"name": "Ada"}"#), []);
        assert_eq!(pointers_and_codes("{}"), [("/name".into(), "required")]);
        assert_eq!(
            pointers_and_codes(r#"{"name": "Bob", "tags": 7, "a/b~c": 1}"#),
            [("/name".into(), "not-ada"), ("/tags".into(), "wrong-type"), ("/a~1b~0c".into(), "unknown-member")]
        );
    }

    #[test]
    fn json_that_is_no_json_and_json_that_is_no_object_differ() {
        let kind = |json: &str| parse_json::<Greeting>(json.as_bytes()).err().map(|problem| problem.kind);
        assert_eq!(kind("{"), Some(ProblemKind::MalformedJson));
        assert_eq!(kind(&"[".repeat(100_000)), Some(ProblemKind::MalformedJson));
        assert_eq!(
            kind(&format!(r#"{{"name": {}{}}}"#, "[".repeat(5000), "]".repeat(5000))),
            Some(ProblemKind::InvalidRequest)
        );
        assert_eq!(kind(r#"{"name": "Ada", "name": "Bob"}"#), Some(ProblemKind::InvalidRequest));
        assert_eq!(kind("[]"), Some(ProblemKind::InvalidRequest));
        assert_eq!(kind("7"), Some(ProblemKind::InvalidRequest));
    }
}
