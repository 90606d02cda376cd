//! `/v1/statistics`.

use axum::Json;
use axum::extract::State;
use jiff::SignedDuration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Statistics;
use super::view::StatisticsView;
use crate::http::{AuthorizedForCampaigns, Problem, Query, required};
use crate::types::{AllowedCampaigns, CampaignId};

const LONGEST_SPAN: SignedDuration = SignedDuration::from_hours(31 * 24);

/// The routes.
pub fn routes() -> OpenApiRouter<Statistics> {
    OpenApiRouter::new().routes(routes!(statistics))
}

/// Count callbacks, pauses, resumes and deliveries
///
/// Of a span of at most 31 days, and the use of CXone's quota in the last minute. Without `campaignId`: of all campaigns that the
/// key allows. See `docs/operations.md`.
#[utoipa::path(get, path = "/v1/statistics", operation_id = "getStatistics", tag = "Statistics",
    security(("key" = ["callbacks:read", "campaigns:read"])),
    params(
        ("from" = String, Query, format = DateTime, example = "2026-11-20T00:00:00Z"),
        ("to" = String, Query, format = DateTime, example = "2026-11-21T00:00:00Z", description = "At most 31 days after `from`"),
        ("campaignId" = Option<String>, Query),
    ),
    responses((status = 200, body = StatisticsView), (status = 422)))]
async fn statistics(
    State(statistics): State<Statistics>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::CallbacksRead>,
    _: AuthorizedForCampaigns<required::CampaignsRead>,
    mut query: Query,
) -> Result<Json<StatisticsView>, Problem> {
    let span = query.take_span(LONGEST_SPAN, "31 days");
    let campaign = query.take("campaignId", CampaignId::parse);
    query.finish()?;
    let Some(span) = span else { return Err(Problem::invalid(Vec::new())) };
    let campaigns = match &campaign {
        Some(campaign) => {
            context.require_campaign(campaign)?;
            AllowedCampaigns::only([campaign.clone()])
        }
        None => context.caller.campaigns.clone(),
    };
    let numbers = statistics.of(&campaigns, span, &context.clock).await?;
    Ok(Json(StatisticsView::new(campaign, span, &numbers)))
}
