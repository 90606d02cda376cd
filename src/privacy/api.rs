//! `POST /v1/privacy/erase` and `GET /v1/privacy/export`.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;
use validator::{Validate, ValidateArgs as _, ValidationError};

use super::Privacy;
use super::erase::{AtCxone, Erased};
use super::export::{Export, Held};
use crate::audit::Entry;
use crate::callbacks::CallbackView;
use crate::db::is_pool_full;
use crate::http::validation::{Member, Unknown, valid};
use crate::http::{Authorized, JsonBody, KeptAnswer, Problem, ProblemKind, Query, required};
use crate::types::{Fault, PhoneNumber, Region};
use crate::webhooks::KeptEvent;

/// In seconds.
const RETRY_AFTER: u64 = 2;

/// The routes.
pub fn routes() -> OpenApiRouter<Privacy> {
    OpenApiRouter::new().routes(routes!(erase)).routes(routes!(export))
}

/// The person whose data is to be erased
#[derive(Debug, Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[schema(as = PrivacyErase)]
#[validate(context = Region)]
struct EraseRequest {
    /// In any form that a callback accepts.
    #[schema(value_type = String, required, example = "+12025550198")]
    #[serde(default)]
    #[validate(required, custom(function = "phone_number", use_context))]
    phone_number: Member<String, PhoneNumber>,
    #[serde(flatten)]
    #[schema(ignore)]
    #[validate(nested)]
    unknown: Unknown,
}

fn phone_number(member: &Member<String, PhoneNumber>, region: &Region) -> Result<(), ValidationError> {
    member.parse(|text| PhoneNumber::parse(text, region))
}

/// What was erased
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PrivacyErased)]
struct ErasedView {
    /// Open callbacks that were cancelled first.
    callbacks_cancelled: u64,
    /// Callbacks that have no phone number, external id, metadata or other text any more.
    callbacks_erased: u64,
    /// Requests with an `Idempotency-Key`, and their responses.
    idempotency_answers_erased: u64,
    /// Webhook events, with what receivers answered to them.
    webhook_events_erased: u64,
    /// False if callbacks are left: those below that are not erased, or some beyond the first 1,000. Send the request again
    /// when their windows have ended.
    complete: bool,
    /// What CXone has, or may have. Ringback cannot erase it.
    at_cxone: Vec<AtCxoneView>,
}

/// A callback that CXone has, or may have
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PrivacyAtCxone)]
struct AtCxoneView {
    callback_id: Uuid,
    /// The id of the contact in CXone.
    contact_id: String,
    /// False if CXone never said whether it has the contact.
    confirmed: bool,
    /// The id of the messaging session of the SMS, if it was sent.
    #[schema(required)]
    sms_session_id: Option<String>,
    /// Whether the callback is erased in Ringback. If not, it can be once its window has ended.
    erased: bool,
    /// The end of the window.
    requested_end: Timestamp,
}

impl From<AtCxone> for AtCxoneView {
    fn from(AtCxone { callback, erased }: AtCxone) -> Self {
        Self {
            callback_id: callback.id,
            confirmed: callback.contact_id.is_some(),
            // Where CXone has not given an id, it knows the contact by that of its callback.
            contact_id: callback.contact_id.map_or(callback.id.to_string(), |id| id.to_string()),
            requested_end: callback.window.end(),
            sms_session_id: callback.sms_session_id,
            erased,
        }
    }
}

impl From<Erased> for ErasedView {
    fn from(Erased { counts, at_cxone, complete }: Erased) -> Self {
        Self {
            callbacks_cancelled: counts.cancelled,
            callbacks_erased: counts.callbacks,
            idempotency_answers_erased: counts.idempotency_answers,
            webhook_events_erased: counts.webhook_events,
            complete,
            at_cxone: at_cxone.into_iter().map(AtCxoneView::from).collect(),
        }
    }
}

/// Erase what is held about a person
///
/// Cancels the open callbacks of the phone number that CXone does not have, and erases the number, the external ids, the metadata
/// and all other texts of those that have ended: in callbacks, in responses kept for an `Idempotency-Key`, and in webhook
/// events. The audit log is not changed: it has the masked number. Callbacks that CXone has, or may have, are kept until their
/// windows have ended. It may be repeated.
#[utoipa::path(post, path = "/v1/privacy/erase", operation_id = "erasePerson", tag = "Privacy",
    security(("key" = ["privacy:write"])),
    request_body(content = EraseRequest, example = json!({"phoneNumber": "+12025550198"})),
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = ErasedView), (status = 422)))]
async fn erase(
    State(privacy): State<Privacy>,
    Authorized(context, _): Authorized<required::PrivacyWrite>,
    JsonBody(request): JsonBody<EraseRequest>,
) -> Result<Json<ErasedView>, Problem> {
    valid(request.validate_with_args(&privacy.callbacks.region))?;
    let Some(number) = request.phone_number.into_parsed() else {
        return Err(Problem::fault("/phoneNumber", Fault::new("required", "is required")));
    };
    Ok(Json(privacy.erase(&number, &context).await?.into()))
}

