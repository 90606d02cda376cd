//! Admits those who are signed in, and shows what goes wrong as a page.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum_extra::extract::CookieJar;

use super::client::with_query;
use super::page::{Layout, Visit, problem_page};
use super::problem::ApiProblem;
use super::state::Console;
use crate::http::{Cause, Problem, Received};

/// Where people sign in.
pub const SIGN_IN: &str = "/console/sign-in";
/// The requests of the script. It leads to the page for the sign-in by itself.
const OF_SCRIPT: [&str; 2] = ["/console/fragments/", "/console/events"];

/// Adds the [`Visit`] to the requests of those who are signed in. Others are led to the page for the sign-in.
pub async fn signed_in(
    State(console): State<Arc<Console>>,
    jar: CookieJar,
    mut request: Request,
    next: Next,
) -> Response {
    let session = match console.sessions.find(&jar).await {
        Ok(Some(session)) => session,
        Ok(None) => return to_sign_in(&request),
        Err(error) => return problem_page(error.into(), Layout::anonymous(None, console.clock.clone())),
    };
    Received::of(&request).log_key(session.owner());
    let api = console.api.client(session.credentials.clone(), Cause::of(request.extensions()));
    let visit = Visit::new(session, api, request.uri().query(), console.clock.clone());
    request.extensions_mut().insert(visit.clone());
    shown(next.run(request).await, || visit.plain_layout())
}

/// Shows the problems of pages for which nobody needs to be signed in.
pub async fn anyone(State(console): State<Arc<Console>>, request: Request, next: Next) -> Response {
    let received = Received::of(&request);
    let response = received.recorded(next.run(request).await, &*console.refusals).await;
    shown(response, || Layout::anonymous(None, console.clock.clone()))
}

/// The page for a problem that the response carries. A page that shows its problem itself stays as it is.
fn shown(mut response: Response, layout: impl FnOnce() -> Layout) -> Response {
    let of_service = response.extensions_mut().remove::<Problem>().map(ApiProblem::from);
    let problem = response.extensions_mut().remove::<ApiProblem>().or(of_service);
    let is_page = response.headers().contains_key(axum::http::header::CONTENT_TYPE);
    match problem {
        Some(problem) if !is_page => problem_page(problem, layout()),
        _ => response,
    }
}

fn to_sign_in(request: &Request) -> Response {
    let path = request.uri().path();
    if OF_SCRIPT.iter().any(|prefix| path.starts_with(prefix)) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let next = if request.method() == Method::GET { target } else { "" };
    Redirect::to(&with_query(SIGN_IN, [("next", next)])).into_response()
}
