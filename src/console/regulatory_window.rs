//! The regulatory window of a campaign's settings.

use jiff::Timestamp;
use serde::Deserialize;

use crate::types::{DailyWindow, TimeZone, parse_time_of_day};

/// As the API has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegulatoryWindow {
    pub start_time: String,
    pub end_time: String,
    pub timezone: String,
}

impl RegulatoryWindow {
    /// The window, if its parts are valid.
    pub fn parsed(&self) -> Option<DailyWindow> {
        let (start, end) = (parse_time_of_day(&self.start_time).ok()?, parse_time_of_day(&self.end_time).ok()?);
        DailyWindow::new(start, end, TimeZone::parse(&self.timezone).ok()?).ok()
    }

    /// When it opens next, if it is closed now.
    pub fn opens_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.parsed().filter(|window| !window.is_open(now)).map(|window| window.next_opening(now))
    }

    /// When it closes, if it is open now and ever closes.
    pub fn closes_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.parsed().filter(|window| window.is_open(now)).and_then(|window| window.next_close(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_where_it_is_closed_and_closes_where_it_is_open() {
        let window = |start: &str| RegulatoryWindow {
            start_time: start.into(),
            end_time: "21:00".into(),
            timezone: "America/New_York".into(),
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (morning, noon) = (at("2026-11-20T13:00:00Z"), at("2026-11-20T17:00:00Z"));
        assert_eq!(window("09:00").opens_at(morning), Some(at("2026-11-20T14:00:00Z")));
        assert_eq!((window("09:00").opens_at(noon), window("09:00").closes_at(morning)), (None, None));
        assert_eq!(window("09:00").closes_at(noon), Some(at("2026-11-21T02:00:00Z")));
        assert_eq!((window("x").opens_at(noon), window("x").closes_at(noon)), (None, None));
    }
}
