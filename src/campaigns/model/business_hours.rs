//! Business hours: when callbacks of a campaign may be made.

use jiff::ToSpan as _;
use jiff::civil::Weekday;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::types::{DailyWindow, Fault, TimeWindow, TimeZone, parse_time_of_day};

const WEEKDAYS: [(Weekday, &str); 7] = [
    (Weekday::Monday, "MONDAY"),
    (Weekday::Tuesday, "TUESDAY"),
    (Weekday::Wednesday, "WEDNESDAY"),
    (Weekday::Thursday, "THURSDAY"),
    (Weekday::Friday, "FRIDAY"),
    (Weekday::Saturday, "SATURDAY"),
    (Weekday::Sunday, "SUNDAY"),
];

/// Open times by day of the week, in one time zone. A day may have several, or none.
#[derive(Clone, Debug, PartialEq)]
pub struct BusinessHours {
    /// The time zone of the times.
    pub zone: TimeZone,
    /// Each on its day. One that passes midnight ends on the next day.
    pub open: Vec<(Weekday, DailyWindow)>,
}

impl BusinessHours {
    /// Whether the whole window is in one open period. Adjacent periods count as one.
    pub fn contain(&self, window: &TimeWindow) -> bool {
        let first = window.start().to_zoned(self.zone.tz().clone()).date();
        let last = window.end().to_zoned(self.zone.tz().clone()).date();
        // Business hours of the day before may pass midnight.
        let mut date = first.saturating_sub(1.day());
        let mut stretches = Vec::new();
        while date <= last {
            let today = self.open.iter().filter(|(day, _)| *day == date.weekday());
            stretches.extend(today.filter_map(|(_, hours)| hours.opening_on(date)));
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
}

/// Parses the name of a day.
///
/// # Errors
/// `not-a-day` for anything else.
pub fn parse_weekday(text: &str) -> Result<Weekday, Fault> {
    let known = WEEKDAYS.iter().find(|(_, name)| *name == text).map(|(day, _)| *day);
    known.ok_or_else(|| Fault::new("not-a-day", "must be a day from MONDAY to SUNDAY"))
}

/// The name of a day in the API.
fn weekday_name(day: Weekday) -> &'static str {
    WEEKDAYS.iter().find(|(known, _)| *known == day).map_or("", |(_, name)| name)
}

/// When a campaign's callers may be called back
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BusinessHours)]
pub struct BusinessHoursView {
    /// IANA name.
    #[schema(example = "America/New_York")]
    pub timezone: String,
    /// A day may have several, or none; 50 in all.
    #[schema(max_items = 50)]
    pub days: Vec<OpenDayView>,
}

/// One open time of a day
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OpenDay)]
pub struct OpenDayView {
    /// `MONDAY` to `SUNDAY`.
    #[schema(example = "MONDAY")]
    pub day: String,
    #[schema(example = "09:00")]
    pub start_time: String,
    /// On the next day, if it is before `startTime`.
    #[schema(example = "17:00")]
    pub end_time: String,
}

impl From<&BusinessHours> for BusinessHoursView {
    fn from(hours: &BusinessHours) -> Self {
        let days = hours.open.iter().map(|(day, window)| OpenDayView {
            day: weekday_name(*day).to_owned(),
            start_time: window.start().strftime("%H:%M").to_string(),
            end_time: window.end().strftime("%H:%M").to_string(),
        });
        Self { timezone: hours.zone.name().to_owned(), days: days.collect() }
    }
}

impl Serialize for BusinessHours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        BusinessHoursView::from(self).serialize(serializer)
    }
}

/// Reads a stored value.
impl<'de> Deserialize<'de> for BusinessHours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kept = BusinessHoursView::deserialize(deserializer)?;
        let zone = TimeZone::parse(&kept.timezone).map_err(D::Error::custom)?;
        let open = kept.days.iter().map(|day| {
            let (start, end) = (parse_time_of_day(&day.start_time)?, parse_time_of_day(&day.end_time)?);
            Ok((parse_weekday(&day.day)?, DailyWindow::new(start, end, zone.clone())?))
        });
        let open = open.collect::<Result<_, Fault>>().map_err(D::Error::custom)?;
        Ok(Self { zone, open })
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

    #[test]
    fn what_is_kept_is_read_back() {
        let kept = hours(r#"[{"day": "SUNDAY", "startTime": "9:00", "endTime": "02:30"}]"#);
        assert_eq!(serde_json::from_value::<BusinessHours>(serde_json::json!(kept)).unwrap(), kept);
    }
}
