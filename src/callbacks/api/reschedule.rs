use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use validator::Validate;

use super::changed::{busy, changed};
use super::refusal::too_late;
use super::view::CallbackView;
use super::window::{
    ParseContext, RequestsWindow, in_the_future, inside_business_hours, instant, one_to_four_hours, within_90_days,
};
use crate::callbacks::intake::Callbacks;
use crate::callbacks::model::{Callback, Change, ChangeKind};
use crate::http::validation::{Member, Unknown};
use crate::http::{
    AuthorizedForCampaigns, JsonBody, PathParam, PreferredWait, Problem, ProblemKind, RequestContext, required,
};
use crate::types::TimeWindow;

/// How often one request tries to change a callback that others change at the same time.
const MAX_TRIES: usize = 3;

/// Another window for a callback
#[derive(Debug, Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewWindow)]
#[expect(clippy::duplicated_attributes, reason = "each `schema` rule has its own attributes")]
#[validate(context = "ParseContext<'v_a>")]
#[validate(schema(function = "one_to_four_hours", skip_on_field_errors = false))]
#[validate(schema(function = "inside_business_hours", use_context, skip_on_field_errors = false))]
pub(super) struct RescheduleRequest {
    /// The start of the window in which to call, at most 90 days ahead.
    #[schema(value_type = String, format = DateTime, required, example = "2026-11-20T18:00:00Z")]
    #[serde(default)]
    #[validate(required, custom(function = "instant"), custom(function = "within_90_days", use_context))]
    requested_start: Member<String, Timestamp>,
    /// The end of the window: 1 to 4 hours after `requestedStart`, and at least a minute in the future.
    #[schema(value_type = String, format = DateTime, required, example = "2026-11-20T20:00:00Z")]
    #[serde(default)]
    #[validate(required, custom(function = "instant"), custom(function = "in_the_future", use_context))]
    requested_end: Member<String, Timestamp>,
    #[serde(flatten)]
    #[schema(ignore)]
    #[validate(nested)]
    unknown: Unknown,
}

impl RequestsWindow for RescheduleRequest {
    fn start(&self) -> Option<Timestamp> {
        self.requested_start.parsed().copied()
    }

    fn end(&self) -> Option<Timestamp> {
        self.requested_end.parsed().copied()
    }
}

/// Reschedule a callback
///
/// Replaces its window, by the same rules as those of a new callback. Possible until CXone has, or may have, its contact; with
/// `CXONE_API=nice` until CXone calls. An attempt in the new window starts at once. A contact that CXone has is moved, and one
/// SMS announces the new time: 200 if that is done before the wait is over (3 s unless `Prefer` says otherwise), else 202, and
/// CXone is asked until it answers.
#[utoipa::path(post, path = "/v1/callbacks/{id}/reschedule", operation_id = "rescheduleCallback", tag = "Callbacks",
    security(("key" = ["callbacks:write"])),
    request_body(content = RescheduleRequest, example = json!({
        "requestedStart": "2026-11-20T18:00:00Z", "requestedEnd": "2026-11-20T20:00:00Z"})),
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header),
        ("Prefer" = Option<String>, Header,
            description = "`respond-async`: do not wait. `wait=N`: wait N seconds, 0 to 30")),
    responses((status = 200, description = "It has this window, now or by an earlier request", body = CallbackView),
        (status = 202, description = "Stored; CXone is asked to move the contact", body = CallbackView,
            headers(("Location" = String), ("Retry-After" = u32))),
        (status = 404),
        (status = 409, description = "`already-scheduled`, `already-ended`, or `duplicate-callback` with `existingId`"),
        (status = 422, description = "Invalid request; `campaign-held` or `outside-regulatory-window`, with `earliestStart`; \
            `no-forecast`")))]
pub(super) async fn reschedule(
    State(callbacks): State<Arc<Callbacks>>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::CallbacksWrite>,
    PathParam(id): PathParam<Uuid>,
    PreferredWait(wait): PreferredWait,
    JsonBody(request): JsonBody<RescheduleRequest>,
) -> Result<Response, Problem> {
    let found = callbacks.store.find(id).await?;
    if let Some(callback) = &found {
        context.require_campaign(&callback.campaign_id)?;
    }
    let rules = match &found {
        Some(callback) => Some(callbacks.rules.rules_of(&callback.campaign_id).await?),
        None => None,
    };
    let rules = rules.as_deref();
    // The faults of the body are reported even if there is no such callback.
    let window = request.valid_window(&ParseContext { region: &callbacks.region, now: context.clock.now(), rules });
    match found {
        // An earlier run of this request has changed the window, which may no longer be valid.
        Some(callback) if context.resource.repeated && request.window() == Some(callback.window) => {
            Ok(Json(CallbackView::from(callback)).into_response())
        }
        found => {
            let window = window?;
            let callback = found.ok_or_else(|| Problem::not_found("callback"))?;
            let wait = wait.unwrap_or(callbacks.default_wait);
            Box::pin(reschedule_callback(&callbacks, callback, window, wait, &context)).await
        }
    }
}

