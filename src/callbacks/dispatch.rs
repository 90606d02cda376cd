//! Where in the forecast a callback is placed. A pure function: the same forecast, placements, window and moment give
//! the same answer.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::cxone::ForecastHour;
use crate::types::TimeWindow;

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
        let agents = self.forecast.available_agents;
        let calls = self.forecast.expected_calls + f64::from(self.placed);
        agents * 3600.0 - calls * handle_time.as_secs_f64()
    }
}

/// The moment to call: in the requested window, in the future, in the hour with the most room (the earliest on a tie),
/// and spread over that hour. None where no hour of the forecast leaves a moment in the window.
pub fn dispatch(
    forecast: &[HourLoad],
    handle_time: Duration,
    window: &TimeWindow,
    now: Timestamp,
) -> Option<Timestamp> {
    let mut best: Option<(f64, Slice)> = None;
    for load in forecast {
        let Some(slice) = Slice::of(load, window, now) else { continue };
        let room = load.room(handle_time);
        let better = best.is_none_or(|(most, earliest)| room > most || (room == most && slice.start < earliest.start));
        if better {
            best = Some((room, slice));
        }
    }
    best.map(|(_, slice)| slice.spread())
}

/// The moment to call where CXone has no forecast and the operator wants callbacks all the same: the window's start,
/// or as soon after it as can be; later ones spread over the hour from there.
pub fn dispatch_without_forecast(placed: u32, window: &TimeWindow, now: Timestamp) -> Option<Timestamp> {
    let forecast = ForecastHour { hour: window.start(), available_agents: 0.0, expected_calls: 0.0 };
    Slice::of(&HourLoad { forecast, placed }, window, now).map(|slice| slice.spread())
}

/// The part of an hour in which a callback may be placed: both ends included.
#[derive(Clone, Copy)]
struct Slice {
    start: Timestamp,
    end: Timestamp,
    placed: u32,
}

impl Slice {
    fn of(load: &HourLoad, window: &TimeWindow, now: Timestamp) -> Option<Self> {
        let hour = load.forecast.hour;
        let start = hour.max(window.start()).max(now.checked_add(NOTICE).ok()?);
        let end = hour.checked_add(HOUR).ok()?.min(window.end());
        (start < end).then_some(Self { start, end, placed: load.placed })
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

    fn load(hour: &str, available_agents: u32, expected_calls: f64, placed: u32) -> HourLoad {
        HourLoad {
            forecast: ForecastHour { hour: at(hour), available_agents: available_agents.into(), expected_calls },
            placed,
        }
    }

    fn placed(forecast: &[HourLoad], now: &str) -> Option<String> {
        let window = window("15:00:00", "18:00:00");
        dispatch(forecast, HANDLE_TIME, &window, at(now)).map(|at| at.to_string()[11..19].to_owned())
    }

    #[test]
    fn the_hour_with_the_most_room_wins() {
        // 10 agents less 50 calls of 6 minutes are 5; 8 agents less 20 such calls are 6.
        let forecast = [load("15:00:00", 10, 50.0, 0), load("16:00:00", 8, 20.0, 0), load("17:00:00", 9, 40.0, 0)];
        assert_eq!(placed(&forecast, "12:00:00").as_deref(), Some("16:00:00"));
    }

    #[test]
    fn callbacks_already_placed_take_room() {
        let forecast = [load("15:00:00", 5, 0.0, 0), load("16:00:00", 6, 0.0, 11)];
        assert_eq!(placed(&forecast, "12:00:00").as_deref(), Some("15:00:00"));
    }

    #[test]
    fn the_earliest_hour_wins_a_tie_whatever_the_order() {
        let forecast = [load("17:00:00", 5, 10.0, 0), load("15:00:00", 5, 10.0, 0), load("16:00:00", 5, 10.0, 0)];
        assert_eq!(placed(&forecast, "12:00:00").as_deref(), Some("15:00:00"));
    }

    #[test]
    fn an_hour_without_room_is_still_taken_where_there_is_no_better() {
        assert_eq!(placed(&[load("16:00:00", 0, 99.0, 0)], "12:00:00").as_deref(), Some("16:00:00"));
    }

    #[test]
    fn an_hour_that_began_before_the_window_or_before_now_is_cut() {
        assert_eq!(placed(&[load("14:30:00", 9, 0.0, 0)], "12:00:00").as_deref(), Some("15:00:00"));
        assert_eq!(placed(&[load("15:00:00", 9, 0.0, 0)], "15:20:00").as_deref(), Some("15:20:15"));
    }

    #[test]
    fn no_moment_left_is_none() {
        assert_eq!(placed(&[], "12:00:00"), None);
        assert_eq!(placed(&[load("14:00:00", 9, 0.0, 0)], "12:00:00"), None);
        assert_eq!(placed(&[load("18:00:00", 9, 0.0, 0)], "12:00:00"), None);
        assert_eq!(placed(&[load("17:00:00", 9, 0.0, 0)], "17:59:50"), None);
    }

    #[test]
    fn without_a_forecast_the_first_is_at_the_windows_start() {
        let window = window("15:00:00", "18:00:00");
        assert_eq!(dispatch_without_forecast(0, &window, at("12:00:00")), Some(at("15:00:00")));
        assert_eq!(dispatch_without_forecast(1, &window, at("12:00:00")), Some(at("15:37:04")));
        assert_eq!(dispatch_without_forecast(0, &window, at("15:10:00")), Some(at("15:10:15")));
    }

    proptest! {
        /// Whatever the forecast: in the window, in the future, in an hour of the forecast that has the most room.
        #[test]
        fn a_dispatch_is_where_it_may_be(
            hours in prop::collection::vec((-8i64..16, 0u32..50, 0.0f64..500.0, 0u32..2000), 0..8),
            length in 60i64..=240,
            now in -180i64..300,
        ) {
            let start = at("15:00:00");
            let window = TimeWindow::parse(start, start + SignedDuration::from_mins(length)).unwrap();
            let now = start + SignedDuration::from_mins(now);
            let forecast: Vec<_> = hours
                .iter()
                .map(|&(half_hours, available_agents, expected_calls, placed)| HourLoad {
                    forecast: ForecastHour {
                        hour: start + SignedDuration::from_mins(30 * half_hours),
                        available_agents: available_agents.into(),
                        expected_calls,
                    },
                    placed,
                })
                .collect();
            let usable: Vec<_> = forecast.iter().filter(|load| Slice::of(load, &window, now).is_some()).collect();
            match dispatch(&forecast, HANDLE_TIME, &window, now) {
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
            let window = window("15:00:00", "16:00:00");
            let mut minutes = [0u32; 60];
            for placed in 0..count {
                let at = dispatch(&[load("15:00:00", 9, 0.0, placed)], HANDLE_TIME, &window, at("12:00:00")).unwrap();
                minutes[usize::try_from(at.duration_since(window.start()).as_mins()).unwrap()] += 1;
            }
            prop_assert!(minutes.iter().all(|&stacked| stacked <= count / 60 + 3));
        }
    }
}
