//! `/console/campaigns/{id}/pause`: a form, a page that says what will happen, and the command.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::model::Campaign;
use super::preview::PausePreview;
use crate::console::client::with_query;
use crate::console::extract::{Form, Query};
use crate::console::local_time::{DEFAULT_ZONE, parse_local_time};
use crate::console::page::{Layout, Section, Visit, done, page, page_with};
use crate::console::problem::ApiProblem;
use crate::console::regulatory_window::RegulatoryWindow;
use crate::console::state::Console;
use crate::console::words::Done;
use crate::http::{PathParam, Problem, Scope};

/// The reasons that can be chosen.
const REASONS: [&str; 4] = ["CARRIER_THROTTLE", "AGENT_CAPACITY", "SCHEDULED", "COMPLIANCE_HOLD"];

/// The routes of the command.
pub fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/console/campaigns/{id}/pause", get(show).post(pause))
        .route("/console/campaigns/{id}/pause/confirm", get(confirm))
}

/// What somebody has entered. The names are those of the fields.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PauseForm {
    pause_reason: String,
    /// `true`, or empty.
    compliance_hold: String,
    /// A local time.
    until: String,
    zone: String,
    max_agents: String,
    window_start: String,
    window_end: String,
    window_timezone: String,
    carrier_calls: String,
    carrier_agents: String,
    once: String,
}

impl PauseForm {
    /// The fields that have a value, apart from the key.
    fn fields(&self) -> Vec<(&'static str, &str)> {
        let fields = [
            ("pauseReason", self.pause_reason.as_str()),
            ("complianceHold", &self.compliance_hold),
            ("until", &self.until),
            ("zone", &self.zone),
            ("maxAgents", &self.max_agents),
            ("windowStart", &self.window_start),
            ("windowEnd", &self.window_end),
            ("windowTimezone", &self.window_timezone),
            ("carrierCalls", &self.carrier_calls),
            ("carrierAgents", &self.carrier_agents),
        ];
        fields.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    fn zone_or_default(&self) -> &str {
        if self.zone.is_empty() { DEFAULT_ZONE } else { &self.zone }
    }

    fn is_compliance_hold(&self) -> bool {
        !self.compliance_hold.is_empty() || self.pause_reason == "COMPLIANCE_HOLD"
    }

    /// # Errors
    /// A 422 in the form of the API.
    fn end(&self) -> Result<Option<Timestamp>, ApiProblem> {
        let end = parse_local_time(&self.until, &self.zone);
        end.map_err(|fault| Problem::fault("/scheduledResumeTime", fault).into())
    }

    /// The window of this pause, if it has one.
    fn window(&self) -> Option<RegulatoryWindow> {
        let window = RegulatoryWindow {
            start_time: self.window_start.clone(),
            end_time: self.window_end.clone(),
            timezone: self.window_timezone.clone(),
        };
        (!window.start_time.is_empty() || !window.end_time.is_empty()).then_some(window)
    }

    /// The request, without members that are empty: for these the settings apply.
    fn body(&self) -> Result<Value, ApiProblem> {
        let mut body = Map::new();
        body.insert("complianceHold".into(), json!(self.is_compliance_hold()));
        let end = self.end()?.map(|end| json!(end));
        let window = [
            ("startTime", text(&self.window_start)),
            ("endTime", text(&self.window_end)),
            ("timezone", text(&self.window_timezone).filter(|_| self.window().is_some())),
        ];
        let limit = [("maxConcurrentCalls", number(&self.carrier_calls)), ("maxAgents", number(&self.carrier_agents))];
        for (name, value) in [
            ("pauseReason", text(&self.pause_reason)),
            ("scheduledResumeTime", end),
            ("maxAgents", number(&self.max_agents)),
            ("regulatoryWindow", object(window)),
            ("carrierLimit", object(limit)),
        ] {
            body.extend(value.map(|value| (name.to_owned(), value)));
        }
        Ok(Value::Object(body))
    }
}

fn text(value: &str) -> Option<Value> {
    (!value.is_empty()).then(|| json!(value))
}

/// A text that is no number is sent as it is: the API says what is wrong with it.
fn number(value: &str) -> Option<Value> {
    let value = value.trim();
    if value.is_empty() {
        None
    } else {
        Some(value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number)))
    }
}

/// None if all members are empty.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Option<Value> {
    let members: Map<_, _> = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    (!members.is_empty()).then_some(Value::Object(members))
}

#[derive(Template)]
#[template(path = "console/pause.html")]
struct PausePage {
    layout: Layout,
    campaign: Campaign,
    form: PauseForm,
    problem: Option<ApiProblem>,
}

impl PausePage {
    fn fault(&self, pointer: &str) -> Option<&str> {
        self.problem.as_ref()?.fault_of(pointer)
    }

