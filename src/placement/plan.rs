//! Where in an hour a callback is to be called, and which hour is the best. Pure.

use jiff::{SignedDuration, Timestamp};

use crate::cxone::ForecastHour;
use crate::types::{Interval, TimeWindow};

/// How far ahead a dispatch time must be at least. CXone refuses a start that has passed when the contact arrives.
pub const NOTICE: SignedDuration = SignedDuration::from_secs(15);

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// An hour of the forecast, and the callbacks already placed in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HourLoad {
    /// CXone's forecast.
    pub forecast: ForecastHour,
    /// The callbacks that this service has placed in the hour.
    pub placed: u32,
}

impl HourLoad {
    /// The spare capacity in agent-seconds: an agent has 3,600 in an hour, and a call takes the average handle time. Whole
    /// numbers stay whole in this unit, so that equal hours compare as equal.
    pub(super) fn spare_capacity(&self, handle_seconds: f64) -> f64 {
        let calls = self.forecast.expected_calls + f64::from(self.placed);
        self.forecast.available_agents * 3600.0 - calls * handle_seconds
    }
}

/// An hour of several, and the dispatch time of the next callback in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct HourTime {
    pub index: usize,
    pub dispatch_time: Timestamp,
}

/// The hour with agents and the highest score (the earliest on a tie) in which a callback may be placed: in one of the `parts`
/// of the requested window in which the campaign may call, and not before `earliest`. The callbacks of an hour are spread over
/// it. Hours without a score are not chosen.
pub(super) fn best_hour(
    loads: &[HourLoad],
    parts: &[Interval],
    earliest: Timestamp,
    score: impl Fn(usize) -> Option<f64>,
) -> Option<HourTime> {
    let with_agents = loads.iter().enumerate().filter(|(_, load)| load.forecast.available_agents > 0.0);
    let possible = with_agents.filter_map(|(index, load)| {
        let slice = Slice::first_of(load.forecast.hour, load.placed, parts, earliest)?;
        score(index).map(|score| (index, slice, score))
    });
    let best = possible.min_by(|(_, one, low), (_, other, high)| high.total_cmp(low).then(one.start.cmp(&other.start)));
    best.map(|(index, slice, _)| HourTime { index, dispatch_time: slice.next_time() })
}

/// The hours of a window, counted from its start.
pub fn hours_of(window: &TimeWindow) -> Vec<Timestamp> {
    let hours = std::iter::successors(Some(window.start()), |hour| hour.checked_add(HOUR).ok());
    hours.take_while(|hour| *hour < window.end()).collect()
}

/// The first hour in which a callback may be placed, where CXone has no forecast and `WITHOUT_FORECAST` is `window-start`. Its
/// first callback gets the earliest possible time, and the others are spread over it.
pub(super) fn earliest_hour(loads: &[HourLoad], parts: &[Interval], earliest: Timestamp) -> Option<HourTime> {
    loads.iter().enumerate().find_map(|(index, load)| {
        let slice = Slice::first_of(load.forecast.hour, load.placed, parts, earliest)?;
        Some(HourTime { index, dispatch_time: slice.next_time() })
    })
}

/// The part of an hour in which a callback may be placed, without its end.
#[derive(Clone, Copy)]
struct Slice {
    start: Timestamp,
    end: Timestamp,
    placed: u32,
}

impl Slice {
    fn first_of(hour: Timestamp, placed: u32, parts: &[Interval], earliest: Timestamp) -> Option<Self> {
        let hour_end = hour.checked_add(HOUR).ok()?;
        parts.iter().find_map(|part| {
            let start = hour.max(part.start).max(earliest);
            let end = hour_end.min(part.end);
            (start < end).then_some(Self { start, end, placed })
        })
    }

