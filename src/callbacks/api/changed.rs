//! The answer to a request that changes a callback whose contact CXone has.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::refusal::too_late;
use super::view::CallbackView;
use crate::callbacks::model::{Callback, FailureCode, Status};
use crate::http::{Problem, ProblemKind};

/// The `Retry-After` of a 202, in seconds.
const RETRY_AFTER: u32 = 2;

/// 200 if the change is done, 202 while it is to be carried out, and a problem if CXone has refused it.
pub(super) fn changed(callback: Callback, is_done: bool) -> Result<Response, Problem> {
    if is_done {
        return Ok(Json(CallbackView::from(callback)).into_response());
    }
    if callback.change.is_none() {
        return Err(refused(&callback));
    }
    let location = HeaderValue::from_str(&format!("/v1/callbacks/{}", callback.id));
    let mut response = (StatusCode::ACCEPTED, Json(CallbackView::from(callback))).into_response();
    let headers = response.headers_mut();
    if let Ok(location) = location {
        headers.insert(header::LOCATION, location);
    }
    headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
    Ok(response)
}

fn refused(callback: &Callback) -> Problem {
    let Some(failure) = callback.failure.as_ref().filter(|_| callback.status == Status::Scheduled) else {
        return too_late(callback);
    };
    let kind = match failure.code {
        FailureCode::NoForecast => ProblemKind::NoForecast,
        FailureCode::CampaignHeld => ProblemKind::CampaignHeld,
        _ => ProblemKind::AlreadyScheduled,
    };
    // As `callback.change_refused`.
    Problem::new(kind, failure.detail.clone()).recorded()
}

/// Other requests change the callback at the same time.
pub(super) fn busy() -> Problem {
    Problem::new(ProblemKind::Unavailable, "another change of the callback is carried out first").retry_after(1)
}
