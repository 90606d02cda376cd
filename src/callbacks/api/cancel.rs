use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::changed::{busy, changed};
use super::refusal::too_late;
use super::view::CallbackView;
use crate::callbacks::intake::Callbacks;
use crate::callbacks::model::{Callback, Change, ChangeKind, Status};
use crate::http::{AuthorizedForCampaigns, NoBody, PathParam, PreferredWait, Problem, RequestContext, required};

/// Cancel a callback
///
/// Possible until CXone has, or may have, its contact; with `CXONE_API=nice` until CXone calls. CXone is then asked to delete
/// the contact: 200 if it has done so before the wait is over (3 s unless `Prefer` says otherwise), else 202, and it is asked
/// until it answers.
#[utoipa::path(post, path = "/v1/callbacks/{id}/cancel", operation_id = "cancelCallback", tag = "Callbacks",
    security(("key" = ["callbacks:write"])),
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header),
        ("Prefer" = Option<String>, Header,
            description = "`respond-async`: do not wait. `wait=N`: wait N seconds, 0 to 30")),
    responses((status = 200, description = "It is cancelled, now or by an earlier request", body = CallbackView),
        (status = 202, description = "Stored; CXone is asked to delete the contact", body = CallbackView,
            headers(("Location" = String), ("Retry-After" = u32))),
        (status = 404),
        (status = 409, description = "`already-scheduled`, or `already-ended`"), (status = 422)))]
pub(super) async fn cancel(
    State(callbacks): State<Arc<Callbacks>>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::CallbacksWrite>,
    PathParam(id): PathParam<Uuid>,
    wait: PreferredWait,
    _: NoBody,
) -> Result<Response, Problem> {
    let callback = callbacks.store.find(id).await?.ok_or_else(|| Problem::not_found("callback"))?;
    context.require_campaign(&callback.campaign_id)?;
    if let Some(cancelled) = callbacks.cancel(&callback, &callback.event(), &context).await? {
        return Ok(Json(CallbackView::from(cancelled)).into_response());
    }
    let callback = callbacks.store.find(id).await?.ok_or_else(|| Problem::not_found("callback"))?;
    if callback.status == Status::Cancelled {
        return Ok(Json(CallbackView::from(callback)).into_response());
    }
    if !callbacks.can_change(&callback) {
        return Err(too_late(&callback));
    }
    Box::pin(withdraw(&callbacks, callback, wait, &context)).await
}

async fn withdraw(
    callbacks: &Callbacks,
    callback: Callback,
    PreferredWait(wait): PreferredWait,
    context: &RequestContext,
) -> Result<Response, Problem> {
    let wait = wait.unwrap_or(callbacks.default_wait);
    let change = Change::new(ChangeKind::Cancel, None, Some(context.request_id.clone()));
    let callback = callbacks.change(callback, change, wait, context).await?.ok_or_else(busy)?;
    let is_done = callback.status == Status::Cancelled;
    changed(callback, is_done)
}
