//! The webhooks' routes: read, call one thing, answer.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::address::Reach;
use super::detail::{ChangedDetail, CreatedDetail, FailedRedeliveredDetail, RedeliveredDetail};
use super::endpoint::{DeliveryStatus, Endpoint, SealedSecrets};
use super::event::EventType;
use super::secret::{Seal, SecretError, SigningSecret};
use super::store::{Delivery, Redelivered, WebhookStore};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::db::Page;
use crate::http::{
    Allowed, Caller, Faults, JsonBody, KeptBody, Member, PathParam, Problem, ProblemKind, Query, RequestInfo,
    ResourceId, Unknown, required,
};
use crate::types::{Fault, parse_instant};

/// After a rotation the secret before signs too, for so long.
const BOTH_SIGN_FOR: SignedDuration = SignedDuration::from_hours(24);
const LONGEST_DESCRIPTION: usize = 200;

/// What the routes work with.
#[derive(Clone)]
pub struct Webhooks {
    pub store: WebhookStore,
    pub reach: Reach,
    pub seal: Option<Seal>,
    pub clock: Clock,
}

/// The routes.
pub fn routes() -> OpenApiRouter<Webhooks> {
    OpenApiRouter::new()
        .routes(routes!(post, list))
        .routes(routes!(get, delete))
        .routes(routes!(rotate))
        .routes(routes!(enable))
        .routes(routes!(deliveries))
        .routes(routes!(redeliver_failed))
        .routes(routes!(redeliver))
}

/// Who is to be told of changes
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewWebhook)]
struct WebhookRequest {
    /// https, to a public address, without credentials.
    #[serde(default)]
    #[schema(value_type = String, required, example = "https://wfo.example.com/hooks")]
    url: Member<String>,
    /// All, where absent.
    #[serde(default)]
    #[schema(value_type = Option<Vec<EventType>>)]
    events: Member<Vec<Value>>,
    /// At most 200 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Member<String>,
    #[serde(flatten)]
    #[schema(ignore)]
    unknown: Unknown,
}

/// An endpoint that is told of changes
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Webhook)]
struct WebhookView {
    id: Uuid,
    url: String,
    /// Null: all.
    events: Option<Vec<EventType>>,
    description: Option<String>,
    /// Whether it is the one of `WFO_WEBHOOK_URL`.
    configured: bool,
    /// Since its last success, where it has failed since.
    failing_since: Option<Timestamp>,
    /// Nothing is sent to it since then.
    disabled_at: Option<Timestamp>,
    disabled_reason: Option<String>,
    created_at: Timestamp,
    /// Signs what is sent. Shown when it is made, and never again.
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

/// One event on its way to an endpoint
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookDelivery)]
struct DeliveryView {
    id: Uuid,
    webhook_id: Uuid,
    /// The receiver sees it as `webhook-id`.
    event_id: Uuid,
    r#type: String,
    status: DeliveryStatus,
    /// When it is tried next; null when it is not.
    next_attempt_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// Oldest first: `{at, durationMs, status, error, answer}`.
    #[schema(value_type = Vec<Object>)]
    attempts: Value,
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

/// Make an endpoint
///
/// It is told of every change from here on, signed with the secret that this answer shows, once.
#[utoipa::path(post, path = "/v1/webhooks", operation_id = "postWebhook", tag = "Webhooks",
    security(("key" = ["webhooks:write"])), request_body = WebhookRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again, it is answered without the secret")),
    responses((status = 201, body = WebhookView), (status = 409, description = "`no-encryption-key`"), (status = 422)))]
async fn post(
    State(webhooks): State<Webhooks>,
    allowed: Allowed<required::WebhooksWrite>,
    Extension(info): Extension<RequestInfo>,
    Extension(resource): Extension<ResourceId>,
    JsonBody(request): JsonBody<WebhookRequest>,
) -> Result<Response, Problem> {
    let mut endpoint = request.read(webhooks.reach, resource.id, info.arrived_at)?;
    let secret = SigningSecret::new().map_err(|error| internal(&error))?;
    endpoint.secrets.current = Some(webhooks.sealed(endpoint.id, &secret)?);
    let detail = CreatedDetail { webhook_id: endpoint.id, url: &endpoint.url };
    let entry = webhooks.entry(Action::WebhookCreated, &allowed.caller, &info, &detail);
    if webhooks.store.insert(&endpoint, entry).await? {
        return shown_once(StatusCode::CREATED, endpoint.into(), &secret);
    }
    // An earlier run of this request has made it, and was not answered: its secret is still to be shown.
    let endpoint = webhooks.find(resource.id).await?;
    let secret = webhooks.opened(&endpoint)?;
    shown_once(StatusCode::CREATED, endpoint.into(), &secret)
}

