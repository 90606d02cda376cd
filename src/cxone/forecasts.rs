//! A cache of forecasts: callbacks of the same campaign and hours share one. Written by hand: no maintained crate looks up
//! entries by overlapping hours.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;

use super::error::CxoneError;
use super::model::{ForecastHour, HourRange};
use crate::clock::Clock;
use crate::types::{CampaignId, Interval};

/// How long a forecast is used. Its hours change little in five minutes.
const FRESH_FOR: SignedDuration = SignedDuration::from_mins(5);
/// The length of a request, so that windows that begin a little later are covered too.
const SPAN: SignedDuration = SignedDuration::from_hours(6);
const HOUR_SECONDS: i64 = 3600;
const HOUR: SignedDuration = SignedDuration::from_secs(HOUR_SECONDS);
/// The campaigns in the cache. Above this, those that no caller waits for are removed.
const MAX_CAMPAIGNS: usize = 1000;

/// The cached forecasts of each campaign.
#[derive(Default)]
pub struct Forecasts {
    campaigns: Mutex<HashMap<CampaignId, Arc<AsyncMutex<CampaignForecasts>>>>,
}

/// The cached forecasts of one campaign.
#[derive(Default)]
struct CampaignForecasts {
    fetched: Vec<Fetched>,
    /// The last failure. It is returned to those who have waited for the request.
    failure: Option<(Timestamp, CxoneError)>,
}

struct Fetched {
    /// The whole hours of the span for which it was fetched.
    asked_for: HourRange,
    at: Timestamp,
    hours: Vec<ForecastHour>,
}

impl HourRange {
    /// The hours that a span overlaps.
    fn of(span: Interval) -> Self {
        let hour = |at: Timestamp, up: i64| {
            let seconds = (at.as_second() + up).div_euclid(HOUR_SECONDS) * HOUR_SECONDS;
            Timestamp::from_second(seconds).unwrap_or(at)
        };
        Self { start: hour(span.start, 0), end: hour(span.end, HOUR_SECONDS - 1) }
    }

    /// The hours of a span, and those after it that are requested with them.
    fn around(span: Interval) -> Self {
        let Self { start, end } = Self::of(span);
        Self { start, end: start.checked_add(SPAN).map_or(end, |longer| longer.max(end)) }
    }

    /// Its hours, one after the other.
    pub fn hours(self) -> impl Iterator<Item = Self> {
        let starts = std::iter::successors(Some(self.start), |start| start.checked_add(HOUR).ok());
        starts.take_while(move |start| *start < self.end).map(|start| Self { start, end: start + HOUR })
    }

    fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

impl Fetched {
    /// Whether a new request would show nothing more about the span: each of its hours was returned, or was requested and
    /// is missing. A span without agents is requested again: they may appear at any time, and the callback fails without them.
    fn answers(&self, span: Interval) -> bool {
        let mut hours = HourRange::of(span).hours();
        hours.all(|hour| self.asked_for.contains(hour) || self.has(hour)) && has_agents(&within(&self.hours, span))
    }

    /// Whether the hours cover the range. They need not begin on the hour.
    fn has(&self, range: HourRange) -> bool {
        let known_until = self.hours.iter().fold(range.start, |until, known| {
            if known.hour <= until && known.hour + HOUR > until { known.hour + HOUR } else { until }
        });
        known_until >= range.end
    }
}

impl Forecasts {
    /// The hours that overlap the span, from the cache or by `fetch`. Where several callers need the same campaign at the
    /// same time, one fetches, and the others wait for its result, even where it is a failure.
    pub async fn between<F: Future<Output = Result<Vec<ForecastHour>, CxoneError>>>(
        &self,
        campaign: &CampaignId,
        span: Interval,
        clock: &Clock,
        fetch: impl FnOnce(HourRange) -> F,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        let asked_at = clock.now();
        let entry = self.entry(campaign);
        let mut entry = entry.lock().await;
        entry.fetched.retain(|fetched| fetched.at + FRESH_FOR > asked_at);
        if let Some(fetched) = entry.fetched.iter().find(|fetched| fetched.answers(span)) {
            return Ok(within(&fetched.hours, span));
        }
        if let Some((_, failure)) = entry.failure.as_ref().filter(|(failed_at, _)| *failed_at > asked_at) {
            return Err(failure.clone());
        }
        let hours = match fetch(HourRange::around(span)).await {
            Ok(hours) => hours,
            Err(failure) => {
                // Another class may have budget left.
                if !matches!(failure, CxoneError::OverBudget { .. }) {
                    entry.failure = Some((clock.now(), failure.clone()));
                }
                return Err(failure);
            }
        };
        let asked_for = within(&hours, span);
        if has_agents(&asked_for) {
            entry.fetched.push(Fetched { asked_for: HourRange::of(span), at: asked_at, hours });
        }
        Ok(asked_for)
    }

