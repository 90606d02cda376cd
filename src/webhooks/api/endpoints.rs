//! `GET /v1/webhooks`, and `GET`, `DELETE` and `POST …/enable` of one endpoint.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use uuid::Uuid;

use super::state::{Webhooks, entry};
use super::view::WebhookView;
use crate::audit::Action;
use crate::db::Page;
use crate::http::{Authorized, NoBody, PathParam, Problem, Query, required};
use crate::webhooks::detail::ChangedDetail;

/// List endpoints
///
/// Newest first.
#[utoipa::path(get, path = "/v1/webhooks", operation_id = "listWebhooks", tag = "Webhooks",
    security(("key" = ["webhooks:read"])),
    params(("limit" = Option<u8>, Query, description = "1 to 200; 50 where absent"), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<WebhookView>), (status = 422)))]
pub async fn list_webhooks(
    State(webhooks): State<Webhooks>,
    _: Authorized<required::WebhooksRead>,
    mut query: Query,
) -> Result<Json<Page<WebhookView>>, Problem> {
    let page = query.page();
    query.finish()?;
    Ok(Json(webhooks.store.page(&page).await?.map(WebhookView::from)))
}

/// Get an endpoint
#[utoipa::path(get, path = "/v1/webhooks/{id}", operation_id = "getWebhook", tag = "Webhooks",
    security(("key" = ["webhooks:read"])), params(("id" = Uuid, Path)),
    responses((status = 200, body = WebhookView), (status = 404)))]
pub async fn get_webhook(
    State(webhooks): State<Webhooks>,
    _: Authorized<required::WebhooksRead>,
    PathParam(id): PathParam<Uuid>,
) -> Result<Json<WebhookView>, Problem> {
    Ok(Json(webhooks.find(id).await?.into()))
}

/// Delete an endpoint
///
/// Its pending deliveries are not sent. The endpoint of `WFO_WEBHOOK_URL` is deleted by removing that setting.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", operation_id = "deleteWebhook", tag = "Webhooks",
    security(("key" = ["webhooks:write"])), params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404), (status = 409, description = "`webhook-configured`")))]
pub async fn delete_webhook(
    State(webhooks): State<Webhooks>,
    Authorized(context, _): Authorized<required::WebhooksWrite>,
    PathParam(id): PathParam<Uuid>,
) -> Result<StatusCode, Problem> {
    webhooks.find_created_by_api(id).await?;
    let entry = entry(&context, Action::WebhookDeleted, &ChangedDetail { webhook_id: id });
    let deleted = webhooks.store.delete(id, context.arrived_at, entry).await?;
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("webhook")) }
}

/// Enable an endpoint that was disabled
///
/// Events from now on are sent to it. Deliveries that died meanwhile can be sent again on request.
#[utoipa::path(post, path = "/v1/webhooks/{id}/enable", operation_id = "enableWebhook", tag = "Webhooks",
    security(("key" = ["webhooks:write"])),
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = WebhookView), (status = 404), (status = 422)))]
pub async fn enable_webhook(
    State(webhooks): State<Webhooks>,
    Authorized(context, _): Authorized<required::WebhooksWrite>,
    PathParam(id): PathParam<Uuid>,
    _: NoBody,
) -> Result<Json<WebhookView>, Problem> {
    let entry = entry(&context, Action::WebhookEnabled, &ChangedDetail { webhook_id: id });
    if !webhooks.store.enable(id, entry).await? {
        return Err(Problem::not_found("webhook"));
    }
    Ok(Json(webhooks.find(id).await?.into()))
}
