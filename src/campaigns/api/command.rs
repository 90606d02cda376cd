//! What the routes that pause and resume a campaign share.

use std::time::Duration;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use validator::{ValidationError, ValidationErrors};

use super::state::Campaigns;
use super::views::HoldView;
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::campaigns::model::{CampaignSettings, Command, CommandKind, Failure, Refusal, Report, Status};
use crate::campaigns::reconcile::{AttemptError, log_report};
use crate::campaigns::store::CommandContext;
use crate::cxone::CampaignState;
use crate::http::validation::{Faults, Member};
use crate::http::{PreferredWait, Problem, ProblemKind, RequestContext, Scope};
use crate::types::{CampaignId, Fault};

/// How long a command waits for CXone if the request has no `Prefer` header.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);
/// The `Retry-After` of a command that is still pending, in seconds.
pub const RETRY_AFTER_SECONDS: u32 = 2;

/// A command as it arrived, before its body is validated.
pub struct Arrival {
    path: String,
    /// The campaign of the path.
    pub id: Result<CampaignId, Fault>,
    /// What is known of the campaign.
    pub known: CommandContext,
    pub context: RequestContext,
}

/// What the rules of a command's members depend on.
pub struct CommandRules {
    /// The campaign of the path, if it is one.
    campaign: Option<CampaignId>,
    pub settings: CampaignSettings,
    pub now: Timestamp,
}

impl Arrival {
    /// Reads what is known of the campaign of the path.
    ///
    /// # Errors
    /// A 403 where the API key does not allow the campaign.
    pub async fn new(campaigns: &Campaigns, path: String, context: RequestContext) -> Result<Self, Problem> {
        let id = parse_campaign(&path, campaigns.cxone.capabilities().numbered_campaigns);
        if let Ok(id) = &id {
            context.require_campaign(id)?;
        }
        let known = match &id {
            Ok(id) => campaigns.store.command_context(id).await?,
            Err(_) => CommandContext::default(),
        };
        Ok(Self { path, id, known, context })
    }

    /// What the rules of the body depend on.
    pub fn rules(&self) -> CommandRules {
        CommandRules {
            campaign: CampaignId::parse(&self.path).ok(),
            settings: self.known.settings.clone(),
            now: self.context.arrived_at,
        }
    }

    /// The campaign of a command whose body was validated. A command with faults is refused, which the audit log records.
    ///
    /// # Errors
    /// A 422 with every fault of the path and the body.
    pub async fn check(
        &self,
        campaigns: &Campaigns,
        refused: Action,
        validated: Result<(), ValidationErrors>,
    ) -> Result<CampaignId, Problem> {
        let mut faults = Faults::new();
        if let Err(fault) = &self.id {
            faults.add("campaignId", fault.clone());
        }
        faults.check(validated);
        if let Err(problem) = faults.finish() {
            self.record_refusal(campaigns, refused, &problem).await?;
            return Err(problem.recorded());
        }
        self.id.clone().map_err(|_| Problem::not_found("campaign"))
    }

    async fn record_refusal(&self, campaigns: &Campaigns, action: Action, problem: &Problem) -> Result<(), Problem> {
        let (clock, actor) = (&self.context.clock, Actor::caller(&self.context.caller));
        let entry = Entry {
            campaign_id: CampaignId::parse(&self.path).ok().map(|id| id.to_string()),
            request_id: Some(self.context.request_id.clone()),
            ..Entry::new(clock.new_id(), clock.now(), action, actor, Outcome::Refused)
                .with_detail(&FaultsDetail { problem: problem.kind.slug(), faults: problem.audited_faults() })
        };
        campaigns.store.record(entry).await?;
        Ok(())
    }

    /// The command with its context.
    fn command(&self, kind: CommandKind) -> Command {
        let context = &self.context;
        Command {
            id: context.resource.id,
            is_repeated: context.resource.repeated,
            revision: self.known.revision,
            kind,
            by: Actor::caller(&context.caller),
            request_id: Some(context.request_id.clone()),
            trace: context.traceparent.clone(),
            arrived_at: context.arrived_at,
            may_override: context.has_scope(Scope::CampaignsOverride),
        }
    }