/// What is held about a person
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PrivacyExport)]
struct ExportView {
    /// The keyed hash of the number in the audit log; null without an `AUDIT_HASH_KEY`.
    #[schema(required, example = "FfrPiQTRZddn-3xPR01H6g")]
    phone_number_hash: Option<String>,
    /// The audit entries of earlier requests to erase or to export, on the first page. They are found by the hash.
    requests: Vec<Entry>,
    /// The callbacks of the number, newest first. Those that are erased are found by the hash.
    data: Vec<HeldView>,
    /// Pass it as `cursor` to get the next page; null on the last one.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// A callback with everything that is held about it
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PrivacyHeld)]
struct HeldView {
    callback: CallbackView,
    /// Newest first, at most 200.
    audit_entries: Vec<Entry>,
    /// Oldest first.
    webhook_events: Vec<EventView>,
    /// The responses that are kept for an `Idempotency-Key`.
    idempotency_answers: Vec<AnswerView>,
}

/// A webhook event that is kept
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PrivacyWebhookEvent)]
struct EventView {
    id: Uuid,
    created_at: Timestamp,
    /// What is sent to receivers.
    #[schema(value_type = Object, example = json!({"type": "callback.scheduled"}))]
    body: Value,
    /// What receivers have answered, with phone numbers masked.
    answers: Vec<String>,
}

/// A response that is kept for an `Idempotency-Key`
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PrivacyAnswer)]
struct AnswerView {
    idempotency_key: String,
    created_at: Timestamp,
    /// Null while the request runs.
    #[schema(required, example = 201)]
    status: Option<i16>,
    #[schema(required, value_type = Option<Object>, example = json!({"status": "scheduled"}))]
    body: Option<Value>,
}

impl From<KeptEvent> for EventView {
    fn from(event: KeptEvent) -> Self {
        Self { id: event.id, created_at: event.created_at, body: event.body, answers: event.answers }
    }
}

impl From<KeptAnswer> for AnswerView {
    fn from(answer: KeptAnswer) -> Self {
        Self { idempotency_key: answer.key, created_at: answer.created_at, status: answer.status, body: answer.body }
    }
}

impl From<Held> for HeldView {
    fn from(held: Held) -> Self {
        Self {
            callback: held.callback.into(),
            audit_entries: held.entries,
            webhook_events: held.events.into_iter().map(EventView::from).collect(),
            idempotency_answers: held.answers.into_iter().map(AnswerView::from).collect(),
        }
    }
}

impl From<Export> for ExportView {
    fn from(export: Export) -> Self {
        Self {
            phone_number_hash: export.hash,
            requests: export.requests,
            data: export.callbacks.into_iter().map(HeldView::from).collect(),
            next_cursor: export.next_cursor,
        }
    }
}

/// Read what is held about a person
///
/// All callbacks of the phone number, each with its audit entries, webhook events and kept responses. Each page leaves an audit
/// entry.
#[utoipa::path(get, path = "/v1/privacy/export", operation_id = "exportPerson", tag = "Privacy",
    security(("key" = ["privacy:read"])),
    params(
        ("phoneNumber" = String, Query, example = "+12025550198", description = "In any form that a callback accepts"),
        ("limit" = Option<u8>, Query, description = "Callbacks of a page, 1 to 200; 50 where absent"),
        ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = ExportView), (status = 422)))]
async fn export(
    State(privacy): State<Privacy>,
    Authorized(context, _): Authorized<required::PrivacyRead>,
    mut query: Query,
) -> Result<Json<ExportView>, Problem> {
    let number = query.take_required("phoneNumber", |text| PhoneNumber::parse(text, &privacy.callbacks.region));
    let page = query.page();
    query.finish()?;
    let Some(number) = number else {
        return Err(Problem::fault("/phoneNumber", Fault::new("required", "is required")));
    };
    Ok(Json(privacy.export(&number, &page, &context).await.map_err(unreadable)?.into()))
}

fn unreadable(error: sqlx::Error) -> Problem {
    if is_pool_full(&error) {
        return Problem::new(ProblemKind::Unavailable, "no connection for reports became free in time")
            .retry_after(RETRY_AFTER);
    }
    error.into()
}
