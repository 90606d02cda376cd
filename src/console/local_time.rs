//! Times that people enter in forms: the text of an `input` of the type `datetime-local`, and the zone that is sent beside it.

use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::types::{Fault, TimeZone};

/// The zone of a form without the script, which sets that of the browser.
pub const DEFAULT_ZONE: &str = "UTC";

/// The time. None for an empty text.
///
/// # Errors
/// `not-a-time` or `not-a-time-zone`
pub fn parse_local_time(text: &str, zone: &str) -> Result<Option<Timestamp>, Fault> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let zone = TimeZone::parse(if zone.is_empty() { DEFAULT_ZONE } else { zone })?;
    let not_a_time = |_| Fault::new("not-a-time", "must be a date and a time such as 2026-11-20T18:00");
    let local: DateTime = text.parse().map_err(not_a_time)?;
    Ok(Some(local.to_zoned(zone.tz().clone()).map_err(not_a_time)?.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_time_is_read_in_its_zone() {
        let at = |text: &str| Ok(Some(text.parse::<Timestamp>().unwrap()));
        assert_eq!(parse_local_time("2026-11-20T18:00", "America/New_York"), at("2026-11-20T23:00:00Z"));
        assert_eq!(parse_local_time(" 2026-11-20T18:00:30 ", ""), at("2026-11-20T18:00:30Z"));
        assert_eq!(parse_local_time("", "nowhere"), Ok(None));
        let code = |text, zone| parse_local_time(text, zone).unwrap_err().code;
        assert_eq!(code("tomorrow", "UTC"), "not-a-time");
        assert_eq!(code("2026-11-20T18:00Z", "UTC"), "not-a-time");
        assert_eq!(code("2026-11-20T18:00", "nowhere"), "not-a-time-zone");
    }
}
