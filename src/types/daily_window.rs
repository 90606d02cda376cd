use std::iter::successors;

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::AmbiguousOffset,
};

use super::{Fault, TimeZone};

/// How many days, from the day before an instant, can have the window that is open at it. The day before, because its
/// window may pass midnight; the day after, because clocks that go back at midnight repeat the end of a day.
const DAYS_OF_OPEN_WINDOW: usize = 3;

/// How many days, from the day before an instant, can have the next window: a change of the clocks can leave a day without
/// one.
const DAYS_OF_NEXT_WINDOW: usize = 9;

/// The hours of each day, in one time zone, in which something is allowed, such as calling consumers (47 CFR 64.1200(c)(1):
/// 8 a.m. to 9 p.m. at the called party's location).
///
/// The window includes its start and excludes its end. An end before the start is on the next day. When the clocks change,
/// the window is closed if it is unclear whether it is open:
/// - a start or end that the clocks skip is the first instant after the gap;
/// - of a start that occurs twice the later one applies, of an end the earlier one.
///
/// A short window can be missing on the day of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyWindow {
    start: Time,
    end: Time,
    zone: TimeZone,
}

/// Reads `HH:mm` or `H:mm`, 0:00 to 23:59.
///
/// # Errors
/// `not-a-time-of-day` for anything else. Midnight at the end of a day is `00:00`, not `24:00`.
pub fn parse_time_of_day(text: &str) -> Result<Time, Fault> {
    let (hour, minute) = text.split_once(':').ok_or_else(not_a_time_of_day)?;
    if !(1..=2).contains(&hour.len()) || minute.len() != 2 {
        return Err(not_a_time_of_day());
    }
    Time::new(number(hour)?, number(minute)?, 0, 0).map_err(|_| not_a_time_of_day())
}

/// Digits only: Rust's parser also accepts a sign.
fn number(digits: &str) -> Result<i8, Fault> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(not_a_time_of_day());
    }
    digits.parse().map_err(|_| not_a_time_of_day())
}

fn not_a_time_of_day() -> Fault {
    Fault::new("not-a-time-of-day", "must be a time of day from 00:00 to 23:59, such as 08:00")
}

/// Which end of the window a local time is. It decides between local times that occur twice.
#[derive(Clone, Copy)]
enum Edge {
    Opening,
    Closing,
}

impl DailyWindow {
    /// # Errors
    /// `daily-window-empty` if start and end are the same, which could mean all day or never.
    pub fn new(start: Time, end: Time, zone: TimeZone) -> Result<Self, Fault> {
        Self::check(start, end)?;
        Ok(Self { start, end, zone })
    }

