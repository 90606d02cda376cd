//! The time zone of the business unit, which NICE names as Windows does.

use icu_time::zone::iana::IanaParserExtended;
use icu_time::zone::windows::WindowsParser;
use jiff::tz::TimeZone;

/// The zone with this name of Windows or of IANA.
pub fn zone(name: &str) -> Option<TimeZone> {
    if let Ok(zone) = TimeZone::get(name) {
        return Some(zone);
    }
    let id = WindowsParser::new().parse(name, None)?;
    let known = IanaParserExtended::new();
    let iana = known.iter().find(|known| known.time_zone == id)?;
    TimeZone::get(iana.canonical).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_has_a_name_of_windows_or_of_iana() {
        let iana = |name: &str| zone(name).and_then(|zone| zone.iana_name().map(str::to_owned));
        for (name, expected) in [
            ("Eastern Standard Time", Some("America/New_York")),
            ("W. Europe Standard Time", Some("Europe/Berlin")),
            ("Tokyo Standard Time", Some("Asia/Tokyo")),
            ("America/Chicago", Some("America/Chicago")),
            ("Nowhere Standard Time", None),
            ("", None),
        ] {
            assert_eq!(iana(name).as_deref(), expected, "{name}");
        }
        assert!(zone("UTC").is_some());
    }
}
