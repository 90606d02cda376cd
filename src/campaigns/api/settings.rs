//! `/v1/campaigns/{campaignId}/settings`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::settings_request::{SettingsRequest, SettingsView};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::campaigns::model::CampaignSettings;
use crate::campaigns::reconcile::CampaignWorker;
use crate::campaigns::store::{Saved, SettingsStore};
use crate::clock::Clock;
use crate::http::{Allowed, JsonBody, PathParam, Problem, ProblemKind, RequestInfo, required};
use crate::types::{CampaignId, Region};

/// What the routes work with.
#[derive(Clone)]
pub struct SettingsRoutes {
    pub settings: SettingsStore,
    pub worker: Arc<CampaignWorker>,
    pub clock: Clock,
    pub region: Region,
}

/// The routes.
pub fn settings_routes() -> OpenApiRouter<SettingsRoutes> {
    OpenApiRouter::new().routes(routes!(get_settings, put_settings))
}

/// See a campaign's settings
///
/// A campaign for which nothing was set has the defaults, under the `ETag` `"0"`.
#[utoipa::path(get, path = "/v1/campaigns/{campaignId}/settings", operation_id = "getCampaignSettings",
    tag = "Campaigns", security(("key" = ["campaigns:read"])), params(("campaignId" = String, Path)),
    responses((status = 200, body = SettingsView, headers(("ETag" = String))), (status = 422)))]
async fn get_settings(
    State(campaigns): State<SettingsRoutes>,
    _: Allowed<required::CampaignsRead>,
    PathParam(campaign): PathParam<String>,
) -> Result<Response, Problem> {
    let campaign = campaign_id(&campaign)?;
    let (settings, version) = campaigns.settings.with_version(&campaign).await?;
    Ok(answer(&settings, version))
}

/// Set a campaign's settings
///
/// In place of all that were set before. With `If-Match`, only where they are still those that were read.
#[utoipa::path(put, path = "/v1/campaigns/{campaignId}/settings", operation_id = "putCampaignSettings",
    tag = "Campaigns", security(("key" = ["campaigns:write"])), request_body = SettingsRequest,
    params(("campaignId" = String, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` that was read")),
    responses((status = 200, body = SettingsView, headers(("ETag" = String))),
        (status = 412, description = "`settings-changed`"), (status = 422)))]
async fn put_settings(
    State(campaigns): State<SettingsRoutes>,
    allowed: Allowed<required::CampaignsWrite>,
    Extension(info): Extension<RequestInfo>,
    PathParam(campaign): PathParam<String>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<SettingsRequest>,
) -> Result<Response, Problem> {
    let campaign = campaign_id(&campaign)?;
    let settings = request.read(&campaigns.region)?;
    let now = campaigns.clock.now();
    let entry = Entry {
        campaign_id: Some(campaign.to_string()),
        request_id: Some(info.request_id),
        ..Entry::new(
            campaigns.clock.new_id(),
            now,
            Action::SettingsUpdated,
            Actor::caller(&allowed.caller),
            Outcome::Succeeded,
        )
        .with_detail(&SettingsDetail { settings: settings.masked() })
    };
    match campaigns.settings.save(&campaign, &settings, expected_version(&headers), now, entry).await? {
        Saved::As(version) => {
            campaigns.worker.wake();
            Ok(answer(&settings, version))
        }
        Saved::Stale => Err(Problem::new(ProblemKind::SettingsChanged, "If-Match is not the ETag of the settings now")),
    }
}

fn campaign_id(text: &str) -> Result<CampaignId, Problem> {
    CampaignId::parse(text).map_err(|fault| Problem::fault("/campaignId", fault))
}

fn answer(settings: &CampaignSettings, version: i64) -> Response {
    let mut response = Json(SettingsView::from(settings)).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The version that must be the current one; any, where absent or `*`. A tag that Ringback never gave matches none.
fn expected_version(headers: &HeaderMap) -> Option<i64> {
    let tag = headers.get(header::IF_MATCH)?.to_str().unwrap_or_default().trim();
    if tag == "*" {
        return None;
    }
    Some(tag.trim_matches('"').parse().unwrap_or(-1))
}

/// The detail of settings that were updated.
#[derive(serde::Serialize)]
struct SettingsDetail {
    settings: serde_json::Value,
}
