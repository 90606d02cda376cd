//! Every error that leaves the service: RFC 9457 `application/problem+json`, and the page behind each `type`.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::db::is_transient;
use crate::types::Fault;

/// What can go wrong, by meaning. Each has a slug, a status, a title and a sentence on what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    MalformedJson,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    DuplicateCallback,
    AlreadyScheduled,
    AlreadyEnded,
    IdempotencyKeyInUse,
    CampaignNotRunning,
    HoldInForce,
    OutsideRegulatoryWindow,
    NoEncryptionKey,
    WebhookConfigured,
    DeliveryPending,
    SettingsChanged,
    PayloadTooLarge,
    UnsupportedMediaType,
    InvalidRequest,
    CampaignHeld,
    CxoneRejected,
    NoForecast,
    IdempotencyKeyReused,
    Internal,
    Unavailable,
}

impl ProblemKind {
    /// All kinds, for the pages under `/problems/`.
    pub const ALL: [Self; 26] = [
        Self::MalformedJson,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::DuplicateCallback,
        Self::AlreadyScheduled,
        Self::AlreadyEnded,
        Self::IdempotencyKeyInUse,
        Self::CampaignNotRunning,
        Self::HoldInForce,
        Self::OutsideRegulatoryWindow,
        Self::NoEncryptionKey,
        Self::WebhookConfigured,
        Self::DeliveryPending,
        Self::SettingsChanged,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidRequest,
        Self::CampaignHeld,
        Self::CxoneRejected,
        Self::NoForecast,
        Self::IdempotencyKeyReused,
        Self::Internal,
        Self::Unavailable,
    ];

