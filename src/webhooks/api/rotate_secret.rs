//! `POST /v1/webhooks/{id}/rotate-secret`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::SignedDuration;
use uuid::Uuid;

use super::state::{Webhooks, entry, secret_problem};
use super::view::{WebhookView, with_secret};
use crate::audit::Action;
use crate::http::{Authorized, NoBody, PathParam, Problem, required};
use crate::webhooks::detail::ChangedDetail;
use crate::webhooks::signing::SigningSecret;

/// How long the secret before a rotation still signs.
const PREVIOUS_SIGNS_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Replace an endpoint's secret
///
/// For 24 hours events are signed with both secrets, each with its own signature, so that the receiver can change over.
#[utoipa::path(post, path = "/v1/webhooks/{id}/rotate-secret", operation_id = "rotateWebhookSecret", tag = "Webhooks",
    security(("key" = ["webhooks:write"])),
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = WebhookView), (status = 404),
        (status = 409, description = "`webhook-configured` or `no-encryption-key`"), (status = 422)))]
pub async fn rotate_secret(
    State(webhooks): State<Webhooks>,
    Authorized(context, _): Authorized<required::WebhooksWrite>,
    PathParam(id): PathParam<Uuid>,
    _: NoBody,
) -> Result<Response, Problem> {
    webhooks.find_created_by_api(id).await?;
    let secret = SigningSecret::new().map_err(|error| secret_problem(&error))?;
    let encrypted = webhooks.encrypt(id, &secret)?;
    let entry = entry(&context, Action::WebhookSecretRotated, &ChangedDetail { webhook_id: id });
    let previous_until = context.arrived_at + PREVIOUS_SIGNS_FOR;
    if !webhooks.store.rotate(id, &encrypted, previous_until, context.arrived_at, entry).await? {
        return Err(Problem::not_found("webhook"));
    }
    with_secret(StatusCode::OK, webhooks.find(id).await?, &secret)
}
