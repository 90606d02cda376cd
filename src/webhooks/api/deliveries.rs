//! `GET /v1/webhooks/{id}/deliveries`.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use strum::VariantNames as _;
use utoipa::ToSchema;
use uuid::Uuid;

use super::state::Webhooks;
use crate::db::Page;
use crate::http::{Authorized, PathParam, Problem, Query, required};
use crate::types::Fault;
use crate::webhooks::model::DeliveryStatus;
use crate::webhooks::store::Delivery;

/// The delivery of one event to an endpoint
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookDelivery)]
pub struct DeliveryView {
    id: Uuid,
    webhook_id: Uuid,
    /// The `webhook-id` header that the receiver gets.
    event_id: Uuid,
    #[schema(example = "campaign.paused")]
    r#type: String,
    status: DeliveryStatus,
    /// The time of the next attempt; null where there is none.
    #[schema(required)]
    next_attempt_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// Oldest first.
    #[schema(value_type = Vec<DeliveryAttempt>)]
    attempts: Value,
}

/// One attempt to deliver an event
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "documentation only: the query of the store writes it")]
struct DeliveryAttempt {
    at: Timestamp,
    duration_ms: i32,
    /// The status of the response; null where there was none.
    status: Option<u16>,
    /// Why there was no complete response.
    error: Option<String>,
    /// The beginning of the response's body.
    answer: Option<String>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            webhook_id: delivery.endpoint,
            event_id: delivery.event_id,
            r#type: delivery.event_type,
            status: delivery.status,
            next_attempt_at: delivery.due_at,
            created_at: delivery.created_at,
            updated_at: delivery.updated_at,
            attempts: delivery.attempts,
        }
    }
}

/// List an endpoint's deliveries
///
/// Newest first, each with its attempts. They are kept for 30 days.
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", operation_id = "listWebhookDeliveries", tag = "Webhooks",
    security(("key" = ["webhooks:read"])),
    params(("id" = Uuid, Path), ("status" = Option<DeliveryStatus>, Query),
        ("limit" = Option<u8>, Query, description = "1 to 200; 50 where absent"), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<DeliveryView>), (status = 404), (status = 422)))]
pub async fn list_deliveries(
    State(webhooks): State<Webhooks>,
    _: Authorized<required::WebhooksRead>,
    PathParam(id): PathParam<Uuid>,
    mut query: Query,
) -> Result<Json<Page<DeliveryView>>, Problem> {
    let status = query.take("status", parse_status);
    let page = query.page();
    query.finish()?;
    webhooks.find(id).await?;
    Ok(Json(webhooks.store.deliveries(id, status, &page).await?.map(DeliveryView::from)))
}

fn parse_status(text: &str) -> Result<DeliveryStatus, Fault> {
    text.parse()
        .map_err(|_| Fault::new("unknown-status", format!("must be one of {}", DeliveryStatus::VARIANTS.join(", "))))
}
