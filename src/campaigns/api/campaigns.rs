//! The campaigns' routes: read, call one thing, answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::command_wire::{
    CampaignView, CommandView, Commanded, PauseRequest, Placing, ResumeRequest, parse_campaign_uuid,
};
use super::live_state::LiveStates;
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::campaigns::answer_rate::AnswerRateStore;
use crate::campaigns::model::{Campaign, Command, CommandKind, Refusal, Status};
use crate::campaigns::reconcile::{AttemptError, CampaignWorker, log_report};
use crate::campaigns::store::{CampaignStore, CommandContext, SettingsStore};
use crate::clock::Clock;
use crate::cxone::CxoneError;
use crate::db::Page;
use crate::http::{
    Allowed, Caller, Faults, JsonBody, OptionalJsonBody, PathParam, Problem, ProblemKind, Query, RequestInfo,
    ResourceId, Scope, preferred_wait, required,
};
use crate::types::CampaignId;

/// How long a command waits for CXone where its caller does not say.
const COMMAND_WAIT: Duration = Duration::from_secs(5);
/// How long whoever looks at a campaign waits for CXone to show its state.
const LOOK_WAIT: Duration = Duration::from_secs(2);
/// A state that was seen so lately is shown without asking again.
const LIVE: SignedDuration = SignedDuration::from_secs(2);
/// What a caller that was told 202 should wait before it looks, in seconds.
const LOOK_AGAIN_AFTER: u32 = 2;

/// What the routes work with.
#[derive(Clone)]
pub struct Campaigns {
    pub settings: SettingsStore,
    pub store: CampaignStore,
    pub worker: Arc<CampaignWorker>,
    pub live_states: LiveStates,
    pub answer_rates: AnswerRateStore,
    pub clock: Clock,
}

/// The routes.
pub fn routes() -> OpenApiRouter<Campaigns> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(pause)).routes(routes!(resume))
}

/// Pause a campaign
///
/// Places a hold, or refreshes that of the same pause from the same key. While one is left the campaign does not dial; at its end, unless others are left, it goes on by
/// itself where it was Ringback that had paused it.
#[utoipa::path(post, path = "/v1/campaigns/{campaignId}/pause", operation_id = "pauseCampaign", tag = "Campaigns",
    security(("key" = ["campaigns:write"])), request_body = PauseRequest,
    params(("campaignId" = uuid::Uuid, Path), ("Idempotency-Key" = Option<String>, Header),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: do not wait. `wait=N`: wait N seconds for CXone, 0 to 30; 5 where absent")),
    responses((status = 200, description = "CXone has confirmed it, or was paused already", body = CommandView),
        (status = 202, description = "The hold stands; CXone has not confirmed it yet", body = CommandView,
            headers(("Location" = String), ("Retry-After" = u32))),
        (status = 404, description = "CXone knows no such campaign: no hold is left behind"),
        (status = 409, description = "`campaign-not-running`: no hold is left behind"), (status = 422)))]
async fn pause(
    State(campaigns): State<Campaigns>,
    allowed: Allowed<required::CampaignsWrite>,
    Extension(info): Extension<RequestInfo>,
    Extension(resource): Extension<ResourceId>,
    PathParam(path): PathParam<String>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<PauseRequest>,
) -> Result<Response, Problem> {
    let Arrived { id, faults, known } = campaigns.arrived(&path).await?;
    let placing = Placing {
        id: resource.id,
        by: Actor::caller(&allowed.caller),
        request_id: info.request_id.clone(),
        now: info.arrived_at,
    };
    let read = request.read(faults, &path, &known, placing);
    let pause = campaigns.understood(read, Action::CampaignPauseRefused, &path, &info, &allowed.caller).await?;
    let command = command(CommandKind::Pause(pause.hold), resource, known.revision, &info, &allowed.caller);
    campaigns.command(id, command, &headers, pause.resume_deferred_from).await
}

