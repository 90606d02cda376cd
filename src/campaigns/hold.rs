//! A hold: a reason for a campaign not to dial.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::regulatory_window;
use crate::audit::Actor;
use crate::types::{DailyWindow, Fault};

/// Why a campaign is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PauseReason {
    /// The law, or a client, wants it.
    ComplianceHold,
    /// The carrier takes fewer calls, or people answer fewer.
    CarrierThrottle,
    /// There are not enough agents.
    AgentCapacity,
    /// It was planned.
    Scheduled,
}

impl PauseReason {
    const ALL: [Self; 4] = [Self::ComplianceHold, Self::CarrierThrottle, Self::AgentCapacity, Self::Scheduled];

    /// # Errors
    /// `not-a-pause-reason` for anything else.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Fault::new("not-a-pause-reason", format!("must be one of {known}"))
        })
    }

    /// As CXone and the API write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ComplianceHold => "COMPLIANCE_HOLD",
            Self::CarrierThrottle => "CARRIER_THROTTLE",
            Self::AgentCapacity => "AGENT_CAPACITY",
            Self::Scheduled => "SCHEDULED",
        }
    }
}

/// What brought a change about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Trigger {
    /// A command.
    ManualPause,
    /// A command.
    ManualResume,
    /// The end of a hold.
    ScheduledResume,
    /// The answer rate fell under its floor.
    SlidingWindowThrottle,
    /// The regulatory window closed or opened.
    RegulatoryWindow,
}

impl Trigger {
    /// As the audit log writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ManualPause => "MANUAL_PAUSE",
            Self::ManualResume => "MANUAL_RESUME",
            Self::ScheduledResume => "SCHEDULED_RESUME",
            Self::SlidingWindowThrottle => "SLIDING_WINDOW_THROTTLE",
            Self::RegulatoryWindow => "REGULATORY_WINDOW",
        }
    }
}

/// A reason for a campaign not to dial, from when it was placed until it is lifted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    pub id: Uuid,
    pub reason: PauseReason,
    /// Lifted before its time only by someone who may override.
    pub compliance: bool,
    pub triggered_by: Trigger,
    pub placed_by: Actor,
    pub placed_at: Timestamp,
    /// When it lifts itself; never, where absent.
    pub ends_at: Option<Timestamp>,
    /// How many agents the campaign may have meanwhile; as CXone has it, where absent.
    pub max_agents: Option<u32>,
    /// The window that the pause named; that of the campaign's settings, where absent.
    #[serde(with = "regulatory_window::kept")]
    pub regulatory_window: Option<DailyWindow>,
    pub request_id: Option<String>,
    /// Scheduled callbacks that it covered when it was asked for; absent where nobody counted.
    pub affected_callbacks: Option<u32>,
}

impl Hold {
    /// The window in which the campaign may dial once this hold is gone.
    pub fn window<'a>(&'a self, of_settings: Option<&'a DailyWindow>) -> Option<&'a DailyWindow> {
        self.regulatory_window.as_ref().or(of_settings)
    }

    /// Whether the campaign may not dial because of it. A hold whose end was missed, because CXone was away, stays in
    /// force while the window is closed.
    pub fn is_in_force(&self, now: Timestamp, of_settings: Option<&DailyWindow>) -> bool {
        // It stands for the window as it is now, whatever that was when it closed.
        if self.triggered_by == Trigger::RegulatoryWindow {
            return of_settings.is_some_and(|window| !window.is_open(now));
        }
        let has_ended = self.ends_at.is_some_and(|end| end <= now);
        !has_ended || self.window(of_settings).is_some_and(|window| !window.is_open(now))
    }

    /// When it lifts itself: at its end, or where the window is closed then, at its next opening.
    pub fn end(&self, now: Timestamp, of_settings: Option<&DailyWindow>) -> Option<Timestamp> {
        if self.triggered_by == Trigger::RegulatoryWindow {
            return Some(of_settings.map_or(now, |window| window.next_opening(now)));
        }
        let end = self.ends_at?.max(now);
        Some(self.window(of_settings).map_or(end, |window| window.next_opening(end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Zone, parse_time_of_day};

    #[test]
    fn a_hold_whose_end_was_missed_stays_in_force_until_the_window_opens() {
        let time = |text| parse_time_of_day(text).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let window = DailyWindow::new(time("9:00"), time("21:00"), Zone::parse("UTC").unwrap()).unwrap();
        let hold = Hold {
            id: Uuid::nil(),
            reason: PauseReason::CarrierThrottle,
            compliance: false,
            triggered_by: Trigger::ManualPause,
            placed_by: Actor::operator(),
            placed_at: at("2026-11-20T15:00:00Z"),
            ends_at: Some(at("2026-11-20T20:00:00Z")),
            max_agents: None,
            regulatory_window: None,
            request_id: None,
            affected_callbacks: None,
        };
        for (now, in_force, end) in [
            ("2026-11-20T19:59:59.999Z", true, "2026-11-20T20:00:00Z"),
            ("2026-11-20T20:00:00Z", false, "2026-11-20T20:00:00Z"),
            ("2026-11-20T21:00:00Z", true, "2026-11-21T09:00:00Z"),
            ("2026-11-21T09:00:00Z", false, "2026-11-21T09:00:00Z"),
        ] {
            assert_eq!(hold.is_in_force(at(now), Some(&window)), in_force, "{now}");
            assert_eq!(hold.end(at(now), Some(&window)), Some(at(end)), "{now}");
        }
        assert!(!hold.is_in_force(at("2026-11-20T23:00:00Z"), None));
        assert_eq!(Hold { ends_at: None, ..hold }.end(at("2026-11-20T23:00:00Z"), Some(&window)), None);
    }
}