    /// Executes the command and renders its outcome: 200, or 202 if CXone has not confirmed it in time.
    pub async fn execute(
        &self,
        campaigns: &Campaigns,
        id: &CampaignId,
        kind: CommandKind,
        PreferredWait(wait): PreferredWait,
        resume_deferred_from: Option<Timestamp>,
    ) -> Result<Response, Problem> {
        let command = campaigns.worker.count_affected_callbacks(id, self.command(kind)).await?;
        let affected_callbacks = command.affected_callbacks();
        let wait = wait.unwrap_or(DEFAULT_WAIT);
        let report = campaigns.worker.execute(id, command, wait).await.map_err(problem)?;
        log_report(&report);
        let latency = self.context.clock.now().duration_since(self.context.arrived_at);
        let view = CommandView {
            resume_deferred_from,
            affected_callbacks,
            latency_ms: i64::try_from(latency.as_millis()).unwrap_or(i64::MAX),
            ..CommandView::from(report)
        };
        if view.status != Status::Pending {
            return Ok(Json(view).into_response());
        }
        let headers =
            [(header::LOCATION, format!("/v1/campaigns/{id}")), (header::RETRY_AFTER, RETRY_AFTER_SECONDS.to_string())];
        Ok((StatusCode::ACCEPTED, headers, Json(view)).into_response())
    }
}

/// The detail of a refused command in the audit log.
#[derive(Serialize)]
struct FaultsDetail {
    /// The slug of the problem that was answered.
    problem: &'static str,
    faults: Vec<String>,
}

/// The outcome of a command
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CommandOutcome, example = json!({
    "campaignId": "0192f0c4-1111-7000-8000-000000000001", "previousState": "ACTIVE", "newState": "PAUSED",
    "status": "applied",
    "holds": [{"id": "01a1fcff-84aa-720d-83ca-60abacb44d8c", "pauseReason": "COMPLIANCE_HOLD", "complianceHold": true,
        "triggeredBy": "MANUAL_PAUSE", "placedAt": "2026-11-20T14:00:00Z",
        "placedBy": {"type": "api_key", "id": "01a1fc00-6e1f-7d40-9d3b-0c5c3f1f3a10", "name": "wfo"},
        "scheduledResumeTime": "2026-11-20T23:00:00Z"}],
    "scheduledResumeTime": "2026-11-20T23:00:00Z", "resumeDeferredFrom": null, "affectedCallbacks": 3, "latencyMs": 41,
    "auditId": "01a1fcff-84ab-7b53-a1c6-8d0f3f6f2f51", "failure": null}))]
pub struct CommandView {
    #[schema(value_type = String)]
    campaign_id: CampaignId,
    /// The state in CXone before the command; null if CXone was not asked or did not answer.
    #[schema(required)]
    previous_state: Option<CampaignState>,
    /// The last known state in CXone; null if it is not known.
    #[schema(required)]
    new_state: Option<CampaignState>,
    status: Status,
    /// The holds that keep the campaign paused now.
    holds: Vec<HoldView>,
    /// When the last of the holds ends; null if one has no end, or there is none.
    #[schema(required)]
    scheduled_resume_time: Option<Timestamp>,
    /// The requested resume time, if the regulatory window is closed then.
    #[schema(required)]
    resume_deferred_from: Option<Timestamp>,
    /// Scheduled callbacks that the hold of this pause covers; null for a resume.
    #[schema(required)]
    affected_callbacks: Option<u32>,
    /// From the arrival of the command to this answer.
    latency_ms: i64,
    /// The entry in the audit log.
    #[schema(required)]
    audit_id: Option<Uuid>,
    /// Why CXone has not confirmed the command.
    #[schema(required)]
    failure: Option<Failure>,
}

impl From<Report> for CommandView {
    fn from(report: Report) -> Self {
        Self {
            campaign_id: report.campaign_id,
            previous_state: report.previous,
            new_state: report.state,
            status: report.status,
            holds: report.holds.iter().map(HoldView::from).collect(),
            scheduled_resume_time: report.resumes_at,
            resume_deferred_from: None,
            affected_callbacks: None,
            latency_ms: 0,
            audit_id: report.audit_id,
            failure: report.failure,
        }
    }
}

