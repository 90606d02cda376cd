//! A key in responses.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::{Problem, ProblemKind, StoredBody};
use crate::keys::record::KeyRecord;
use crate::keys::secret::KeySecret;

/// An API key
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ApiKey)]
pub struct KeyView {
    id: Uuid,
    #[schema(example = "ivr")]
    name: String,
    #[schema(example = json!(["callbacks:read", "callbacks:write"]))]
    scopes: Vec<&'static str>,
    /// The campaigns to which it is restricted; null means all.
    #[schema(required, example = json!(["0192f0c4-1111-7000-8000-000000000001"]))]
    campaigns: Option<Vec<String>>,
    /// The requests that it may send; null means any number.
    #[schema(required, example = "50/s")]
    rate: Option<String>,
    created_at: Timestamp,
    /// Up to a minute before its last request; null where it was never used.
    #[schema(required)]
    last_used_at: Option<Timestamp>,
    /// It is refused from then on; null means never.
    #[schema(required)]
    expires_at: Option<Timestamp>,
    #[schema(required)]
    revoked_at: Option<Timestamp>,
    /// The key that it replaces.
    #[schema(required)]
    replaces: Option<Uuid>,
    /// The key that replaces it.
    #[schema(required)]
    replaced_by: Option<Uuid>,
    /// The key itself. Shown once, when it is generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "rbk_Jx5C0lq8QmKQz3v0i9m1c7b2Y4n6w8s0u2e4g6i8k0m")]
    secret: Option<String>,
}

impl From<KeyRecord> for KeyView {
    fn from(key: KeyRecord) -> Self {
        Self {
            id: key.id,
            name: key.name.to_string(),
            scopes: key.grant.scopes.iter().map(|scope| scope.as_str()).collect(),
            campaigns: key.grant.campaigns.texts(),
            rate: key.grant.rate.map(|rate| rate.to_string()),
            created_at: key.created_at,
            last_used_at: key.last_used_at,
            expires_at: key.grant.expires_at,
            revoked_at: key.revoked_at,
            replaces: key.replaces,
            replaced_by: key.replaced_by,
            secret: None,
        }
    }
}

/// The response of a new key, which shows the secret. The response stored for the idempotency key does not have it.
pub fn with_secret(key: KeyRecord, secret: &KeySecret) -> Result<Response, Problem> {
    let location = format!("/v1/keys/{}", key.id);
    let view = KeyView::from(key);
    let failed = |_| Problem::new(ProblemKind::Internal, "the response could not be written");
    let stored = serde_json::to_vec(&view).map_err(failed)?;
    let view = KeyView { secret: Some(secret.reveal().to_owned()), ..view };
    let mut response = (StatusCode::CREATED, [(header::LOCATION, location)], Json(view)).into_response();
    response.extensions_mut().insert(StoredBody(stored.into()));
    Ok(response)
}