    /// Whether a pause must have what the settings of the campaign lack.
    fn lacks_settings(&self) -> bool {
        let settings = &self.campaign.settings;
        settings.max_agents.is_none() || settings.carrier_limit.is_none() || settings.regulatory_window.is_none()
    }
}

#[derive(Template)]
#[template(path = "console/pause_confirm.html")]
struct ConfirmPage {
    layout: Layout,
    campaign: Campaign,
    form: PauseForm,
    preview: PausePreview,
    /// The form with what was entered.
    back: String,
}

/// What the page after the command needs of its answer.
#[derive(Deserialize)]
struct Outcome {
    status: String,
}

async fn show(
    visit: Visit,
    PathParam(id): PathParam<String>,
    Query(form): Query<PauseForm>,
) -> Result<Response, ApiProblem> {
    visit.require(Scope::CampaignsWrite)?;
    let campaign = Campaign::read(&visit, &id).await?;
    page(&PausePage { layout: visit.layout(Section::Campaigns), campaign, form, problem: None })
}

async fn confirm(
    visit: Visit,
    PathParam(id): PathParam<String>,
    Query(form): Query<PauseForm>,
) -> Result<Response, ApiProblem> {
    visit.require(Scope::CampaignsWrite)?;
    let campaign = Campaign::read(&visit, &id).await?;
    let end = match form.end() {
        Ok(end) => end,
        Err(problem) => return with_problem(&visit, campaign, form, problem),
    };
    let preview = PausePreview::new(&campaign, end, form.window().as_ref());
    let back = with_query(&format!("{}/pause", campaign.path()), form.fields());
    page(&ConfirmPage { layout: visit.layout(Section::Campaigns), campaign, form, preview, back })
}

async fn pause(
    visit: Visit,
    PathParam(id): PathParam<String>,
    Form(form): Form<PauseForm>,
) -> Result<Response, ApiProblem> {
    let campaign = Campaign::read(&visit, &id).await?;
    let path = format!("/v1/campaigns/{}/pause", campaign.campaign_id);
    let sent = match form.body() {
        Ok(body) => visit.api.post::<Outcome>(&path, &body, Some(&form.once)).await,
        Err(problem) => Err(problem),
    };
    match sent {
        Ok(outcome) => Ok(done(&campaign.path(), message(&outcome.status))),
        Err(problem) if problem.is_of_form() => with_problem(&visit, campaign, form, problem),
        Err(problem) => Err(problem),
    }
}

fn message(status: &str) -> Done {
    match status {
        "applied" => Done::Paused,
        "unchanged" => Done::PauseUnchanged,
        _ => Done::PausePending,
    }
}

fn with_problem(
    visit: &Visit,
    campaign: Campaign,
    form: PauseForm,
    problem: ApiProblem,
) -> Result<Response, ApiProblem> {
    let status: StatusCode = problem.status();
    let layout = visit.layout(Section::Campaigns);
    page_with(status, &PausePage { layout, campaign, form, problem: Some(problem) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::words;

    #[test]
    fn every_reason_of_the_api_can_be_chosen_and_has_words() {
        let document: serde_json::Value =
            serde_json::from_str(include_str!("../../../../openapi/ringback.json")).unwrap();
        let known = document["components"]["schemas"]["PauseReason"]["enum"].as_array().unwrap();
        assert_eq!(known.len(), REASONS.len());
        for reason in known.iter().map(|reason| reason.as_str().unwrap()) {
            assert!(REASONS.contains(&reason) && words::pause_reason(reason) != reason, "{reason}");
        }
    }

    #[test]
    fn what_is_left_empty_is_not_sent_and_what_is_no_number_is_sent_as_text() {
        let form =
            PauseForm { pause_reason: "SCHEDULED".into(), window_timezone: "UTC".into(), ..PauseForm::default() };
        assert_eq!(form.body().unwrap(), json!({"pauseReason": "SCHEDULED", "complianceHold": false}));
        let form = PauseForm {
            pause_reason: "COMPLIANCE_HOLD".into(),
            until: "2026-11-20T18:00".into(),
            zone: "America/New_York".into(),
            max_agents: "many".into(),
            window_start: "09:00".into(),
            window_timezone: "UTC".into(),
            carrier_agents: " 30 ".into(),
            ..PauseForm::default()
        };
        let expected = json!({
            "pauseReason": "COMPLIANCE_HOLD", "complianceHold": true, "scheduledResumeTime": "2026-11-20T23:00:00Z",
            "maxAgents": "many", "regulatoryWindow": {"startTime": "09:00", "timezone": "UTC"},
            "carrierLimit": {"maxAgents": 30},
        });
        assert_eq!(form.body().unwrap(), expected);
    }
}