fn problem(error: AttemptError) -> Problem {
    match error {
        // Recorded by the worker.
        AttemptError::Refused(refusal) => refusal_problem(refusal).recorded(),
        AttemptError::Database(error) => error.into(),
        AttemptError::LeaseLost | AttemptError::AlreadyExecuted(_) => {
            Problem::new(ProblemKind::Unavailable, "the command was interrupted; send it again")
                .retry_after(RETRY_AFTER_SECONDS.into())
        }
    }
}

fn refusal_problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::CampaignNotFound => Problem::not_found("campaign in CXone"),
        Refusal::HoldNotFound => Problem::not_found("hold of this campaign that is not lifted"),
        Refusal::NotRunning(state) => {
            let detail = format!("the campaign is {} in CXone", state.as_str());
            Problem::new(ProblemKind::CampaignNotRunning, detail).with("state", state)
        }
        Refusal::HoldInForce { hold, ends_at, next_opening } => {
            Problem::new(ProblemKind::HoldInForce, "a compliance hold has not ended")
                .with("holdId", hold)
                .with("scheduledResumeTime", ends_at)
                .with("nextOpening", next_opening)
        }
        Refusal::OutsideWindow { next_opening } => {
            let detail = format!("the regulatory window is closed until {next_opening}");
            Problem::new(ProblemKind::OutsideRegulatoryWindow, detail).with("nextOpening", next_opening)
        }
        Refusal::AlreadyThrottled => {
            Problem::new(ProblemKind::Internal, "only the answer rate guard is refused for this")
        }
    }
}

/// The problem of a request that passed its validation without all of its required members. It never happens.
pub fn incomplete() -> Problem {
    Problem::new(ProblemKind::Internal, "a required member of a valid request has no value")
}

/// Parses the id of a campaign that can be paused: a UUID with hyphens, or its number where CXone numbers campaigns.
///
/// # Errors
/// `not-a-uuid` for anything else.
pub fn parse_campaign(text: &str, may_be_number: bool) -> Result<CampaignId, Fault> {
    let is_number = may_be_number && text.bytes().all(|byte| byte.is_ascii_digit());
    CampaignId::parse(text)
        .ok()
        .filter(|id| id.is_uuid() || is_number)
        .ok_or_else(|| Fault::new("not-a-uuid", "must be a UUID such as 0192f0c4-1111-7000-8000-000000000001"))
}

/// The rule of `campaignId` in a body: the campaign of the path.
pub fn campaign_of_path(member: &Member<String>, rules: &CommandRules) -> Result<(), ValidationError> {
    member.check(|text| match CampaignId::parse(text) {
        Ok(id) if Some(&id) == rules.campaign.as_ref() => Ok(()),
        _ => Err(Fault::new("another-campaign", "must be the campaign of the path")),
    })
}

#[cfg(test)]
pub mod test_support {
    use super::*;

    pub const ID: &str = "0192f0c4-1111-7000-8000-000000000001";

    /// The rules of a command to the campaign [`ID`] on 2026-11-20 at 15:00 UTC.
    pub fn rules(settings: CampaignSettings) -> CommandRules {
        CommandRules { campaign: CampaignId::parse(ID).ok(), settings, now: "2026-11-20T15:00:00Z".parse().unwrap() }
    }

    /// Pointers and codes of the faults.
    pub fn fault_codes(validated: Result<(), ValidationErrors>) -> Vec<String> {
        crate::http::validation::valid(validated).map_or_else(|problem| problem.fault_codes(), |()| Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::test_support::ID;
    use super::*;

    #[test]
    fn only_a_campaign_with_a_uuid_or_a_number_that_cxone_knows_can_be_paused() {
        assert_eq!(parse_campaign(&ID.to_uppercase(), false), parse_campaign(ID, false));
        assert_eq!(parse_campaign(ID, false).unwrap().as_str(), ID);
        for text in ["", "campaign", "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8", &ID.replace('-', ""), "101"] {
            assert_eq!(parse_campaign(text, false).unwrap_err().code, "not-a-uuid", "{text}");
        }
        assert_eq!(parse_campaign("101", true).unwrap().as_str(), "101");
    }
}