    fn entry(&self, campaign: &CampaignId) -> Arc<AsyncMutex<CampaignForecasts>> {
        let mut campaigns = self.campaigns.lock();
        if campaigns.len() >= MAX_CAMPAIGNS && !campaigns.contains_key(campaign) {
            // A caller that waits for an entry holds a reference to it.
            campaigns.retain(|_, known| Arc::strong_count(known) > 1);
        }
        Arc::clone(campaigns.entry(campaign.clone()).or_default())
    }
}

fn has_agents(hours: &[ForecastHour]) -> bool {
    hours.iter().any(|hour| hour.available_agents > 0.0)
}

fn within(hours: &[ForecastHour], span: Interval) -> Vec<ForecastHour> {
    let overlaps = |start: Timestamp| start < span.end && start + HOUR > span.start;
    hours.iter().copied().filter(|hour| overlaps(hour.hour)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::types::TimeWindow;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-20T{text}Z").parse().unwrap()
    }

    fn window(start: &str, end: &str) -> TimeWindow {
        TimeWindow::parse(at(start), at(end)).unwrap()
    }

    fn hour(start: Timestamp) -> ForecastHour {
        ForecastHour { hour: start, available_agents: 1.0, expected_calls: 0.0 }
    }

    fn span(window: &TimeWindow) -> Interval {
        Interval { start: window.start(), end: window.end() }
    }

    /// Requests a window from a CXone that has every hour, and counts the requests.
    async fn ask(forecasts: &Forecasts, window: TimeWindow, now: Timestamp, asked: &AtomicUsize) -> Vec<ForecastHour> {
        let campaign = CampaignId::parse("c").unwrap();
        let fetch = async |range: HourRange| {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            let hours = (range.end.as_second() - range.start.as_second()) / HOUR_SECONDS;
            Ok((0..hours).map(|n| hour(range.start + SignedDuration::from_hours(n))).collect())
        };
        forecasts.between(&campaign, span(&window), &Clock::manual(move || now, 0), fetch).await.unwrap()
    }

    #[tokio::test]
    async fn callbacks_of_one_afternoon_share_a_forecast_while_it_is_fresh() {
        let (forecasts, asked) = (Forecasts::default(), AtomicUsize::new(0));
        let now = at("11:00:00");
        let together = (0..200).map(|n| {
            let start = at("12:30:00") + SignedDuration::from_mins(n % 60);
            ask(&forecasts, TimeWindow::parse(start, start + SignedDuration::from_hours(2)).unwrap(), now, &asked)
        });
        futures::future::join_all(together).await;
        assert_eq!(asked.load(Ordering::Relaxed), 1);

        ask(&forecasts, window("12:30:00", "14:00:00"), now + FRESH_FOR, &asked).await;
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn only_hours_of_the_window_are_returned() {
        let hours =
            ask(&Forecasts::default(), window("12:30:00", "14:00:00"), at("11:00:00"), &AtomicUsize::new(0)).await;
        assert_eq!(hours, [hour(at("12:00:00")), hour(at("13:00:00"))]);
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let (forecasts, campaign) = (Forecasts::default(), CampaignId::parse("c").unwrap());
        let down = async |_: HourRange| Err(CxoneError::OutcomeUnknown { reason: "down".into() });
        let clock = Clock::manual(|| at("11:00:00"), 0);
        assert!(forecasts.between(&campaign, span(&window("12:00:00", "13:00:00")), &clock, down).await.is_err());
        assert_eq!(
            ask(&forecasts, window("12:00:00", "13:00:00"), at("11:00:00"), &AtomicUsize::new(0)).await.len(),
            1
        );
    }

    /// Requests a window from a CXone that has only these hours.
    async fn ask_of(forecasts: &Forecasts, asked_for: TimeWindow, has: &[&str], asked: &AtomicUsize) -> usize {
        let campaign = CampaignId::parse("c").unwrap();
        let fetch = async |_: HourRange| {
            asked.fetch_add(1, Ordering::Relaxed);
            Ok(has.iter().map(|start| hour(at(start))).collect())
        };
        let clock = Clock::manual(|| at("11:00:00"), 0);
        forecasts.between(&campaign, span(&asked_for), &clock, fetch).await.unwrap().len()
    }

    #[tokio::test]
    async fn a_forecast_answers_only_for_the_hours_that_it_covers() {
        let (forecasts, asked) = (Forecasts::default(), AtomicUsize::new(0));
        let has = ["12:00:00", "13:00:00", "15:00:00"];
        // The third hour of the first window is missing. It was requested, and is not requested again for the same window.
        for (start, end, hours, requests) in [
            ("12:30:00", "14:30:00", 2, 1),
            ("12:30:00", "14:30:00", 2, 1),
            ("12:00:00", "14:00:00", 2, 1),
            ("15:00:00", "16:00:00", 1, 1),
            ("14:00:00", "15:30:00", 1, 1),
            // The hour after the last was never requested.
            ("15:00:00", "16:30:00", 1, 2),
            ("15:00:00", "16:30:00", 1, 2),
        ] {
            let got = ask_of(&forecasts, window(start, end), &has, &asked).await;
            assert_eq!((got, asked.load(Ordering::Relaxed)), (hours, requests), "{start} to {end}");
        }
    }

    #[tokio::test]
    async fn hours_without_agents_that_were_read_with_others_are_fetched_again() {
        let (forecasts, asked) = (Forecasts::default(), AtomicUsize::new(0));
        let campaign = CampaignId::parse("c").unwrap();
        let later = |available_agents: f64| ForecastHour { available_agents, ..hour(at("14:00:00")) };
        let ask = async |asked_for: TimeWindow, agents_later: f64| {
            let fetch = async |_: HourRange| {
                asked.fetch_add(1, Ordering::Relaxed);
                Ok(vec![hour(at("12:00:00")), later(agents_later)])
            };
            let clock = Clock::manual(|| at("11:00:00"), 0);
            forecasts.between(&campaign, span(&asked_for), &clock, fetch).await.unwrap()
        };
        assert_eq!(ask(window("12:00:00", "15:00:00"), 0.0).await, [hour(at("12:00:00")), later(0.0)]);
        assert_eq!(ask(window("14:00:00", "15:00:00"), 2.0).await, [later(2.0)]);
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn an_empty_result_is_fetched_again_each_time() {
        let (forecasts, asked) = (Forecasts::default(), AtomicUsize::new(0));
        assert_eq!(ask_of(&forecasts, window("12:00:00", "16:00:00"), &["12:00:00"], &asked).await, 1);
        for requests in 2..4 {
            assert_eq!(ask_of(&forecasts, window("13:00:00", "14:00:00"), &["12:00:00"], &asked).await, 0);
            assert_eq!(asked.load(Ordering::Relaxed), requests);
        }
        assert_eq!(ask_of(&forecasts, window("13:00:00", "14:00:00"), &["13:00:00"], &asked).await, 1);
    }
}
