//! When callbacks of a campaign may be placed: not during compliance holds, and only in the regulatory window if it is
//! enforced. Pure.

use jiff::{SignedDuration, Timestamp};

use super::hold::Hold;
use super::settings::CampaignSettings;
use crate::types::{DailyWindow, Interval, TimeWindow};

/// How far ahead a hold that may be lifted at any time keeps callbacks from being placed.
const NEAR: SignedDuration = SignedDuration::from_mins(20);

/// The holds that keep callbacks from being placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldScope {
    /// Compliance holds only.
    Compliance,
    /// Compliance holds, and the next 20 minutes of every other hold.
    Near,
    /// All holds, until they end.
    All,
}

/// What restricts when a campaign may call.
#[derive(Clone, Debug, Default)]
pub struct Restrictions {
    /// Those that are not lifted.
    compliance_holds: Vec<Hold>,
    /// Other holds (a throttle, too few agents). They restrict callbacks only where the scope says so.
    other_holds: Vec<Hold>,
    /// That of the settings. It moves the ends of holds even if it is not enforced.
    window: Option<DailyWindow>,
    is_enforced: bool,
}

/// Why no callback can be placed anywhere in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlacementRefusal {
    /// Compliance holds cover all of it.
    CampaignHeld {
        /// The first instant at or after the start of the window at which a callback may be placed.
        earliest_start: Timestamp,
    },
    /// All of it is outside the regulatory window.
    OutsideRegulatoryWindow {
        /// The first instant at or after the start of the window at which a callback may be placed.
        earliest_start: Timestamp,
    },
}

/// The settings and holds that decide where a callback of a campaign is placed.
#[derive(Clone, Debug, Default)]
pub struct PlacementRules {
    pub settings: CampaignSettings,
    pub restrictions: Restrictions,
}

impl PlacementRules {
    /// From a campaign's settings and its holds that are not lifted.
    pub fn new(settings: CampaignSettings, holds: impl IntoIterator<Item = Hold>) -> Self {
        let restrictions = Restrictions::new(&settings, holds);
        Self { settings, restrictions }
    }
}

impl Restrictions {
    /// From a campaign's settings and its holds that are not lifted.
    pub fn new(settings: &CampaignSettings, holds: impl IntoIterator<Item = Hold>) -> Self {
        let (compliance_holds, other_holds) = holds.into_iter().partition(|hold| hold.compliance);
        Self {
            compliance_holds,
            other_holds,
            window: settings.regulatory_window.clone(),
            is_enforced: settings.enforce_regulatory_window,
        }
    }

    /// The parts of the window in which a callback may be placed: after the last hold of this scope that is in force has ended,
    /// and inside the regulatory window if it is enforced. In order, separate, none empty.
    pub fn open_parts(&self, scope: HoldScope, window: &TimeWindow, now: Timestamp) -> Vec<Interval> {
        let start = self.held_until_under(scope, now).map_or(window.start(), |until| until.max(window.start()));
        if start < window.end() { self.open_between(start, window.end()) } else { Vec::new() }
    }

    /// When the last hold of this scope ends that is in force.
    fn held_until_under(&self, scope: HoldScope, now: Timestamp) -> Option<Timestamp> {
        let window = self.window.as_ref();
        let in_force = self.other_holds.iter().filter(|hold| hold.is_in_force(now, window));
        let ends = in_force.map(|hold| hold.end(now, window).unwrap_or(Timestamp::MAX));
        let others = match scope {
            HoldScope::Compliance => None,
            HoldScope::Near => ends.map(|end| end.min(now + NEAR)).max(),
            HoldScope::All => ends.max(),
        };
        self.held_until(now).max(others)
    }

