//! `POST /v1/webhooks/{id}/test`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::state::{Webhooks, entry};
use crate::audit::{Action, Entry};
use crate::http::{Authorized, NoBody, PathParam, Problem, ProblemKind, required};
use crate::webhooks::detail::ChangedDetail;
use crate::webhooks::event::test_event;

/// The test event
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookTest)]
pub struct TestView {
    /// The `webhook-id` header that the receiver gets.
    event_id: Uuid,
}

/// Send a test event to an endpoint
///
/// The event `webhook.test` is signed, delivered and retried as every other event. The list of deliveries shows the
/// receiver's response.
#[utoipa::path(post, path = "/v1/webhooks/{id}/test", operation_id = "testWebhook",
    tag = "Webhooks", security(("key" = ["webhooks:write"])),
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 202, body = TestView), (status = 404), (status = 409, description = "`webhook-disabled`"), (status = 422)))]
pub async fn send_test(
    State(webhooks): State<Webhooks>,
    Authorized(context, _): Authorized<required::WebhooksWrite>,
    PathParam(id): PathParam<Uuid>,
    _: NoBody,
) -> Result<(StatusCode, Json<TestView>), Problem> {
    webhooks.find(id).await?;
    // The id of the resource: a run that is repeated under its Idempotency-Key finds the event of the first.
    let entry =
        Entry { id: context.resource.id, ..entry(&context, Action::WebhookTested, &ChangedDetail { webhook_id: id }) };
    let event = test_event(&entry, id);
    if !webhooks.store.send_to(id, event, entry).await? {
        return Err(Problem::new(ProblemKind::WebhookDisabled, "the endpoint is disabled: enable it first"));
    }
    Ok((StatusCode::ACCEPTED, Json(TestView { event_id: context.resource.id })))
}
