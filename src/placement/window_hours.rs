use jiff::{SignedDuration, Timestamp};

use crate::types::TimeWindow;

const HOUR_SECONDS: i64 = 3600;

/// The whole hours of UTC that a window overlaps. Requests are expected, and places are kept, for windows that have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowHours {
    pub first: Timestamp,
    /// 1 to 5.
    pub count: i16,
}

impl WindowHours {
    /// Of this window.
    pub fn of(window: &TimeWindow) -> Self {
        let first = window.start().as_second().div_euclid(HOUR_SECONDS) * HOUR_SECONDS;
        let first = Timestamp::from_second(first).unwrap_or(window.start());
        let hours = window.end().duration_since(first) + SignedDuration::from_nanos(3_599_999_999_999);
        Self { first, count: i16::try_from(hours.as_hours()).unwrap_or(i16::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hour_that_a_window_overlaps_counts() {
        for (start, end, first, count) in [
            ("15:00:00", "16:00:00", "15:00:00", 1),
            ("15:00:00", "19:00:00", "15:00:00", 4),
            ("15:59:59", "16:59:59", "15:00:00", 2),
            ("15:30:00", "19:30:00", "15:00:00", 5),
            ("15:00:00", "16:00:00.001", "15:00:00", 2),
        ] {
            let at = |text: &str| format!("2026-11-20T{text}Z").parse().unwrap();
            let hours = WindowHours::of(&TimeWindow::parse(at(start), at(end)).unwrap());
            assert_eq!(hours, WindowHours { first: at(first), count });
        }
    }
}
