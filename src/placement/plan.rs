//! Where in the forecast a callback is placed. A pure function: the same forecast, placements, window and moment give
//! the same answer.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::cxone::ForecastHour;
use crate::types::{Interval, TimeWindow};

/// How far in the future a dispatch must lie at least: CXone refuses a start that is past when the contact arrives.
pub const NOTICE: SignedDuration = SignedDuration::from_secs(15);

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// An hour of the forecast, and what has already been placed in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HourLoad {
    /// What CXone expects.
    pub forecast: ForecastHour,
    /// Callbacks that this service has placed in the hour.
    pub placed: u32,
}

impl HourLoad {
    /// Agents left over, in agent-seconds: an agent has 3,600 in an hour, a call takes the average handle time. Whole
    /// numbers stay whole this way, so that equal hours compare as equal.
    fn room(&self, handle_time: Duration) -> f64 {
        let calls = self.forecast.expected_calls + f64::from(self.placed);
        self.forecast.available_agents * 3600.0 - calls * handle_time.as_secs_f64()
    }
}

/// The moment to call: in one of the `parts` of the requested window in which the campaign may call, in the future, in
/// the hour with the most room (the earliest on a tie), and spread over that hour. An hour without agents is never
/// chosen. None where no hour with agents leaves a moment.
pub fn dispatch(
    forecast: &[HourLoad],
    handle_time: Duration,
    parts: &[Interval],
    earliest: Timestamp,
) -> Option<Timestamp> {
    let mut best: Option<(f64, Slice)> = None;
    for load in forecast.iter().filter(|load| load.forecast.available_agents > 0.0) {
        let Some(slice) = Slice::first_of(load.forecast.hour, load.placed, parts, earliest) else { continue };
        let room = load.room(handle_time);
        let better = best.is_none_or(|(most, first)| room > most || (room == most && slice.start < first.start));
        if better {
            best = Some((room, slice));
        }
    }
    best.map(|(_, slice)| slice.spread())
}

/// The hours of a window, counted from its start.
pub fn hours_of(window: &TimeWindow) -> Vec<Timestamp> {
    let hours = std::iter::successors(Some(window.start()), |hour| hour.checked_add(HOUR).ok());
    hours.take_while(|hour| *hour < window.end()).collect()
}

/// The moment to call where CXone has no forecast and the operator wants callbacks all the same: as soon as may be;
/// later ones spread over that hour. `hours` are those of the window, `placed` says how many callbacks lie in each.
pub fn dispatch_without_forecast(
    hours: &[Timestamp],
    placed: &[u32],
    parts: &[Interval],
    earliest: Timestamp,
) -> Option<Timestamp> {
    let slices = hours.iter().zip(placed);
    let first = slices.filter_map(|(hour, placed)| Slice::first_of(*hour, *placed, parts, earliest)).next();
    first.map(|slice| slice.spread())
}

