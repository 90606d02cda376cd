//! The query and the form of a request. One that cannot be read is shown as a problem.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::page::Visit;
use super::problem::ApiProblem;
use super::security::MAX_FORM;
use crate::http::{BODY_DEADLINE, Problem, ProblemKind};
use crate::types::Fault;

/// The forms of people who are not signed in that are read at the same time. Anybody can send them slowly, and each takes the place
/// of another request.
const MAX_ANONYMOUS: usize = 64;
/// One for the whole process: an extractor of any state needs it.
static ANONYMOUS: Semaphore = Semaphore::const_new(MAX_ANONYMOUS);

/// The query of an address, which somebody may have edited.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiProblem> {
        let axum::extract::Query(query) = axum::extract::Query::try_from_uri(&parts.uri)
            .map_err(|_| unreadable("the address has parameters that this page cannot read"))?;
        Ok(Self(query))
    }
}

/// A form that a page has sent.
pub struct Form<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = ApiProblem;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiProblem> {
        let is_anonymous = request.extensions().get::<Visit>().is_none();
        // Held only while the form is read.
        let _slot = is_anonymous.then(|| ANONYMOUS.try_acquire()).transpose().map_err(|_| too_many())?;
        let form = axum_extra::extract::Form::<T>::from_request(request, state);
        let form = timeout(BODY_DEADLINE, form).await.map_err(|_| too_slow())?;
        let axum_extra::extract::Form(form) = form.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_long(),
            _ => unreadable("the form has fields that this page cannot read"),
        })?;
        Ok(Self(form))
    }
}

fn too_many() -> ApiProblem {
    Problem::new(ProblemKind::Unavailable, "too many requests at the same time").retry_after(1).into()
}

fn too_slow() -> ApiProblem {
    Problem::new(ProblemKind::RequestTimeout, "the form did not arrive within 10 seconds").into()
}

fn too_long() -> ApiProblem {
    let limit = format!("a form has at most {} KiB", MAX_FORM / 1024);
    Problem::new(ProblemKind::PayloadTooLarge, limit).into()
}

fn unreadable(detail: &'static str) -> ApiProblem {
    Problem::fault("", Fault::new("unreadable", detail)).into()
}
