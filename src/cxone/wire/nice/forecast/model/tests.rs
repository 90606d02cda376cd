//! The forecast that a history gives.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

const SKILL: i64 = 4001;
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A Saturday, so that the last Friday is the day before.
fn past() -> Past {
    let zone = TimeZone::get("America/New_York").unwrap();
    Past::before("2026-11-21T15:00:00Z".parse().unwrap(), zone)
}

/// A Friday this many weeks before, at this local time.
fn friday(weeks: i32, time: &str) -> Timestamp {
    let last: jiff::civil::DateTime = format!("2026-11-20T{time}").parse().unwrap();
    let date = last.saturating_sub(Span::new().weeks(weeks));
    date.to_zoned(past().zone).unwrap().timestamp()
}

fn handled(start: Timestamp, contacts: f64, average: f64) -> Handled {
    Handled { skill_id: SKILL, start, contacts, handled: contacts, seconds: contacts * average }
}

/// Fridays with so many contacts of 5 minutes at 10:00, the last one first.
fn fridays(contacts: &[f64]) -> Vec<Handled> {
    (0..).zip(contacts).map(|(weeks, contacts)| handled(friday(weeks, "10:00"), *contacts, 300.0)).collect()
}

/// The expected contacts and agents on Fridays at 10:00.
fn at_ten(history: Vec<Handled>) -> Option<(f64, f64)> {
    let quarters = quarters(history, &past(), 10);
    let at_ten = quarters.iter().find(|quarter| (quarter.weekday, quarter.quarter) == (5, 40))?;
    Some((at_ten.expected_contacts, at_ten.agents))
}

#[test]
fn a_quarter_has_the_median_of_its_weeks_and_the_agents_that_four_of_five_needed() {
    for (contacts, expected) in [
        // 10 contacts of 5 minutes keep 3.3 agents busy.
        (&[10.0; 8][..], (10.0, 5.0)),
        (&[4.0, 6.0, 4.0, 6.0, 4.0, 6.0, 4.0, 6.0], (5.0, 3.0)),
        (&[10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 90.0], (13.5, 7.0)),
        // The days before the first contact of a young skill do not count.
        (&[2.0, 4.0, 3.0], (3.0, 3.0)),
    ] {
        assert_eq!(at_ten(fridays(contacts)), Some(expected), "{contacts:?}");
    }
}

#[test]
fn a_holiday_is_left_out() {
    let usual = [10.0, 12.0, 11.0, 10.0, 12.0, 11.0, 11.0, 11.0];
    let without = at_ten(fridays(&usual));
    for quiet in [0.0, 2.0] {
        let mut weeks = usual;
        weeks[2] = quiet;
        assert_eq!(at_ten(fridays(&weeks)), without, "{quiet}");
    }
    // A fifth of the usual day is a quiet day.
    for (quiet, expected) in [(2.0, 10.0), (1.9, 11.0)] {
        assert_eq!(at_ten(fridays(&[10.0, 12.0, quiet])).map(|(contacts, _)| contacts), Some(expected), "{quiet}");
    }
}

#[test]
fn agents_come_from_the_weeks_in_which_contacts_were_handled() {
    // Contacts in one week only: the median is 0, and the agent was there.
    let mut rare = fridays(&[10.0; 8]);
    rare.push(handled(friday(3, "11:00"), 1.0, 300.0));
    let forecast = quarters(rare.clone(), &past(), 10);
    let at_eleven = forecast.iter().find(|quarter| quarter.quarter == 44).unwrap();
    assert_eq!((at_eleven.expected_contacts, at_eleven.agents, at_eleven.handle_seconds), (0.0, 2.0, 300.0));
    // Contacts that nobody handled.
    let abandoned = Handled { handled: 0.0, seconds: 0.0, ..handled(friday(3, "12:00"), 3.0, 0.0) };
    rare.push(abandoned);
    assert!(quarters(rare, &past(), 10).iter().all(|quarter| quarter.quarter != 48));
}

