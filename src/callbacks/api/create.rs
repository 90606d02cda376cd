use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use super::request::CallbackRequest;
use super::view::CallbackView;
use super::window::ParseContext;
use crate::callbacks::intake::Callbacks;
use crate::callbacks::model::{Callback, Failure, FailureCode, Status};
use crate::http::{AuthorizedForCampaigns, JsonBody, PreferredWait, Problem, ProblemKind, required};

/// The `Retry-After` of a 202, in seconds.
const RETRY_AFTER: u32 = 2;

/// Request a callback
///
/// It is stored before the response is sent. 201 if CXone has its contact before the wait is over (3 s unless `Prefer`
/// says otherwise), else 202: work on it continues, and `Location` shows its state.
#[utoipa::path(post, path = "/v1/callbacks", operation_id = "postCallback", tag = "Callbacks",
    security(("key" = ["callbacks:write"])),
    request_body(content = CallbackRequest, examples(
        ("required" = (summary = "The required members", value = json!({
            "phoneNumber": "(202) 555-0143", "requestedStart": "2026-11-20T15:00:00Z",
            "requestedEnd": "2026-11-20T16:00:00Z", "campaignId": "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8",
            "language": "en-US"}))),
        ("all" = (summary = "All members", value = json!({
            "phoneNumber": "+12025550198", "requestedStart": "2026-11-20T10:00:00-05:00",
            "requestedEnd": "2026-11-20T12:00:00-05:00", "campaignId": "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8",
            "language": "es-US", "timezone": "America/New_York", "externalId": "ticket-4711",
            "metadata": {"queue": "billing"}}))))),
    params(
        ("Idempotency-Key" = Option<String>, Header,
            description = "1 to 255 characters. A request with the same key and body gets the response of the first one"),
        ("Prefer" = Option<String>, Header,
            description = "`respond-async`: do not wait. `wait=N`: wait N seconds, 0 to 30"),
    ),
    responses((status = 201, description = "CXone has the contact", body = CallbackView),
        (status = 202, description = "Stored; work on it continues", body = CallbackView,
            headers(("Location" = String), ("Retry-After" = u32))),
        (status = 409, description = "`duplicate-callback`, with `existingId`"),
        (status = 422, description = "Invalid request, `cxone-rejected` or `no-forecast`; `campaign-held` or \
            `outside-regulatory-window`, with `earliestStart`")))]
pub(super) async fn create(
    State(callbacks): State<Arc<Callbacks>>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::CallbacksWrite>,
    PreferredWait(preferred): PreferredWait,
    JsonBody(request): JsonBody<CallbackRequest>,
) -> Result<Response, Problem> {
    if let Some(campaign) = request.campaign_id() {
        context.require_campaign(campaign)?;
    }
    let wait = preferred.unwrap_or(callbacks.default_wait);
    // A repeated request gets the callback that the first one has stored, even if it would no longer be valid.
    if context.resource.repeated
        && let Some(existing) = callbacks.store.find(context.resource.id).await?
    {
        let waiter = callbacks.waiters.add(existing.id);
        let callback = callbacks.outcome_of(existing, waiter, Instant::now() + wait).await;
        return response(callback, preferred);
    }
    let rules = match request.campaign_id() {
        Some(campaign) => Some(callbacks.rules.rules_of(campaign).await?),
        None => None,
    };
    let (now, rules) = (context.clock.now(), rules.as_deref());
    let new = request.parse(&ParseContext { region: &callbacks.region, now, rules })?;
    let callback = callbacks.accept(new, &context, wait).await?;
    response(callback, preferred)
}

/// 201 with a contact, 202 without one, and a problem if the callback has failed.
fn response(callback: Callback, preferred: Option<Duration>) -> Result<Response, Problem> {
    if callback.status == Status::Failed {
        return Err(failed(callback));
    }
    let is_scheduled = callback.status == Status::Scheduled;
    let status = if is_scheduled { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    let location = HeaderValue::from_str(&format!("/v1/callbacks/{}", callback.id));
    let mut response = (status, Json(CallbackView::from(callback))).into_response();
    let headers = response.headers_mut();
    if let Ok(location) = location {
        headers.insert(header::LOCATION, location);
    }
    if !is_scheduled {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
    }
    let applied = preferred.map(|wait| match wait.as_secs() {
        0 => "respond-async".to_owned(),
        seconds => format!("wait={seconds}"),
    });
    if let Some(applied) = applied.and_then(|applied| HeaderValue::from_str(&applied).ok()) {
        headers.insert(HeaderName::from_static("preference-applied"), applied);
    }
    Ok(response)
}

fn failed(callback: Callback) -> Problem {
    let refused = || Failure::new(FailureCode::CxoneRejected, "CXone refused");
    let failure = callback.failure.unwrap_or_else(refused);
    let kind = match failure.code {
        FailureCode::NoForecast => ProblemKind::NoForecast,
        FailureCode::OnDoNotCallList => ProblemKind::OnDoNotCallList,
        _ => ProblemKind::CxoneRejected,
    };
    // As `callback.failed`: the callback had been accepted.
    Problem::new(kind, failure.detail).with("callbackId", callback.id).recorded()
}