async fn reschedule_callback(
    callbacks: &Callbacks,
    mut callback: Callback,
    window: TimeWindow,
    wait: Duration,
    context: &RequestContext,
) -> Result<Response, Problem> {
    for _ in 0..MAX_TRIES {
        if callback.is_open() && callback.window == window && callback.change.is_none() {
            return changed(callback, true);
        }
        if callbacks.can_change(&callback) {
            return move_callback(callbacks, callback, window, wait, context).await;
        }
        if !callback.can_be_cancelled() {
            return Err(too_late(&callback));
        }
        if let Some(rescheduled) = callbacks.reschedule(&callback, window, context).await? {
            return changed(rescheduled, true);
        }
        // It has changed since it was read.
        callback = callbacks.store.find(callback.id).await?.ok_or_else(|| Problem::not_found("callback"))?;
    }
    Err(Problem::new(ProblemKind::Unavailable, "other requests change the callback at the same time").retry_after(1))
}

/// Moves the contact that CXone has.
async fn move_callback(
    callbacks: &Callbacks,
    callback: Callback,
    window: TimeWindow,
    wait: Duration,
    context: &RequestContext,
) -> Result<Response, Problem> {
    let change = Change::new(ChangeKind::Reschedule, Some(window), Some(context.request_id.clone()));
    let callback = callbacks.change(callback, change, wait, context).await?.ok_or_else(busy)?;
    let is_done = callback.change.is_none() && callback.window == window;
    changed(callback, is_done)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::campaigns::{CampaignSettings, PlacementRules};
    use crate::types::Region;

    /// The window, or `pointer code` of each fault. The campaign calls on Fridays from 9 to 16.
    fn parse(body: Value) -> Result<TimeWindow, Vec<String>> {
        let request: RescheduleRequest = serde_json::from_value(body).unwrap();
        let hours = json!({"timezone": "UTC", "days": [{"day": "FRIDAY", "startTime": "09:00", "endTime": "16:00"}]});
        let settings: CampaignSettings = serde_json::from_value(json!({ "businessHours": hours })).unwrap();
        let (region, rules) = (Region::parse("US").unwrap(), PlacementRules::new(settings, []));
        let now = "2026-11-20T12:00:00Z".parse().unwrap();
        request.valid_window(&ParseContext { region: &region, now, rules: Some(&rules) }).map_err(|problem| {
            let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
            let faults = problem.body(None, None)["errors"].as_array().cloned().unwrap();
            faults.iter().map(|fault| format!("{} {}", text(fault, "pointer"), text(fault, "code"))).collect()
        })
    }

    #[test]
    fn a_new_window_has_the_rules_of_the_window_of_a_new_callback() {
        let window = parse(json!({"requestedStart": "2026-11-20T13:00:00Z", "requestedEnd": "2026-11-20T14:00:00Z"}));
        assert_eq!(window.unwrap().start(), "2026-11-20T13:00:00Z".parse().unwrap());
        for (start, end, expected) in [
            (json!("2026-11-20T13:00:00Z"), Value::Null, vec!["/requestedEnd required"]),
            (json!(7), json!("later"), vec!["/requestedEnd not-a-timestamp", "/requestedStart wrong-type"]),
            (
                json!("2026-11-20T11:00:00Z"),
                json!("2026-11-20T10:00:00Z"),
                vec!["/requestedEnd window-in-the-past", "/requestedEnd window-backwards"],
            ),
            (
                json!("2027-11-20T13:00:00Z"),
                json!("2027-11-20T13:30:00Z"),
                vec!["/requestedEnd window-too-short", "/requestedStart too-far-ahead"],
            ),
            (
                json!("2026-11-20T14:30:00Z"),
                json!("2026-11-20T16:30:00Z"),
                vec!["/requestedStart outside-business-hours"],
            ),
        ] {
            let body = json!({"requestedStart": start, "requestedEnd": end});
            assert_eq!(parse(body.clone()).unwrap_err(), expected, "{body}");
        }
        let other = json!({"requestedStart": "2026-11-20T13:00:00Z", "language": "en", "timezone": "UTC"});
        let expected = ["/language unknown-member", "/requestedEnd required", "/timezone unknown-member"];
        assert_eq!(parse(other).unwrap_err(), expected);
    }
}
