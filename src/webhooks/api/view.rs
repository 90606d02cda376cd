//! An endpoint in responses.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::{Problem, ProblemKind, StoredBody};
use crate::webhooks::event::EventType;
use crate::webhooks::model::Endpoint;
use crate::webhooks::signing::SigningSecret;

/// An endpoint that receives events
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Webhook)]
pub struct WebhookView {
    id: Uuid,
    #[schema(example = "https://wfo.example.com/hooks")]
    url: String,
    /// The event types it subscribes to; null means all of campaigns and callbacks.
    #[schema(required)]
    events: Option<Vec<EventType>>,
    #[schema(required)]
    description: Option<String>,
    /// Whether it is the endpoint of `WFO_WEBHOOK_URL`.
    configured: bool,
    /// The time of the first failure since the last success.
    #[schema(required)]
    failing_since: Option<Timestamp>,
    /// Since then no event is sent to it.
    #[schema(required)]
    disabled_at: Option<Timestamp>,
    #[schema(required)]
    disabled_reason: Option<String>,
    created_at: Timestamp,
    /// Signs the events. Shown once, when it is generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: Option<String>,
}

impl From<Endpoint> for WebhookView {
    fn from(endpoint: Endpoint) -> Self {
        let (disabled_at, disabled_reason) = endpoint.disabled.unzip();
        Self {
            id: endpoint.id,
            url: endpoint.url,
            events: endpoint.events,
            description: endpoint.description,
            configured: endpoint.is_configured,
            failing_since: endpoint.failing_since,
            disabled_at,
            disabled_reason,
            created_at: endpoint.created_at,
            secret: None,
        }
    }
}

/// A response that shows the secret. The response stored for the idempotency key does not have it.
pub fn with_secret(status: StatusCode, endpoint: Endpoint, secret: &SigningSecret) -> Result<Response, Problem> {
    let view = WebhookView::from(endpoint);
    let failed = |_| Problem::new(ProblemKind::Internal, "the response could not be written");
    let stored = serde_json::to_vec(&view).map_err(failed)?;
    let mut response = (status, Json(WebhookView { secret: Some(secret.reveal()), ..view })).into_response();
    response.extensions_mut().insert(StoredBody(stored.into()));
    Ok(response)
}
