//! The members of a campaign that the pages show.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use uuid::Uuid;

use crate::console::chart::Sparkline;
use crate::console::page::Visit;
use crate::console::problem::ApiProblem;
use crate::console::regulatory_window::RegulatoryWindow;
use crate::console::source::{Dialed, Source};
use crate::console::view::MaskedNumber;
use crate::console::words::{self, Word};
use crate::http::Problem;
use crate::types::{CampaignId, DailyWindow};

/// Windows in different places may need a few openings until all are open at once.
const MOST_OPENINGS: usize = 32;

/// `GET /v1/campaigns/{campaignId}`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Campaign {
    pub campaign_id: String,
    /// In CXone.
    pub state: Option<String>,
    pub state_seen_at: Option<Timestamp>,
    /// Whether CXone has not confirmed a change yet.
    pub pending: bool,
    pub holds: Vec<Hold>,
    pub next_resume: Option<Timestamp>,
    pub answer_rate: AnswerRate,
    pub settings: Settings,
    pub failure: Option<Failure>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    pub id: Uuid,
    pub pause_reason: String,
    pub compliance_hold: bool,
    pub triggered_by: String,
    pub placed_by: Actor,
    pub placed_at: Timestamp,
    pub scheduled_resume_time: Option<Timestamp>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Actor {
    pub name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnswerRate {
    window_ms: u64,
    pub attempts: u64,
    pub answers: u64,
    pub rate: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    pub max_agents: Option<u32>,
    pub carrier_limit: Option<CarrierLimit>,
    pub regulatory_window: Option<RegulatoryWindow>,
    pub enforce_regulatory_window: bool,
    pub answer_rate: Option<Guard>,
    pub business_hours: Option<BusinessHours>,
    pub average_handle_time_seconds: Option<u32>,
    pub sms_from: Option<MaskedNumber>,
    pub sms_channel_id: Option<String>,
    pub check_do_not_call: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CarrierLimit {
    pub max_concurrent_calls: u32,
    pub max_agents: u32,
}

/// When a low answer rate pauses the campaign.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    pub enabled: bool,
    window_ms: u64,
    pub min_answer_rate: f64,
    pub min_attempts: u32,
    pause_for_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct BusinessHours {
    pub timezone: String,
    pub days: Vec<OpenDay>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenDay {
    day: String,
    pub start_time: String,
    pub end_time: String,
}

/// Why CXone did not carry out the last change.
#[derive(Clone, Debug, Deserialize)]
pub struct Failure {
    pub code: String,
    pub detail: String,
}

impl Campaign {
    /// Reads the campaign of a path.
    ///
    /// # Errors
    /// The problem that the API answers; a 404 if that is no id of a campaign.
    pub async fn read(visit: &Visit, id: &str) -> Result<Self, ApiProblem> {
        let id = CampaignId::parse(id).map_err(|_| Problem::not_found("campaign"))?;
        visit.api.get(&format!("/v1/campaigns/{id}")).await
    }

    /// The address of its page.
    pub fn path(&self) -> String {
        format!("/console/campaigns/{}", self.campaign_id)
    }

    pub fn state_word(&self) -> Word<'_> {
        words::campaign_state(self.state.as_deref())
    }

    /// What Ringback brings it to. None where that is whatever CXone has.
    pub fn desired(&self) -> Option<Word<'static>> {
        if self.holds.is_empty() {
            return self.pending.then(|| words::campaign_state(Some("ACTIVE")));
        }
        Some(words::campaign_state(Some("PAUSED")))
    }

    /// Whether CXone has another state than it should, as far as is known.
    pub fn differs(&self) -> bool {
        self.pending || (!self.holds.is_empty() && self.is_active())
    }

    pub fn is_active(&self) -> bool {
        self.state.as_deref() == Some("ACTIVE")
    }

    /// Whether it is over or was stopped in CXone, so that commands are refused.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state.as_deref(), Some("INACTIVE" | "SUSPENDED"))
    }

    /// Below this answer rate it is paused.
    pub fn floor(&self) -> Option<f64> {
        self.settings.answer_rate.as_ref().filter(|guard| guard.enabled).map(|guard| guard.min_answer_rate)
    }

    /// The answer rate in its window.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn sparkline(&self, source: &dyn Source, now: Timestamp) -> Result<Sparkline, sqlx::Error> {
        let ids = CampaignId::parse(&self.campaign_id).into_iter().collect();
        let dialed: Vec<Dialed> = source.dialed(ids).await?.into_values().flatten().collect();
        Ok(Sparkline::new(&dialed, self.answer_rate.window_ms, self.floor(), now))
    }

    /// Whether the answer rate is below its floor.
    pub fn is_low(&self) -> bool {
        self.answer_rate.rate.zip(self.floor()).is_some_and(|(rate, floor)| rate < floor)
    }
}

