//! The answers of faults.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

use crate::simulator::model::faults::Fault;
use crate::simulator::route::{Endpoint, Route, Wire};

/// The answer of a fault, for the kinds that answer.
pub(super) fn response(fault: &Fault, endpoint: Endpoint) -> Response {
    let default = if fault.attribute.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let status = fault.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(default);
    let mut response = match &fault.body {
        Some(Value::String(page)) if page.starts_with('<') => (status, Html(page.clone())).into_response(),
        Some(Value::String(text)) => (status, text.clone()).into_response(),
        Some(json) => (status, Json(json)).into_response(),
        None => (status, Json(default_body(status, endpoint))).into_response(),
    };
    if let Some(value) = fault.retry_after.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// A body like CXone's, for faults without one; a 403 names the scope.
fn default_body(status: StatusCode, endpoint: Endpoint) -> Value {
    let error = match status.as_u16() {
        401 if endpoint.route == Route::Token => "invalid_client",
        401 => "invalid_token",
        403 => "insufficient_scope",
        404 => "not_found",
        409 => "conflict",
        422 => "invalid_value",
        429 => "too_many_requests",
        500.. => "server_error",
        _ => "invalid_request",
    };
    let description = match endpoint.scope() {
        Some(_) if status == StatusCode::FORBIDDEN && endpoint.wire == Wire::Nice => {
            "the role of the user does not allow this".to_owned()
        }
        Some(scope) if status == StatusCode::FORBIDDEN => format!("the token lacks the scope {scope}"),
        _ => format!("the simulator is configured to answer {status}"),
    };
    json!({ "error": error, "error_description": description })
}
