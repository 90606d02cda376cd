//! What the API answers instead of a success, as a page shows it.

use std::fmt;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::http::{Problem, ProblemKind};

/// A problem of the API (RFC 9457), or one of the console itself in the same form.
#[derive(Clone, Debug)]
pub struct ApiProblem(Box<ProblemBody>);

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProblemBody {
    /// `/problems/` and the slug.
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    request_id: Option<String>,
    #[serde(default)]
    errors: Vec<Fault>,
    /// In seconds. The body of an answer does not have it.
    #[serde(skip)]
    retry_after: Option<u64>,
}

/// What is wrong with a member of the request.
#[derive(Clone, Debug, Deserialize)]
pub struct Fault {
    pub pointer: String,
    pub detail: String,
}

impl ApiProblem {
    /// The problem of the body of an answer. `None` if it has none.
    pub fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok().map(Self)
    }

    pub fn title(&self) -> &str {
        &self.0.title
    }

    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The last part of its type, such as `hold-in-force`.
    pub fn slug(&self) -> &str {
        self.0.r#type.rsplit('/').next().unwrap_or_default()
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What `Retry-After` says, in seconds. Only for a problem of the console itself.
    pub fn retry_after(&self) -> Option<u64> {
        self.0.retry_after
    }

    /// Whether the page that sent the request shows the problem beside its form. It is about what the person has entered or
    /// about the state of what is shown.
    pub fn is_of_form(&self) -> bool {
        matches!(self.0.status, 400 | 409 | 412 | 422)
    }

    /// What is wrong with the member of a form, by its JSON Pointer.
    pub fn fault_of(&self, pointer: &str) -> Option<&str> {
        self.0.errors.iter().find(|fault| fault.pointer == pointer).map(|fault| fault.detail.as_str())
    }

    /// All faults, for the summary above a form.
    pub fn faults(&self) -> &[Fault] {
        &self.0.errors
    }
}

impl From<Problem> for ApiProblem {
    fn from(problem: Problem) -> Self {
        let kind = problem.kind;
        let body = serde_json::from_value(problem.body(None, None));
        let mut body: Box<ProblemBody> = body.unwrap_or_else(|_| {
            Box::new(ProblemBody {
                r#type: format!("/problems/{}", kind.slug()),
                title: kind.title().to_owned(),
                status: kind.status().as_u16(),
                detail: kind.advice().to_owned(),
                request_id: None,
                errors: Vec::new(),
                retry_after: None,
            })
        });
        body.retry_after = problem.retry_after_seconds();
        Self(body)
    }
}

impl From<sqlx::Error> for ApiProblem {
    fn from(error: sqlx::Error) -> Self {
        Problem::from(error).into()
    }
}

impl From<askama::Error> for ApiProblem {
    fn from(error: askama::Error) -> Self {
        tracing::error!(error = %error, "a page could not be written");
        Problem::new(ProblemKind::Internal, "the page could not be written").into()
    }
}

impl fmt::Display for ApiProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title(), self.detail())
    }
}

/// Carries the problem to the layer that knows who is signed in and shows it as a page.
impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types;

    #[test]
    fn a_problem_of_the_service_is_shown_with_its_faults() {
        let problem = Problem::fault("/language", types::Fault::new("unknown-language", "must be a language tag"));
        let shown = ApiProblem::from(problem);
        assert_eq!((shown.slug(), shown.status().as_u16()), ("invalid-request", 422));
        assert_eq!(shown.fault_of("/language"), Some("must be a language tag"));
        assert_eq!(shown.fault_of("/other"), None);
    }
}
