//! A hold: a reason for a campaign not to dial, and when it is in force.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, EnumString, IntoStaticStr, VariantNames};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer_rate::Counts;
use super::regulatory_window::{self, first_open};
use crate::audit::Actor;
use crate::types::{DailyWindow, Fault};

/// The hold of a closing window is placed at most this long before the close.
pub const MAX_LEAD: SignedDuration = SignedDuration::from_secs(60);

/// Why a campaign is paused. Its text is that of CXone and of the API.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    ToSchema,
    AsRefStr,
    EnumString,
    IntoStaticStr,
    VariantNames,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum PauseReason {
    /// The law, or a client, requires it.
    ComplianceHold,
    /// The carrier takes fewer calls, or fewer calls are answered.
    CarrierThrottle,
    /// There are not enough agents.
    AgentCapacity,
    /// It was planned.
    Scheduled,
}

impl PauseReason {
    /// # Errors
    /// `not-a-pause-reason` for anything else.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        text.parse()
            .map_err(|_| Fault::new("not-a-pause-reason", format!("must be one of {}", Self::VARIANTS.join(", "))))
    }
}

/// What caused a change. Its text is that of the API and the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, AsRefStr)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Trigger {
    /// A command to pause.
    ManualPause,
    /// A command to resume.
    ManualResume,
    /// The end of a hold.
    ScheduledResume,
    /// The answer rate fell below its floor.
    SlidingWindowThrottle,
    /// The regulatory window closed or opened.
    RegulatoryWindow,
}

/// A reason for a campaign not to dial, from its placing until it is lifted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    pub id: Uuid,
    pub reason: PauseReason,
    /// Whether only a caller who may override lifts it before its end.
    pub compliance: bool,
    pub triggered_by: Trigger,
    pub placed_by: Actor,
    pub placed_at: Timestamp,
    /// When it is lifted; `None` for an open-ended hold.
    pub ends_at: Option<Timestamp>,
    /// The agents that the campaign may have meanwhile; as in CXone, where `None`.
    pub max_agents: Option<u32>,
    /// The window that the pause named. The window of the settings applies in any case.
    #[serde(with = "regulatory_window::kept")]
    pub regulatory_window: Option<DailyWindow>,
    pub request_id: Option<String>,
    /// The scheduled callbacks that it covered when it was requested; `None` where they were not counted.
    pub affected_callbacks: Option<u32>,
    /// What the dialer had done in the answer rate's window when the hold was requested.
    #[serde(default)]
    pub counts: Counts,
    /// The campaign's revision with which it was placed or refreshed. A command that arrived at an older revision does not
    /// lift it.
    #[serde(default)]
    pub revision: i64,
}

impl Hold {
    /// The windows that must be open when the campaign starts after this hold.
    pub fn windows<'a>(&'a self, of_settings: Option<&'a DailyWindow>) -> Vec<&'a DailyWindow> {
        let own = self.regulatory_window.as_ref();
        own.into_iter().chain(of_settings.filter(|window| Some(*window) != own)).collect()
    }

    /// Whether it keeps the campaign from dialing at `now`. A hold whose end was missed, because the service was down, stays
    /// in force while a window is closed.
    pub fn is_in_force(&self, now: Timestamp, of_settings: Option<&DailyWindow>) -> bool {
        if self.triggered_by == Trigger::RegulatoryWindow {
            return of_settings.is_some_and(|window| self.window_opens(window, now) > now);
        }
        let has_ended = self.ends_at.is_some_and(|end| end <= now);
        !has_ended || first_open(&self.windows(of_settings), now) > now
    }

    /// When it is lifted: at its end or, where a window is closed then, when all windows are open.
    pub fn end(&self, now: Timestamp, of_settings: Option<&DailyWindow>) -> Option<Timestamp> {
        if self.triggered_by == Trigger::RegulatoryWindow {
            return Some(of_settings.map_or(now, |window| self.window_opens(window, now)));
        }
        Some(first_open(&self.windows(of_settings), self.ends_at?.max(now)))
    }

    /// When the window opens whose close placed this hold. The window is that of the current settings, which may have
    /// changed since. The hold may have been placed shortly before the close.
    fn window_opens(&self, window: &DailyWindow, now: Timestamp) -> Timestamp {
        let closes = window.next_close(self.placed_at);
        let closes_soon = closes.filter(|closes| now < *closes && *closes <= self.placed_at + MAX_LEAD);
        window.next_opening(closes_soon.unwrap_or(now))
    }

    /// Whether the pause that would place `other` is a repetition of the pause that placed this hold.
    pub fn is_same_pause(&self, other: &Self) -> bool {
        self.triggered_by == Trigger::ManualPause
            && other.triggered_by == Trigger::ManualPause
            && (&self.placed_by.r#type, &self.placed_by.id) == (&other.placed_by.r#type, &other.placed_by.id)
            && (self.reason, self.compliance) == (other.reason, other.compliance)
            && self.max_agents == other.max_agents
            && self.regulatory_window == other.regulatory_window
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{TimeZone, parse_time_of_day};

    fn hold() -> Hold {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        Hold {
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
            counts: Counts::default(),
            revision: 0,
        }
    }

    #[test]
    fn the_hold_of_a_closing_window_is_in_force_from_its_placing_until_the_opening() {
        let time = |text| parse_time_of_day(text).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let daily = |end| DailyWindow::new(time("9:00"), time(end), TimeZone::parse("UTC").unwrap()).unwrap();
        let hold = Hold {
            triggered_by: Trigger::RegulatoryWindow,
            placed_at: at("2026-11-20T20:59:57Z"),
            regulatory_window: None,
            ..hold()
        };
        for (now, in_force) in [
            ("2026-11-20T20:59:57Z", true),
            ("2026-11-20T21:00:00Z", true),
            ("2026-11-21T08:59:59.999Z", true),
            ("2026-11-21T09:00:00Z", false),
        ] {
            assert_eq!(hold.is_in_force(at(now), Some(&daily("21:00"))), in_force, "{now}");
            let end = if in_force { at("2026-11-21T09:00:00Z") } else { at(now) };
            assert_eq!(hold.end(at(now), Some(&daily("21:00"))), Some(end), "{now}");
        }
        assert!(!hold.is_in_force(at("2026-11-20T20:59:58Z"), Some(&daily("22:00"))), "it closes later now");
    }

    #[test]
    fn a_hold_whose_end_was_missed_stays_in_force_until_the_window_opens() {
        let time = |text| parse_time_of_day(text).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let window = DailyWindow::new(time("9:00"), time("21:00"), TimeZone::parse("UTC").unwrap()).unwrap();
        let hold = hold();
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
