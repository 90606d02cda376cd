//! `DELETE /v1/keys/{id}`.

use axum::extract::State;
use axum::http::StatusCode;
use uuid::Uuid;

use super::state::{Keys, author};
use crate::http::{AuthorizedForCampaigns, PathParam, Problem, required};
use crate::keys::entries::revoked;

/// Revoke an API key
///
/// All replicas refuse it within a second. It is still listed. A key cannot revoke one that has more than itself.
#[utoipa::path(delete, path = "/v1/keys/{id}", operation_id = "revokeKey", tag = "Keys",
    security(("key" = ["keys:write"])), params(("id" = Uuid, Path)),
    responses((status = 204, description = "It is revoked, now or before"), (status = 404),
        (status = 403, description = "`key-not-allowed`, with what is `exceeded`; or the scope is missing")))]
pub async fn delete_key(
    State(keys): State<Keys>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::KeysWrite>,
    PathParam(id): PathParam<Uuid>,
) -> Result<StatusCode, Problem> {
    let key = keys.find(id, &context).await?;
    keys.require(&context, &key.grant).await?;
    keys.store.revoke(id, context.clock.now(), revoked(&author(&context), id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
