//! `POST /v1/keys/{id}/rotate`.

use axum::extract::State;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use validator::Validate;

use super::state::{Keys, author, new_secret};
use super::view::with_secret;
use crate::http::validation::{Member, Unknown, valid};
use crate::http::{
    AuthorizedForCampaigns, OptionalJsonBody, PathParam, Problem, ProblemKind, RequestContext, required,
};
use crate::keys::entries::rotated;
use crate::keys::record::KeyRecord;
use crate::keys::secret::KeySecret;
use crate::keys::store::Rotated;

const DAY: u32 = 24 * 3600;

/// How an API key is rotated
#[derive(Debug, Default, Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[schema(as = KeyRotation)]
pub struct RotateRequest {
    /// How long the old key still works, in seconds; a day where absent.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 2_592_000, example = 86_400)]
    #[validate(range(min = 0, max = 2_592_000))]
    grace_seconds: Member<u32>,
    #[serde(flatten)]
    #[schema(ignore)]
    #[validate(nested)]
    unknown: Unknown,
}

/// Rotate an API key
///
/// Creates a key with a new id and a secret that is shown once. It allows what the old key does, which still works until the end
/// of the grace period. Each key can be rotated once: after that, rotate the new one. An `Idempotency-Key` and an `externalId`
/// belong to the key that sent them, so finish repeated requests with the old key.
#[utoipa::path(post, path = "/v1/keys/{id}/rotate", operation_id = "rotateKey", tag = "Keys",
    security(("key" = ["keys:write"])),
    request_body(content = Option<RotateRequest>, example = json!({"graceSeconds": 86_400})),
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header,
        description = "The response to a repeated request has no secret")),
    responses((status = 201, body = super::view::KeyView, headers(("Location" = String))),
        (status = 403, description = "`key-not-allowed`, with what is `exceeded`; or the scope is missing"),
        (status = 404, description = "No such key that is valid"),
        (status = 409, description = "`key-already-rotated`, with `replacedBy`"), (status = 422)))]
pub async fn rotate_key(
    State(keys): State<Keys>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::KeysWrite>,
    PathParam(id): PathParam<Uuid>,
    OptionalJsonBody(request): OptionalJsonBody<RotateRequest>,
) -> Result<Response, Problem> {
    valid(request.validate())?;
    let old = keys.find(id, &context).await?;
    keys.require(&context, &old.grant).await?;
    let now = context.clock.now();
    let grace = SignedDuration::from_secs(request.grace_seconds.value().copied().unwrap_or(DAY).into());
    let secret = new_secret()?;
    let new = keys.rotate(&old, &secret, (now, now + grace), &context).await?;
    with_secret(new, &secret)
}

impl Keys {
    async fn rotate(
        &self,
        old: &KeyRecord,
        secret: &KeySecret,
        (now, old_ends_at): (Timestamp, Timestamp),
        context: &RequestContext,
    ) -> Result<KeyRecord, Problem> {
        let ids = (old.id, context.resource.id);
        let entry = rotated(&author(context), ids, &old.name, &old.grant, old_ends_at);
        if context.resource.repeated && old.replaced_by == Some(ids.1) {
            // An earlier run of this request created it and did not respond, so its secret has not been shown yet.
            self.store.replace_secret(ids.1, secret, entry).await?;
            return self.find(ids.1, context).await;
        }
        match self.store.rotate(ids, secret, now, old_ends_at, entry).await? {
            Rotated::Done => self.find(ids.1, context).await,
            Rotated::NotFound => Err(Problem::not_found("API key that is valid")),
            Rotated::Before => {
                let newer = self.find(old.id, context).await?.replaced_by;
                Err(Problem::new(ProblemKind::KeyAlreadyRotated, "another key replaces this one")
                    .with("replacedBy", newer))
            }
        }
    }
}
