//! What the overview shows.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::console::chart::{HoursChart, Sparkline};
use crate::console::client::with_query;
use crate::console::page::Visit;
use crate::console::problem::ApiProblem;
use crate::console::regulatory_window::RegulatoryWindow;
use crate::console::source::{Dialed, ServiceStatus, Source};
use crate::console::view::List;
use crate::console::words::{self, Tone, Word};
use crate::http::Scope;
use crate::types::CampaignId;

/// The span of the numbers.
const LAST: SignedDuration = SignedDuration::from_hours(24);

/// On what an overview depends, apart from the time.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct OverviewKey {
    scopes: Vec<&'static str>,
    campaigns: Option<Vec<String>>,
    /// Whose coming hours are shown; the first one, if that is empty.
    chosen: String,
}

impl OverviewKey {
    pub fn new(visit: &Visit, chosen: String) -> Self {
        let scopes = visit.scopes().iter().map(|scope| scope.as_str()).collect();
        let known = CampaignId::parse(&chosen).is_ok();
        Self { scopes, campaigns: visit.campaigns().texts(), chosen: if known { chosen } else { String::new() } }
    }
}

/// A part that the API or the service may refuse, without the other parts.
pub type Part<T> = Result<T, ApiProblem>;

/// What is going on. `None` stands for what the person may not see.
pub struct Overview {
    pub status: Part<ServiceStatus>,
    pub statistics: Option<Part<Statistics>>,
    pub campaigns: Option<Part<Vec<CampaignRow>>>,
    pub hours: Option<Part<Hours>>,
}

impl Overview {
    /// Reads all parts at the same time.
    pub async fn read(visit: &Visit, source: &dyn Source, key: OverviewKey) -> Self {
        let (now, may) = (visit.now(), |scope| visit.may(scope));
        let (sees_campaigns, sees_callbacks) = (may(Scope::CampaignsRead), may(Scope::CallbacksRead));
        let statistics =
            async { if sees_campaigns && sees_callbacks { Some(statistics(visit, now).await) } else { None } };
        let campaigns = async { if sees_campaigns { Some(campaigns(visit, source, now).await) } else { None } };
        let hours = async { if sees_callbacks { Some(hours(visit, source, &key.chosen).await) } else { None } };
        let status = async { source.status().await.map_err(ApiProblem::from) };
        let (status, statistics, campaigns, hours) = tokio::join!(status, statistics, campaigns, hours);
        Self { status, statistics, campaigns, hours }
    }

    /// Whether CXone works, as far as is known.
    pub fn cxone(&self) -> Word<'static> {
        use crate::console::source::EndpointState::{BackOff, Down, Unauthorized, Works};
        let Ok(status) = &self.status else { return Word { text: "Not known", tone: Tone::Plain } };
        let states = || status.cxone.iter().map(|endpoint| endpoint.state);
        let word = |text, tone| Word { text, tone };
        if states().any(|state| matches!(state, Unauthorized(_))) {
            word("Refuses the credentials", Tone::Bad)
        } else if states().any(|state| matches!(state, Down(_))) {
            word("Does not respond", Tone::Bad)
        } else if states().any(|state| matches!(state, BackOff(_))) {
            word("Asks for a pause", Tone::Warn)
        } else {
            debug_assert!(states().all(|state| state == Works));
            word("Works", Tone::Good)
        }
    }
}

/// `GET /v1/statistics`
#[derive(Clone, Debug, Deserialize)]
pub struct Statistics {
    pub callbacks: CallbackCounts,
    pub promises: Promises,
    pub pauses: Commands,
    pub resumes: Commands,
    pub webhooks: Deliveries,
    pub quota: Quota,
}

#[derive(Clone, Debug, Deserialize)]
pub struct CallbackCounts {
    accepted: i64,
    scheduled: i64,
    failed: i64,
    expired: i64,
    cancelled: i64,
}

