//! The answers of CXone: JSON, or a refusal with a description.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// The answer of a handler.
pub(super) type Answer = Result<(StatusCode, Json<Value>), Refusal>;

/// The description of a refusal, as an extension of its response: the `nice` API repeats it in a header.
#[derive(Clone)]
pub(super) struct Description(pub(super) String);

/// Why CXone refused a request, as `{"error", "error_description"}`.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: &'static str,
    description: String,
}

impl Refusal {
    /// A refusal with any status and error.
    pub(super) fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into() }
    }

    /// 400: the request does not have the shape it must have.
    pub(super) fn bad_request(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    /// 422: the shape is right, a value is not.
    pub(super) fn unprocessable(description: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_value", description)
    }

    /// Its description.
    pub(super) fn description(&self) -> &str {
        &self.description
    }

    /// The same description as a 400.
    pub(super) fn into_bad_request(self) -> Self {
        Self::bad_request(self.description)
    }

    /// 404: there is no such campaign.
    pub(super) fn no_campaign(id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "campaign_not_found", format!("there is no campaign {id:?}"))
    }

    /// 401: the token is not valid.
    pub(super) fn token(description: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_token", description)
    }

    /// 401: the client's credentials are not valid.
    pub(super) fn client(description: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "error_description": self.description });
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = if self.error == "invalid_client" { "Basic" } else { "Bearer" };
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        }
        response.extensions_mut().insert(Description(self.description));
        response
    }
}