#[test]
fn the_handle_time_is_the_average_of_all_contacts() {
    let history = vec![handled(friday(0, "10:00"), 3.0, 100.0), handled(friday(5, "10:00"), 1.0, 500.0)];
    let times: Vec<f64> = quarters(history, &past(), 10).iter().map(|quarter| quarter.handle_seconds).collect();
    assert_eq!(times, [200.0]);
}

#[test]
fn weekdays_and_quarters_are_those_of_the_business_unit_also_where_the_clocks_change() {
    // From 1 November on, 10:00 in New York is an hour later in UTC.
    let starts: Vec<_> = fridays(&[1.0; 8]).iter().map(|handled| handled.start).collect();
    assert_eq!((starts[0] - WEEK * 7).duration_since(starts[7]), SignedDuration::from_hours(1));
    let forecast = quarters(fridays(&[1.0; 8]), &past(), 10);
    assert_eq!(forecast.iter().map(|quarter| (quarter.weekday, quarter.quarter)).collect::<Vec<_>>(), [(5, 40)]);
}

#[test]
fn a_skill_with_less_than_two_weeks_has_no_forecast() {
    let since = |days: i32| {
        let first =
            "2026-11-21T15:00:00".parse::<jiff::civil::DateTime>().unwrap().saturating_sub(Span::new().days(days));
        vec![handled(first.to_zoned(past().zone).unwrap().timestamp(), 5.0, 300.0)]
    };
    for (days, has_forecast) in [(56, true), (14, true), (13, false), (1, false), (0, false), (57, false)] {
        assert_eq!(!quarters(since(days), &past(), 10).is_empty(), has_forecast, "{days} days");
    }
    assert_eq!(quarters(Vec::new(), &past(), 10), []);
}

#[test]
fn skills_are_told_apart_and_their_number_is_limited() {
    let mut history = fridays(&[1.0; 8]);
    history.extend(fridays(&[9.0; 8]).into_iter().map(|handled| Handled { skill_id: 7, ..handled }));
    let expected = |max| {
        let quarters = quarters(history.clone(), &past(), max);
        quarters.iter().map(|quarter| (quarter.skill_id, quarter.expected_contacts)).collect::<Vec<_>>()
    };
    assert_eq!(expected(10), [(7, 9.0), (SKILL, 1.0)]);
    assert_eq!(expected(1), [(7, 9.0)]);
}

#[test]
fn two_requests_of_less_than_thirty_days_have_the_whole_history() {
    for zone in ["America/New_York", "Asia/Kathmandu", "UTC", "Africa/Cairo"] {
        let past = Past::before("2026-11-21T15:00:00Z".parse().unwrap(), TimeZone::get(zone).unwrap());
        let windows = past.windows();
        assert_eq!((windows.len(), windows[0].1), (2, windows[1].0), "{zone}");
        assert!(windows.iter().all(|(start, end)| end.duration_since(*start) < SignedDuration::from_hours(30 * 24)));
        assert_eq!(past.place(windows[0].0), Some((0, 0)), "{zone}");
        assert_eq!(past.place(windows[1].1), None, "{zone}");
    }
}

proptest! {
    /// Whatever was handled: a forecast is between the quietest and the busiest week, and its agents could have handled what
    /// was handled in most weeks.
    #[test]
    fn a_forecast_is_within_what_was_seen(contacts in prop::collection::vec(0u8..40, 8)) {
        let contacts: Vec<f64> = contacts.into_iter().map(f64::from).collect();
        let busiest = contacts.iter().copied().fold(0.0, f64::max);
        if let Some((expected, agents)) = at_ten(fridays(&contacts)) {
            prop_assert!((0.0..=busiest).contains(&expected));
            prop_assert!(agents >= 2.0 && agents <= (busiest / 3.0).ceil() + 1.0);
            let could_have = contacts.iter().filter(|contacts| (**contacts / 3.0).ceil() < agents).count();
            prop_assert!(could_have >= 5, "{agents} for {contacts:?}");
        }
    }
}