/// List endpoints
///
/// Newest first.
#[utoipa::path(get, path = "/v1/webhooks", operation_id = "listWebhooks", tag = "Webhooks",
    security(("key" = ["webhooks:read"])),
    params(("limit" = Option<u8>, Query, description = "1 to 200; 50 where absent"), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<WebhookView>), (status = 422)))]
async fn list(
    State(webhooks): State<Webhooks>,
    _: Allowed<required::WebhooksRead>,
    mut query: Query,
) -> Result<Json<Page<WebhookView>>, Problem> {
    let page = query.page();
    query.finish()?;
    Ok(Json(webhooks.store.page(&page).await?.map(WebhookView::from)))
}

/// See an endpoint
#[utoipa::path(get, path = "/v1/webhooks/{id}", operation_id = "getWebhook", tag = "Webhooks",
    security(("key" = ["webhooks:read"])), params(("id" = Uuid, Path)),
    responses((status = 200, body = WebhookView), (status = 404)))]
async fn get(
    State(webhooks): State<Webhooks>,
    _: Allowed<required::WebhooksRead>,
    PathParam(id): PathParam<Uuid>,
) -> Result<Json<WebhookView>, Problem> {
    Ok(Json(webhooks.find(id).await?.into()))
}

/// Delete an endpoint
///
/// Nothing more is sent to it, also not what was on its way. The configuration's is deleted there.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", operation_id = "deleteWebhook", tag = "Webhooks",
    security(("key" = ["webhooks:write"])), params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404), (status = 409, description = "`webhook-configured`")))]
async fn delete(
    State(webhooks): State<Webhooks>,
    allowed: Allowed<required::WebhooksWrite>,
    Extension(info): Extension<RequestInfo>,
    PathParam(id): PathParam<Uuid>,
) -> Result<StatusCode, Problem> {
    webhooks.find_own(id).await?;
    let entry = webhooks.entry(Action::WebhookDeleted, &allowed.caller, &info, &ChangedDetail { webhook_id: id });
    let deleted = webhooks.store.delete(id, info.arrived_at, entry).await?;
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("webhook")) }
}

/// Give an endpoint a new secret
///
/// For a day both sign, each with a signature of its own, so that the receiver can change over.
#[utoipa::path(post, path = "/v1/webhooks/{id}/rotate-secret", operation_id = "rotateWebhookSecret", tag = "Webhooks",
    security(("key" = ["webhooks:write"])),
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = WebhookView), (status = 404),
        (status = 409, description = "`webhook-configured` or `no-encryption-key`")))]
async fn rotate(
    State(webhooks): State<Webhooks>,
    allowed: Allowed<required::WebhooksWrite>,
    Extension(info): Extension<RequestInfo>,
    PathParam(id): PathParam<Uuid>,
) -> Result<Response, Problem> {
    webhooks.find_own(id).await?;
    let secret = SigningSecret::new().map_err(|error| internal(&error))?;
    let sealed = webhooks.sealed(id, &secret)?;
    let entry = webhooks.entry(Action::WebhookSecretRotated, &allowed.caller, &info, &ChangedDetail { webhook_id: id });
    let until = info.arrived_at + BOTH_SIGN_FOR;
    if !webhooks.store.rotate(id, &sealed, until, info.arrived_at, entry).await? {
        return Err(Problem::not_found("webhook"));
    }
    shown_once(StatusCode::OK, webhooks.find(id).await?.into(), &secret)
}

/// Enable an endpoint that was disabled
///
/// It is told of what happens from here on; what died meanwhile can be delivered again.
#[utoipa::path(post, path = "/v1/webhooks/{id}/enable", operation_id = "enableWebhook", tag = "Webhooks",
    security(("key" = ["webhooks:write"])),
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = WebhookView), (status = 404)))]
async fn enable(
    State(webhooks): State<Webhooks>,
    allowed: Allowed<required::WebhooksWrite>,
    Extension(info): Extension<RequestInfo>,
    PathParam(id): PathParam<Uuid>,
) -> Result<Json<WebhookView>, Problem> {
    let entry = webhooks.entry(Action::WebhookEnabled, &allowed.caller, &info, &ChangedDetail { webhook_id: id });
    if !webhooks.store.enable(id, entry).await? {
        return Err(Problem::not_found("webhook"));
    }
    Ok(Json(webhooks.find(id).await?.into()))
}

