//! When a campaign's callers may be called back.

use jiff::civil::{Date, Time, Weekday};
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

use crate::types::{TimeWindow, Zone};

/// Open times by day of the week, in one time zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BusinessHours {
    /// Where the times are read.
    pub timezone: Zone,
    /// The open times; a day may have several, or none.
    pub days: Vec<OpenDay>,
}

/// One open time of a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenDay {
    /// `MONDAY` to `SUNDAY`.
    #[serde(with = "weekday")]
    pub day: Weekday,
    /// From this local time on.
    pub start_time: Time,
    /// Until this local time; of the next day where it is not after `start_time`.
    pub end_time: Time,
}

impl BusinessHours {
    /// Whether the whole window lies in one stretch of open time. Open times that touch are one stretch.
    pub fn contain(&self, window: &TimeWindow) -> bool {
        let tz = self.timezone.tz();
        let first = window.start().to_zoned(tz.clone()).date();
        let last = window.end().to_zoned(tz.clone()).date();
        // The day before may be open past midnight.
        let mut date = first.saturating_sub(1.day());
        let mut stretches = Vec::new();
        while date <= last {
            stretches.extend(self.days.iter().filter_map(|open| self.stretch(open, date)));
            date = date.saturating_add(1.day());
        }
        stretches.sort_unstable();

        let mut open_until = window.start();
        let mut inside = false;
        for (opens, closes) in stretches {
            if opens <= open_until && open_until < closes {
                open_until = closes;
                inside = true;
            }
        }
        inside && window.end() <= open_until
    }

    /// The instants between which `open` holds on `date`. Local times that a clock change skips or repeats are read as
    /// jiff's compatible rule reads them.
    fn stretch(&self, open: &OpenDay, date: Date) -> Option<(Timestamp, Timestamp)> {
        if date.weekday() != open.day {
            return None;
        }
        let until = if open.end_time > open.start_time { date } else { date.saturating_add(1.day()) };
        let at = |date: Date, time| Some(date.to_datetime(time).to_zoned(self.timezone.tz().clone()).ok()?.timestamp());
        Some((at(date, open.start_time)?, at(until, open.end_time)?))
    }
}

mod weekday {
    use jiff::civil::Weekday;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    const NAMES: [(Weekday, &str); 7] = [
        (Weekday::Monday, "MONDAY"),
        (Weekday::Tuesday, "TUESDAY"),
        (Weekday::Wednesday, "WEDNESDAY"),
        (Weekday::Thursday, "THURSDAY"),
        (Weekday::Friday, "FRIDAY"),
        (Weekday::Saturday, "SATURDAY"),
        (Weekday::Sunday, "SUNDAY"),
    ];

    pub fn serialize<S: Serializer>(day: &Weekday, serializer: S) -> Result<S::Ok, S::Error> {
        let name = NAMES.iter().find(|(known, _)| known == day).map_or("", |(_, name)| name);
        serializer.serialize_str(name)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Weekday, D::Error> {
        let text = String::deserialize(deserializer)?;
        let day = NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(&text)).map(|(day, _)| *day);
        day.ok_or_else(|| D::Error::custom("no such day of the week"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(days: &str) -> BusinessHours {
        serde_json::from_str(&format!(r#"{{"timezone": "America/New_York", "days": {days}}}"#)).unwrap()
    }

    fn window(start: &str, end: &str) -> TimeWindow {
        TimeWindow::parse(start.parse().unwrap(), end.parse().unwrap()).unwrap()
    }

    #[test]
    fn the_whole_window_must_lie_in_open_time() {
        // 2026-11-20 is a Friday; New York is five hours behind.
        let nine_to_five = hours(r#"[{"day": "FRIDAY", "startTime": "09:00", "endTime": "17:00"}]"#);
        for (start, end, inside) in [
            ("2026-11-20T14:00:00Z", "2026-11-20T18:00:00Z", true),
            ("2026-11-20T18:00:00Z", "2026-11-20T22:00:00Z", true),
            ("2026-11-20T13:59:00Z", "2026-11-20T17:00:00Z", false),
            ("2026-11-20T20:00:00Z", "2026-11-20T22:00:01Z", false),
            ("2026-11-21T15:00:00Z", "2026-11-21T16:00:00Z", false),
        ] {
            assert_eq!(nine_to_five.contain(&window(start, end)), inside, "{start} to {end}");
        }
        assert!(!hours("[]").contain(&window("2026-11-20T15:00:00Z", "2026-11-20T16:00:00Z")));
    }

    #[test]
    fn open_times_that_touch_or_pass_midnight_are_one_stretch() {
        let late = hours(
            r#"[{"day": "FRIDAY", "startTime": "12:00", "endTime": "18:00"},
                {"day": "FRIDAY", "startTime": "18:00", "endTime": "02:00"}]"#,
        );
        assert!(late.contain(&window("2026-11-20T22:00:00Z", "2026-11-21T01:00:00Z")));
        assert!(late.contain(&window("2026-11-21T04:00:00Z", "2026-11-21T07:00:00Z")));
        assert!(!late.contain(&window("2026-11-21T06:00:00Z", "2026-11-21T07:30:00Z")));
    }
}
