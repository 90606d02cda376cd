//! The console's client of the API, in the same process. Rules, scopes, rates, audit entries and idempotency are those of the API:
//! the console reads and changes nothing in any other way.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt as _;
use url::form_urlencoded;

use super::problem::ApiProblem;
use crate::http::{Cause, Problem, ProblemKind};
use crate::keys::Credentials;

/// The largest answer that a page reads, in bytes. The largest page of a list has less.
const MAX_ANSWER: usize = 8 * 1024 * 1024;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The routes of the API, with the layers that authenticate, log and render problems.
#[derive(Clone)]
pub struct Api(Router);

impl Api {
    /// Sends requests to these routes.
    pub fn new(routes: Router) -> Self {
        Self(routes)
    }

    /// Sends requests as this person, while a request of theirs is answered.
    pub fn client(&self, credentials: Credentials, cause: Option<Cause>) -> Client {
        Client { api: self.clone(), credentials, cause }
    }
}

/// Sends requests as one person.
#[derive(Clone)]
pub struct Client {
    api: Api,
    credentials: Credentials,
    cause: Option<Cause>,
}

/// An answer with a success.
pub struct Answer(Bytes);

impl Answer {
    /// The members that a page shows.
    ///
    /// # Errors
    /// A 500 if the answer does not have them.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiProblem> {
        // An answer without a body is null.
        let body: &[u8] = if self.0.is_empty() { b"null" } else { &self.0 };
        serde_json::from_slice(body).map_err(|error| {
            tracing::error!(error = %error, "the console cannot read an answer of the API");
            unreadable()
        })
    }
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl Client {
    /// Reads.
    ///
    /// # Errors
    /// The problem that the API answers.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiProblem> {
        self.send(Method::GET, path, None, &[]).await?.json()
    }

    /// Sends a command. `once` is the key of [`Layout::once`](super::page::Layout::once) that the form had, so that a form that is
    /// sent twice has its effect once.
    ///
    /// # Errors
    /// The problem that the API answers.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        once: Option<&str>,
    ) -> Result<T, ApiProblem> {
        let once = once.map(|key| (IDEMPOTENCY_KEY, key));
        self.send(Method::POST, path, Some(body), once.as_slice()).await?.json()
    }

    /// Sends any request, and reads the whole answer.
    ///
    /// # Errors
    /// The problem that the API answers.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(HeaderName, &str)],
    ) -> Result<Answer, ApiProblem> {
        let response = self.stream(method, path, body, headers).await?;
        let body = axum::body::to_bytes(response.into_body(), MAX_ANSWER).await.map_err(|_| unreadable())?;
        Ok(Answer(body))
    }

    /// Sends any request, and returns the answer as it comes.
    ///
    /// # Errors
    /// The problem that the API answers.
    pub async fn stream(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(HeaderName, &str)],
    ) -> Result<Response, ApiProblem> {
        let mut request = Request::new(body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|_| ApiProblem::from(Problem::not_found("resource")))?;
        if body.is_some() {
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|_| unreadable())?;
            request.headers_mut().insert(name, value);
        }
        if let Some(cause) = &self.cause {
            request = cause.added_to(request);
        }
        request.extensions_mut().insert(self.credentials.clone());
        let Ok(response) = self.api.0.clone().oneshot(request).await;
        if response.status().is_success() {
            return Ok(response);
        }
        let body = axum::body::to_bytes(response.into_body(), MAX_ANSWER).await.unwrap_or_default();
        Err(ApiProblem::read(&body).unwrap_or_else(unreadable))
    }
}

fn unreadable() -> ApiProblem {
    Problem::new(ProblemKind::Internal, "the console cannot read the answer of the API").into()
}

/// A path with these parameters, without those that are empty.
pub fn with_query<'a>(path: &str, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let given = parameters.into_iter().filter(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_of_a_query_are_encoded_and_empty_ones_are_left_out() {
        assert_eq!(with_query("/v1/audit", [("actor", "a&b=c d"), ("from", "")]), "/v1/audit?actor=a%26b%3Dc+d");
        assert_eq!(with_query("/v1/audit", [("actor", "")]), "/v1/audit");
    }
}
