//! The time zone of the place of a phone number.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{PhoneNumber, TimeZone};

/// The time zone of each prefix.
static ZONES: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let lines = include_str!("number_zones.txt").lines().filter(|line| !line.starts_with('#'));
    let lines = lines.filter_map(|line| line.split_once(' '));
    lines.flat_map(|(zone, prefixes)| prefixes.split(' ').map(move |prefix| (prefix, zone))).collect()
});
const SEVERAL: &str = "-";
const LONGEST_PREFIX: usize = 9;
/// The country code that North America and the Caribbean share: their area codes are places, also those of mobiles.
const NORTH_AMERICA: &str = "1";

/// The time zone of this number, where it is certain: its range is that of one place, or its whole country has one zone.
///
/// The data is that of libphonenumber: see `number_zones.txt`.
pub fn zone_of_number(number: &PhoneNumber) -> Option<TimeZone> {
    let digits = number.as_str().strip_prefix('+')?;
    let longest = LONGEST_PREFIX.min(digits.len());
    let zone = *(1..=longest).rev().find_map(|length| ZONES.get(&digits[..length]))?;
    let is_certain = zone != SEVERAL
        && (!is_of_several_zones(digits) || digits.starts_with(NORTH_AMERICA) || number.is_geographical());
    is_certain.then(|| TimeZone::parse(zone).ok()).flatten()
}

/// Whether the country has several zones: then a mobile number is not of one place.
fn is_of_several_zones(digits: &str) -> bool {
    let country = (1..=3.min(digits.len())).find_map(|length| ZONES.get(&digits[..length]));
    country.is_none_or(|zone| *zone == SEVERAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(number: &str) -> Option<String> {
        let number = PhoneNumber::from_stored(number.to_owned()).unwrap();
        zone_of_number(&number).map(|zone| zone.name().to_owned())
    }

    #[test]
    fn a_number_of_one_place_has_its_zone_and_no_other_number_has_one() {
        for (number, expected) in [
            ("+12025550198", Some("America/New_York")),
            ("+12135550147", Some("America/Los_Angeles")),
            ("+18765550123", Some("America/Jamaica")),
            ("+442079460958", Some("Europe/London")),
            // A country with one zone: also mobiles.
            ("+33612345678", Some("Europe/Paris")),
            ("+819012345678", Some("Asia/Tokyo")),
            // Mobiles of countries with several zones.
            ("+34612345678", None),
            ("+61412345678", None),
            ("+79123456789", None),
            ("+447400123456", None),
            // A fixed line of one of them.
            ("+34922123456", Some("Atlantic/Canary")),
            // Toll-free, and no country.
            ("+18005550123", None),
            ("+80012345678", None),
        ] {
            assert_eq!(zone(number).as_deref(), expected, "{number}");
        }
    }

    #[test]
    fn every_zone_of_the_data_is_known_and_every_prefix_is_found() {
        assert!(ZONES.len() > 3_000);
        for (prefix, zone) in ZONES.iter() {
            assert!(*zone == SEVERAL || TimeZone::parse(zone).is_ok(), "{zone}");
            assert!(prefix.len() <= LONGEST_PREFIX && prefix.bytes().all(|byte| byte.is_ascii_digit()), "{prefix}");
        }
    }

    #[test]
    fn an_erased_number_has_no_zone() {
        assert_eq!(zone_of_number(&PhoneNumber::erased()), None);
    }
}
