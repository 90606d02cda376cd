//! The report on promises: what became of callbacks, how full the hours are, and how good the expectation of requests was.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::store::{CallbackStore, PlacedHour, PromiseCounts};
use crate::placement::{DayTotal, complete_days, day_weights};
use crate::types::{CampaignId, Interval};

/// The report on one campaign.
#[derive(Debug)]
pub struct PromiseReport {
    pub counts: PromiseCounts,
    pub hours: Vec<HourReport>,
    pub days: Vec<DayReport>,
}

/// How full an hour is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HourReport {
    pub hour: jiff::Timestamp,
    pub placed: i64,
    pub available_agents: f64,
    pub expected_calls: f64,
    /// The callbacks that the agents can take besides the other calls.
    pub capacity: f64,
    /// The work beyond it.
    pub overload_agent_minutes: f64,
}

/// How many requests came for windows of a local day, and how many were expected by the days before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DayReport {
    pub day: Date,
    /// None with fewer than three days of history.
    pub expected: Option<f64>,
    pub came: u32,
}

impl PromiseReport {
    /// On this span. `zone` is that of local days.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn make(
        store: &CallbackStore,
        campaign: &CampaignId,
        span: Interval,
        zone: &TimeZone,
    ) -> Result<Self, sqlx::Error> {
        let counts = store.promise_counts(campaign, span).await?;
        let hours = store.placed_hours(campaign, span).await?.iter().filter_map(HourReport::of).collect();
        let local = |at: jiff::Timestamp| at.to_zoned(zone.clone()).date();
        let days = days(&store.demand_by_day(campaign).await?, local(span.start), local(span.end));
        Ok(Self { counts, hours, days })
    }
}

impl HourReport {
    fn of(placed: &PlacedHour) -> Option<Self> {
        let inputs = &placed.last.inputs;
        let known = inputs.hours.iter().find(|candidate| candidate.hour == placed.hour)?;
        let capacity = (known.available_agents * 3600.0 / inputs.handle_seconds - known.expected_calls).max(0.0);
        let count = u32::try_from(placed.placed).map_or(f64::MAX, f64::from);
        Some(Self {
            hour: placed.hour,
            placed: placed.placed,
            available_agents: known.available_agents,
            expected_calls: known.expected_calls,
            capacity,
            overload_agent_minutes: (count - capacity).max(0.0) * inputs.handle_seconds / 60.0,
        })
    }
}

/// The known days from `first` to `last`.
fn days(totals: &[DayTotal], first: Date, last: Date) -> Vec<DayReport> {
    let reported = totals.iter().filter(|total| (first..=last).contains(&total.day));
    let report = |total: &DayTotal| {
        let before = complete_days(totals, total.day);
        let weights = day_weights(total.day, &before);
        let requests =
            |day: Date| before.iter().find(|total| total.day == day).map_or(0.0, |total| total.requests.into());
        let expected = weights.iter().map(|(day, weight)| weight * requests(*day)).sum();
        DayReport { day: total.day, expected: (!weights.is_empty()).then_some(expected), came: total.requests }
    };
    reported.map(report).collect()
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_day_is_compared_with_what_the_days_before_let_expect() {
        let today = date(2026, 11, 20);
        let totals: Vec<_> = (0..30).rev().map(|age| DayTotal { day: today - age.days(), requests: 100 }).collect();
        let reported = days(&totals, today - 29.days(), today);
        assert_eq!(reported.len(), 30);
        assert_eq!(reported[0].expected, None);
        let last = reported[29];
        assert_eq!((last.day, last.came), (today, 100));
        assert!((last.expected.unwrap() - 100.0).abs() < 1e-6);
        assert!(days(&totals, today + 1.day(), today + 9.days()).is_empty());
    }
}