impl AnswerRate {
    /// The length of its window.
    pub fn window(&self) -> String {
        span(self.window_ms)
    }
}

impl Guard {
    /// The length of its window.
    pub fn window(&self) -> String {
        span(self.window_ms)
    }

    /// How long it pauses the campaign.
    pub fn pause_for(&self) -> String {
        span(self.pause_for_ms)
    }
}

impl OpenDay {
    /// Such as `Monday`.
    pub fn name(&self) -> String {
        let mut name = self.day.to_lowercase();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        name
    }
}

impl Hold {
    /// Whether only somebody who may override lifts it now.
    pub fn is_early(&self, now: Timestamp) -> bool {
        self.compliance_hold && self.scheduled_resume_time.is_none_or(|end| now < end)
    }
}

/// The first time from `from` on at which all windows are open.
pub fn first_open(windows: &[DailyWindow], from: Timestamp) -> Timestamp {
    let mut at = from;
    for _ in 0..MOST_OPENINGS {
        let latest = windows.iter().map(|window| window.next_opening(at)).max().unwrap_or(at);
        if latest == at {
            break;
        }
        at = latest;
    }
    at
}

/// The end of the last of these holds. None if one of them has no end, or there is none.
pub fn last_end(ends: impl IntoIterator<Item = Option<Timestamp>>) -> Option<Timestamp> {
    ends.into_iter().collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// Such as `5m` or `1h 30m`.
fn span(milliseconds: u64) -> String {
    format!("{:#}", SignedDuration::from_millis(i64::try_from(milliseconds).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(start: &str, end: &str, zone: &str) -> RegulatoryWindow {
        RegulatoryWindow { start_time: start.into(), end_time: end.into(), timezone: zone.into() }
    }

    #[test]
    fn all_windows_are_open_at_the_first_time_that_they_share() {
        let windows = [window("09:00", "12:00", "UTC"), window("11:00", "18:00", "UTC")].map(|w| w.parsed().unwrap());
        assert_eq!(first_open(&windows, at("2026-11-20T13:00:00Z")), at("2026-11-21T11:00:00Z"));
        assert_eq!(first_open(&windows, at("2026-11-20T11:30:00Z")), at("2026-11-20T11:30:00Z"));
        assert_eq!(first_open(&[], at("2026-11-20T11:30:00Z")), at("2026-11-20T11:30:00Z"));
    }

    #[test]
    fn holds_end_with_the_last_of_them_unless_one_has_no_end() {
        let (early, late) = (at("2026-11-20T13:00:00Z"), at("2026-11-20T15:00:00Z"));
        assert_eq!(last_end([Some(late), Some(early)]), Some(late));
        assert_eq!(last_end([Some(late), None]), None);
        assert_eq!(last_end([]), None);
    }

    #[test]
    fn a_span_is_shown_in_its_units() {
        assert_eq!(span(300_000), "5m");
        assert_eq!(span(5_400_000), "1h 30m");
    }
}
