//! `POST /v1/webhooks`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use validator::{Validate, ValidateArgs as _, ValidationError, ValidationErrors};

use super::state::{Webhooks, entry, secret_problem};
use super::view::{WebhookView, with_secret};
use crate::audit::Action;
use crate::http::validation::{Member, Unknown, fault_of_value, valid};
use crate::http::{Authorized, JsonBody, Problem, required};
use crate::types::Fault;
use crate::webhooks::address_policy::AddressPolicy;
use crate::webhooks::detail::CreatedDetail;
use crate::webhooks::event::EventType;
use crate::webhooks::model::Endpoint;
use crate::webhooks::signing::SigningSecret;

/// An endpoint to create
#[derive(Debug, Deserialize, ToSchema, Validate)]
#[schema(as = NewWebhook)]
#[validate(context = AddressPolicy)]
pub struct WebhookRequest {
    /// https, to a public address, without credentials.
    #[serde(default)]
    #[schema(value_type = String, required, example = "https://wfo.example.com/hooks")]
    #[validate(required, custom(function = "parse_url", use_context))]
    url: Member<String, Url>,
    /// All of campaigns and callbacks, where absent. `audit.checkpoint` must be named.
    #[serde(default)]
    #[schema(value_type = Option<Vec<EventType>>, min_items = 1)]
    #[validate(length(min = 1, message = "must name a type, or be left out"), nested)]
    events: Member<Vec<RequestedType>>,
    /// At most 200 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    #[validate(
        length(max = 200, code = "too-long", message = "must be at most 200 characters"),
        custom(function = "without_nul")
    )]
    description: Member<String>,
    #[serde(flatten)]
    #[schema(ignore)]
    #[validate(nested)]
    unknown: Unknown,
}

/// An element of `events`, known or not.
#[derive(Debug, Deserialize)]
#[serde(from = "Value")]
pub struct RequestedType(Result<EventType, Fault>);

impl From<Value> for RequestedType {
    fn from(value: Value) -> Self {
        Self(EventType::parse(value.as_str().unwrap_or_default()))
    }
}

impl Validate for RequestedType {
    fn validate(&self) -> Result<(), ValidationErrors> {
        self.0.as_ref().map(drop).map_err(|fault| fault_of_value(fault.clone()))
    }
}

fn parse_url(url: &Member<String, Url>, policy: &AddressPolicy) -> Result<(), ValidationError> {
    url.parse(|text| policy.parse(text))
}

/// Postgres stores no NUL in text.
fn without_nul(description: &Member<String>) -> Result<(), ValidationError> {
    description.check(|text| {
        if text.contains('\0') { Err(Fault::new("out-of-range", "must not contain NUL")) } else { Ok(()) }
    })
}

/// Create an endpoint
///
/// Events from now on are sent to it, signed with the secret that this response shows once.
#[utoipa::path(post, path = "/v1/webhooks", operation_id = "postWebhook", tag = "Webhooks",
    security(("key" = ["webhooks:write"])), 
    request_body(content = WebhookRequest, examples(
        ("all" = (summary = "All events of campaigns and callbacks", value = json!({"url": "https://wfo.example.com/hooks"}))),
        ("some" = (summary = "Some events", value = json!({"url": "https://wfo.example.com/campaigns",
            "events": ["campaign.paused", "campaign.resumed"], "description": "WFO, production"}))))),
    params(("Idempotency-Key" = Option<String>, Header, description = "The response to a repeated request has no secret")),
    responses((status = 201, body = WebhookView), (status = 409, description = "`no-encryption-key`"), (status = 422)))]
pub async fn post_webhook(
    State(webhooks): State<Webhooks>,
    Authorized(context, _): Authorized<required::WebhooksWrite>,
    JsonBody(request): JsonBody<WebhookRequest>,
) -> Result<Response, Problem> {
    valid(request.validate_with_args(&webhooks.address_policy))?;
    let Some(url) = request.url.into_parsed() else {
        return Err(Problem::fault("/url", Fault::new("required", "is required")));
    };
    let id = context.resource.id;
    let secret = SigningSecret::new().map_err(|error| secret_problem(&error))?;
    let endpoint = Endpoint {
        id,
        url: url.into(),
        events: request.events.into_value().map(|events| events.into_iter().filter_map(|event| event.0.ok()).collect()),
        description: request.description.into_value(),
        is_configured: false,
        secret: Some(webhooks.encrypt(id, &secret)?),
        failing_since: None,
        disabled: None,
        created_at: context.arrived_at,
    };
    let detail = CreatedDetail::new(id, &endpoint.url);
    let entry = entry(&context, Action::WebhookCreated, &detail);
    if webhooks.store.insert(&endpoint, entry).await? {
        return with_secret(StatusCode::CREATED, endpoint, &secret);
    }
    // An earlier run of this request created it and did not respond, so its secret has not been shown yet.
    let endpoint = webhooks.find(id).await?;
    let secret = webhooks.decrypt(&endpoint)?;
    with_secret(StatusCode::CREATED, endpoint, &secret)
}
