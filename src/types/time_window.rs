use jiff::fmt::friendly::{Designator, Spacing, SpanPrinter};
use jiff::{SignedDuration, Timestamp};

use super::Fault;

const SHORTEST: SignedDuration = SignedDuration::from_hours(1);
const LONGEST: SignedDuration = SignedDuration::from_hours(4);

/// The time in which a callback is to be made: 1 to 4 hours, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWindow {
    start: Timestamp,
    end: Timestamp,
}

impl TimeWindow {
    /// # Errors
    /// - `window-backwards` if the end is not after the start
    /// - `window-too-short` under 1 hour
    /// - `window-too-long` over 4 hours
    pub fn parse(start: Timestamp, end: Timestamp) -> Result<Self, Fault> {
        let length = end.duration_since(start);
        if !length.is_positive() {
            return Err(Fault::new("window-backwards", "the window must end after it starts"));
        }
        if length < SHORTEST {
            return Err(Fault::new(
                "window-too-short",
                format!("must last 1 to 4 hours, but lasts {}", in_words(length)),
            ));
        }
        if length > LONGEST {
            return Err(Fault::new(
                "window-too-long",
                format!("must last 1 to 4 hours, but lasts {}", in_words(length)),
            ));
        }
        Ok(Self { start, end })
    }

    pub fn start(&self) -> Timestamp {
        self.start
    }

    pub fn end(&self) -> Timestamp {
        self.end
    }

    /// Both ends are in the window.
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.start <= instant && instant <= self.end
    }
}

/// "59 minutes", "4 hours 1 second".
fn in_words(length: SignedDuration) -> String {
    SpanPrinter::new()
        .spacing(Spacing::BetweenUnitsAndDesignators)
        .designator(Designator::Verbose)
        .duration_to_string(&length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(milliseconds: i64) -> Timestamp {
        let start: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
        start + SignedDuration::from_millis(milliseconds)
    }

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;

    #[test]
    fn lasts_one_to_four_hours() {
        for length in [HOUR, HOUR + 1, 2 * HOUR, 4 * HOUR] {
            let window = TimeWindow::parse(after(0), after(length)).unwrap();
            assert_eq!((window.start(), window.end()), (after(0), after(length)));
        }
        for (length, code, words) in [
            (0, "window-backwards", "end after it starts"),
            (-HOUR, "window-backwards", "end after it starts"),
            (1, "window-too-short", "lasts 1 millisecond"),
            (59 * MINUTE, "window-too-short", "lasts 59 minutes"),
            (HOUR - 1, "window-too-short", "lasts 59 minutes 59 seconds 999 milliseconds"),
            (4 * HOUR + 1, "window-too-long", "lasts 4 hours 1 millisecond"),
            (5 * HOUR, "window-too-long", "lasts 5 hours"),
            (49 * HOUR + MINUTE, "window-too-long", "lasts 49 hours 1 minute"),
        ] {
            let fault = TimeWindow::parse(after(0), after(length)).unwrap_err();
            assert_eq!(fault.code, code);
            assert!(fault.detail.ends_with(words), "{}", fault.detail);
        }
    }

    #[test]
    fn both_ends_are_included() {
        let window = TimeWindow::parse(after(0), after(HOUR)).unwrap();
        for (milliseconds, contained) in [(-1, false), (0, true), (HOUR, true), (HOUR + 1, false)] {
            assert_eq!(window.contains(after(milliseconds)), contained);
        }
    }

    #[test]
    fn the_ends_of_time_do_no_harm() {
        assert!(TimeWindow::parse(Timestamp::MIN, Timestamp::MAX).is_err());
        assert!(TimeWindow::parse(Timestamp::MAX, Timestamp::MIN).is_err());
    }

    proptest! {
        #[test]
        fn a_window_contains_its_ends(length in -HOUR..6 * HOUR) {
            if let Ok(window) = TimeWindow::parse(after(0), after(length)) {
                prop_assert!((HOUR..=4 * HOUR).contains(&length));
                prop_assert!(window.contains(window.start()) && window.contains(window.end()));
            }
        }
    }
}