/// The part of an hour in which a callback may be placed; its end is not in it.
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

    /// The golden ratio's multiples fill a slice evenly, however many come: each new one falls into a widest gap.
    /// The first is at the slice's start.
    fn spread(&self) -> Timestamp {
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

    const HANDLE_TIME: Duration = Duration::from_secs(360);

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
        dispatch(forecast, HANDLE_TIME, parts, at(now) + NOTICE).map(|at| at.to_string()[11..19].to_owned())
    }

    #[test]
    fn the_hour_with_the_most_room_wins() {
        // 10 agents less 50 calls of 6 minutes are 5; 8 agents less 20 such calls are 6.
        let forecast =
            [load("15:00:00", 10.0, 50.0, 0), load("16:00:00", 8.0, 20.0, 0), load("17:00:00", 9.0, 40.0, 0)];
        assert_eq!(placed(&forecast, "12:00:00").as_deref(), Some("16:00:00"));
    }

    #[test]
    fn callbacks_already_placed_take_room() {
        let forecast = [load("15:00:00", 5.0, 0.0, 0), load("16:00:00", 6.0, 0.0, 11)];
        assert_eq!(placed(&forecast, "12:00:00").as_deref(), Some("15:00:00"));
    }

    #[test]
    fn the_earliest_hour_wins_a_tie_whatever_the_order() {
        let forecast = [load("17:00:00", 5.0, 10.0, 0), load("15:00:00", 5.0, 10.0, 0), load("16:00:00", 5.0, 10.0, 0)];
        assert_eq!(placed(&forecast, "12:00:00").as_deref(), Some("15:00:00"));
    }

    #[test]
    fn an_hour_without_room_is_still_taken_where_there_is_no_better() {
        assert_eq!(placed(&[load("16:00:00", 0.5, 99.0, 0)], "12:00:00").as_deref(), Some("16:00:00"));
    }

    #[test]
    fn an_hour_without_agents_is_never_chosen() {
        let crowded = [load("15:00:00", 0.0, 0.0, 0), load("16:00:00", 1.0, 500.0, 9)];
        assert_eq!(placed(&crowded, "12:00:00").as_deref().map(|at| &at[..2]), Some("16"));
        assert_eq!(placed(&[load("15:00:00", 0.0, 0.0, 0), load("16:00:00", 0.0, 0.0, 0)], "12:00:00"), None);
    }

    #[test]
    fn only_the_parts_of_the_window_in_which_the_campaign_may_call_are_used() {
        let forecast = [load("15:00:00", 9.0, 0.0, 0), load("16:00:00", 5.0, 0.0, 0)];
        let parts = [part("15:20:00", "15:30:00"), part("15:40:00", "16:30:00")];
        assert_eq!(placed_in(&forecast, &parts, "12:00:00").as_deref(), Some("15:20:00"));
        assert_eq!(placed_in(&forecast, &parts, "15:35:00").as_deref(), Some("15:40:00"));
        assert_eq!(placed_in(&forecast, &parts[..1], "15:35:00"), None);
        assert_eq!(placed_in(&forecast, &[], "12:00:00"), None);
    }

    #[test]
    fn an_hour_that_began_before_the_window_or_before_now_is_cut() {
        assert_eq!(placed(&[load("14:30:00", 9.0, 0.0, 0)], "12:00:00").as_deref(), Some("15:00:00"));
        assert_eq!(placed(&[load("15:00:00", 9.0, 0.0, 0)], "15:20:00").as_deref(), Some("15:20:15"));
    }

    #[test]
    fn no_moment_left_is_none() {
        assert_eq!(placed(&[], "12:00:00"), None);
        assert_eq!(placed(&[load("14:00:00", 9.0, 0.0, 0)], "12:00:00"), None);
        assert_eq!(placed(&[load("18:00:00", 9.0, 0.0, 0)], "12:00:00"), None);
        assert_eq!(placed(&[load("17:00:00", 9.0, 0.0, 0)], "17:59:50"), None);
    }

    #[test]
    fn without_a_forecast_callbacks_are_placed_as_soon_as_may_be_until_the_window_ends() {
        let window = window("15:00:00", "18:00:00");
        let hours = hours_of(&window);
        assert_eq!(hours, [at("15:00:00"), at("16:00:00"), at("17:00:00")]);
        let whole = [part("15:00:00", "18:00:00")];
        let at_once = |placed: &[u32], earliest: &str| dispatch_without_forecast(&hours, placed, &whole, at(earliest));
        assert_eq!(at_once(&[0, 0, 0], "12:00:00"), Some(at("15:00:00")));
        assert_eq!(at_once(&[1, 0, 0], "12:00:00"), Some(at("15:37:04")));
        assert_eq!(at_once(&[0, 0, 0], "15:10:15"), Some(at("15:10:15")));
        assert_eq!(at_once(&[7, 0, 0], "16:20:00"), Some(at("16:20:00")));
        assert_eq!(at_once(&[7, 5, 0], "17:59:00"), Some(at("17:59:00")));
        assert_eq!(at_once(&[0, 0, 0], "18:00:00"), None);
        let held = [part("17:30:00", "18:00:00")];
        assert_eq!(dispatch_without_forecast(&hours, &[0, 0, 0], &held, at("12:00:00")), Some(at("17:30:00")));
    }

    proptest! {
        /// Whatever the forecast: in the window, in the future, in an hour of the forecast that has the most room.
        #[test]
        fn a_dispatch_is_where_it_may_be(
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
            match dispatch(&forecast, HANDLE_TIME, &parts, now + NOTICE) {
                None => prop_assert!(usable.is_empty()),
                Some(chosen) => {
                    prop_assert!(window.contains(chosen) && chosen >= now + NOTICE);
                    let most = usable.iter().map(|load| load.room(HANDLE_TIME)).fold(f64::MIN, f64::max);
                    prop_assert!(usable.iter().any(|load| load.room(HANDLE_TIME) == most
                        && load.forecast.hour <= chosen && chosen <= load.forecast.hour + HOUR));
                }
            }
        }

        /// A full hour of callbacks is spread: no minute has more than two above its fair share.
        #[test]
        fn callbacks_in_an_hour_are_spread(count in 2u32..600) {
            let parts = [part("15:00:00", "16:00:00")];
            let mut minutes = [0u32; 60];
            for placed in 0..count {
                let at = dispatch(&[load("15:00:00", 9.0, 0.0, placed)], HANDLE_TIME, &parts, at("12:00:00")).unwrap();
                minutes[usize::try_from(at.duration_since(parts[0].start).as_mins()).unwrap()] += 1;
            }
            prop_assert!(minutes.iter().all(|&stacked| stacked <= count / 60 + 3));
        }
    }
}
