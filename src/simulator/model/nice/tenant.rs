//! How the tenant behaves where the published API does not say it.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::zones;

/// No zone of the world is off by this.
const WRONG_BY: SignedDuration = SignedDuration::from_mins(37);

/// How a `scheduleDate` is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::simulator) enum ScheduleDates {
    /// As UTC.
    Utc,
    /// As local time of the business unit, also with a `Z`.
    BusinessUnit,
    /// As UTC, and 37 minutes later.
    Wrong,
}

/// What becomes of a callback at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::simulator) enum Outcome {
    Reached,
    NotReached,
    /// An agent got it, and the customer was not dialled.
    AgentOnly,
    /// It disappears without a contact.
    Missing,
}

/// The behaviour that the control API sets; the documentation of `simulator` describes each member.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::simulator) struct Behaviour {
    pub(in crate::simulator) schedule_dates: ScheduleDates,
    /// The business unit's, under its Windows name.
    pub(in crate::simulator) time_zone: String,
    pub(in crate::simulator) start_delay_ms: u32,
    pub(in crate::simulator) completed_delay_ms: u32,
    pub(in crate::simulator) message_index_delay_ms: u32,
    pub(in crate::simulator) largest_page: usize,
    pub(in crate::simulator) callbacks_dial_while_stopped: bool,
    pub(in crate::simulator) skill_lists_show_running: bool,
    pub(in crate::simulator) outcome: Outcome,
    /// The outcomes of the callbacks to these numbers.
    pub(in crate::simulator) outcomes: BTreeMap<String, Outcome>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            schedule_dates: ScheduleDates::Utc,
            time_zone: "Eastern Standard Time".to_owned(),
            start_delay_ms: 300,
            completed_delay_ms: 0,
            message_index_delay_ms: 0,
            largest_page: 10_000,
            callbacks_dial_while_stopped: true,
            skill_lists_show_running: false,
            outcome: Outcome::Reached,
            outcomes: BTreeMap::new(),
        }
    }
}

impl Behaviour {
    /// The business unit's time zone.
    pub(in crate::simulator) fn zone(&self) -> TimeZone {
        zones::zone(&self.time_zone).unwrap_or(TimeZone::UTC)
    }

    /// What becomes of a callback to this number.
    pub(super) fn outcome_of(&self, phone: &str) -> Outcome {
        self.outcomes.get(phone).copied().unwrap_or(self.outcome)
    }

    /// The moment that a `scheduleDate` is taken for. `None` if it has another form than `2026-11-20T15:00:00`, with or
    /// without a fraction and a `Z`, and with a space instead of the `T` where it has no `Z`.
    pub(in crate::simulator) fn moment(&self, schedule_date: &str) -> Option<Timestamp> {
        let (text, separators) = match schedule_date.strip_suffix('Z') {
            Some(text) => (text, "T"),
            None => (schedule_date, "T "),
        };
        let local = date_time(text, separators)?;
        let zone = match self.schedule_dates {
            ScheduleDates::BusinessUnit => self.zone(),
            ScheduleDates::Utc | ScheduleDates::Wrong => TimeZone::UTC,
        };
        let moment = local.to_zoned(zone).ok()?.timestamp();
        if self.schedule_dates == ScheduleDates::Wrong { moment.checked_add(WRONG_BY).ok() } else { Some(moment) }
    }
}

/// A date and a time of day in exactly this form, with one of these characters between them. jiff also accepts others.
fn date_time(text: &str, separators: &str) -> Option<DateTime> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if fraction.is_empty() || fraction.len() > 9 || !is_digits(fraction) || whole.len() != 19 {
        return None;
    }
    let has_form = whole.char_indices().all(|(index, character)| match index {
        4 | 7 => character == '-',
        10 => separators.contains(character),
        13 | 16 => character == ':',
        _ => character.is_ascii_digit(),
    });
    has_form.then(|| text.parse().ok()).flatten()
}

/// An instant in the form that reports take: UTC, with a `Z` and without a fraction.
pub(in crate::simulator) fn report_instant(text: &str) -> Option<Timestamp> {
    let local = text.strip_suffix('Z').filter(|text| text.len() == 19)?;
    Some(date_time(local, "T")?.to_zoned(TimeZone::UTC).ok()?.timestamp())
}
