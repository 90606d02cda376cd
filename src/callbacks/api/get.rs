use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use uuid::Uuid;

use super::view::CallbackView;
use crate::callbacks::intake::Callbacks;
use crate::http::{Authorized, PathParam, Problem, required};

/// Get a callback
#[utoipa::path(get, path = "/v1/callbacks/{id}", operation_id = "getCallback", tag = "Callbacks",
    security(("key" = ["callbacks:read"])),
    params(("id" = Uuid, Path)),
    responses((status = 200, body = CallbackView), (status = 404)))]
pub(super) async fn get(
    State(callbacks): State<Arc<Callbacks>>,
    _: Authorized<required::CallbacksRead>,
    PathParam(id): PathParam<Uuid>,
) -> Result<Json<CallbackView>, Problem> {
    let found = callbacks.store.find(id).await?;
    found.map(|callback| Json(callback.into())).ok_or_else(|| Problem::not_found("callback"))
}