/// List an endpoint's deliveries
///
/// Newest first, each with its attempts. They are kept for 30 days.
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", operation_id = "listWebhookDeliveries", tag = "Webhooks",
    security(("key" = ["webhooks:read"])),
    params(("id" = Uuid, Path), ("status" = Option<DeliveryStatus>, Query),
        ("limit" = Option<u8>, Query, description = "1 to 200; 50 where absent"), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<DeliveryView>), (status = 404), (status = 422)))]
async fn deliveries(
    State(webhooks): State<Webhooks>,
    _: Allowed<required::WebhooksRead>,
    PathParam(id): PathParam<Uuid>,
    mut query: Query,
) -> Result<Json<Page<DeliveryView>>, Problem> {
    let status = query.take("status", parse_status);
    let page = query.page();
    query.finish()?;
    webhooks.find(id).await?;
    Ok(Json(webhooks.store.deliveries(id, status, &page).await?.map(DeliveryView::from)))
}

/// Deliver again
///
/// Whatever came of it before. The receiver sees the same `webhook-id`.
#[utoipa::path(post, path = "/v1/webhooks/deliveries/{id}/redeliver", operation_id = "redeliverWebhook",
    tag = "Webhooks", security(("key" = ["webhooks:write"])),
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 202), (status = 404), (status = 409, description = "`delivery-pending`")))]
async fn redeliver(
    State(webhooks): State<Webhooks>,
    allowed: Allowed<required::WebhooksWrite>,
    Extension(info): Extension<RequestInfo>,
    Extension(resource): Extension<ResourceId>,
    PathParam(id): PathParam<Uuid>,
) -> Result<StatusCode, Problem> {
    let entry =
        webhooks.entry(Action::WebhookRedelivered, &allowed.caller, &info, &RedeliveredDetail { delivery_id: id });
    match webhooks.store.redeliver(id, info.arrived_at, entry).await? {
        Redelivered::Again => Ok(StatusCode::ACCEPTED),
        // By an earlier run of this request.
        Redelivered::Already if resource.repeated => Ok(StatusCode::ACCEPTED),
        Redelivered::Unknown => Err(Problem::not_found("delivery")),
        Redelivered::Already | Redelivered::NotNow => {
            let detail = "the delivery is on its way already, or its endpoint is disabled or deleted";
            Err(Problem::new(ProblemKind::DeliveryPending, detail))
        }
    }
}

/// From when on
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RedeliverFailed)]
struct SinceRequest {
    #[serde(default)]
    #[schema(value_type = Timestamp, required)]
    since: Member<String>,
    #[serde(flatten)]
    #[schema(ignore)]
    unknown: Unknown,
}

/// How many are on their way again
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Redelivered)]
struct RedeliveredView {
    redelivered: i64,
}

/// Deliver again all that failed
///
/// All dead deliveries of events since a moment, in order.
#[utoipa::path(post, path = "/v1/webhooks/{id}/redeliver-failed", operation_id = "redeliverFailedWebhooks",
    tag = "Webhooks", security(("key" = ["webhooks:write"])), request_body = SinceRequest,
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 202, body = RedeliveredView), (status = 404), (status = 409), (status = 422)))]
async fn redeliver_failed(
    State(webhooks): State<Webhooks>,
    allowed: Allowed<required::WebhooksWrite>,
    Extension(info): Extension<RequestInfo>,
    PathParam(id): PathParam<Uuid>,
    JsonBody(request): JsonBody<SinceRequest>,
) -> Result<(StatusCode, Json<RedeliveredView>), Problem> {
    let mut faults = Faults::new();
    let since = faults.required("since", &request.since, |text| parse_instant(text));
    faults.unknown(&request.unknown);
    let since = faults.finish(since)?;
    if webhooks.find(id).await?.disabled.is_some() {
        return Err(Problem::new(ProblemKind::DeliveryPending, "the endpoint is disabled: enable it first"));
    }
    let detail = FailedRedeliveredDetail { webhook_id: id, since };
    let entry = webhooks.entry(Action::WebhookRedelivered, &allowed.caller, &info, &detail);
    let redelivered = webhooks.store.redeliver_failed(id, since, info.arrived_at, entry).await?;
    Ok((StatusCode::ACCEPTED, Json(RedeliveredView { redelivered })))
}

