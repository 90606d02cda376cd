use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use uuid::Uuid;

use super::view::CallbackView;
use crate::callbacks::intake::Callbacks;
use crate::http::{AuthorizedForCampaigns, PathParam, Problem, required};

/// Get a callback
#[utoipa::path(get, path = "/v1/callbacks/{id}", operation_id = "getCallback", tag = "Callbacks",
    security(("key" = ["callbacks:read"])),
    params(("id" = Uuid, Path)),
    responses((status = 200, body = CallbackView), (status = 404)))]
pub(super) async fn get(
    State(callbacks): State<Arc<Callbacks>>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::CallbacksRead>,
    PathParam(id): PathParam<Uuid>,
) -> Result<Json<CallbackView>, Problem> {
    let callback = callbacks.store.find(id).await?.ok_or_else(|| Problem::not_found("callback"))?;
    context.require_campaign(&callback.campaign_id)?;
    Ok(Json(callback.into()))
}
