//! How well a window could be kept, if a callback were placed in it now. Pure.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::decision::Candidate;
use super::erlang::WaitCost;
use crate::types::TimeWindow;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// The share of the agents' time that calls may take.
const USABLE: f64 = 0.97;
/// With a longer expected wait, a window is not offered as a good one.
const GOOD_WAIT_SECONDS: f64 = 60.0;
/// A good window has room for at least this share of the calls that it could take without any other.
const GOOD_SHARE: f64 = 0.1;

/// Whether a window is a good choice for a callback
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Availability {
    /// It has room, and calls wait at most a minute.
    Good,
    /// It has little room, or calls wait longer.
    Limited,
    /// It has no room.
    Full,
}

/// What a window offers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    pub availability: Availability,
    /// Of a call in the best hour of the window, with the callbacks that are placed and expected.
    pub expected_wait_seconds: f64,
    /// How many more callbacks it can take.
    pub remaining: u32,
}

impl Slot {
    /// Of a window with these hours. Their `own` places are kept for requests of the same hours. None where no hour has agents.
    pub fn of(window: &TimeWindow, hours: &[Candidate], handle_seconds: f64) -> Option<Self> {
        let with_agents = || hours.iter().filter(|hour| hour.available_agents > 0.0);
        let expected_wait_seconds =
            with_agents().map(|hour| wait_of_next(hour, handle_seconds)).min_by(f64::total_cmp)?;
        let room = |hour: &Candidate| {
            let capacity = USABLE * hour.available_agents * 3600.0 / handle_seconds;
            (capacity, capacity - hour.expected_calls - f64::from(hour.placed) - hour.planned)
        };
        let (mut capacity, mut remaining) = (0.0, 0.0);
        for hour in with_agents() {
            let ((most, free), share) = (room(hour), overlap(window, hour.hour));
            capacity += share * most;
            remaining += (share * free).max(0.0) + hour.own;
        }
        let remaining = whole(remaining);
        let has_room = f64::from(remaining) >= (GOOD_SHARE * capacity).max(1.0);
        let availability = match remaining {
            0 => Availability::Full,
            _ if has_room && expected_wait_seconds <= GOOD_WAIT_SECONDS => Availability::Good,
            _ => Availability::Limited,
        };
        Some(Self { availability, expected_wait_seconds, remaining })
    }
}

/// How long a call more waits on average, in seconds.
fn wait_of_next(hour: &Candidate, handle_seconds: f64) -> f64 {
    let calls = hour.expected_calls + f64::from(hour.placed) + hour.planned - hour.own + 1.0;
    WaitCost::new(hour.available_agents, handle_seconds).of(calls) / calls
}

/// The part of this hour that is in the window.
fn overlap(window: &TimeWindow, hour: Timestamp) -> f64 {
    let (start, end) = (window.start().max(hour), window.end().min(hour + HOUR));
    (end.duration_since(start).as_secs_f64() / 3600.0).clamp(0.0, 1.0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of calls of a few hours, not negative"
)]
fn whole(calls: f64) -> u32 {
    calls.floor() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-20T{text}:00Z").parse().unwrap()
    }

    fn hour(start: &str, agents: f64, placed: u32, planned: f64, own: f64) -> Candidate {
        Candidate { hour: at(start), available_agents: agents, expected_calls: 20.0, placed, planned, own }
    }

    fn slot(end: &str, hours: &[Candidate]) -> Option<(Availability, u32)> {
        let window = TimeWindow::parse(at("15:00"), at(end)).unwrap();
        Slot::of(&window, hours, 360.0).map(|slot| (slot.availability, slot.remaining))
    }

    #[test]
    fn a_window_offers_what_placed_and_expected_callbacks_leave() {
        use Availability::{Full, Good, Limited};
        // Ten agents take 97 calls of six minutes, of which 20 are others.
        let empty = hour("15:00", 10.0, 0, 0.0, 0.0);
        for (end, hours, expected) in [
            ("16:00", vec![empty], Some((Good, 77))),
            ("17:00", vec![empty, hour("16:00", 10.0, 0, 0.0, 0.0)], Some((Good, 154))),
            ("16:30", vec![empty, hour("16:00", 10.0, 0, 0.0, 0.0)], Some((Good, 115))),
            // What is kept for windows like this one is available to it.
            ("16:00", vec![hour("15:00", 10.0, 10, 40.0, 0.0)], Some((Good, 27))),
            ("16:00", vec![hour("15:00", 10.0, 10, 40.0, 40.0)], Some((Good, 67))),
            ("16:00", vec![hour("15:00", 10.0, 70, 0.0, 0.0)], Some((Limited, 7))),
            ("16:00", vec![hour("15:00", 10.0, 77, 0.0, 0.0)], Some((Full, 0))),
            ("16:00", vec![hour("15:00", 10.0, 99, 9.0, 0.0)], Some((Full, 0))),
            ("16:00", vec![hour("15:00", 0.0, 0, 0.0, 0.0)], None),
            ("16:00", vec![], None),
        ] {
            assert_eq!(slot(end, &hours), expected, "{end} {hours:?}");
        }
    }

    #[test]
    fn the_wait_is_that_of_the_best_hour() {
        let window = TimeWindow::parse(at("15:00"), at("17:00")).unwrap();
        let wait = |hours: &[Candidate]| Slot::of(&window, hours, 360.0).unwrap().expected_wait_seconds;
        let (busy, quiet) = (hour("15:00", 10.0, 70, 0.0, 0.0), hour("16:00", 10.0, 0, 0.0, 0.0));
        assert!(wait(&[busy, quiet]) < wait(&[busy]));
        assert!((wait(&[busy, quiet]) - wait(&[quiet])).abs() < f64::EPSILON);
    }
}
