//! Campaigns and their holds, as they are shown.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::settings_view::SettingsView;
use crate::audit::Actor;
use crate::campaigns::model::{Campaign, DEFAULT_WINDOW, Failure, Hold, PauseReason, Trigger};
use crate::cxone::CampaignState;
use crate::types::CampaignId;

/// A hold, which keeps a campaign paused
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Hold)]
pub struct HoldView {
    id: Uuid,
    pause_reason: PauseReason,
    compliance_hold: bool,
    triggered_by: Trigger,
    placed_by: Actor,
    placed_at: Timestamp,
    /// When the hold ends; null if only a command lifts it.
    #[schema(required)]
    scheduled_resume_time: Option<Timestamp>,
}

impl From<&Hold> for HoldView {
    fn from(hold: &Hold) -> Self {
        Self {
            id: hold.id,
            pause_reason: hold.reason,
            compliance_hold: hold.compliance,
            triggered_by: hold.triggered_by,
            placed_by: hold.placed_by.clone(),
            placed_at: hold.placed_at,
            scheduled_resume_time: hold.ends_at,
        }
    }
}

/// The answer rate of a campaign in its sliding window
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AnswerRate)]
struct AnswerRateView {
    /// The length of the sliding window, in milliseconds.
    window_ms: u64,
    attempts: u64,
    answers: u64,
    /// Answers / attempts, 0 to 1; null without an attempt.
    #[schema(required)]
    rate: Option<f64>,
    /// When Ringback last started the campaign; earlier events do not count.
    #[schema(required)]
    counted_from: Option<Timestamp>,
}

impl From<&Campaign> for AnswerRateView {
    fn from(campaign: &Campaign) -> Self {
        let window = campaign.settings.answer_rate.map_or(DEFAULT_WINDOW, |guard| guard.window());
        Self {
            window_ms: u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
            attempts: campaign.counts.attempts,
            answers: campaign.counts.answers,
            rate: campaign.counts.rate(),
            counted_from: campaign.counted_from,
        }
    }
}

/// A campaign
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Campaign, example = json!({
    "campaignId": "0192f0c4-1111-7000-8000-000000000001", "state": "ACTIVE", "stateSeenAt": "2026-11-20T13:59:58Z",
    "pending": false, "holds": [], "nextResume": null,
    "answerRate": {"windowMs": 300_000, "attempts": 40, "answers": 18, "rate": 0.45,
        "countedFrom": "2026-11-20T13:30:00Z"},
    "settings": {"maxAgents": 25, "carrierLimit": {"maxConcurrentCalls": 100, "maxAgents": 30},
        "regulatoryWindow": {"startTime": "09:00", "endTime": "21:00", "timezone": "America/New_York"},
        "enforceRegulatoryWindow": false, "answerRate": null, "businessHours": null,
        "averageHandleTimeSeconds": null, "smsFrom": null, "smsChannelId": null, "checkDoNotCall": false, "nice": null},
    "failure": null}))]
pub struct CampaignView {
    #[schema(value_type = String)]
    campaign_id: CampaignId,
    /// The last known state in CXone; null if CXone has never shown one.
    #[schema(required)]
    state: Option<CampaignState>,
    /// When CXone showed that state.
    #[schema(required)]
    state_seen_at: Option<Timestamp>,
    /// Whether a change in CXone is not confirmed yet.
    pending: bool,
    /// The holds that keep the campaign paused now. It may dial if there is none.
    holds: Vec<HoldView>,
    /// When the last of the holds ends; null if one has no end, or there is none.
    #[schema(required)]
    next_resume: Option<Timestamp>,
    answer_rate: AnswerRateView,
    settings: SettingsView,
    /// Why the last attempt to change the campaign in CXone failed.
    #[schema(required)]
    failure: Option<Failure>,
}

impl CampaignView {
    /// The campaign as it is at `now`.
    pub fn new(campaign: &Campaign, now: Timestamp) -> Self {
        Self {
            campaign_id: campaign.id.clone(),
            state: campaign.seen.map(|(state, _)| state),
            state_seen_at: campaign.seen.map(|(_, at)| at),
            pending: campaign.is_pending(now),
            holds: campaign.in_force(now).map(HoldView::from).collect(),
            next_resume: campaign.resumes_at(now),
            answer_rate: AnswerRateView::from(campaign),
            settings: SettingsView::from(&campaign.settings),
            failure: campaign.failure.clone(),
        }
    }
}