    fn facts(self) -> (&'static str, StatusCode, &'static str, &'static str) {
        match self {
            Self::MalformedJson => (
                "malformed-json",
                StatusCode::BAD_REQUEST,
                "The body is not JSON",
                "Send one JSON object in UTF-8. The detail says where reading stopped.",
            ),
            Self::Unauthorized => (
                "unauthorized",
                StatusCode::UNAUTHORIZED,
                "No valid API key",
                "Send `Authorization: Bearer <key>` with a key that is neither revoked nor expired. \
                 `ringback keys create` makes one.",
            ),
            Self::Forbidden => (
                "forbidden",
                StatusCode::FORBIDDEN,
                "The API key lacks a scope",
                "Use a key that has the scope which the detail names. `ringback keys create --scope` grants it.",
            ),
            Self::NotFound => (
                "not-found",
                StatusCode::NOT_FOUND,
                "There is nothing here",
                "Check the path and the id. `/docs` lists every route.",
            ),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "This route does not take that method",
                "The `Allow` header lists the methods that it takes.",
            ),
            Self::RequestTimeout => (
                "request-timeout",
                StatusCode::REQUEST_TIMEOUT,
                "The request did not arrive in time",
                "Send the whole body within ten seconds.",
            ),
            Self::DuplicateCallback => (
                "duplicate-callback",
                StatusCode::CONFLICT,
                "The caller already has an open callback",
                "`existingId` is the open callback of this number for this campaign in an overlapping window. \
                 Tell the caller about that one, or cancel it first.",
            ),
            Self::AlreadyScheduled => (
                "already-scheduled",
                StatusCode::CONFLICT,
                "The callback can no longer be cancelled",
                "CXone has the contact, or may have it, and will call. Cancel it in CXone.",
            ),
            Self::AlreadyEnded => (
                "already-ended",
                StatusCode::CONFLICT,
                "The callback has ended",
                "It failed or expired before; there is nothing left to cancel.",
            ),
            Self::IdempotencyKeyInUse => (
                "idempotency-key-in-use",
                StatusCode::CONFLICT,
                "The first request with this Idempotency-Key is still running",
                "Wait for `Retry-After` and send the same request again: it will be answered as the first one is.",
            ),
            Self::CampaignNotRunning => (
                "campaign-not-running",
                StatusCode::CONFLICT,
                "The campaign is neither dialing nor paused",
                "It is INACTIVE or SUSPENDED in CXone, and Ringback leaves it so. Nothing was changed and no hold is \
                 left behind. Start it in CXone first.",
            ),
            Self::HoldInForce => (
                "hold-in-force",
                StatusCode::CONFLICT,
                "A compliance hold has not ended",
                "Wait for its end, `endsAt`. To lift it before its time send `\"force\": true` with a key that has the \
                 scope `campaigns:override`.",
            ),
            Self::OutsideRegulatoryWindow => (
                "outside-regulatory-window",
                StatusCode::CONFLICT,
                "The regulatory window is closed",
                "A resume (409): wait for `nextOpening`, or send `\"force\": true` with a key that has the scope \
                 `campaigns:override` to start the campaign before. A callback (422): nothing was kept; ask for a window \
                 that reaches past `earliestStart`.",
            ),
            Self::NoEncryptionKey => (
                "no-encryption-key",
                StatusCode::CONFLICT,
                "Webhook secrets cannot be kept",
                "Run the service with an `ENCRYPTION_KEY` of 32 bytes in base64 (`openssl rand -base64 32`).",
            ),
            Self::WebhookConfigured => (
                "webhook-configured",
                StatusCode::CONFLICT,
                "The endpoint is set by configuration",
                "Change `WFO_WEBHOOK_URL` and `WFO_WEBHOOK_SECRET` and restart the service.",
            ),
            Self::DeliveryPending => (
                "delivery-pending",
                StatusCode::CONFLICT,
                "The delivery cannot be made again now",
                "It is still tried, or its endpoint is disabled. See `GET /v1/webhooks/{id}/deliveries`.",
            ),
            Self::SettingsChanged => (
                "settings-changed",
                StatusCode::PRECONDITION_FAILED,
                "The settings are no longer those that were read",
                "Read them again, make the change to what they are now, and send it with their `ETag` as `If-Match`.",
            ),
            Self::PayloadTooLarge => (
                "payload-too-large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "The body is too large",
                "Send at most 1 MiB; split what is longer.",
            ),
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body is of a type that this route does not read",
                "Send `Content-Type: application/json`.",
            ),
            Self::InvalidRequest => (
                "invalid-request",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The request has faults",
                "`errors` lists every fault: where it is, a code, and what would be right.",
            ),
            Self::CampaignHeld => (
                "campaign-held",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The campaign is held during the requested window",
                "A compliance hold keeps the campaign from calling. Nothing was kept; ask for a window that reaches past \
                 `earliestStart`.",
            ),
            Self::CxoneRejected => (
                "cxone-rejected",
                StatusCode::UNPROCESSABLE_ENTITY,
                "CXone refused it",
                "The detail is CXone's reason. A callback has ended as `failed`; a pause has left no hold behind. Send it \
                 again once that is mended.",
            ),
            Self::NoForecast => (
                "no-forecast",
                StatusCode::UNPROCESSABLE_ENTITY,
                "CXone has no forecast for the requested window",
                "Ask for a window that the campaign's forecast covers, or run the service with \
                 `CALLBACK_WITHOUT_FORECAST=window-start`.",
            ),
            Self::IdempotencyKeyReused => (
                "idempotency-key-reused",
                StatusCode::UNPROCESSABLE_ENTITY,
                "This Idempotency-Key was used for another request",
                "Use a new key for each new request; repeat a key only with the very same body.",
            ),
            Self::Internal => (
                "internal",
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something went wrong in Ringback",
                "It is a fault of the service. Its log has the cause under the `requestId`. \
                 It is safe to send the request again with the same Idempotency-Key.",
            ),
            Self::Unavailable => (
                "unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "Ringback cannot take this now",
                "Try again after `Retry-After`, with the same Idempotency-Key.",
            ),
        }
    }

    /// The last part of the problem's `type`.
    pub fn slug(self) -> &'static str {
        self.facts().0
    }

    /// The status it is answered with, unless the problem itself has another.
    pub fn status(self) -> StatusCode {
        self.facts().1
    }

    /// The short name for people.
    pub fn title(self) -> &'static str {
        self.facts().2
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        self.facts().3
    }
}

/// One fault in what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldFault {
    /// Where it is: a JSON Pointer into the body, or `/` and the name of a query parameter.
    #[schema(example = "/phoneNumber")]
    pub pointer: String,
    /// What it is, for programs.
    #[schema(example = "not-a-phone-number")]
    #[schema(value_type = String)]
    pub code: Cow<'static, str>,
    /// What would be right, for people.
    pub detail: String,
}

/// An error on its way out. The edge adds `instance` and `requestId` when it writes the body.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What went wrong.
    pub kind: ProblemKind,
    status: StatusCode,
    detail: String,
    errors: Vec<FieldFault>,
    extensions: Vec<(String, Value)>,
    retry_after: Option<u64>,
}

