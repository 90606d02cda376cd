use std::fmt;

use jiff::tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Fault;

/// Files of a zoneinfo directory that are not time zones: the machine's own zone, defaults, and copies of the database that
/// count leap seconds. Which of them exist depends on the machine.
const NOT_ZONES: [&str; 3] = ["localtime", "posixrules", "factory"];
const NOT_ZONE_DIRECTORIES: [&str; 2] = ["posix/", "right/"];

/// A time zone of the IANA database, under its current or a former name, with its rules.
///
/// Two time zones are equal if their names are: `US/Eastern` is not `America/New_York`.
#[derive(Clone)]
pub struct TimeZone {
    name: String,
    rules: tz::TimeZone,
}

impl TimeZone {
    /// Accepts any case, and keeps the database's own (`america/new_york` is `America/New_York`).
    ///
    /// # Errors
    /// `not-a-time-zone` for a text that is not a name in the IANA database: offsets, abbreviations, POSIX rules, `Local`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if is_not_a_zone(text) {
            return Err(not_a_time_zone());
        }
        let rules = tz::TimeZone::get(text).map_err(|_| not_a_time_zone())?;
        // Nameless only for "Etc/Unknown", which has no rules either.
        let name = rules.iana_name().ok_or_else(not_a_time_zone)?.to_owned();
        Ok(Self { name, rules })
    }

    /// The IANA name, such as `America/New_York`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The rules.
    pub fn tz(&self) -> &tz::TimeZone {
        &self.rules
    }
}

fn is_not_a_zone(text: &str) -> bool {
    let name = text.to_ascii_lowercase();
    NOT_ZONES.contains(&name.as_str()) || NOT_ZONE_DIRECTORIES.iter().any(|directory| name.starts_with(directory))
}

fn not_a_time_zone() -> Fault {
    Fault::new(
        "not-a-time-zone",
        "must be the name of a time zone in the IANA database, such as America/New_York or UTC",
    )
}

impl PartialEq for TimeZone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for TimeZone {}

impl fmt::Debug for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimeZone({})", self.name)
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_current_and_former_names_in_any_case() {
        for (text, name) in [
            ("America/New_York", "America/New_York"),
            ("america/new_york", "America/New_York"),
            ("US/Eastern", "US/Eastern"),
            ("Asia/Calcutta", "Asia/Calcutta"),
            ("Europe/Kyiv", "Europe/Kyiv"),
            ("America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
            ("Etc/GMT+5", "Etc/GMT+5"),
            ("UTC", "UTC"),
            ("utc", "UTC"),
            ("Etc/UTC", "Etc/UTC"),
        ] {
            let zone = TimeZone::parse(text).unwrap();
            assert_eq!(zone.name(), name);
            assert_eq!(TimeZone::parse(name).unwrap(), zone);
        }
    }

    #[test]
    fn refuses_what_the_database_does_not_name() {
        for text in [
            "",
            " ",
            "+05:00",
            "-05",
            "Z",
            "GMT+5",
            "UTC0",
            "EST5EDT,M3.2.0,M11.1.0",
            "Local",
            "localtime",
            "posixrules",
            "Factory",
            "right/UTC",
            "posix/America/New_York",
            "Etc/Unknown",
            "New York",
            "America/New York",
            "America/Nowhere",
            "America",
            "America/",
            "../UTC",
            "/etc/passwd",
            "../../../etc/passwd",
            "zone.tab",
            "tzdata.zi",
            "UTC\0",
            "UTC\n",
            "Zürich",
        ] {
            assert_eq!(TimeZone::parse(text).unwrap_err().code, "not-a-time-zone", "{text:?}");
        }
    }

    #[test]
    fn is_written_by_name() {
        let zone = TimeZone::parse("europe/london").unwrap();
        assert_eq!(serde_json::to_string(&zone).unwrap(), "\"Europe/London\"");
        assert_eq!(format!("{zone:?} {zone}"), "TimeZone(Europe/London) Europe/London");
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = TimeZone::parse(&text);
        }
    }
}