/// Resume a campaign
///
/// Lifts the holds of that reason, the one of that id, or all. Where none is left the campaign dials, whoever had paused it.
#[utoipa::path(post, path = "/v1/campaigns/{campaignId}/resume", operation_id = "resumeCampaign", tag = "Campaigns",
    security(("key" = ["campaigns:write"])), request_body(content = Option<ResumeRequest>),
    params(("campaignId" = uuid::Uuid, Path), ("Idempotency-Key" = Option<String>, Header),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: do not wait. `wait=N`: wait N seconds for CXone, 0 to 30; 5 where absent")),
    responses((status = 200, description = "CXone has confirmed it, or nothing was to be changed there", body = CommandView),
        (status = 202, description = "The holds are lifted; CXone has not confirmed it yet", body = CommandView,
            headers(("Location" = String), ("Retry-After" = u32))),
        (status = 404),
        (status = 409, description = "`hold-in-force` or `outside-regulatory-window`, with `nextOpening`; or `campaign-not-running`"),
        (status = 422)))]
async fn resume(
    State(campaigns): State<Campaigns>,
    allowed: Allowed<required::CampaignsWrite>,
    Extension(info): Extension<RequestInfo>,
    Extension(resource): Extension<ResourceId>,
    PathParam(path): PathParam<String>,
    headers: HeaderMap,
    OptionalJsonBody(request): OptionalJsonBody<ResumeRequest>,
) -> Result<Response, Problem> {
    let Arrived { id, faults, known } = campaigns.arrived(&path).await?;
    let read = request.read(faults, &path, &known.settings);
    let kind = campaigns.understood(read, Action::CampaignResumeRefused, &path, &info, &allowed.caller).await?;
    let command = command(kind, resource, known.revision, &info, &allowed.caller);
    campaigns.command(id, command, &headers, None).await
}

/// See a campaign
///
/// With its state in CXone, some seconds old at most; where CXone does not answer or may not be asked, the one it last
/// showed.
#[utoipa::path(get, path = "/v1/campaigns/{campaignId}", operation_id = "getCampaign", tag = "Campaigns",
    security(("key" = ["campaigns:read"])), params(("campaignId" = String, Path)),
    responses((status = 200, body = CampaignView), (status = 404), (status = 422)))]
async fn get(
    State(campaigns): State<Campaigns>,
    _: Allowed<required::CampaignsRead>,
    Extension(info): Extension<RequestInfo>,
    PathParam(path): PathParam<String>,
) -> Result<Json<CampaignView>, Problem> {
    let id = CampaignId::parse(&path).map_err(|fault| Problem::fault("/campaignId", fault))?;
    let campaign = campaigns.live(&id, &info).await?;
    Ok(Json(CampaignView::of(&campaign, campaigns.clock.now())))
}

/// List campaigns
///
/// Those that Ringback has been told anything of, newest first, each with the state that CXone last showed.
#[utoipa::path(get, path = "/v1/campaigns", operation_id = "listCampaigns", tag = "Campaigns",
    security(("key" = ["campaigns:read"])),
    params(("limit" = Option<u8>, Query, description = "1 to 200; 50 where absent"), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<CampaignView>), (status = 422)))]
async fn list(
    State(campaigns): State<Campaigns>,
    _: Allowed<required::CampaignsRead>,
    mut query: Query,
) -> Result<Json<Page<CampaignView>>, Problem> {
    let page = query.page();
    query.finish()?;
    let now = campaigns.clock.now();
    Ok(Json(campaigns.store.page(&page).await?.map(|campaign| CampaignView::of(&campaign, now))))
}

/// A command that has just arrived: the campaign that its path names, or what is wrong with it, and what is known of it.
struct Arrived {
    id: Option<CampaignId>,
    faults: Faults,
    known: CommandContext,
}

fn command(kind: CommandKind, resource: ResourceId, revision: i64, info: &RequestInfo, caller: &Caller) -> Command {
    Command {
        id: resource.id,
        is_repeated: resource.repeated,
        revision,
        kind,
        by: Actor::caller(caller),
        request_id: Some(info.request_id.clone()),
        trace: info.traceparent.clone(),
        arrived_at: info.arrived_at,
        may_override: caller.scopes.contains(&Scope::CampaignsOverride),
    }
}

impl Campaigns {
    async fn arrived(&self, path: &str) -> Result<Arrived, Problem> {
        let mut faults = Faults::new();
        let id = parse_campaign_uuid(path).map_err(|fault| faults.add("campaignId", fault)).ok();
        let known = match &id {
            Some(id) => self.store.command_context(id).await?,
            None => CommandContext::default(),
        };
        Ok(Arrived { id, faults, known })
    }