impl Problem {
    /// A problem of this kind, with what is particular to this case.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let (status, detail) = (kind.status(), detail.into());
        Self { kind, status, detail, errors: Vec::new(), extensions: Vec::new(), retry_after: None }
    }

    /// A problem of this kind with what was sent, also where the kind is a conflict elsewhere: a 422.
    pub fn unprocessable(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, ..Self::new(kind, detail) }
    }

    /// Bad input, with every fault in it.
    pub fn invalid(errors: Vec<FieldFault>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{} {}", one.pointer, one.detail),
            several => format!("{} faults; see errors", several.len()),
        };
        Self { errors, ..Self::new(ProblemKind::InvalidRequest, detail) }
    }

    /// Bad input with one fault.
    pub fn fault(pointer: impl Into<String>, fault: Fault) -> Self {
        Self::invalid(vec![FieldFault { pointer: pointer.into(), code: fault.code.into(), detail: fault.detail }])
    }

    /// Nothing under this id.
    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemKind::NotFound, format!("no such {what}"))
    }

    /// Whether the request was refused before anything was done: the same request may be allowed later.
    pub fn leaves_nothing(&self) -> bool {
        let refused = [ProblemKind::InvalidRequest, ProblemKind::CampaignHeld, ProblemKind::OutsideRegulatoryWindow];
        self.status == StatusCode::UNPROCESSABLE_ENTITY && refused.contains(&self.kind)
    }

    /// Where the faults are and what they are, without the words for people.
    pub fn fault_codes(&self) -> Vec<String> {
        self.errors.iter().map(|fault| format!("{} {}", fault.pointer, fault.code)).collect()
    }

    /// Adds a member of its own to the body.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.extensions.push((name.to_owned(), json!(value)));
        self
    }

    /// Adds `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The body: what the contract says, `instance` and `requestId` where they are known.
    pub fn body(&self, instance: Option<&str>, request_id: Option<&str>) -> Value {
        let mut body = Map::new();
        body.insert("type".into(), json!(format!("/problems/{}", self.kind.slug())));
        body.insert("title".into(), json!(self.kind.title()));
        body.insert("status".into(), json!(self.status.as_u16()));
        body.insert("detail".into(), json!(self.detail));
        let known = [("instance", instance), ("requestId", request_id)];
        body.extend(known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))));
        body.extend(self.extensions.clone());
        if !self.errors.is_empty() {
            body.insert("errors".into(), json!(self.errors));
        }
        Value::Object(body)
    }

    /// The whole answer.
    pub fn render(&self, instance: &str, request_id: &str) -> Response {
        let body = self.body(Some(instance), Some(request_id)).to_string();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.kind == ProblemKind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ringback\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Carries the problem to the edge, which knows the request and renders it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Postgres is away, or a query failed: logged here, once, with its whole chain; the caller learns only what to do.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        let transient = is_transient(&error);
        tracing::error!(error = format!("{:#}", anyhow::Error::new(error)), "the database refused or was away");
        if transient {
            return Self::new(ProblemKind::Unavailable, "the database cannot be reached").retry_after(2);
        }
        Self::new(ProblemKind::Internal, "the database refused")
    }
}

/// The shape of a problem in the OpenAPI document.
#[derive(utoipa::ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "documentation only: a problem is written by Problem::body")]
pub struct ProblemSchema {
    /// `/problems/<slug>`: a page that says what it means and what to do.
    #[schema(example = "/problems/invalid-request")]
    r#type: String,
    title: String,
    #[schema(example = 422)]
    status: u16,
    detail: String,
    /// The path that was asked for.
    instance: String,
    #[serde(rename = "requestId")]
    request_id: String,
    /// Every fault in the input, where that is the problem.
    errors: Option<Vec<FieldFault>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_slug_of_its_own_and_an_error_status() {
        let mut slugs: Vec<_> = ProblemKind::ALL.iter().map(|kind| kind.slug()).collect();
        slugs.sort_unstable();
        slugs.dedup();
        assert_eq!(slugs.len(), ProblemKind::ALL.len());
        assert!(ProblemKind::ALL.iter().all(|kind| kind.status().as_u16() >= 400));
    }

    #[test]
    fn a_problem_says_all_that_the_contract_asks_for() {
        let problem = Problem::invalid(vec![FieldFault {
            pointer: "/language".into(),
            code: "unknown-language".into(),
            detail: "must be a language tag".into(),
        }]);
        assert_eq!(
            problem.body(Some("/v1/callbacks"), Some("r-1")),
            json!({
                "type": "/problems/invalid-request", "title": "The request has faults", "status": 422,
                "detail": "/language must be a language tag", "instance": "/v1/callbacks", "requestId": "r-1",
                "errors": [{"pointer": "/language", "code": "unknown-language", "detail": "must be a language tag"}],
            })
        );
    }
}
