//! Query parameters and ids in paths.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::answer::invalid;
use crate::simulator::fields::pairs;
use crate::simulator::model::nice::tenant::report_instant;
use crate::simulator::refusal::Refusal;

const LONGEST_RANGE: SignedDuration = SignedDuration::from_hours(24 * 30);
const DEFAULT_TOP: u64 = 50;

/// The query parameters; case does not matter in their names.
pub(super) struct Params(Vec<(String, String)>);

/// A page of a list.
pub(super) struct Page {
    skip: usize,
    top: usize,
}

/// The id in the path. One that is no number is the id of nothing.
pub(super) struct Id(pub(super) u64);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        let pairs = pairs(parts.uri.query().unwrap_or_default())?.into_iter();
        Ok(Self(pairs.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|error| Refusal::bad_request(error.to_string()))?;
        let id = params.iter().find(|(name, _)| *name == "id").and_then(|(_, value)| value.parse().ok());
        Ok(Self(id.unwrap_or(0)))
    }
}

impl Params {
    /// The value of a parameter, by its name in lower case. An empty one counts as absent.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == &name.to_ascii_lowercase());
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All values of a parameter that may be given more than once.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        self.text(name).map(|text| text.parse().map_err(|_| invalid(name))).transpose()
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        let flag = |text: &str| text.to_ascii_lowercase().parse().map_err(|_| invalid(name));
        self.text(name).map(flag).transpose()
    }

    /// An instant such as `2026-11-20T15:00:00Z`; no offset, no fraction.
    pub(super) fn instant(&self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        self.text(name).map(|text| report_instant(text).ok_or_else(|| invalid(name))).transpose()
    }

    /// `startDate` and `endDate`, at most 30 days apart. `None` if both are absent.
    pub(super) fn optional_range(&self) -> Result<Option<(Timestamp, Timestamp)>, Refusal> {
        match (self.instant("startDate")?, self.instant("endDate")?) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(invalid("endDate")),
            (None, Some(_)) => Err(invalid("startDate")),
            (Some(start), Some(end)) if start >= end => Err(invalid("DateRange - startDate must be before endDate")),
            (Some(start), Some(end)) if end.duration_since(start) > LONGEST_RANGE => {
                Err(invalid("DateRange - The range must not be longer than 30 days"))
            }
            (Some(start), Some(end)) => Ok(Some((start, end))),
        }
    }

    /// `startDate` and `endDate`, which are required.
    pub(super) fn range(&self) -> Result<(Timestamp, Timestamp), Refusal> {
        self.optional_range()?.ok_or_else(no_dates)
    }

    /// `skip` and `top`, of a list that has at most `most` items on a page.
    pub(super) fn page(&self, most: u64) -> Result<Page, Refusal> {
        let skip = self.number("skip")?.unwrap_or(0);
        let top = self.number("top")?.unwrap_or(DEFAULT_TOP);
        if !(1..=most).contains(&top) {
            return Err(invalid("top"));
        }
        let size = |number: u64, name| usize::try_from(number).map_err(|_| invalid(name));
        Ok(Page { skip: size(skip, "skip")?, top: size(top, "top")? })
    }
}

/// 400: a report without dates.
pub(super) fn no_dates() -> Refusal {
    invalid("DateRange - No dates fields provided")
}

impl Page {
    pub(super) fn of(&self, rows: Vec<Value>) -> Vec<Value> {
        rows.into_iter().skip(self.skip).take(self.top).collect()
    }
}
