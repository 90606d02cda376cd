//! The hours of a forecast, from the quarters of a week. Pure.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::model::quarter_of;
use crate::cxone::model::{ForecastHour, HourRange};

const QUARTERS_OF_HOUR: i64 = 4;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// What a skill is expected to have, by weekday and quarter.
#[derive(Debug, Default, PartialEq)]
pub struct Week(pub HashMap<(i16, i16), Expected>);

/// What a skill is expected to have in a quarter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Expected {
    pub contacts: f64,
    pub agents: f64,
}

impl Week {
    /// The hours of the range. Where the clocks change, a local quarter is missing or comes twice, as it does for callers.
    pub fn hours(&self, range: HourRange, zone: &TimeZone) -> Vec<ForecastHour> {
        range.hours().map(|hour| self.hour(hour.start, zone)).collect()
    }

    fn hour(&self, hour: Timestamp, zone: &TimeZone) -> ForecastHour {
        let starts = (0..QUARTERS_OF_HOUR).map(|quarter| hour.saturating_add(SignedDuration::from_mins(15 * quarter)));
        let quarters: Vec<Expected> = starts.map(|start| self.quarter(start.unwrap_or(hour), zone)).collect();
        let sum = |value: fn(&Expected) -> f64| quarters.iter().map(value).sum::<f64>();
        // The agents of an hour are there for its four quarters.
        let available_agents = sum(|quarter| quarter.agents) / 4.0;
        ForecastHour { hour, available_agents, expected_calls: sum(|quarter| quarter.contacts) }
    }

    fn quarter(&self, start: Timestamp, zone: &TimeZone) -> Expected {
        let local = start.to_zoned(zone.clone());
        let weekday = i16::from(local.weekday().to_monday_one_offset());
        self.0.get(&(weekday, quarter_of(local.hour(), local.minute()))).copied().unwrap_or_default()
    }
}

/// The current hour of these, if it is among them.
pub fn current_hour(hours: &mut [ForecastHour], now: Timestamp) -> Option<&mut ForecastHour> {
    hours.iter_mut().find(|hour| hour.hour <= now && now < hour.hour + HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every quarter has another number of contacts.
    fn numbered() -> Week {
        let quarters = (1..=7).flat_map(|weekday| (0..96).map(move |quarter| (weekday, quarter)));
        let expected = |(weekday, quarter)| {
            let contacts = f64::from(weekday) * 1000.0 + f64::from(quarter);
            ((weekday, quarter), Expected { contacts, agents: f64::from(quarter) })
        };
        Week(quarters.map(expected).collect())
    }

    fn hours(start: &str, end: &str, zone: &str) -> Vec<(String, f64, f64)> {
        let (zone, at) = (TimeZone::get(zone).unwrap(), |text: &str| text.parse().unwrap());
        let hours = numbered().hours(HourRange { start: at(start), end: at(end) }, &zone);
        hours.iter().map(|hour| (hour.hour.to_string(), hour.expected_calls, hour.available_agents)).collect()
    }

    #[test]
    fn an_hour_has_the_sum_of_the_contacts_and_the_average_of_the_agents_of_four_local_quarters() {
        // A Friday: 15:00 UTC is 10:00 in New York, and 20:45 in Kathmandu.
        let friday = |hour: f64| 4.0 * (5000.0 + hour * 4.0) + 6.0;
        for (zone, contacts, agents) in [
            ("America/New_York", friday(10.0), 41.5),
            ("UTC", friday(15.0), 61.5),
            ("Asia/Kathmandu", friday(20.75), 84.5),
        ] {
            let expected = [("2026-11-20T15:00:00Z".to_owned(), contacts, agents)];
            assert_eq!(hours("2026-11-20T15:00:00Z", "2026-11-20T16:00:00Z", zone), expected, "{zone}");
        }
    }

    #[test]
    fn where_the_clocks_change_hours_follow_the_local_time() {
        let agents = |start, end| hours(start, end, "America/New_York").iter().map(|hour| hour.2).collect::<Vec<_>>();
        // 01:00 is followed by 03:00 …
        assert_eq!(agents("2026-03-08T06:00:00Z", "2026-03-08T08:00:00Z"), [5.5, 13.5]);
        // … and comes twice.
        assert_eq!(agents("2026-11-01T05:00:00Z", "2026-11-01T08:00:00Z"), [5.5, 5.5, 9.5]);
    }

    #[test]
    fn quarters_that_are_not_known_are_empty() {
        let range =
            HourRange { start: "2026-11-20T15:00:00Z".parse().unwrap(), end: "2026-11-20T17:00:00Z".parse().unwrap() };
        let week = Week(HashMap::from([((5, 61), Expected { contacts: 3.0, agents: 2.0 })]));
        let mut hours = week.hours(range, &TimeZone::UTC);
        let shown: Vec<_> = hours.iter().map(|hour| (hour.expected_calls, hour.available_agents)).collect();
        assert_eq!(shown, [(3.0, 0.5), (0.0, 0.0)]);
        let now = |text: &str| text.parse().unwrap();
        assert_eq!(
            current_hour(&mut hours, now("2026-11-20T16:59:59Z")).map(|hour| hour.hour),
            now("2026-11-20T16:00:00Z").into()
        );
        assert_eq!(current_hour(&mut hours, now("2026-11-20T17:00:00Z")), None);
    }
}