    /// Checks the times of a window whose time zone may not be known.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn check(start: Time, end: Time) -> Result<(), Fault> {
        if start == end {
            return Err(Fault::new("daily-window-empty", "the window must not start and end at the same time of day"));
        }
        Ok(())
    }

    pub fn start(&self) -> Time {
        self.start
    }

    pub fn end(&self) -> Time {
        self.end
    }

    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    pub fn is_open(&self, instant: Timestamp) -> bool {
        self.next_close(instant).is_some()
    }

    /// The first instant at or after this one at which the window is open. `Timestamp::MAX` in the last days of the year 9999,
    /// when there is none.
    pub fn next_opening(&self, instant: Timestamp) -> Timestamp {
        self.openings_around(instant, DAYS_OF_NEXT_WINDOW)
            .find(|(_, closes)| instant < *closes)
            .map_or(Timestamp::MAX, |(opens, _)| opens.max(instant))
    }

    /// When the window closes; `None` if it is closed at that instant.
    pub fn next_close(&self, instant: Timestamp) -> Option<Timestamp> {
        self.openings_around(instant, DAYS_OF_OPEN_WINDOW)
            .find(|(opens, closes)| *opens <= instant && instant < *closes)
            .map(|(_, closes)| closes)
    }

    /// Those of the given number of days, in order and without overlap, each as its first instant and the first one after it.
    fn openings_around(&self, instant: Timestamp, days: usize) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let today = instant.to_zoned(self.zone.tz().clone()).date();
        let first = today.yesterday().unwrap_or(today);
        successors(Some(first), |date| date.tomorrow().ok()).take(days).filter_map(|date| self.opening_on(date))
    }

    /// The window that starts on this day: its first instant, and the first one after it. `None` if a change of the
    /// clocks skips all of it.
    pub fn opening_on(&self, date: Date) -> Option<(Timestamp, Timestamp)> {
        let end_date = if self.end < self.start { date.tomorrow().ok()? } else { date };
        let opens = self.instant_of(date.to_datetime(self.start), Edge::Opening)?;
        let closes = self.instant_of(end_date.to_datetime(self.end), Edge::Closing)?;
        (opens < closes).then_some((opens, closes))
    }

    fn instant_of(&self, local: DateTime, edge: Edge) -> Option<Timestamp> {
        let tz = self.zone.tz();
        let offset = match (tz.to_ambiguous_timestamp(local).offset(), edge) {
            (AmbiguousOffset::Unambiguous { offset }, _) => offset,
            (AmbiguousOffset::Fold { after, .. }, Edge::Opening) => after,
            (AmbiguousOffset::Fold { before, .. }, Edge::Closing) => before,
            (AmbiguousOffset::Gap { after, .. }, _) => {
                // With the offset after the change, a skipped time is before the change.
                let before_gap = after.to_timestamp(local).ok()?;
                return tz
                    .following(before_gap)
                    .find(|change| change.offset() == after)
                    .map(|change| change.timestamp());
            }
        };
        offset.to_timestamp(local).ok()
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, ToSpan as _};
    use proptest::prelude::*;

    use super::*;

    fn window(start: &str, end: &str, zone: &str) -> DailyWindow {
        DailyWindow::new(
            parse_time_of_day(start).unwrap(),
            parse_time_of_day(end).unwrap(),
            TimeZone::parse(zone).unwrap(),
        )
        .unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn times_of_day() {
        for (text, hour, minute) in [("08:00", 8, 0), ("8:00", 8, 0), ("0:00", 0, 0), ("23:59", 23, 59)] {
            assert_eq!(parse_time_of_day(text), Ok(Time::constant(hour, minute, 0, 0)));
        }
        for text in [
            "", ":", "9", "9:5", "24:00", "23:60", "008:00", "08:000", "08:00:00", "+8:00", "08:+1", " 8:00", "8:00 ",
            "8:00 PM", "-1:00", "８:00", "8.00", "08:00\0", "é:00",
        ] {
            assert_eq!(parse_time_of_day(text).unwrap_err().code, "not-a-time-of-day", "{text:?}");
        }
    }

    #[test]
    fn a_window_has_two_ends() {
        let noon = Time::constant(12, 0, 0, 0);
        let fault = DailyWindow::new(noon, noon, TimeZone::parse("UTC").unwrap()).unwrap_err();
        assert_eq!(fault.code, "daily-window-empty");
    }

    /// Each row: the window, an instant, the next opening (`=` when that is the instant), and when
    /// the window that is open then closes (`-` when none is).
    fn check(zone: &str, rows: &str) {
        for row in rows.trim().lines() {
            let cells: Vec<&str> = row.split_whitespace().collect();
            let [start, end, instant, opening, close] = cells[..] else {
                panic!("not a row: {row}");
            };
            let window = window(start, end, zone);
            let opening = if opening == "=" { instant } else { opening };
            let close = (close != "-").then(|| at(close));
            assert_eq!(window.next_opening(at(instant)), at(opening), "{row}");
            assert_eq!(window.next_close(at(instant)), close, "{row}");
            assert_eq!(window.is_open(at(instant)), close.is_some(), "{row}");
        }
    }

    #[test]
    fn on_an_ordinary_day_the_start_is_in_and_the_end_is_out() {
        check(
            "America/New_York",
            "
            8:00 21:00 2026-11-20T12:59:59.999Z 2026-11-20T13:00:00Z -
            8:00 21:00 2026-11-20T13:00:00Z     =                    2026-11-21T02:00:00Z
            8:00 21:00 2026-11-21T01:59:59.999Z =                    2026-11-21T02:00:00Z
            8:00 21:00 2026-11-21T02:00:00Z     2026-11-21T13:00:00Z -
            ",
        );
    }

    #[test]
    fn a_window_may_pass_midnight() {
        check(
            "UTC",
            "
            22:00 6:00 2026-11-20T21:59:59Z 2026-11-20T22:00:00Z -
            22:00 6:00 2026-11-20T23:00:00Z =                    2026-11-21T06:00:00Z
            22:00 6:00 2026-11-21T05:59:59Z =                    2026-11-21T06:00:00Z
            22:00 6:00 2026-11-21T06:00:00Z 2026-11-21T22:00:00Z -
             8:00 0:00 2026-11-20T23:59:59Z =                    2026-11-21T00:00:00Z
             8:00 0:00 2026-11-21T00:00:00Z 2026-11-21T08:00:00Z -
            ",
        );
    }

    /// 8 March 2026: 2:00 EST is 3:00 EDT. The last row is of a window that the change swallows.
    #[test]
    fn new_york_skips_an_hour() {
        check(
            "America/New_York",
            "
            8:00 21:00 2026-03-08T02:30:00Z 2026-03-08T12:00:00Z -
            2:30  5:00 2026-03-08T06:59:59Z 2026-03-08T07:00:00Z -
            2:30  5:00 2026-03-08T07:00:00Z =                    2026-03-08T09:00:00Z
            1:00  2:30 2026-03-08T06:59:59Z =                    2026-03-08T07:00:00Z
            1:00  2:30 2026-03-08T07:00:00Z 2026-03-09T05:00:00Z -
            2:10  2:50 2026-03-08T07:00:00Z 2026-03-09T06:10:00Z -
            ",
        );
    }

    /// 1 November 2026: 2:00 EDT is 1:00 EST. The last row is of a window in the repeated hour.
    #[test]
    fn new_york_repeats_an_hour() {
        check(
            "America/New_York",
            "
             8:00 21:00 2026-11-01T12:59:59Z 2026-11-01T13:00:00Z -
             1:30  5:00 2026-11-01T05:30:00Z 2026-11-01T06:30:00Z -
             1:30  5:00 2026-11-01T06:30:00Z =                    2026-11-01T10:00:00Z
             0:30  1:30 2026-11-01T05:29:59Z =                    2026-11-01T05:30:00Z
             0:30  1:30 2026-11-01T05:30:00Z 2026-11-02T05:30:00Z -
            22:00  1:30 2026-11-01T05:30:00Z 2026-11-02T03:00:00Z -
             1:10  1:50 2026-11-01T04:00:00Z 2026-11-02T06:10:00Z -
            ",
        );
    }

    /// 29 March 2026: 1:00 GMT is 2:00 BST. 25 October 2026: 2:00 BST is 1:00 GMT.
    #[test]
    fn london() {
        check(
            "Europe/London",
            "
            1:30  4:00 2026-03-29T00:30:00Z 2026-03-29T01:00:00Z -
            1:30  4:00 2026-03-29T01:00:00Z =                    2026-03-29T03:00:00Z
            1:30  4:00 2026-10-25T00:30:00Z 2026-10-25T01:30:00Z -
            8:00 21:00 2026-10-24T20:00:00Z 2026-10-25T08:00:00Z -
            ",
        );
    }

    /// By half an hour. 4 October 2026: 2:00 (+10:30) is 2:30 (+11). 5 April 2026: 2:00 (+11) is
    /// 1:30 (+10:30).
    #[test]
    fn lord_howe() {
        check(
            "Australia/Lord_Howe",
            "
            2:15 4:00 2026-10-03T15:29:59Z 2026-10-03T15:30:00Z -
            2:15 4:00 2026-10-03T15:30:00Z =                    2026-10-03T17:00:00Z
            1:45 4:00 2026-04-04T14:45:00Z 2026-04-04T15:15:00Z -
            1:00 1:45 2026-04-04T14:44:59Z =                    2026-04-04T14:45:00Z
            1:00 1:45 2026-04-04T15:00:00Z 2026-04-05T14:30:00Z -
            ",
        );
    }

    /// There was no 30 December 2011.
    #[test]
    fn samoa_skipped_a_day() {
        check(
            "Pacific/Apia",
            "
             8:00 21:00 2011-12-30T07:00:00Z 2011-12-30T18:00:00Z -
            21:00  8:00 2011-12-30T10:00:00Z =                    2011-12-30T18:00:00Z
            ",
        );
    }

    #[test]
    fn the_ends_of_time_do_no_harm() {
        for zone in ["UTC", "America/New_York", "Pacific/Kiritimati"] {
            for (start, end) in [("8:00", "21:00"), ("21:00", "8:00")] {
                for instant in [Timestamp::MIN, Timestamp::MAX] {
                    let window = window(start, end, zone);
                    let _ = window.next_close(instant);
                    assert!(window.next_opening(instant) >= instant);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn opens_next_when_it_says(
            minutes in (0..1440_i32, 1..1440_i32),
            zone in prop::sample::select(vec![
                "UTC", "America/New_York", "America/Santiago", "Europe/London",
                "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Beirut", "Asia/Kathmandu",
            ]),
            second in 1_700_000_000_i64..1_900_000_000,
            share in 0.0..1.0_f64,
        ) {
            let time = |minute: i32| {
                Time::midnight().wrapping_add(i64::from(minute).minutes())
            };
            let (start, end) = (time(minutes.0), time(minutes.0 + minutes.1));
            let zone = TimeZone::parse(zone).unwrap();
            let window = DailyWindow::new(start, end, zone.clone()).unwrap();
            let instant = Timestamp::from_second(second).unwrap();

            let opening = window.next_opening(instant);
            prop_assert!(opening >= instant);
            prop_assert!(window.is_open(opening));
            prop_assert!(opening.duration_since(instant) < SignedDuration::from_hours(72));
            if opening > instant {
                let waiting = opening.duration_since(instant).mul_f64(share);
                prop_assert!(!window.is_open(instant));
                prop_assert!(!window.is_open(instant + waiting));
                prop_assert!(!window.is_open(opening - 1.nanosecond()));
            }

            // Open means open on the clock on the wall, too.
            let wall = opening.to_zoned(zone.tz().clone()).time();
            let is_within = if start < end {
                (start..end).contains(&wall)
            } else {
                wall >= start || wall < end
            };
            prop_assert!(is_within);

            let close = window.next_close(opening).unwrap();
            prop_assert!(close > opening);
            prop_assert!(window.is_open(close - 1.nanosecond()));
            prop_assert!(!window.is_open(close) || window.next_opening(close) == close);
        }
    }
}
