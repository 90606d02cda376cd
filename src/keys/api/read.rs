//! `GET /v1/keys` and `GET /v1/keys/{id}`.

use axum::Json;
use axum::extract::State;
use uuid::Uuid;

use super::state::Keys;
use super::view::KeyView;
use crate::db::Page;
use crate::http::{AuthorizedForCampaigns, PathParam, Problem, Query, required};

/// List API keys
///
/// Newest first, without their secrets; also those that are revoked or expired. A key that is restricted to campaigns sees only
/// keys that are restricted to some of them.
#[utoipa::path(get, path = "/v1/keys", operation_id = "listKeys", tag = "Keys", security(("key" = ["keys:write"])),
    params(("limit" = Option<u8>, Query, description = "1 to 200; 50 where absent"), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<KeyView>), (status = 422)))]
pub async fn list_keys(
    State(keys): State<Keys>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::KeysWrite>,
    mut query: Query,
) -> Result<Json<Page<KeyView>>, Problem> {
    let page = query.page();
    query.finish()?;
    Ok(Json(keys.store.page(&context.caller.campaigns, &page).await?.map(KeyView::from)))
}

/// Get an API key
///
/// Without its secret.
#[utoipa::path(get, path = "/v1/keys/{id}", operation_id = "getKey", tag = "Keys", security(("key" = ["keys:write"])),
    params(("id" = Uuid, Path)), responses((status = 200, body = KeyView), (status = 404)))]
pub async fn get_key(
    State(keys): State<Keys>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::KeysWrite>,
    PathParam(id): PathParam<Uuid>,
) -> Result<Json<KeyView>, Problem> {
    Ok(Json(keys.find(id, &context).await?.into()))
}
