//! Every error response of the service: RFC 9457 `application/problem+json`.

mod kind;

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

pub use self::kind::ProblemKind;
use crate::db::is_transient;
use crate::types::Fault;

/// The most faults of a request that the audit log keeps.
pub(super) const MAX_AUDITED_FAULTS: usize = 20;
/// The most faults of one response.
const MAX_FAULTS: usize = 1000;

/// One fault in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldFault {
    /// Where it is: a JSON Pointer into the body, or `/` and the name of a query parameter.
    #[schema(example = "/phoneNumber")]
    pub pointer: String,
    /// A stable code for programs.
    #[schema(example = "not-a-phone-number")]
    #[schema(value_type = String)]
    pub code: Cow<'static, str>,
    /// What is expected, for people.
    pub detail: String,
    /// Whether the last part of the pointer is a name that the sender chose.
    #[serde(skip)]
    #[schema(ignore)]
    pub named_by_sender: bool,
}

impl FieldFault {
    /// A fault at a pointer of known names.
    pub fn new(pointer: String, fault: Fault) -> Self {
        Self { pointer, code: fault.code.into(), detail: fault.detail, named_by_sender: false }
    }
}

/// An error response before it is rendered. Rendering adds `instance` and `requestId`.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What went wrong.
    pub kind: ProblemKind,
    status: StatusCode,
    detail: String,
    errors: Vec<FieldFault>,
    extensions: Vec<(String, Value)>,
    retry_after: Option<u64>,
    is_recorded: bool,
    has_invalid_token: bool,
}

impl Problem {
    /// A problem of this kind, with the detail of this occurrence.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let (status, detail) = (kind.status(), detail.into());
        Self {
            kind,
            status,
            detail,
            errors: Vec::new(),
            extensions: Vec::new(),
            retry_after: None,
            is_recorded: false,
            has_invalid_token: false,
        }
    }

    /// A problem of this kind with the request itself: a 422, even where the kind usually has another status.
    pub fn unprocessable(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, ..Self::new(kind, detail) }
    }

    /// An invalid request, with all its faults. Of more than [`MAX_FAULTS`], the first.
    pub fn invalid(mut errors: Vec<FieldFault>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{} {}", one.pointer, one.detail),
            several if several.len() > MAX_FAULTS => {
                format!("{} faults; see the first {MAX_FAULTS} in errors", several.len())
            }
            several => format!("{} faults; see errors", several.len()),
        };
        errors.truncate(MAX_FAULTS);
        Self { errors, ..Self::new(ProblemKind::InvalidRequest, detail) }
    }

    /// An invalid request with one fault.
    pub fn fault(pointer: impl Into<String>, fault: Fault) -> Self {
        Self::invalid(vec![FieldFault::new(pointer.into(), fault)])
    }

    /// There is no such resource.
    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemKind::NotFound, format!("no such {what}"))
    }

    /// Whether the request was refused before anything was done, so that the same request may be accepted later.
    pub fn leaves_nothing(&self) -> bool {
        let refused = [ProblemKind::InvalidRequest, ProblemKind::CampaignHeld, ProblemKind::OutsideRegulatoryWindow];
        self.status == StatusCode::UNPROCESSABLE_ENTITY && refused.contains(&self.kind)
    }

    /// The pointer and code of the first 20 different faults, for the audit log. A name that the sender chose, which may be
    /// any text, is left out.
    pub fn audited_faults(&self) -> Vec<String> {
        let known = |fault: &FieldFault| match fault.pointer.rsplit_once('/') {
            Some((parent, _)) if fault.named_by_sender => parent.to_owned(),
            _ => fault.pointer.clone(),
        };
        let mut faults = Vec::new();
        for fault in self.errors.iter().map(|fault| format!("{} {}", known(fault), fault.code)) {
            if faults.len() == MAX_AUDITED_FAULTS {
                break;
            }
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
        faults
    }

    /// Says that the request has a token, which is not valid (RFC 6750).
    #[must_use]
    pub fn of_invalid_token(self) -> Self {
        Self { has_invalid_token: true, ..self }
    }

    /// Says that the audit log has this refusal already.
    #[must_use]
    pub fn recorded(self) -> Self {
        Self { is_recorded: true, ..self }
    }

    /// Whether the audit log has this refusal already.
    pub fn is_recorded(&self) -> bool {
        self.is_recorded
    }

    /// The pointer and code of each fault.
    #[cfg(test)]
    pub fn fault_codes(&self) -> Vec<String> {
        self.errors.iter().map(|fault| format!("{} {}", fault.pointer, fault.code)).collect()
    }

    /// Adds an extension member to the body.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.extensions.push((name.to_owned(), json!(value)));
        self
    }

    /// Adds `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// What `Retry-After` says, in seconds.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after
    }

    /// The body, with `instance` and `requestId` where they are known.
    pub fn body(&self, instance: Option<&str>, request_id: Option<&str>) -> Value {
        let mut body = Map::new();
        body.insert("type".into(), json!(format!("/problems/{}", self.kind.slug())));
        body.insert("title".into(), json!(self.kind.title()));
        body.insert("status".into(), json!(self.status.as_u16()));
        body.insert("detail".into(), json!(self.detail));
        let known = [("instance", instance), ("requestId", request_id)];
        body.extend(known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))));
        body.extend(self.extensions.clone());
        if !self.errors.is_empty() {
            body.insert("errors".into(), json!(self.errors));
        }
        Value::Object(body)
    }

    /// The whole response.
    pub fn render(&self, instance: &str, request_id: &str) -> Response {
        let body = self.body(Some(instance), Some(request_id)).to_string();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.kind == ProblemKind::Unauthorized {
            let challenge = if self.has_invalid_token {
                "Bearer realm=\"ringback\", error=\"invalid_token\""
            } else {
                "Bearer realm=\"ringback\""
            };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Carries the problem to the outermost layer, which knows the request and renders it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Postgres cannot be reached, or a query failed. The error is logged here, once, with its causes; the response has none of them.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        let transient = is_transient(&error);
        tracing::error!(error = format!("{:#}", anyhow::Error::new(error)), "a database query failed");
        if transient {
            return Self::new(ProblemKind::Unavailable, "the database cannot be reached").retry_after(2);
        }
        Self::new(ProblemKind::Internal, "a database query failed")
    }
}

