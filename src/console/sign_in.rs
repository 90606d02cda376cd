//! Signing in with an API key or by a link, and signing out.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum_extra::extract::CookieJar;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::extract::{Form, Query};
use super::gate::SIGN_IN;
use super::page::{Layout, Section, Visit, done, page, page_with};
use super::problem::ApiProblem;
use super::session::Method;
use super::state::Console;
use super::token::RandomToken;
use super::words::Done;
use crate::http::{Cause, Problem, ProblemKind};
use crate::keys::{Credentials, MAX_KEY_LENGTH};

/// The longest address that a sign-in leads to, in bytes.
const MAX_NEXT: usize = 2048;

/// The routes that need no session.
pub fn routes() -> Router<Arc<Console>> {
    Router::new().route(SIGN_IN, get(show_form).post(sign_in)).route("/console/enter", get(show_link).post(enter))
}

/// The route that ends a session.
pub fn sign_out_route() -> Router<Arc<Console>> {
    Router::new().route("/console/sign-out", post(sign_out))
}

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignInPage {
    layout: Layout,
    next: String,
    fault: Option<&'static str>,
    /// The host of the identity provider, if people sign in there.
    provider: Option<String>,
}

impl SignInPage {
    fn new(console: &Console, next: &str, done: Option<Done>, fault: Option<&'static str>) -> Self {
        let layout = Layout::anonymous(done, console.clock.clone());
        let provider = console.code_flow.as_ref().map(|flow| flow.host().to_owned());
        Self { layout, next: next.to_owned(), fault, provider }
    }
}

#[derive(Template)]
#[template(path = "console/enter.html")]
struct EnterPage {
    layout: Layout,
    token: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SignInQuery {
    next: String,
    done: String,
}

#[derive(Deserialize)]
struct SignInForm {
    key: SecretString,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct LinkToken {
    #[serde(default)]
    token: String,
}

async fn show_form(
    State(console): State<Arc<Console>>,
    Query(query): Query<SignInQuery>,
    jar: CookieJar,
) -> Result<Response, ApiProblem> {
    let next = local(&query.next);
    if console.sessions.find(&jar).await?.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    page(&SignInPage::new(&console, next, query.done.parse().ok(), None))
}

async fn sign_in(
    State(console): State<Arc<Console>>,
    parts: Parts,
    jar: CookieJar,
    Form(form): Form<SignInForm>,
) -> Result<Response, ApiProblem> {
    let (secret, next) = (form.key.expose_secret().trim(), local(&form.next));
    let credentials = match secret.len() {
        1..=MAX_KEY_LENGTH => console.sessions.credentials_of_key(secret).await?,
        _ => None,
    };
    if let Some(credentials) = credentials {
        return begin(&console, &parts, jar, &credentials, Method::ApiKey, next).await;
    }
    let fault = Some("This API key is unknown, revoked or expired.");
    Ok(refused(page_with(StatusCode::UNAUTHORIZED, &SignInPage::new(&console, next, None, fault))?))
}

/// Programs that fetch the links of a text must not use them up: a button does.
async fn show_link(State(console): State<Arc<Console>>, Query(link): Query<LinkToken>) -> Result<Response, ApiProblem> {
    let layout = Layout::anonymous(None, console.clock.clone());
    page(&EnterPage { layout, token: link.token })
}

/// The cookie is `SameSite=Strict`: after a form of this host the browser sends it also where the link itself was on another one.
async fn enter(
    State(console): State<Arc<Console>>,
    parts: Parts,
    jar: CookieJar,
    Form(link): Form<LinkToken>,
) -> Result<Response, ApiProblem> {
    let credentials = match RandomToken::parse(&link.token) {
        Some(token) => console.sessions.credentials_of_link(&token).await?,
        None => None,
    };
    if let Some(credentials) = credentials {
        return begin(&console, &parts, jar, &credentials, Method::Link, Section::Overview.path()).await;
    }
    let fault = Some("This link was used before, or its time is over. Sign in with an API key.");
    let form = SignInPage::new(&console, Section::Overview.path(), None, fault);
    Ok(refused(page_with(StatusCode::UNAUTHORIZED, &form)?))
}

async fn begin(
    console: &Console,
    parts: &Parts,
    jar: CookieJar,
    credentials: &Credentials,
    method: Method,
    next: &str,
) -> Result<Response, ApiProblem> {
    let request_id = Cause::of(&parts.extensions).map(|cause| cause.request_id().to_owned());
    let cookie = console.sessions.begin(credentials, method, request_id).await?;
    Ok((jar.add(cookie), Redirect::to(next)).into_response())
}

/// The audit log has a sign-in that is refused as any request without a valid key.
fn refused(mut response: Response) -> Response {
    response.extensions_mut().insert(Problem::new(ProblemKind::Unauthorized, "no valid API key or link"));
    response
}

async fn sign_out(
    State(console): State<Arc<Console>>,
    visit: Visit,
    parts: Parts,
    jar: CookieJar,
) -> Result<Response, ApiProblem> {
    let request_id = Cause::of(&parts.extensions).map(|cause| cause.request_id().to_owned());
    let cookie = console.sessions.end(&visit.session, request_id).await?;
    Ok((jar.add(cookie), done(SIGN_IN, Done::SignedOut)).into_response())
}

/// An address of the console; its first page for anything else, so that a link to the sign-in leads nowhere else.
pub fn local(next: &str) -> &str {
    let is_plain = next.len() <= MAX_NEXT && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_console = next == "/console" || next.starts_with("/console/") || next.starts_with("/console?");
    if is_plain && is_console { next } else { Section::Overview.path() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_only_to_the_console() {
        for next in ["/console", "/console/callbacks?status=failed", "/console?done=paused"] {
            assert_eq!(local(next), next);
        }
        for next in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/v1/keys",
            "/consoles",
            "/console/a b",
            "/console/\r\nx",
        ] {
            assert_eq!(local(next), "/console", "{next}");
        }
    }
}
