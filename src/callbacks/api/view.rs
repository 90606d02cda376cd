//! The callback in responses.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::callbacks::model::{CallOutcome, Callback, Confirmation, Failure, SkipReason, Status, TimezoneSource};
use crate::types::{CampaignId, ExternalId, Metadata, PhoneNumber};

/// A callback
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Callback, example = json!({
    "id": "01a1fcff-84aa-720d-83ca-60abacb44d8c", "status": "scheduled", "phoneNumber": "+12025550198",
    "campaignId": "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8", "requestedStart": "2026-11-20T15:00:00Z",
    "requestedEnd": "2026-11-20T17:00:00Z", "language": "es-US", "timezone": "America/New_York",
    "timezoneSource": "request", "dispatchTime": "2026-11-20T15:22:00Z", "contactId": "01a1fcff-84ab-7b53-a1c6-8d0f3f6f2f51",
    "confirmation": {"status": "sent", "reason": null, "smsSessionId": "7c1e6c7a"}, "atRisk": false, "failure": null,
    "outcome": null, "externalId": "ticket-4711", "metadata": {"queue": "billing"}, "attempts": 1, "nextAttemptAt": null,
    "createdAt": "2026-11-20T14:00:00Z", "updatedAt": "2026-11-20T14:00:01Z", "erasedAt": null}))]
pub struct CallbackView {
    id: Uuid,
    status: Status,
    /// Null if it is erased.
    #[schema(required, value_type = Option<String>, example = "+12025550198")]
    phone_number: Option<PhoneNumber>,
    #[schema(value_type = String, example = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8")]
    campaign_id: CampaignId,
    requested_start: Timestamp,
    requested_end: Timestamp,
    #[schema(example = "en-US")]
    language: String,
    /// The zone of the times in texts: that of the request, or that of the phone number where it is certain. Null for the
    /// default of the service.
    #[schema(required, example = "America/New_York")]
    timezone: Option<String>,
    timezone_source: TimezoneSource,
    /// When CXone calls. It lies in the requested window.
    #[schema(required)]
    dispatch_time: Option<Timestamp>,
    /// The id of the contact in CXone, once CXone has it.
    #[schema(required)]
    contact_id: Option<String>,
    confirmation: ConfirmationView,
    /// Whether a hold of the campaign covers the dispatch time.
    at_risk: bool,
    /// Why the callback failed, or the failure of the last attempt.
    #[schema(required)]
    failure: Option<Failure>,
    /// What became of the call. Null if CXone does not report it.
    #[schema(required)]
    outcome: Option<CallOutcome>,
    /// The client's own id of the callback.
    #[schema(required, value_type = Option<String>, example = "ticket-4711")]
    external_id: Option<ExternalId>,
    /// The pairs of text that the client added.
    #[schema(required, value_type = Option<HashMap<String, String>>, example = json!({"queue": "billing"}))]
    metadata: Option<Metadata>,
    /// The number of attempts so far.
    attempts: i32,
    /// When the next attempt is due; while an attempt runs, when its lease ends. Null if nothing is left to do.
    #[schema(required)]
    next_attempt_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// When the phone number and all texts of the callback were erased, by `POST /v1/privacy/erase`.
    #[schema(required)]
    erased_at: Option<Timestamp>,
}

/// The SMS that confirms a callback
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CallbackConfirmation)]
struct ConfirmationView {
    status: Confirmation,
    /// Why it is skipped.
    #[schema(required)]
    reason: Option<SkipReason>,
    /// The id of the messaging session in CXone, once the SMS is sent.
    #[schema(required)]
    sms_session_id: Option<String>,
}

impl From<Callback> for CallbackView {
    fn from(callback: Callback) -> Self {
        let (timezone, timezone_source) = callback.text_zone();
        Self {
            id: callback.id,
            status: callback.status,
            dispatch_time: callback.shown_dispatch_time(),
            phone_number: callback.erased_at.is_none().then_some(callback.phone_number),
            campaign_id: callback.campaign_id,
            requested_start: callback.window.start(),
            requested_end: callback.window.end(),
            language: callback.language.as_str().to_owned(),
            timezone: timezone.map(|zone| zone.name().to_owned()),
            timezone_source,
            contact_id: callback.contact_id.map(|id| id.to_string()),
            confirmation: ConfirmationView {
                status: callback.confirmation,
                reason: callback.skip_reason,
                sms_session_id: callback.sms_session_id,
            },
            at_risk: callback.at_risk,
            failure: callback.failure,
            outcome: callback.outcome,
            external_id: callback.external_id,
            metadata: callback.metadata,
            attempts: callback.attempts,
            next_attempt_at: callback.due_at,
            created_at: callback.created_at,
            updated_at: callback.updated_at,
            erased_at: callback.erased_at,
        }
    }
}
