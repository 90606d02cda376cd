//! The kinds of problems, and what each asks of the sender.

use axum::http::StatusCode;
use strum::{EnumMessage, IntoStaticStr, VariantArray};

/// What went wrong. The name in kebab case is the last part of the problem's `type`; `message` is its title, and
/// `detailed_message` says what to do about it, on the page behind the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumMessage, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum ProblemKind {
    #[strum(
        message = "The body is not JSON",
        detailed_message = "Send one JSON object in UTF-8. The detail says where reading stopped."
    )]
    MalformedJson,
    #[strum(
        message = "A valid API key or token is required",
        detailed_message = "Send `Authorization: Bearer <key>` with a key that is neither revoked nor expired. `ringback keys \
            create` makes one. Where the service accepts tokens of an identity provider, send one that has not expired."
    )]
    Unauthorized,
    #[strum(
        message = "The API key lacks a scope",
        detailed_message = "Use a key that has the scope that the detail names. `ringback keys create --scope` grants it."
    )]
    Forbidden,
    #[strum(
        message = "The API key does not allow this campaign",
        detailed_message = "The key is restricted to campaigns. Use a key that has the campaign, or that has no restriction: \
            routes that are not about a campaign need one."
    )]
    CampaignNotAllowed,
    #[strum(
        message = "The API key cannot give what it does not have",
        detailed_message = "A key creates, rotates and revokes only keys with no more scopes, campaigns, requests and time than \
            itself."
    )]
    KeyNotAllowed,
    #[strum(
        message = "The API key was rotated before",
        detailed_message = "`replacedBy` is the key that replaces it. Rotate that one."
    )]
    KeyAlreadyRotated,
    #[strum(message = "Resource not found", detailed_message = "Check the path and the id. `/docs` lists every route.")]
    NotFound,
    #[strum(
        message = "Method not allowed for this route",
        detailed_message = "The `Allow` header lists the allowed methods."
    )]
    MethodNotAllowed,
    #[strum(
        message = "No acceptable content type",
        detailed_message = "Send an `Accept` header with a type that the detail lists, or none."
    )]
    NotAcceptable,
    #[strum(
        message = "The request did not arrive in time",
        detailed_message = "Send the whole body within ten seconds."
    )]
    RequestTimeout,
    #[strum(
        message = "The caller already has an open callback",
        detailed_message = "`existingId` is the open callback of this number for this campaign in an overlapping window. Use \
            that one, or cancel it first."
    )]
    DuplicateCallback,
    #[strum(
        message = "The callback can no longer be changed",
        detailed_message = "CXone has the contact, or may have it, and will call. Cancel or move it in CXone."
    )]
    AlreadyScheduled,
    #[strum(
        message = "The callback has ended",
        detailed_message = "It failed, expired or was cancelled before; there is nothing left to change."
    )]
    AlreadyEnded,
    #[strum(
        message = "The first request with this Idempotency-Key is still running",
        detailed_message = "Wait for `Retry-After` and send the same request again: it returns the same answer as the first."
    )]
    IdempotencyKeyInUse,
    #[strum(
        message = "The campaign is neither dialing nor paused",
        detailed_message = "It is INACTIVE or SUSPENDED in CXone, and Ringback does not change that. No hold was placed. Start \
            it in CXone first."
    )]
    CampaignNotRunning,
    #[strum(
        message = "A compliance hold has not ended",
        detailed_message = "Wait for its end, `scheduledResumeTime`. To lift it early, send `\"force\": true` with a key that has the scope \
            `campaigns:override`."
    )]
    HoldInForce,
    #[strum(
        message = "The regulatory window is closed",
        detailed_message = "A resume (409): wait for `nextOpening`, or send `\"force\": true` with a key that has the scope \
            `campaigns:override` to start the campaign before. A callback (422): nothing was kept; ask for a \
            window that reaches past `earliestStart`."
    )]
    OutsideRegulatoryWindow,
    #[strum(
        message = "Webhook secrets cannot be stored",
        detailed_message = "Run the service with an `ENCRYPTION_KEY` of 32 bytes in base64 (`openssl rand -base64 32`)."
    )]
    NoEncryptionKey,
    #[strum(
        message = "CXone has no do-not-call lists",
        detailed_message = "`CXONE_API=v2` has none. Leave `checkDoNotCall` out, or search elsewhere."
    )]
    NoDoNotCallLists,
    #[strum(
        message = "CXone reports no answer rates",
        detailed_message = "`CXONE_API=v2` has no intervals of dialers. Set `answerRate.source` to `events`, and post the events \
            of the dialer."
    )]
    NoAnswerRates,
    #[strum(
        message = "The audit entry is not sealed yet",
        detailed_message = "New entries are sealed within seconds: send the request again. A service without an \
            `AUDIT_SIGNING_KEY` seals nothing."
    )]
    AuditEntryNotSealed,
    #[strum(
        message = "The endpoint is set by configuration",
        detailed_message = "Change `WFO_WEBHOOK_URL` and `WFO_WEBHOOK_SECRET` and restart the service."
    )]
    WebhookConfigured,
    #[strum(
        message = "The delivery cannot be repeated now",
        detailed_message = "It is due within a minute or waits for an earlier one of its campaign, or its endpoint is disabled. See \
            `GET /v1/webhooks/{id}/deliveries`."
    )]
    DeliveryPending,
    #[strum(message = "The endpoint is disabled", detailed_message = "Enable it with `POST /v1/webhooks/{id}/enable`.")]
    WebhookDisabled,
    #[strum(
        message = "The settings have changed since they were read",
        detailed_message = "Read them again, apply the change to the current settings, and send their `ETag` as `If-Match`."
    )]
    SettingsChanged,
    #[strum(message = "The body is too large", detailed_message = "Send at most 1 MiB; split larger batches.")]
    PayloadTooLarge,
    #[strum(message = "Unsupported content type", detailed_message = "Send `Content-Type: application/json`.")]
    UnsupportedMediaType,
    #[strum(
        message = "The request is invalid",
        detailed_message = "`errors` lists every fault: its JSON pointer, a code, and what is expected. Of more than 1000 faults \
            it has the first, and of each object the first 20 unknown members."
    )]
    InvalidRequest,
    #[strum(
        message = "The campaign is held during the requested window",
        detailed_message = "A compliance hold keeps the campaign from calling. Nothing was stored; ask for a window that \
            reaches past `earliestStart`."
    )]
    CampaignHeld,
    #[strum(
        message = "CXone refused the request",
        detailed_message = "The detail is CXone's reason. A callback has ended as `failed`; a pause has placed no hold. Send \
            it again when that is fixed."
    )]
    CxoneRejected,
    #[strum(
        message = "CXone has no forecast for the requested window",
        detailed_message = "Ask for a window that the campaign's forecast covers, or run the service with \
            `CALLBACK_WITHOUT_FORECAST=window-start`."
    )]
    NoForecast,
    #[strum(
        message = "The phone number is on a do-not-call list",
        detailed_message = "A do-not-call list of CXone has the number, and the campaign's settings ask for `checkDoNotCall`. \
            The callback has ended as `failed`. Do not call the number."
    )]
    OnDoNotCallList,
    #[strum(
        message = "This Idempotency-Key was used for another request",
        detailed_message = "Use a new key for each new request; repeat a key only with the same body."
    )]
    IdempotencyKeyReused,
    #[strum(
        message = "The API key has sent too many requests",
        detailed_message = "Wait for `Retry-After`. `RateLimit-Policy` has the rate of the key, and `RateLimit` what is left."
    )]
    RateLimitExceeded,
    #[strum(
        message = "Internal error",
        detailed_message = "The log has the cause under the `requestId`. It is safe to send the request again with the same \
            Idempotency-Key."
    )]
    Internal,
    #[strum(
        message = "Service unavailable",
        detailed_message = "Try again after `Retry-After`, with the same Idempotency-Key."
    )]
    Unavailable,
}

