//! The answers of the services.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::simulator::refusal::Refusal;

/// The answer of a handler.
pub(super) type Reply = Result<Response, Refusal>;

/// 200 with this body.
#[expect(clippy::unnecessary_wraps, reason = "the last expression of handlers that can refuse")]
pub(super) fn ok(body: Value) -> Reply {
    Ok((StatusCode::OK, Json(body)).into_response())
}

/// 204: no data.
pub(super) fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// 200 with the rows as this member, or 204 if there are none.
pub(super) fn list(member: &str, rows: Vec<Value>) -> Reply {
    if rows.is_empty() { Ok(nothing()) } else { ok(json!({ member: rows })) }
}

/// 404: there is nothing with this id.
pub(super) fn unknown(description: &'static str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "not_found", description)
}

/// 400: this value is not valid.
pub(super) fn invalid(what: &str) -> Refusal {
    Refusal::bad_request(format!("Invalid {what}"))
}