    /// Why a callback cannot be placed in the rest of the window; none if it can.
    pub fn refusal(&self, window: &TimeWindow, now: Timestamp) -> Option<PlacementRefusal> {
        let (start, end) = (window.start().max(now), window.end());
        let held_until = self.held_until(now);
        if held_until.is_none() && self.enforced_window().is_none() {
            return None;
        }
        let from = held_until.map_or(start, |until| until.max(start));
        if !self.open_between(from, end).is_empty() {
            return None;
        }
        let earliest_start = self.enforced_window().map_or(from, |window| window.next_opening(from));
        // If both refuse it, the hold is named.
        let is_held = end <= from || !self.open_between(start, end).is_empty();
        Some(if is_held && held_until.is_some() {
            PlacementRefusal::CampaignHeld { earliest_start }
        } else {
            PlacementRefusal::OutsideRegulatoryWindow { earliest_start }
        })
    }

    fn enforced_window(&self) -> Option<&DailyWindow> {
        self.window.as_ref().filter(|_| self.is_enforced)
    }

    /// When the last compliance hold that is in force ends.
    fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        let window = self.window.as_ref();
        let in_force = self.compliance_holds.iter().filter(|hold| hold.is_in_force(now, window));
        in_force.filter_map(|hold| hold.end(now, window)).max()
    }

    fn open_between(&self, start: Timestamp, end: Timestamp) -> Vec<Interval> {
        let Some(window) = self.enforced_window() else {
            return if start < end { vec![Interval { start, end }] } else { Vec::new() };
        };
        let mut parts: Vec<Interval> = Vec::new();
        let mut opens = window.next_opening(start);
        while opens < end
            && let Some(closes) = window.next_close(opens)
        {
            match parts.last_mut().filter(|last| last.end == opens) {
                Some(last) => last.end = closes.min(end),
                None => parts.push(Interval { start: opens, end: closes.min(end) }),
            }
            opens = window.next_opening(closes);
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::audit::Actor;
    use crate::campaigns::model::{PauseReason, Trigger};
    use crate::types::{TimeZone, parse_time_of_day};

    fn at(text: &str) -> Timestamp {
        format!("2026-11-20T{text}Z").parse().unwrap()
    }

    fn window(start: &str, end: &str) -> TimeWindow {
        TimeWindow::parse(at(start), at(end)).unwrap()
    }

    fn part(start: &str, end: &str) -> Interval {
        Interval { start: at(start), end: at(end) }
    }

    fn daily(start: &str, end: &str, zone: &str) -> DailyWindow {
        let time = |text| parse_time_of_day(text).unwrap();
        DailyWindow::new(time(start), time(end), TimeZone::parse(zone).unwrap()).unwrap()
    }

    fn hold(placed_at: Timestamp, ends_at: Timestamp) -> Hold {
        Hold {
            id: Uuid::nil(),
            reason: PauseReason::ComplianceHold,
            compliance: true,
            triggered_by: Trigger::ManualPause,
            placed_by: Actor::operator(),
            placed_at,
            ends_at: Some(ends_at),
            max_agents: None,
            regulatory_window: None,
            request_id: None,
            affected_callbacks: None,
            counts: crate::campaigns::Counts::default(),
            revision: 0,
        }
    }

    fn held_until(end: &str) -> Hold {
        hold(at("10:00:00"), at(end))
    }

    fn enforced(window: DailyWindow) -> CampaignSettings {
        let regulatory_window = Some(window);
        CampaignSettings { regulatory_window, enforce_regulatory_window: true, ..CampaignSettings::default() }
    }

    fn held(holds: Vec<Hold>) -> Restrictions {
        Restrictions::new(&CampaignSettings::default(), holds)
    }

    const NOW: &str = "12:00:00";

    #[test]
    fn without_restrictions_the_whole_window_is_open() {
        let restrictions = Restrictions::default();
        let wanted = window("15:00:00", "18:00:00");
        assert_eq!(restrictions.open_parts(HoldScope::Compliance, &wanted, at(NOW)), [part("15:00:00", "18:00:00")]);
        assert_eq!(restrictions.refusal(&wanted, at(NOW)), None);
    }

    #[test]
    fn a_callback_is_placed_after_the_last_compliance_hold() {
        let restrictions = held(vec![held_until("16:30:00"), held_until("15:30:00")]);
        let wanted = window("15:00:00", "18:00:00");
        assert_eq!(restrictions.open_parts(HoldScope::Compliance, &wanted, at(NOW)), [part("16:30:00", "18:00:00")]);
        assert_eq!(restrictions.refusal(&wanted, at(NOW)), None);
        let inside = window("15:00:00", "16:30:00");
        assert_eq!(restrictions.open_parts(HoldScope::Compliance, &inside, at(NOW)), []);
        let earliest_start = at("16:30:00");
        assert_eq!(restrictions.refusal(&inside, at(NOW)), Some(PlacementRefusal::CampaignHeld { earliest_start }));
        // It has ended, though nobody has lifted it yet.
        assert_eq!(
            restrictions.open_parts(HoldScope::Compliance, &wanted, at("16:40:00")),
            [part("15:00:00", "18:00:00")]
        );
    }

    #[test]
    fn other_holds_count_where_the_scope_says_so() {
        let other = |ends_at| Hold { compliance: false, ends_at, ..hold(at("10:00:00"), at("12:00:00")) };
        let wanted = window("12:00:00", "15:00:00");
        for (ends_at, near, all) in [
            (Some("13:00:00"), "12:20:00", vec![part("13:00:00", "15:00:00")]),
            (Some("12:05:00"), "12:05:00", vec![part("12:05:00", "15:00:00")]),
            (None, "12:20:00", vec![]),
        ] {
            let held = held(vec![other(ends_at.map(at))]);
            let open = |scope| held.open_parts(scope, &wanted, at(NOW));
            assert_eq!(open(HoldScope::Compliance), [part("12:00:00", "15:00:00")]);
            assert_eq!(open(HoldScope::Near), [part(near, "15:00:00")]);
            assert_eq!(open(HoldScope::All), all);
        }
    }

    #[test]
    fn only_compliance_holds_count() {
        let throttle = Hold { compliance: false, reason: PauseReason::CarrierThrottle, ..held_until("17:00:00") };
        let restrictions = held(vec![throttle]);
        let wanted = window("15:00:00", "16:00:00");
        assert_eq!(restrictions.open_parts(HoldScope::Compliance, &wanted, at(NOW)), [part("15:00:00", "16:00:00")]);
        assert_eq!(restrictions.refusal(&wanted, at(NOW)), None);
    }

    #[test]
    fn the_end_of_a_hold_moves_to_the_opening_of_the_window() {
        let own = Hold { regulatory_window: Some(daily("17:00", "21:00", "UTC")), ..held_until("16:00:00") };
        let wanted = window("15:00:00", "18:00:00");
        assert_eq!(held(vec![own]).open_parts(HoldScope::Compliance, &wanted, at(NOW)), [part("17:00:00", "18:00:00")]);
        // That of the settings moves it too, also where it is not enforced.
        let settings =
            CampaignSettings { enforce_regulatory_window: false, ..enforced(daily("17:00", "21:00", "UTC")) };
        let moved = Restrictions::new(&settings, [held_until("16:00:00")]);
        assert_eq!(moved.open_parts(HoldScope::Compliance, &wanted, at(NOW)), [part("17:00:00", "18:00:00")]);
        assert_eq!(
            Restrictions::new(&settings, []).open_parts(HoldScope::Compliance, &wanted, at(NOW)),
            [part("15:00:00", "18:00:00")]
        );
    }

    #[test]
    fn a_callback_is_placed_inside_an_enforced_window() {
        let restrictions = Restrictions::new(&enforced(daily("16:00", "17:00", "UTC")), []);
        let wanted = window("15:00:00", "18:00:00");
        assert_eq!(restrictions.open_parts(HoldScope::Compliance, &wanted, at(NOW)), [part("16:00:00", "17:00:00")]);
        assert_eq!(restrictions.refusal(&wanted, at(NOW)), None);
        let earliest_start = at("16:00:00") + SignedDuration::from_hours(24);
        let late = window("17:00:00", "20:00:00");
        assert_eq!(restrictions.open_parts(HoldScope::Compliance, &late, at(NOW)), []);
        assert_eq!(
            restrictions.refusal(&late, at(NOW)),
            Some(PlacementRefusal::OutsideRegulatoryWindow { earliest_start })
        );
        // What was open of the window has passed.
        assert_eq!(
            restrictions.refusal(&wanted, at("17:10:00")),
            Some(PlacementRefusal::OutsideRegulatoryWindow { earliest_start })
        );
    }

    #[test]
    fn a_window_that_closes_and_opens_again_leaves_two_parts() {
        let restrictions = Restrictions::new(&enforced(daily("16:30", "15:30", "UTC")), []);
        let parts = restrictions.open_parts(HoldScope::Compliance, &window("15:00:00", "18:00:00"), at(NOW));
        assert_eq!(parts, [part("15:00:00", "15:30:00"), part("16:30:00", "18:00:00")]);
    }

    /// 8 March 2026, 2:00 EST is 3:00 EDT: a window from 2:30 to 2:00 closes and opens at the same instant.
    #[test]
    fn parts_that_touch_are_one() {
        let restrictions = Restrictions::new(&enforced(daily("2:30", "2:00", "America/New_York")), []);
        let [start, end]: [Timestamp; 2] =
            ["2026-03-08T06:00:00Z", "2026-03-08T09:00:00Z"].map(|text| text.parse().unwrap());
        let wanted = TimeWindow::parse(start, end).unwrap();
        assert_eq!(restrictions.open_parts(HoldScope::Compliance, &wanted, start), [Interval { start, end }]);
    }

    #[test]
    fn where_a_hold_covers_all_that_the_window_leaves_the_hold_is_named() {
        let all_day = Hold { regulatory_window: Some(daily("0:00", "23:59", "UTC")), ..held_until("17:30:00") };
        let restrictions = Restrictions::new(&enforced(daily("9:00", "17:00", "UTC")), [all_day]);
        let earliest_start = at("09:00:00") + SignedDuration::from_hours(24);
        let held = Some(PlacementRefusal::CampaignHeld { earliest_start });
        assert_eq!(restrictions.refusal(&window("16:00:00", "19:00:00"), at(NOW)), held);
        // The hold lasts until both windows are open.
        assert_eq!(restrictions.refusal(&window("17:00:00", "19:00:00"), at(NOW)), held);
        let over = Restrictions::new(&enforced(daily("9:00", "17:00", "UTC")), [held_until("16:30:00")]);
        let closed = Some(PlacementRefusal::OutsideRegulatoryWindow { earliest_start });
        assert_eq!(over.refusal(&window("17:00:00", "19:00:00"), at(NOW)), closed);
        let both = Restrictions::new(&enforced(daily("9:00", "17:00", "UTC")), [held_until("20:00:00")]);
        assert_eq!(both.refusal(&window("17:00:00", "19:00:00"), at(NOW)), held);
    }

    /// Around both changes of New York's clocks, and around an ordinary day.
    fn moments() -> impl Strategy<Value = Timestamp> {
        let starts = ["2026-03-07T00:00:00Z", "2026-10-31T00:00:00Z", "2026-06-10T00:00:00Z"];
        (prop::sample::select(starts.to_vec()), 0_i64..3 * 24 * 60)
            .prop_map(|(start, minutes)| start.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes))
    }

    fn daily_windows() -> impl Strategy<Value = DailyWindow> {
        let time = || (0_i8..24, 0_i8..60).prop_map(|(hour, minute)| jiff::civil::Time::constant(hour, minute, 0, 0));
        (time(), time(), prop::sample::select(vec!["UTC", "America/New_York", "Asia/Kolkata"]))
            .prop_filter_map("a window that is none", |(start, end, zone)| {
                DailyWindow::new(start, end, TimeZone::parse(zone).unwrap()).ok()
            })
    }

    /// Restrictions, a window, and now.
    fn cases() -> impl Strategy<Value = (Restrictions, TimeWindow, Timestamp)> {
        let holds = prop::collection::vec((-600_i64..900, any::<bool>(), prop::option::of(daily_windows())), 0..3);
        (moments(), 60_i64..=240, -300_i64..300, holds, prop::option::of(daily_windows()), any::<bool>()).prop_map(
            |(start, length, now, holds, regulatory_window, enforce_regulatory_window)| {
                let minutes = SignedDuration::from_mins;
                let (now, wanted) = (start - minutes(now), TimeWindow::parse(start, start + minutes(length)).unwrap());
                let holds = holds.into_iter().map(|(ends_in, compliance, regulatory_window)| Hold {
                    compliance,
                    regulatory_window,
                    ..hold(now - minutes(700), now + minutes(ends_in))
                });
                let settings =
                    CampaignSettings { regulatory_window, enforce_regulatory_window, ..CampaignSettings::default() };
                (Restrictions::new(&settings, holds.collect::<Vec<_>>()), wanted, now)
            },
        )
    }

    /// Whether a callback may be placed at an instant, by the words of the rule.
    fn may_call(restrictions: &Restrictions, instant: Timestamp, now: Timestamp) -> bool {
        let window = restrictions.window.as_ref();
        let is_held = restrictions
            .compliance_holds
            .iter()
            .any(|hold| hold.is_in_force(now, window) && hold.end(now, window).is_none_or(|end| instant < end));
        let is_closed = restrictions.is_enforced && window.is_some_and(|window| !window.is_open(instant));
        !is_held && !is_closed
    }

    proptest! {
        /// Each minute of the window is in a part exactly where the rule allows it.
        #[test]
        fn the_parts_are_what_the_rule_allows((restrictions, wanted, now) in cases()) {
            let parts = restrictions.open_parts(HoldScope::Compliance, &wanted, now);
            prop_assert!(parts.iter().all(|part| part.start < part.end));
            prop_assert!(parts.iter().all(|part| wanted.start() <= part.start && part.end <= wanted.end()));
            prop_assert!(parts.windows(2).all(|pair| pair[0].end < pair[1].start));
            let mut instant = wanted.start();
            while instant < wanted.end() {
                let is_in_a_part = parts.iter().any(|part| part.start <= instant && instant < part.end);
                prop_assert_eq!(is_in_a_part, may_call(&restrictions, instant, now), "{}", instant);
                instant += SignedDuration::from_mins(1);
            }
        }

        /// A window is refused exactly where nothing of it is left, and `earliestStart` is the first instant that is not.
        #[test]
        fn a_refusal_says_when_it_would_be_possible((restrictions, wanted, now) in cases()) {
            let now = now.min(wanted.end() - SignedDuration::from_mins(1));
            let mut parts = restrictions.open_parts(HoldScope::Compliance, &wanted, now);
            parts.retain(|part| now < part.end);
            let refusal = restrictions.refusal(&wanted, now);
            prop_assert_eq!(refusal.is_some(), parts.is_empty());
            let Some(
                PlacementRefusal::CampaignHeld { earliest_start }
                | PlacementRefusal::OutsideRegulatoryWindow { earliest_start },
            ) = refusal
            else {
                return Ok(());
            };
            prop_assert!(earliest_start >= wanted.start().max(now));
            prop_assert!(may_call(&restrictions, earliest_start, now));
            let mut instant = wanted.start().max(now);
            while instant < earliest_start {
                prop_assert!(!may_call(&restrictions, instant, now), "{}", instant);
                instant += SignedDuration::from_mins(29);
            }
            let names_a_hold = refusal == Some(PlacementRefusal::CampaignHeld { earliest_start });
            prop_assert!(!names_a_hold || restrictions.held_until(now).is_some());
        }
    }
}
