use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use uuid::Uuid;

use super::view::CallbackView;
use crate::callbacks::intake::Callbacks;
use crate::callbacks::model::{Callback, Status};
use crate::http::{Authorized, PathParam, Problem, ProblemKind, RequestContext, required};

/// Cancel a callback
///
/// Possible until CXone has, or may have, its contact.
#[utoipa::path(post, path = "/v1/callbacks/{id}/cancel", operation_id = "cancelCallback", tag = "Callbacks",
    security(("key" = ["callbacks:write"])),
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, description = "It is cancelled, now or by an earlier request", body = CallbackView),
        (status = 404),
        (status = 409, description = "`already-scheduled`, or `already-ended`")))]
pub(super) async fn cancel(
    State(callbacks): State<Arc<Callbacks>>,
    Authorized(context, _): Authorized<required::CallbacksWrite>,
    PathParam(id): PathParam<Uuid>,
) -> Result<Json<CallbackView>, Problem> {
    let callback = cancel_callback(&callbacks, id, &context).await?;
    Ok(Json(callback.into()))
}

async fn cancel_callback(callbacks: &Callbacks, id: Uuid, context: &RequestContext) -> Result<Callback, Problem> {
    let callback = callbacks.store.find(id).await?.ok_or_else(|| Problem::not_found("callback"))?;
    if let Some(cancelled) = callbacks.cancel(&callback, &callback.event(), context).await? {
        return Ok(cancelled);
    }
    let callback = callbacks.store.find(id).await?.ok_or_else(|| Problem::not_found("callback"))?;
    match callback.status {
        Status::Cancelled => Ok(callback),
        Status::Scheduled => Err(Problem::new(ProblemKind::AlreadyScheduled, "CXone has the contact")),
        Status::Accepted => {
            Err(Problem::new(ProblemKind::AlreadyScheduled, "the contact has been sent to CXone, which may have it"))
        }
        Status::Failed | Status::Expired => {
            let detail = format!("the callback is {} already", callback.status.as_ref());
            Err(Problem::new(ProblemKind::AlreadyEnded, detail))
        }
    }
}
