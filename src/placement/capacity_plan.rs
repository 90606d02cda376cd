//! The plan that reserves capacity for the requests that are still expected.

use jiff::{SignedDuration, Timestamp};

use super::demand::ExpectedWindow;
use super::erlang::WaitCost;
use super::solve::{Demand, SolveHour, assign};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// The expected requests are assigned in so many units, so that a plan takes the same time however many they are.
const UNITS: f64 = 2000.0;

/// An hour of the forecast, as far as a plan needs it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlanHour {
    pub hour: Timestamp,
    pub available_agents: f64,
    /// The calls that come in any case: those of the forecast, and the callbacks that are placed in the hour.
    pub calls: f64,
}

/// Places that are kept in an hour for the requests whose windows overlap the same hours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlannedPlaces {
    /// The first of the hours that the windows overlap.
    pub first_hour: Timestamp,
    /// Their number.
    pub hours: usize,
    /// The hour in which the places are.
    pub hour: Timestamp,
    /// A mean, so a fraction too.
    pub places: f64,
}

/// Assigns the expected requests to the hours, so that the expected wait of all calls is shortest. `hours` are in order of time.
pub fn plan(hours: &[PlanHour], expected: &[ExpectedWindow], handle_seconds: f64) -> Vec<PlannedPlaces> {
    let hours: Vec<_> = hours.iter().filter(|hour| hour.available_agents > 0.0).copied().collect();
    let costs: Vec<_> = hours
        .iter()
        .map(|hour| SolveHour { cost: WaitCost::new(hour.available_agents, handle_seconds), calls: hour.calls })
        .collect();
    let range = |window: &ExpectedWindow| {
        let end = end_of(window);
        let first = hours.partition_point(|hour| hour.hour + HOUR <= window.first_hour);
        first..hours.partition_point(|hour| hour.hour < end).max(first)
    };
    let expected: Vec<_> =
        expected.iter().map(|window| (window, range(window))).filter(|(_, hours)| !hours.is_empty()).collect();
    let unit = expected.iter().map(|(window, _)| window.requests).sum::<f64>() / UNITS;
    let mut units = Units { unit, ..Units::default() };
    let demands: Vec<_> = expected
        .iter()
        .map(|(window, hours)| Demand { hours: hours.clone(), units: units.next(window.requests) })
        .collect();
    let assigned = assign(&costs, &demands, unit);
    let places = expected.iter().zip(assigned).flat_map(|((window, range), assigned)| {
        let in_hours = hours[range.clone()].iter().zip(assigned).filter(|(_, units)| *units > 0);
        in_hours.map(|(hour, units)| PlannedPlaces {
            first_hour: window.first_hour,
            hours: window.hours,
            hour: hour.hour,
            places: f64::from(units) * unit,
        })
    });
    places.collect()
}

fn end_of(window: &ExpectedWindow) -> Timestamp {
    window.first_hour + SignedDuration::from_hours(i64::try_from(window.hours).unwrap_or(i64::MAX))
}

/// Converts requests to whole units. What is rounded off counts for the next.
#[derive(Default)]
struct Units {
    unit: f64,
    requests: f64,
    given: f64,
}

impl Units {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most UNITS in all")]
    fn next(&mut self, requests: f64) -> u32 {
        self.requests += requests;
        let units = (self.requests / self.unit - self.given).round().max(0.0);
        self.given += units;
        units as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(text: &str, available_agents: f64, calls: f64) -> PlanHour {
        PlanHour { hour: at(text), available_agents, calls }
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-20T{text}:00Z").parse().unwrap()
    }

    fn window(first_hour: &str, hours: usize, requests: f64) -> ExpectedWindow {
        ExpectedWindow { first_hour: at(first_hour), hours, requests }
    }

    fn in_hour(places: &[PlannedPlaces], hour: &str) -> f64 {
        places.iter().filter(|place| place.hour == at(hour)).map(|place| place.places).sum()
    }

    #[test]
    fn wide_windows_leave_the_room_to_narrow_ones() {
        let hours = [hour("15:00", 10.0, 20.0), hour("16:00", 10.0, 20.0)];
        let expected = [window("15:00", 2, 40.0), window("15:00", 1, 40.0)];
        let places = plan(&hours, &expected, 360.0);
        assert!((in_hour(&places, "15:00") - 40.0).abs() < 1.0, "{places:?}");
        let wide: Vec<_> = places.iter().filter(|place| place.hours == 2 && place.places > 1.0).collect();
        assert!(wide.iter().all(|place| place.hour == at("16:00")), "{places:?}");
    }

    #[test]
    fn few_requests_are_planned_as_fractions() {
        let hours = [hour("15:00", 2.0, 5.0), hour("15:30", 0.0, 0.0), hour("16:00", 2.0, 5.0)];
        let places = plan(&hours, &[window("15:00", 2, 0.3), window("18:00", 1, 5.0)], 360.0);
        assert!((in_hour(&places, "15:00") - 0.15).abs() < 0.01 && (in_hour(&places, "16:00") - 0.15).abs() < 0.01);
        assert_eq!(places.len(), 2);
        assert!(plan(&hours, &[], 360.0).is_empty());
    }
}
