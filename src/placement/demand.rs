//! The requests that are still expected, from those of earlier days.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

/// How many days back requests count.
pub const HISTORY_DAYS: i32 = 56;
/// Fewer days with requests say too little.
const FEWEST_DAYS: usize = 3;
/// With this many known days of the same weekday, other weekdays do not count.
const ENOUGH_OF_WEEKDAY: u8 = 4;
/// The weight of another weekday where no day of the same weekday is known.
const OTHER_WEEKDAY: f64 = 0.3;
/// The weight of a day, compared with that of the day a week later.
const WEEKLY_DECAY: f64 = 0.85;
/// How many requests must have been expected until what came counts as much as the expectation. It stands for days that differ
/// by 20% from the mean.
const EXPECTATION_WEIGHT: f64 = 25.0;
/// The requests a day of all windows that count for the lead times of windows with few requests of their own.
const SHARED_LEADS: f64 = 5.0;
/// A lead time of 0 stands for requests after the first hour of the window has begun; 1 to 24 for up to so many hours before it.
pub const LEADS: usize = 26;
/// The most hours that a window overlaps.
pub const LONGEST_WINDOW: i64 = 5;
/// The hours of a day.
const HOURS: usize = 24;
/// The longest lead time in hours that is counted on its own. Longer ones count as evenly spread over another day.
const LONGEST_LEAD: f64 = 24.0;

/// How many requests had a window that began on this day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayTotal {
    pub day: Date,
    pub requests: u32,
}

/// The requests of an average day with this first hour of the window, number of hours and lead time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Count {
    /// The hour of the local day in which the window begins.
    pub hour: usize,
    /// The whole hours that the window overlaps: 1 to 5.
    pub hours: usize,
    pub lead: usize,
    pub requests: f64,
}

/// The days from the first known one to the day before `today`, those without requests included. `known` is in order of time.
pub fn complete_days(known: &[DayTotal], today: Date) -> Vec<DayTotal> {
    let Some(first) = known.first() else { return Vec::new() };
    let days = first.day.series(1.day()).take_while(|day| *day < today);
    let total = |day: Date| known.iter().find(|total| total.day == day).copied();
    days.map(|day| total(day).unwrap_or(DayTotal { day, requests: 0 })).collect()
}

/// How much each earlier day counts for the requests of `target`; the weights add up to 1. `totals` has every day from the first
/// known one to the last complete one, those without requests included. Empty with fewer than three days of history.
pub fn day_weights(target: Date, totals: &[DayTotal]) -> Vec<(Date, f64)> {
    if totals.iter().filter(|total| total.requests > 0).count() < FEWEST_DAYS {
        return Vec::new();
    }
    let is_same = |day: Date| day.weekday() == target.weekday();
    let same = totals.iter().filter(|total| is_same(total.day)).count();
    let known = u8::try_from(same).unwrap_or(u8::MAX).min(ENOUGH_OF_WEEKDAY);
    let other = OTHER_WEEKDAY * (1.0 - f64::from(known) / f64::from(ENOUGH_OF_WEEKDAY));
    let weighted: Vec<(DayTotal, f64)> = totals
        .iter()
        .map(|&total| {
            let age = f64::from((target - total.day).get_days()) / 7.0;
            (total, WEEKLY_DECAY.powf(age) * if is_same(total.day) { 1.0 } else { other })
        })
        .filter(|(_, weight)| *weight > 0.0)
        .collect();
    let usual = weighted_median(&weighted);
    let kept: Vec<_> = weighted.into_iter().filter(|(total, _)| is_usual(total.requests, usual)).collect();
    let sum: f64 = kept.iter().map(|(_, weight)| weight).sum();
    kept.into_iter().map(|(total, weight)| (total.day, weight / sum)).collect()
}

/// Holidays and outages are left out: days with less than half or more than one and a half of the usual requests, where chance
/// does not explain it.
fn is_usual(requests: u32, usual: f64) -> bool {
    (f64::from(requests) - usual).abs() <= 0.5 * usual + 3.0 * usual.sqrt()
}

fn weighted_median(weighted: &[(DayTotal, f64)]) -> f64 {
    let mut sorted: Vec<_> = weighted.iter().map(|(total, weight)| (total.requests, *weight)).collect();
    sorted.sort_by_key(|(requests, _)| *requests);
    let half = sorted.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut below = 0.0;
    let median = sorted.iter().find(|(_, weight)| {
        below += weight;
        below >= half
    });
    median.map_or(0.0, |(requests, _)| f64::from(*requests))
}