impl ProblemKind {
    /// The last part of the problem's `type`.
    pub fn slug(self) -> &'static str {
        self.into()
    }

    /// A short title for people.
    pub fn title(self) -> &'static str {
        self.get_message().unwrap_or_default()
    }

    /// What the sender can do about it.
    pub fn advice(self) -> &'static str {
        self.get_detailed_message().unwrap_or_default()
    }

    /// The status of the response, unless the problem itself has another.
    pub fn status(self) -> StatusCode {
        match self {
            Self::MalformedJson => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::CampaignNotAllowed | Self::KeyNotAllowed => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::DuplicateCallback
            | Self::AlreadyScheduled
            | Self::AlreadyEnded
            | Self::IdempotencyKeyInUse
            | Self::CampaignNotRunning
            | Self::HoldInForce
            | Self::OutsideRegulatoryWindow
            | Self::NoEncryptionKey
            | Self::NoDoNotCallLists
            | Self::NoAnswerRates
            | Self::AuditEntryNotSealed
            | Self::WebhookConfigured
            | Self::DeliveryPending
            | Self::WebhookDisabled
            | Self::KeyAlreadyRotated => StatusCode::CONFLICT,
            Self::SettingsChanged => StatusCode::PRECONDITION_FAILED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidRequest
            | Self::CampaignHeld
            | Self::CxoneRejected
            | Self::NoForecast
            | Self::OnDoNotCallList
            | Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimitExceeded => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}
