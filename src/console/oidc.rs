//! Signing in at the identity provider.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use serde::Deserialize;

use super::extract::Query;
use super::page::{Layout, page};
use super::problem::ApiProblem;
use super::session::Method;
use super::sign_in::local;
use super::state::Console;
use crate::http::{Cause, Problem, ProblemKind};
use crate::keys::Credentials;
use crate::oidc::{CodeFlow, PendingSignIn, SignInError};

/// What the browser keeps until it is led back.
const COOKIE: &str = "__Host-ringback-oidc";

/// The routes, which need no session.
pub fn routes() -> Router<Arc<Console>> {
    Router::new().route("/console/oidc/start", get(start)).route("/console/oidc/callback", get(finish))
}

/// A page that leads on by itself. A redirect would be a part of the navigation that the provider has begun, on which the browser
/// does not send a cookie that is `SameSite=Strict`.
#[derive(Template)]
#[template(path = "console/signed_in.html")]
struct SignedInPage {
    layout: Layout,
    next: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StartQuery {
    next: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CallbackQuery {
    code: String,
    state: String,
}

/// A link leads here, and not a form: `form-action` would not let the browser go on to the provider.
async fn start(
    State(console): State<Arc<Console>>,
    Query(query): Query<StartQuery>,
    jar: CookieJar,
) -> Result<Response, ApiProblem> {
    let (url, pending) = flow(&console)?.begin().await.map_err(|error| unavailable(&error))?;
    Ok((jar.add(cookie(&pending, local(&query.next))), Redirect::to(url.as_str())).into_response())
}

async fn finish(
    State(console): State<Arc<Console>>,
    Query(query): Query<CallbackQuery>,
    parts: Parts,
    jar: CookieJar,
) -> Result<Response, ApiProblem> {
    let flow = flow(&console)?;
    let kept = jar.get(COOKIE).and_then(|cookie| kept(cookie.value()));
    let (pending, next) = kept.ok_or_else(|| refused("this sign-in has begun in another browser, or too long ago"))?;
    if query.code.is_empty() {
        return Err(refused("the identity provider did not sign you in"));
    }
    let token = flow.finish(&pending, &query.state, &query.code).await.map_err(|error| unavailable(&error))?;
    if token.scopes.is_empty() {
        return Err(Problem::new(ProblemKind::Forbidden, "your account has no role for Ringback").into());
    }
    let request_id = Cause::of(&parts.extensions).map(|cause| cause.request_id().to_owned());
    let session = console.sessions.begin(&Credentials::Token(token), Method::Oidc, request_id).await?;
    let layout = Layout::anonymous(None, console.clock.clone());
    let page = page(&SignedInPage { layout, next })?;
    let mut used = Cookie::new(COOKIE, "");
    used.set_path("/");
    used.set_secure(true);
    used.make_removal();
    Ok((jar.add(session).add(used), page).into_response())
}

fn flow(console: &Console) -> Result<&CodeFlow, ApiProblem> {
    console.code_flow.as_deref().ok_or_else(|| Problem::not_found("page").into())
}

/// `Lax`: the provider leads the browser back from another site.
fn cookie(pending: &PendingSignIn, next: &str) -> Cookie<'static> {
    let PendingSignIn { state, nonce, verifier } = pending;
    let mut cookie = Cookie::new(COOKIE, format!("{state}.{nonce}.{verifier}.{next}"));
    cookie.set_http_only(true);
    cookie.set_secure(true);
    cookie.set_same_site(SameSite::Lax);
    cookie.set_path("/");
    cookie
}

fn kept(value: &str) -> Option<(PendingSignIn, String)> {
    let mut parts = value.splitn(4, '.').map(str::to_owned);
    let pending = PendingSignIn { state: parts.next()?, nonce: parts.next()?, verifier: parts.next()? };
    Some((pending, local(&parts.next()?).to_owned()))
}

fn refused(detail: &'static str) -> ApiProblem {
    Problem::new(ProblemKind::Unauthorized, detail).into()
}

fn unavailable(error: &SignInError) -> ApiProblem {
    tracing::warn!(error = %error, "a person could not be signed in");
    match error {
        SignInError::Provider(_) | SignInError::Random(_) => {
            Problem::new(ProblemKind::Unavailable, "the identity provider cannot be used now").into()
        }
        SignInError::Token(_) | SignInError::OtherSignIn => refused("the answer of the identity provider is not valid"),
    }
}
