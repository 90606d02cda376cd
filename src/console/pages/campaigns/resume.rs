//! `/console/campaigns/{id}/resume`: a page that says what will happen, and the command.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use uuid::Uuid;

use super::model::Campaign;
use super::preview::ResumePreview;
use crate::console::extract::{Form, Query};
use crate::console::page::{Layout, Section, Visit, done, page_with};
use crate::console::problem::ApiProblem;
use crate::console::state::Console;
use crate::console::words::Done;
use crate::http::{PathParam, Problem, Scope};
use crate::types::Fault;

/// The problems of a resume that somebody who may override can force.
const FORCEABLE: [&str; 2] = ["hold-in-force", "outside-regulatory-window"];

/// The routes of the command.
pub fn routes() -> Router<Arc<Console>> {
    Router::new().route("/console/campaigns/{id}/resume", get(show).post(resume))
}

/// What somebody has entered.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ResumeForm {
    /// The id of the hold to lift. All, if it is empty.
    hold: String,
    /// `true`, or empty.
    force: String,
    /// The name of the campaign, which a forced resume needs.
    name: String,
    once: String,
}

impl ResumeForm {
    /// # Errors
    /// A 404 if it names no hold.
    fn hold(&self) -> Result<Option<Uuid>, ApiProblem> {
        let hold = (!self.hold.is_empty()).then(|| Uuid::try_parse(&self.hold)).transpose();
        hold.map_err(|_| Problem::not_found("hold").into())
    }
}

#[derive(Template)]
#[template(path = "console/resume.html")]
struct ResumePage {
    layout: Layout,
    campaign: Campaign,
    form: ResumeForm,
    preview: ResumePreview,
    problem: Option<ApiProblem>,
}

impl ResumePage {
    fn fault(&self, pointer: &str) -> Option<&str> {
        self.problem.as_ref()?.fault_of(pointer)
    }

    /// Whether only a forced resume has an effect.
    fn needs_override(&self) -> bool {
        let refused = self.problem.as_ref().is_some_and(|problem| FORCEABLE.contains(&problem.slug()));
        refused || self.preview.needs_override()
    }

    /// Whether a resume would do anything.
    fn has_effect(&self) -> bool {
        let starts = self.form.hold.is_empty() && !self.campaign.is_active();
        !self.campaign.is_stopped() && (starts || !self.preview.lifted.is_empty())
    }
}

/// What the page after the command needs of its answer.
#[derive(Deserialize)]
struct Outcome {
    status: String,
    holds: Vec<IgnoredAny>,
}

async fn show(
    visit: Visit,
    PathParam(id): PathParam<String>,
    Query(form): Query<ResumeForm>,
) -> Result<Response, ApiProblem> {
    visit.require(Scope::CampaignsWrite)?;
    let campaign = Campaign::read(&visit, &id).await?;
    let form = ResumeForm { hold: form.hold, ..ResumeForm::default() };
    resume_page(&visit, campaign, form, None)
}

async fn resume(
    visit: Visit,
    PathParam(id): PathParam<String>,
    Form(form): Form<ResumeForm>,
) -> Result<Response, ApiProblem> {
    let campaign = Campaign::read(&visit, &id).await?;
    let is_forced = !form.force.is_empty();
    if is_forced && form.name.trim() != campaign.campaign_id {
        let problem = Problem::fault("/name", Fault::new("another-name", "must be the name of the campaign"));
        return resume_page(&visit, campaign, form, Some(problem.into()));
    }
    let mut body = json!({});
    if let Some(hold) = form.hold()? {
        body["holdId"] = json!(hold);
    }
    if is_forced {
        body["force"] = json!(true);
    }
    let path = format!("/v1/campaigns/{}/resume", campaign.campaign_id);
    match visit.api.post::<Outcome>(&path, &body, Some(&form.once)).await {
        Ok(outcome) => Ok(done(&campaign.path(), message(&outcome))),
        Err(problem) if problem.is_of_form() => {
            // It says why, with the campaign as it is now.
            let campaign = Campaign::read(&visit, &id).await?;
            resume_page(&visit, campaign, form, Some(problem))
        }
        Err(problem) => Err(problem),
    }
}

fn message(outcome: &Outcome) -> Done {
    match (outcome.status.as_str(), outcome.holds.is_empty()) {
        (_, false) => Done::HoldsRemain,
        ("applied", true) => Done::Resumed,
        ("unchanged", true) => Done::ResumeUnchanged,
        (_, true) => Done::ResumePending,
    }
}

fn resume_page(
    visit: &Visit,
    campaign: Campaign,
    form: ResumeForm,
    problem: Option<ApiProblem>,
) -> Result<Response, ApiProblem> {
    let preview = ResumePreview::new(&campaign, form.hold()?, visit.now());
    let status = problem.as_ref().map_or(StatusCode::OK, ApiProblem::status);
    page_with(status, &ResumePage { layout: visit.layout(Section::Campaigns), campaign, form, preview, problem })
}
