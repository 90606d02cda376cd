//! The parameters of a request's query.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jiff::SignedDuration;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::validation::Faults;
use crate::db::{PageRequest, decode_cursor};
use crate::types::{Fault, Interval, parse_instant};

/// Rows of a page where the request does not say.
const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;

/// The parameters of a query. Each is taken by name; one that no handler takes is a fault.
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
    /// Parses the parameter of this name; none where it is absent or wrong. An empty one is wrong: a filter whose value got
    /// lost must not list everything.
    pub fn take<M>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<M, Fault>) -> Option<M> {
        let values: Vec<_> = self.parameters.extract_if(.., |(given, _)| given == name).collect();
        match values.as_slice() {
            [] => None,
            [(_, value)] if value.is_empty() => {
                self.faults.add(name, Fault::new("empty", "must have a value, or be left out"));
                None
            }
            [(_, value)] => parse(value)
                .and_then(|parsed| without_nul(value, parsed))
                .map_err(|fault| self.faults.add(name, fault))
                .ok(),
            _ => {
                self.faults.add(name, Fault::new("repeated", "must be given once"));
                None
            }
        }
    }

    /// The same for a parameter that must be given.
    pub fn take_required<M>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<M, Fault>) -> Option<M> {
        if !self.parameters.iter().any(|(given, _)| given == name) {
            self.faults.add(name, Fault::new("required", "is required"));
        }
        self.take(name, parse)
    }

    /// The span from `from` to `to`, which must be given; none where one is absent or wrong. It has at most this length, whose
    /// text is in the fault.
    pub fn take_span(&mut self, longest: SignedDuration, named: &str) -> Option<Interval> {
        let start = self.take_required("from", parse_instant);
        let end = self.take_required("to", |text| {
            let end = parse_instant(text)?;
            match start {
                Some(start) if end <= start => Err(Fault::new("out-of-range", "must be later than from")),
                Some(start) if end.duration_since(start) > longest => {
                    Err(Fault::new("out-of-range", format!("must be at most {named} after from")))
                }
                _ => Ok(end),
            }
        });
        Some(Interval { start: start?, end: end? })
    }

    /// The page that `limit` and `cursor` ask for. An empty cursor is that of the first page, with which loops begin.
    pub fn page<P: DeserializeOwned>(&mut self) -> PageRequest<P> {
        self.parameters.retain(|(name, value)| name != "cursor" || !value.is_empty());
        let limit = self.take("limit", parse_limit).unwrap_or(DEFAULT_LIMIT);
        let after = self.take("cursor", |text| {
            decode_cursor(text).ok_or_else(|| Fault::new("not-a-cursor", "must be the nextCursor of an earlier page"))
        });
        PageRequest { limit, after }
    }

    /// The answer has all rows: the parameters of a page are faults.
    pub fn whole(&mut self) {
        for name in ["limit", "cursor"] {
            self.take(name, |_| {
                Err::<(), _>(Fault::new("not-a-page", "is for a page of JSON, and this is the whole list"))
            });
        }
    }

    /// Ends reading the query.
    ///
    /// # Errors
    /// A 422 with every fault. An unknown parameter is one: a misspelt filter must not list everything.
    pub fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in &self.parameters {
            self.faults.add_unknown(name, Fault::new("unknown-parameter", "is not a parameter of this list"));
        }
        self.faults.finish()
    }
}

/// Postgres refuses a parameter with NUL.
fn without_nul<M>(text: &str, parsed: M) -> Result<M, Fault> {
    if text.contains('\0') {
        return Err(Fault::new("nul-character", "must not contain the character NUL"));
    }
    Ok(parsed)
}

fn parse_limit(text: &str) -> Result<i64, Fault> {
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Fault::new("out-of-range", format!("must be a whole number from 1 to {MAX_LIMIT}")))
}