    /// The dispatch time of the next callback. The multiples of the golden ratio fill a slice evenly for any number of
    /// callbacks: each falls into one of the widest gaps. The first is at the start of the slice.
    fn next_time(&self) -> Timestamp {
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        let share = (f64::from(self.placed) * GOLDEN).fract();
        let offset = (self.end.duration_since(self.start).as_secs_f64() * share).floor();
        self.start.checked_add(SignedDuration::from_secs_f64(offset)).map_or(self.start, |at| at.min(self.end))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HANDLE_SECONDS: f64 = 360.0;

    fn best_time(forecast: &[HourLoad], parts: &[Interval], earliest: Timestamp) -> Option<Timestamp> {
        let most_room = |index: usize| Some(forecast[index].spare_capacity(HANDLE_SECONDS));
        best_hour(forecast, parts, earliest, most_room).map(|found| found.dispatch_time)
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-20T{text}Z").parse().unwrap()
    }

    fn window(start: &str, end: &str) -> TimeWindow {
        TimeWindow::parse(at(start), at(end)).unwrap()
    }

    fn load(hour: &str, available_agents: f64, expected_calls: f64, placed: u32) -> HourLoad {
        HourLoad { forecast: ForecastHour { hour: at(hour), available_agents, expected_calls }, placed }
    }

    fn part(start: &str, end: &str) -> Interval {
        Interval { start: at(start), end: at(end) }
    }

    fn placed(forecast: &[HourLoad], now: &str) -> Option<String> {
        placed_in(forecast, &[part("15:00:00", "18:00:00")], now)
    }

    fn placed_in(forecast: &[HourLoad], parts: &[Interval], now: &str) -> Option<String> {
        best_time(forecast, parts, at(now) + NOTICE).map(|at| at.to_string()[11..19].to_owned())
    }

    #[test]
    fn the_hour_with_the_most_spare_capacity_is_chosen() {
        // 10 agents less 50 calls of 6 minutes are 5; 8 agents less 20 such calls are 6.
        let forecast =
            [load("15:00:00", 10.0, 50.0, 0), load("16:00:00", 8.0, 20.0, 0), load("17:00:00", 9.0, 40.0, 0)];
        assert_eq!(placed(&forecast, "12:00:00").as_deref(), Some("16:00:00"));
    }

    #[test]
    fn callbacks_already_placed_use_capacity() {
        let forecast = [load("15:00:00", 5.0, 0.0, 0), load("16:00:00", 6.0, 0.0, 11)];
        assert_eq!(placed(&forecast, "12:00:00").as_deref(), Some("15:00:00"));
    }

    #[test]
    fn the_earliest_of_equal_hours_is_chosen_in_any_order() {
        let forecast = [load("17:00:00", 5.0, 10.0, 0), load("15:00:00", 5.0, 10.0, 0), load("16:00:00", 5.0, 10.0, 0)];
        assert_eq!(placed(&forecast, "12:00:00").as_deref(), Some("15:00:00"));
    }

    #[test]
    fn an_hour_without_spare_capacity_is_chosen_if_there_is_no_better_one() {
        assert_eq!(placed(&[load("16:00:00", 0.5, 99.0, 0)], "12:00:00").as_deref(), Some("16:00:00"));
    }

    #[test]
    fn an_hour_without_agents_is_never_chosen() {
        let crowded = [load("15:00:00", 0.0, 0.0, 0), load("16:00:00", 1.0, 500.0, 9)];
        assert_eq!(placed(&crowded, "12:00:00").as_deref().map(|at| &at[..2]), Some("16"));
        assert_eq!(placed(&[load("15:00:00", 0.0, 0.0, 0), load("16:00:00", 0.0, 0.0, 0)], "12:00:00"), None);
    }

    #[test]
    fn a_callback_is_placed_only_in_parts_in_which_the_campaign_may_call() {
        let forecast = [load("15:00:00", 9.0, 0.0, 0), load("16:00:00", 5.0, 0.0, 0)];
        let parts = [part("15:20:00", "15:30:00"), part("15:40:00", "16:30:00")];
        assert_eq!(placed_in(&forecast, &parts, "12:00:00").as_deref(), Some("15:20:00"));
        assert_eq!(placed_in(&forecast, &parts, "15:35:00").as_deref(), Some("15:40:00"));
        assert_eq!(placed_in(&forecast, &parts[..1], "15:35:00"), None);
        assert_eq!(placed_in(&forecast, &[], "12:00:00"), None);
    }

    #[test]
    fn an_hour_counts_from_the_start_of_the_window_and_from_now() {
        assert_eq!(placed(&[load("14:30:00", 9.0, 0.0, 0)], "12:00:00").as_deref(), Some("15:00:00"));
        assert_eq!(placed(&[load("15:00:00", 9.0, 0.0, 0)], "15:20:00").as_deref(), Some("15:20:15"));
    }

    #[test]
    fn there_is_no_dispatch_time_without_an_hour_in_the_window() {
        assert_eq!(placed(&[], "12:00:00"), None);
        assert_eq!(placed(&[load("14:00:00", 9.0, 0.0, 0)], "12:00:00"), None);
        assert_eq!(placed(&[load("18:00:00", 9.0, 0.0, 0)], "12:00:00"), None);
        assert_eq!(placed(&[load("17:00:00", 9.0, 0.0, 0)], "17:59:50"), None);
    }

    #[test]
    fn without_a_forecast_callbacks_are_placed_from_the_start_of_the_window() {
        let window = window("15:00:00", "18:00:00");
        let hours = hours_of(&window);
        assert_eq!(hours, [at("15:00:00"), at("16:00:00"), at("17:00:00")]);
        let whole = [part("15:00:00", "18:00:00")];
        let in_parts = |placed: &[u32], parts: &[Interval], earliest: &str| {
            let hours = hours.iter().zip(placed).map(|(&hour, &placed)| HourLoad {
                forecast: ForecastHour { hour, available_agents: 0.0, expected_calls: 0.0 },
                placed,
            });
            earliest_hour(&hours.collect::<Vec<_>>(), parts, at(earliest)).map(|found| found.dispatch_time)
        };
        let at_once = |placed: &[u32], earliest: &str| in_parts(placed, &whole, earliest);
        assert_eq!(at_once(&[0, 0, 0], "12:00:00"), Some(at("15:00:00")));
        assert_eq!(at_once(&[1, 0, 0], "12:00:00"), Some(at("15:37:04")));
        assert_eq!(at_once(&[0, 0, 0], "15:10:15"), Some(at("15:10:15")));
        assert_eq!(at_once(&[7, 0, 0], "16:20:00"), Some(at("16:20:00")));
        assert_eq!(at_once(&[7, 5, 0], "17:59:00"), Some(at("17:59:00")));
        assert_eq!(at_once(&[0, 0, 0], "18:00:00"), None);
        let held = [part("17:30:00", "18:00:00")];
        assert_eq!(in_parts(&[0, 0, 0], &held, "12:00:00"), Some(at("17:30:00")));
    }

    proptest! {
        /// For any forecast: in the window, in the future, in an hour with the most spare capacity.
        #[test]
        fn a_dispatch_time_is_in_the_best_hour_of_the_window(
            hours in prop::collection::vec((-8i64..16, 0u32..5, 0.0f64..500.0, 0u32..2000), 0..8),
            length in 60i64..=240,
            now in -180i64..300,
        ) {
            let start = at("15:00:00");
            let window = TimeWindow::parse(start, start + SignedDuration::from_mins(length)).unwrap();
            let parts = [Interval { start: window.start(), end: window.end() }];
            let now = start + SignedDuration::from_mins(now);
            let forecast: Vec<_> = hours
                .iter()
                .map(|&(half_hours, available_agents, expected_calls, placed)| HourLoad {
                    forecast: ForecastHour {
                        hour: start + SignedDuration::from_mins(30 * half_hours),
                        available_agents: f64::from(available_agents),
                        expected_calls,
                    },
                    placed,
                })
                .collect();
            let usable: Vec<_> = forecast
                .iter()
                .filter(|load| load.forecast.available_agents > 0.0)
                .filter(|load| Slice::first_of(load.forecast.hour, 0, &parts, now + NOTICE).is_some())
                .collect();
            match best_time(&forecast, &parts, now + NOTICE) {
                None => prop_assert!(usable.is_empty()),
                Some(chosen) => {
                    prop_assert!(window.contains(chosen) && chosen >= now + NOTICE);
                    let most = usable.iter().map(|load| load.spare_capacity(HANDLE_SECONDS)).fold(f64::MIN, f64::max);
                    prop_assert!(usable.iter().any(|load| load.spare_capacity(HANDLE_SECONDS) >= most
                        && load.forecast.hour <= chosen && chosen <= load.forecast.hour + HOUR));
                }
            }
        }

        /// No minute has more than three callbacks above its share.
        #[test]
        fn callbacks_in_an_hour_are_spread(count in 2u32..600) {
            let parts = [part("15:00:00", "16:00:00")];
            let mut minutes = [0u32; 60];
            for placed in 0..count {
                let at = best_time(&[load("15:00:00", 9.0, 0.0, placed)], &parts, at("12:00:00")).unwrap();
                minutes[usize::try_from(at.duration_since(parts[0].start).as_mins()).unwrap()] += 1;
            }
            prop_assert!(minutes.iter().all(|&stacked| stacked <= count / 60 + 3));
        }
    }
}