impl CallbackCounts {
    /// Each status with its number.
    pub fn by_status(&self) -> [(&'static str, i64); 5] {
        [
            ("accepted", self.accepted),
            ("scheduled", self.scheduled),
            ("failed", self.failed),
            ("expired", self.expired),
            ("cancelled", self.cancelled),
        ]
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Promises {
    pub late: i64,
    pub missed: i64,
    pub kept_rate: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Commands {
    pub success_rate: Option<f64>,
    pub median_latency_ms: Option<f64>,
    pub p95_latency_ms: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deliveries {
    pub success_rate: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    pub requests_per_minute: u32,
    pub used: u32,
    pub classes: Vec<QuotaClass>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct QuotaClass {
    pub class: String,
    pub used: u32,
}

async fn statistics(visit: &Visit, now: Timestamp) -> Part<Statistics> {
    let (from, to) = ((now - LAST).to_string(), now.to_string());
    visit.api.get(&with_query("/v1/statistics", [("from", from.as_str()), ("to", &to)])).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Campaign {
    campaign_id: CampaignId,
    state: Option<String>,
    pending: bool,
    holds: Vec<Hold>,
    answer_rate: AnswerRate,
    settings: Settings,
    failure: Option<Failure>,
}

/// A hold of a campaign.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    pub pause_reason: String,
    pub placed_by: PlacedBy,
    pub scheduled_resume_time: Option<Timestamp>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct PlacedBy {
    pub name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerRate {
    window_ms: u64,
    rate: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    regulatory_window: Option<RegulatoryWindow>,
    answer_rate: Option<Guard>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Guard {
    enabled: bool,
    min_answer_rate: f64,
}

#[derive(Deserialize)]
struct Failure {
    detail: String,
}

/// A campaign, as the overview shows it.
pub struct CampaignRow {
    pub id: CampaignId,
    /// In CXone.
    state: Option<String>,
    /// What it should be, where that is something else.
    pub wanted: Option<Word<'static>>,
    /// Why CXone did not accept the last change.
    pub failure: Option<String>,
    pub holds: Vec<Hold>,
    pub opens_at: Option<Timestamp>,
    pub rate: Option<f64>,
    pub floor: Option<f64>,
    pub spark: Sparkline,
}

impl CampaignRow {
    fn new(campaign: Campaign, dialed: &[Dialed], now: Timestamp) -> Self {
        let floor = campaign.settings.answer_rate.filter(|guard| guard.enabled).map(|guard| guard.min_answer_rate);
        let wanted = match (campaign.state.as_deref(), campaign.holds.is_empty()) {
            (Some("ACTIVE"), false) => Some(Word { text: "should be paused", tone: Tone::Bad }),
            (_, _) if campaign.pending => Some(Word { text: "changing", tone: Tone::Busy }),
            (_, _) => None,
        };
        Self {
            id: campaign.campaign_id,
            state: campaign.state,
            wanted,
            failure: campaign.failure.map(|failure| failure.detail),
            holds: campaign.holds,
            opens_at: campaign.settings.regulatory_window.and_then(|window| window.opens_at(now)),
            rate: campaign.answer_rate.rate,
            floor,
            spark: Sparkline::new(dialed, campaign.answer_rate.window_ms, floor, now),
        }
    }

    /// Its state in CXone.
    pub fn state(&self) -> Word<'_> {
        words::campaign_state(self.state.as_deref())
    }

    /// Whether the answer rate is below its floor.
    pub fn is_low(&self) -> bool {
        self.rate.zip(self.floor).is_some_and(|(rate, floor)| rate < floor)
    }
}

async fn campaigns(visit: &Visit, source: &dyn Source, now: Timestamp) -> Part<Vec<CampaignRow>> {
    let campaigns: List<Campaign> = visit.api.get("/v1/campaigns?limit=200").await?;
    let ids: Vec<_> = campaigns.data.iter().map(|campaign| campaign.campaign_id.clone()).collect();
    let dialed: HashMap<_, _> = source.dialed(ids).await?;
    let none: &[Dialed] = &[];
    let row = |campaign: Campaign| {
        let dialed = dialed.get(&campaign.campaign_id).map_or(none, Vec::as_slice);
        CampaignRow::new(campaign, dialed, now)
    };
    let mut rows: Vec<_> = campaigns.data.into_iter().map(row).collect();
    // Those that need a look come first.
    rows.sort_by_key(|row| (row.failure.is_none() && row.wanted.is_none(), row.holds.is_empty(), row.id.clone()));
    Ok(rows)
}

/// The coming hours of one campaign, and the campaigns that can be chosen.
pub struct Hours {
    pub campaigns: Vec<CampaignId>,
    pub chosen: Option<CampaignId>,
    /// Or why there is none.
    pub chart: Result<HoursChart, String>,
}

impl Hours {
    pub fn is_chosen(&self, campaign: &CampaignId) -> bool {
        self.chosen.as_ref() == Some(campaign)
    }
}

async fn hours(visit: &Visit, source: &dyn Source, chosen: &str) -> Part<Hours> {
    let campaigns = source.placed_campaigns(visit.campaigns().clone()).await?;
    let chosen = campaigns.iter().find(|campaign| campaign.as_str() == chosen).or(campaigns.first()).cloned();
    let none = || "CXone has no forecast for the coming hours.".to_owned();
    let chart = match chosen.clone() {
        Some(campaign) => {
            source.coming_hours(campaign).await.and_then(|hours| HoursChart::new(&hours).ok_or_else(none))
        }
        None => Err("No callback has been placed yet.".to_owned()),
    };
    Ok(Hours { campaigns, chosen, chart })
}