/// The requests that are expected in all with windows that begin on one local day.
#[derive(Clone, Debug)]
pub struct DayDemand {
    day: Date,
    windows: BTreeMap<(usize, usize), f64>,
    /// By hour of the day, how the requests for windows that begin then are distributed over the lead times.
    leads: Vec<[f64; LEADS]>,
}

/// The requests that are still expected with windows that overlap the same hours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpectedWindow {
    /// The first of the hours.
    pub first_hour: Timestamp,
    /// Their number.
    pub hours: usize,
    pub requests: f64,
}

impl DayDemand {
    /// Of this day, where `counts` are those of an average one.
    pub fn new(day: Date, counts: &[Count]) -> Self {
        let mut windows = BTreeMap::new();
        let mut all = [0.0; LEADS];
        let mut leads = vec![[0.0; LEADS]; HOURS];
        for count in counts.iter().filter(|count| count.hour < HOURS && count.lead < LEADS) {
            *windows.entry((count.hour, count.hours)).or_insert(0.0) += count.requests;
            all[count.lead] += count.requests;
            leads[count.hour][count.lead] += count.requests;
        }
        let total: f64 = all.iter().sum();
        for shares in leads.iter_mut().filter(|_| total > 0.0) {
            let own: f64 = shares.iter().sum();
            for (share, all) in shares.iter_mut().zip(all) {
                *share = (*share + SHARED_LEADS * all / total) / (own + SHARED_LEADS);
            }
        }
        Self { day, windows, leads }
    }

    /// What is still expected after `now`, where `arrived` requests with windows of this day have come. If more or fewer have
    /// come than was expected, so will the rest.
    pub fn remaining(&self, now: Timestamp, zone: &TimeZone, arrived: f64) -> Vec<ExpectedWindow> {
        let all = self.windows.iter().filter_map(|(&(hour, hours), &requests)| {
            let first_hour = start_of(self.day, hour, zone)?;
            Some((ExpectedWindow { first_hour, hours, requests }, self.share_after(now, first_hour, hour, hours)))
        });
        let all: Vec<_> = all.collect();
        let expected: f64 = all.iter().map(|(window, share)| window.requests * (1.0 - share)).sum();
        let scale = (arrived + EXPECTATION_WEIGHT) / (expected + EXPECTATION_WEIGHT);
        let rest = all
            .into_iter()
            .map(|(window, share)| ExpectedWindow { requests: window.requests * share * scale, ..window });
        rest.filter(|window| window.requests > 0.0).collect()
    }

    /// The share of the requests for such a window that come after `now`.
    fn share_after(&self, now: Timestamp, first_hour: Timestamp, hour: usize, hours: usize) -> f64 {
        let lead = first_hour.duration_since(now).as_secs_f64() / 3600.0;
        let [late, by_hour @ .., long] = &self.leads[hour];
        if lead < 0.0 {
            let length = f64::from(u8::try_from(hours).unwrap_or(u8::MAX));
            return late * (1.0 + lead / length).max(0.0);
        }
        let until_lead =
            by_hour.iter().zip(0u8..).map(|(share, hours)| share * (lead - f64::from(hours)).clamp(0.0, 1.0));
        late + until_lead.sum::<f64>() + long * ((lead - LONGEST_LEAD) / LONGEST_LEAD).clamp(0.0, 1.0)
    }
}

/// When the hour of a local day begins: the first whole hour of UTC that is not before it.
fn start_of(day: Date, hour: usize, zone: &TimeZone) -> Option<Timestamp> {
    let time = day.at(i8::try_from(hour).ok()?, 0, 0, 0);
    let second = zone.to_ambiguous_timestamp(time).compatible().ok()?.as_second();
    Timestamp::from_second((second + 3599).div_euclid(3600) * 3600).ok()
}

