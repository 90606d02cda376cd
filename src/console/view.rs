//! Values as pages show them.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;

use crate::types::PhoneNumber;

/// What is shown of a phone number that has no known form.
const MASK: &str = "•••";

/// A phone number of which a page can show only the masked form.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(from = "String")]
pub struct MaskedNumber(String);

impl From<String> for MaskedNumber {
    fn from(number: String) -> Self {
        Self(PhoneNumber::from_stored(number).map_or_else(|_| MASK.to_owned(), |number| number.masked()))
    }
}

impl fmt::Display for MaskedNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A time for readers without a script, such as `2026-11-20 15:00:05 UTC`. The script shows it in the zone of the reader.
pub fn utc(at: &Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A share as a whole percentage.
pub fn percent(share: &f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// A page of a list of the API.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    pub data: Vec<T>,
    pub next_cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_masked_as_soon_as_it_is_read() {
        let shown = |text: &str| MaskedNumber::from(text.to_owned()).to_string();
        assert_eq!(shown("+12025550198"), "+1202•••0198");
        assert_eq!(shown("<b>no number</b>"), "•••");
    }

    #[test]
    fn a_time_is_shown_in_utc() {
        assert_eq!(utc(&"2026-11-20T15:00:05.123Z".parse().unwrap()), "2026-11-20 15:00:05 UTC");
    }
}