    /// What was read of a command; where it is no command, the audit log says so.
    async fn understood<T>(
        &self,
        read: Result<T, Problem>,
        action: Action,
        path: &str,
        info: &RequestInfo,
        caller: &Caller,
    ) -> Result<T, Problem> {
        if let Err(problem) = &read {
            let now = self.clock.now();
            self.store
                .record(Entry {
                    campaign_id: CampaignId::parse(path).ok().map(|id| id.to_string()),
                    request_id: Some(info.request_id.clone()),
                    ..Entry::new(self.clock.new_id(), now, action, Actor::caller(caller), Outcome::Refused)
                        .with_detail(&FaultsDetail { problem: problem.kind.slug(), faults: problem.fault_codes() })
                })
                .await?;
        }
        read
    }

    async fn command(
        &self,
        id: Option<CampaignId>,
        command: Command,
        headers: &HeaderMap,
        deferred_from: Option<Timestamp>,
    ) -> Result<Response, Problem> {
        let id = id.ok_or_else(|| Problem::not_found("campaign"))?;
        let command = self.worker.count_affected_callbacks(&id, command).await?;
        let about = Commanded {
            arrived_at: command.arrived_at,
            resume_deferred_from: deferred_from,
            affected_callbacks: command.affected_callbacks(),
        };
        let wait = preferred_wait(headers).unwrap_or(COMMAND_WAIT);
        let report = self.worker.execute(&id, command, wait).await.map_err(problem)?;
        log_report(&report);
        let view = CommandView::of(&report, &about, self.clock.now());
        if view.status != Status::Pending {
            return Ok(Json(view).into_response());
        }
        let headers =
            [(header::LOCATION, format!("/v1/campaigns/{id}")), (header::RETRY_AFTER, LOOK_AGAIN_AFTER.to_string())];
        Ok((StatusCode::ACCEPTED, headers, Json(view)).into_response())
    }

    async fn live(&self, id: &CampaignId, info: &RequestInfo) -> Result<Campaign, Problem> {
        let known = self.store.find(id).await?;
        let now = self.clock.now();
        let is_live = |campaign: &&Campaign| campaign.seen.is_some_and(|(_, at)| now.duration_since(at) < LIVE);
        if let Some(campaign) = known.as_ref().filter(is_live) {
            return Ok(campaign.clone());
        }
        let shown = self.live_states.of(id, &info.traceparent, LOOK_WAIT).await;
        match (known, shown) {
            (Some(mut campaign), shown) => {
                // It may have been changed since CXone was asked.
                let shown = shown.map(|shown| (shown.state, shown.at)).ok();
                campaign.seen = campaign.seen.into_iter().chain(shown).max_by_key(|(_, at)| *at);
                Ok(campaign)
            }
            (None, Ok(shown)) => {
                let (_, counts) = self.answer_rates.counts(id, now).await?;
                Ok(Campaign { counts, ..Campaign::from_cxone(id.clone(), shown.state, shown.at) })
            }
            (None, Err(CxoneError::NotFound { .. })) => Err(Problem::not_found("campaign")),
            (None, Err(error)) => {
                let detail = format!("Ringback has never been told of this campaign, and {error}");
                Err(Problem::new(ProblemKind::Unavailable, detail).retry_after(LOOK_AGAIN_AFTER.into()))
            }
        }
    }
}

fn problem(error: AttemptError) -> Problem {
    let refusal = match error {
        AttemptError::Refused(refusal) => refusal,
        AttemptError::Database(error) => return error.into(),
        AttemptError::LeaseLost | AttemptError::AlreadyExecuted(_) => {
            let detail = "the work on the command has stopped";
            return Problem::new(ProblemKind::Unavailable, detail).retry_after(LOOK_AGAIN_AFTER.into());
        }
    };
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
        Refusal::AlreadyThrottled => Problem::new(ProblemKind::Internal, "only the guard is told so"),
    }
}

/// The detail of a command that could not be read.
#[derive(Serialize)]
struct FaultsDetail {
    /// The slug of the problem that answered it.
    problem: &'static str,
    faults: Vec<String>,
}