/// The local days whose windows may begin between `now` and `until`, with those that began just before.
pub fn days_until(now: Timestamp, until: Timestamp, zone: &TimeZone) -> Vec<Date> {
    let first = (now - SignedDuration::from_hours(LONGEST_WINDOW)).to_zoned(zone.clone()).date();
    let last = until.to_zoned(zone.clone()).date();
    first.series(1.day()).take_while(|day| *day <= last).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    /// A Friday.
    const TODAY: Date = date(2026, 11, 20);

    fn days(requests: impl Fn(Date) -> u32) -> Vec<DayTotal> {
        (1..=28).map(|age| TODAY - age.days()).map(|day| DayTotal { day, requests: requests(day) }).collect()
    }

    #[test]
    fn days_without_requests_count_and_today_does_not() {
        let total = |age: i32, requests: u32| DayTotal { day: TODAY - age.days(), requests };
        let complete = complete_days(&[total(3, 5), total(1, 7), total(0, 2), total(-1, 1)], TODAY);
        assert_eq!(complete, [total(3, 5), total(2, 0), total(1, 7)]);
        assert!(complete_days(&[], TODAY).is_empty());
    }

    fn weight_of(weights: &[(Date, f64)], day: Date) -> f64 {
        weights.iter().find(|(other, _)| *other == day).map_or(0.0, |(_, weight)| *weight)
    }

    #[test]
    fn days_of_the_same_weekday_count_and_recent_ones_more() {
        let weights = day_weights(TODAY, &days(|_| 100));
        assert_eq!(weights.len(), 4);
        assert!((weights.iter().map(|(_, weight)| weight).sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(weight_of(&weights, TODAY - 7.days()) > weight_of(&weights, TODAY - 28.days()));
    }

    #[test]
    fn other_days_count_less_while_few_of_the_same_weekday_are_known() {
        let known: Vec<_> = days(|_| 100).into_iter().filter(|total| total.day >= TODAY - 8.days()).collect();
        let weights = day_weights(TODAY, &known);
        assert_eq!(weights.len(), 8);
        assert!(weight_of(&weights, TODAY - 7.days()) > 3.0 * weight_of(&weights, TODAY - 1.days()));
    }

    #[test]
    fn a_holiday_does_not_count() {
        let holiday = TODAY - 14.days();
        let weights = day_weights(TODAY, &days(|day| if day == holiday { 3 } else { 100 }));
        assert_eq!(weights.len(), 3);
        assert!(weight_of(&weights, holiday).abs() < f64::EPSILON);
    }

    #[test]
    fn three_days_with_requests_are_needed() {
        assert!(day_weights(TODAY, &days(|day| u32::from(day >= TODAY - 2.days()))).is_empty());
        assert!(!day_weights(TODAY, &days(|day| u32::from(day >= TODAY - 3.days()))).is_empty());
    }

    /// 40 requests for windows from 15:00, of which 10 come in each of the four hours before.
    fn afternoon() -> DayDemand {
        let counts: Vec<_> = (1..=4).map(|lead| Count { hour: 15, hours: 2, lead, requests: 10.0 }).collect();
        DayDemand::new(TODAY, &counts)
    }

    fn expected(now: &str, arrived: f64) -> Vec<ExpectedWindow> {
        afternoon().remaining(now.parse().unwrap(), &TimeZone::UTC, arrived)
    }

    #[test]
    fn the_rest_is_expected_by_lead_time() {
        let all = expected("2026-11-20T08:00:00Z", 0.0);
        assert_eq!((all.len(), all[0].first_hour.to_string().as_str()), (1, "2026-11-20T15:00:00Z"));
        assert!((all[0].requests - 40.0).abs() < 1e-6);
        assert!((expected("2026-11-20T13:30:00Z", 25.0)[0].requests - 15.0).abs() < 1e-6);
        assert!(expected("2026-11-20T15:30:00Z", 40.0).is_empty());
    }

    #[test]
    fn more_are_expected_if_more_have_come() {
        let usual = expected("2026-11-20T13:00:00Z", 20.0)[0].requests;
        let busy = expected("2026-11-20T13:00:00Z", 40.0)[0].requests;
        let quiet = expected("2026-11-20T13:00:00Z", 0.0)[0].requests;
        assert!(quiet < usual && usual < busy && busy < 2.0 * usual, "{quiet} {usual} {busy}");
    }

    #[test]
    fn hours_are_those_of_the_local_day() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let expected = afternoon().remaining("2026-11-20T08:00:00Z".parse().unwrap(), &zone, 0.0);
        assert_eq!(expected[0].first_hour.to_string(), "2026-11-20T20:00:00Z");
        assert_eq!(
            start_of(TODAY, 9, &TimeZone::get("Asia/Kolkata").unwrap()).unwrap().to_string(),
            "2026-11-20T04:00:00Z"
        );
    }
}