/// The shape of a problem in the OpenAPI document.
#[derive(utoipa::ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "documentation only: a problem is written by Problem::body")]
pub struct ProblemSchema {
    /// `/problems/<slug>`: a page that says what it means and what to do.
    #[schema(example = "/problems/invalid-request")]
    r#type: String,
    title: String,
    #[schema(example = 422)]
    status: u16,
    detail: String,
    /// The path of the request.
    instance: String,
    #[serde(rename = "requestId")]
    request_id: String,
    /// Every fault of an invalid request.
    errors: Option<Vec<FieldFault>>,
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    #[test]
    fn every_kind_has_a_title_an_advice_and_an_error_status() {
        for kind in ProblemKind::VARIANTS {
            assert!(!kind.title().is_empty() && !kind.advice().is_empty(), "{kind:?}");
            assert!(kind.status().as_u16() >= 400, "{kind:?}");
        }
        assert_eq!(ProblemKind::IdempotencyKeyReused.slug(), "idempotency-key-reused");
    }

    #[test]
    fn a_problem_has_every_member_of_the_contract() {
        let problem = Problem::fault("/language", Fault::new("unknown-language", "must be a language tag"));
        assert_eq!(
            problem.body(Some("/v1/callbacks"), Some("r-1")),
            json!({
                "type": "/problems/invalid-request", "title": "The request is invalid", "status": 422,
                "detail": "/language must be a language tag", "instance": "/v1/callbacks", "requestId": "r-1",
                "errors": [{"pointer": "/language", "code": "unknown-language", "detail": "must be a language tag"}],
            })
        );
    }
}
