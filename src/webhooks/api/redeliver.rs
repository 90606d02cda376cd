//! `POST /v1/webhooks/deliveries/{id}/redeliver` and `POST /v1/webhooks/{id}/redeliver-failed`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use validator::{Validate, ValidationError};

use super::state::{Webhooks, entry};
use crate::audit::Action;
use crate::http::validation::{Member, Unknown, valid};
use crate::http::{Authorized, JsonBody, NoBody, PathParam, Problem, ProblemKind, required};
use crate::types::{Fault, parse_instant};
use crate::webhooks::detail::{FailedRedeliveredDetail, RedeliveredDetail};
use crate::webhooks::store::Redelivery;

/// Send a delivery again
///
/// Whether it succeeded, is dead, or waits for an attempt more than a minute away. The receiver gets the same `webhook-id`. Deliveries
/// of a campaign are sent in order: those that wait behind another one are sent after it, so send the first pending one again.
#[utoipa::path(post, path = "/v1/webhooks/deliveries/{id}/redeliver", operation_id = "redeliverWebhook",
    tag = "Webhooks", security(("key" = ["webhooks:write"])),
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 202), (status = 404), (status = 409, description = "`delivery-pending`"), (status = 422)))]
pub async fn redeliver(
    State(webhooks): State<Webhooks>,
    Authorized(context, _): Authorized<required::WebhooksWrite>,
    PathParam(id): PathParam<Uuid>,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    let entry = entry(&context, Action::WebhookRedelivered, &RedeliveredDetail { delivery_id: id });
    match webhooks.store.redeliver(id, context.clock.now(), entry).await? {
        Redelivery::Started => Ok(StatusCode::ACCEPTED),
        // An earlier run of this request started it.
        Redelivery::AlreadyPending if context.resource.repeated => Ok(StatusCode::ACCEPTED),
        Redelivery::NotFound => Err(Problem::not_found("delivery")),
        Redelivery::AlreadyPending | Redelivery::NoEndpoint => {
            let detail = "the delivery is due within a minute or waits for an earlier one of its campaign, or its endpoint is \
                          disabled or deleted";
            Err(Problem::new(ProblemKind::DeliveryPending, detail))
        }
    }
}

/// The deliveries to send again
#[derive(Debug, Deserialize, ToSchema, Validate)]
#[schema(as = RedeliverFailed)]
pub struct SinceRequest {
    #[serde(default)]
    #[schema(value_type = Timestamp, required)]
    #[validate(required, custom(function = "parse_since"))]
    since: Member<String, Timestamp>,
    #[serde(flatten)]
    #[schema(ignore)]
    #[validate(nested)]
    unknown: Unknown,
}

fn parse_since(since: &Member<String, Timestamp>) -> Result<(), ValidationError> {
    since.parse(|text| parse_instant(text))
}

/// The number of deliveries that are pending again
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Redelivered)]
pub struct RedeliveredView {
    redelivered: i64,
}

/// Send all failed deliveries again
///
/// All that have died since a moment, in order.
#[utoipa::path(post, path = "/v1/webhooks/{id}/redeliver-failed", operation_id = "redeliverFailedWebhooks",
    tag = "Webhooks", security(("key" = ["webhooks:write"])), 
    request_body(content = SinceRequest, example = json!({"since": "2026-11-20T12:00:00Z"})),
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 202, body = RedeliveredView), (status = 404), (status = 409), (status = 422)))]
pub async fn redeliver_failed(
    State(webhooks): State<Webhooks>,
    Authorized(context, _): Authorized<required::WebhooksWrite>,
    PathParam(id): PathParam<Uuid>,
    JsonBody(request): JsonBody<SinceRequest>,
) -> Result<(StatusCode, Json<RedeliveredView>), Problem> {
    valid(request.validate())?;
    let Some(since) = request.since.into_parsed() else {
        return Err(Problem::fault("/since", Fault::new("required", "is required")));
    };
    if webhooks.find(id).await?.disabled.is_some() {
        return Err(Problem::new(ProblemKind::DeliveryPending, "the endpoint is disabled: enable it first"));
    }
    let detail = FailedRedeliveredDetail { webhook_id: id, since };
    let entry = entry(&context, Action::WebhookRedelivered, &detail);
    let redelivered = webhooks.store.redeliver_failed(id, since, context.arrived_at, entry).await?;
    Ok((StatusCode::ACCEPTED, Json(RedeliveredView { redelivered })))
}
