//! `GET /v1/campaigns` and `GET /v1/campaigns/{campaignId}`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use jiff::SignedDuration;

use super::command::RETRY_AFTER_SECONDS;
use super::state::Campaigns;
use super::views::CampaignView;
use crate::campaigns::model::Campaign;
use crate::cxone::CxoneError;
use crate::db::Page;
use crate::http::{AuthorizedForCampaigns, PathParam, Problem, ProblemKind, Query, RequestContext, required};
use crate::types::CampaignId;

/// How long a request waits for CXone to show the state of a campaign.
const STATE_WAIT: Duration = Duration::from_secs(2);
/// A stored state that is younger than this is shown without a request to CXone.
const STATE_FRESH_FOR: SignedDuration = SignedDuration::from_secs(2);

/// Get a campaign
///
/// The state in CXone is at most a few seconds old. If CXone does not answer, it is the last known one.
#[utoipa::path(get, path = "/v1/campaigns/{campaignId}", operation_id = "getCampaign", tag = "Campaigns",
    security(("key" = ["campaigns:read"])), params(("campaignId" = String, Path)),
    responses((status = 200, body = CampaignView), (status = 404), (status = 422)))]
pub async fn get(
    State(campaigns): State<Campaigns>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::CampaignsRead>,
    PathParam(path): PathParam<String>,
) -> Result<Json<CampaignView>, Problem> {
    let id = CampaignId::parse(&path).map_err(|fault| Problem::fault("/campaignId", fault))?;
    context.require_campaign(&id)?;
    let campaign = find(&campaigns, &id, &context).await?;
    Ok(Json(CampaignView::new(&campaign, context.clock.now())))
}

/// List campaigns
///
/// The campaigns that Ringback knows, newest first, each with its last known state in CXone.
#[utoipa::path(get, path = "/v1/campaigns", operation_id = "listCampaigns", tag = "Campaigns",
    security(("key" = ["campaigns:read"])),
    params(("limit" = Option<u8>, Query, description = "1 to 200; 50 if absent"), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<CampaignView>), (status = 422)))]
pub async fn list(
    State(campaigns): State<Campaigns>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::CampaignsRead>,
    mut query: Query,
) -> Result<Json<Page<CampaignView>>, Problem> {
    let page = query.page();
    query.finish()?;
    let now = context.clock.now();
    let page = campaigns.store.page(&context.caller.campaigns, &page).await?;
    Ok(Json(page.map(|campaign| CampaignView::new(&campaign, now))))
}

/// The campaign with its current state in CXone, or the last known one.
async fn find(campaigns: &Campaigns, id: &CampaignId, context: &RequestContext) -> Result<Campaign, Problem> {
    let known = campaigns.store.find(id).await?;
    let now = context.clock.now();
    let is_fresh = |campaign: &&Campaign| campaign.seen.is_some_and(|(_, at)| now.duration_since(at) < STATE_FRESH_FOR);
    if let Some(campaign) = known.as_ref().filter(is_fresh) {
        return Ok(campaign.clone());
    }
    let read = campaigns.live_states.get(id, &context.traceparent, STATE_WAIT).await;
    match (known, read) {
        (Some(mut campaign), read) => {
            // The stored state may be newer than the answer of CXone.
            let read = read.map(|live| (live.state, live.at)).ok();
            campaign.seen = campaign.seen.into_iter().chain(read).max_by_key(|(_, at)| *at);
            Ok(campaign)
        }
        (None, Ok(live)) => {
            let (_, counts) = campaigns.answer_rates.counts(id, now).await?;
            Ok(Campaign { counts, ..Campaign::from_cxone(id.clone(), live.state, live.at) })
        }
        (None, Err(CxoneError::NotFound { .. })) => Err(Problem::not_found("campaign")),
        (None, Err(error)) => {
            let detail = format!("Ringback does not know this campaign, and {error}");
            Err(Problem::new(ProblemKind::Unavailable, detail).retry_after(RETRY_AFTER_SECONDS.into()))
        }
    }
}