impl WebhookRequest {
    fn read(&self, reach: Reach, id: Uuid, now: Timestamp) -> Result<Endpoint, Problem> {
        let mut faults = Faults::new();
        let url = faults.required("url", &self.url, |text| reach.parse(text));
        let listed = faults.optional("events", &self.events, |events| match events.as_slice() {
            [] => Err(Fault::new("out-of-range", "must name a type, or be left out")),
            events => Ok(events.to_vec()),
        });
        let events = listed.map(|events| {
            let each = |faults: &mut Faults| -> Vec<EventType> {
                let parse = |(index, event): (usize, &Value)| {
                    let event = event.as_str().unwrap_or_default();
                    EventType::parse(event).map_err(|fault| faults.add(&index.to_string(), fault)).ok()
                };
                events.iter().enumerate().filter_map(parse).collect()
            };
            faults.within("events", each)
        });
        let description = faults.optional("description", &self.description, |text| {
            let is_plain = text.chars().count() <= LONGEST_DESCRIPTION && !text.contains('\0');
            if is_plain { Ok(text.clone()) } else { Err(Fault::new("too-long", "must be at most 200 characters")) }
        });
        faults.unknown(&self.unknown);
        let endpoint = url.map(|url| Endpoint {
            id,
            url: url.into(),
            events,
            description,
            is_configured: false,
            secrets: SealedSecrets::default(),
            failing_since: None,
            disabled: None,
            created_at: now,
        });
        faults.finish(endpoint)
    }
}

impl Webhooks {
    async fn find(&self, id: Uuid) -> Result<Endpoint, Problem> {
        self.store.find(id).await?.ok_or_else(|| Problem::not_found("webhook"))
    }

    /// One that was made by API.
    async fn find_own(&self, id: Uuid) -> Result<Endpoint, Problem> {
        let endpoint = self.find(id).await?;
        if endpoint.is_configured {
            return Err(Problem::new(ProblemKind::WebhookConfigured, "it is the endpoint of WFO_WEBHOOK_URL"));
        }
        Ok(endpoint)
    }

    fn sealed(&self, endpoint: Uuid, secret: &SigningSecret) -> Result<Vec<u8>, Problem> {
        let no_key = || Problem::new(ProblemKind::NoEncryptionKey, "the service runs without an ENCRYPTION_KEY");
        self.seal.as_ref().ok_or_else(no_key)?.close(endpoint, secret).map_err(|error| internal(&error))
    }

    fn opened(&self, endpoint: &Endpoint) -> Result<SigningSecret, Problem> {
        let opened = match (&self.seal, &endpoint.secrets.current) {
            (Some(seal), Some(sealed)) => seal.open(endpoint.id, sealed),
            (None, _) | (_, None) => Err(SecretError::NoKey),
        };
        opened.map_err(|error| internal(&error))
    }

    fn entry(&self, action: Action, caller: &Caller, info: &RequestInfo, detail: &impl Serialize) -> Entry {
        Entry {
            request_id: Some(info.request_id.clone()),
            ..Entry::new(self.clock.new_id(), self.clock.now(), action, Actor::caller(caller), Outcome::Succeeded)
                .with_detail(detail)
        }
    }
}

fn internal(error: &SecretError) -> Problem {
    tracing::error!(error = %error, "a webhook secret could not be made");
    Problem::new(ProblemKind::Internal, "a secret could not be made")
}

/// The secret stands in the answer, and not in what is kept of it for the request's idempotency key.
fn shown_once(status: StatusCode, view: WebhookView, secret: &SigningSecret) -> Result<Response, Problem> {
    let unwritable = |_| Problem::new(ProblemKind::Internal, "the answer could not be written");
    let kept = serde_json::to_vec(&view).map_err(unwritable)?;
    let mut response = (status, Json(WebhookView { secret: Some(secret.reveal()), ..view })).into_response();
    response.extensions_mut().insert(KeptBody(kept.into()));
    Ok(response)
}

fn parse_status(text: &str) -> Result<DeliveryStatus, Fault> {
    let all = [DeliveryStatus::Pending, DeliveryStatus::Succeeded, DeliveryStatus::Dead];
    let known = all.into_iter().find(|status| status.as_str() == text);
    known.ok_or_else(|| Fault::new("unknown-status", "must be one of pending, succeeded, dead"))
}
