//! What every page has: who is signed in, the sections, a message, and the client of the API.

use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use uuid::Uuid;

use super::client::{Client, with_query};
use super::problem::ApiProblem;
use super::session::Session;
use super::words::Done;
use crate::clock::Clock;
use crate::http::{Caller, Credential, Problem, ProblemKind, Scope};
use crate::types::AllowedCampaigns;

/// The parameter of an address that names what was done.
const DONE: &str = "done";

/// A part of the console, which the navigation lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Overview,
    Campaigns,
    Callbacks,
    Webhooks,
    Audit,
}

impl Section {
    const ALL: [Self; 5] = [Self::Overview, Self::Campaigns, Self::Callbacks, Self::Webhooks, Self::Audit];

    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Campaigns => "Campaigns",
            Self::Callbacks => "Callbacks",
            Self::Webhooks => "Webhooks",
            Self::Audit => "Audit",
        }
    }

    pub fn path(self) -> &'static str {
        match self {
            Self::Overview => "/console",
            Self::Campaigns => "/console/campaigns",
            Self::Callbacks => "/console/callbacks",
            Self::Webhooks => "/console/webhooks",
            Self::Audit => "/console/audit",
        }
    }

    /// The scope without which its pages show nothing.
    fn scope(self) -> Option<Scope> {
        match self {
            Self::Overview => None,
            Self::Campaigns => Some(Scope::CampaignsRead),
            Self::Callbacks => Some(Scope::CallbacksRead),
            Self::Webhooks => Some(Scope::WebhooksRead),
            Self::Audit => Some(Scope::AuditRead),
        }
    }
}

/// A request of somebody who is signed in: an argument of each handler.
#[derive(Clone)]
pub struct Visit {
    pub session: Arc<Session>,
    /// Sends requests to the API as this person.
    pub api: Client,
    caller: Caller,
    done: Option<Done>,
    clock: Clock,
}

impl Visit {
    /// The parts of a request with this session.
    pub fn new(session: Session, api: Client, query: Option<&str>, clock: Clock) -> Self {
        let parameters = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let done = parameters.into_iter().find(|(name, _)| name == DONE).and_then(|(_, code)| code.parse().ok());
        let caller = session.credentials.caller();
        Self { session: Arc::new(session), api, caller, done, clock }
    }

    /// What surrounds a page of this section.
    pub fn layout(&self, section: Section) -> Layout {
        Layout { current: Some(section), ..self.plain_layout() }
    }

    /// What surrounds a page of no section.
    pub fn plain_layout(&self) -> Layout {
        Layout { person: Some(Person::from(&self.caller)), ..Layout::anonymous(self.done, self.clock.clone()) }
    }

    /// Whether the person has the scope.
    pub fn may(&self, scope: Scope) -> bool {
        self.caller.scopes.contains(&scope)
    }

    /// Refuses a page that only leads to a command without the scope for it. The API refuses the command itself.
    ///
    /// # Errors
    /// A 403 that names the scope.
    pub fn require(&self, scope: Scope) -> Result<(), ApiProblem> {
        if self.may(scope) {
            return Ok(());
        }
        let detail = format!("this {} lacks the scope {scope}", self.caller.credential.noun());
        Err(Problem::new(ProblemKind::Forbidden, detail).with("scope", scope.as_str()).into())
    }

    /// All of them.
    pub fn scopes(&self) -> &[Scope] {
        &self.caller.scopes
    }

    /// The campaigns that the person may see.
    pub fn campaigns(&self) -> &AllowedCampaigns {
        &self.caller.campaigns
    }

    /// The time of the service.
    pub fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiProblem> {
        let visit = parts.extensions.get::<Self>().cloned();
        visit.ok_or_else(|| Problem::new(ProblemKind::Unauthorized, "sign in first").into())
    }
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Person {
    pub name: String,
    /// Whether that is the name of an API key.
    pub is_key: bool,
    scopes: Arc<[Scope]>,
}

impl From<&Caller> for Person {
    fn from(caller: &Caller) -> Self {
        let is_key = caller.credential == Credential::ApiKey;
        Self { name: caller.name.to_string(), is_key, scopes: Arc::clone(&caller.scopes) }
    }
}

/// What `base.html` needs. Every page has it as its field `layout`.
#[derive(Clone)]
pub struct Layout {
    pub person: Option<Person>,
    current: Option<Section>,
    done: Option<Done>,
    clock: Clock,
}

impl Layout {
    /// For a page that nobody needs to sign in for.
    pub fn anonymous(done: Option<Done>, clock: Clock) -> Self {
        Self { person: None, current: None, done, clock }
    }

    /// The sections that the person may see.
    pub fn sections(&self) -> Vec<Section> {
        let is_visible = |section: &Section| section.scope().is_none_or(|scope| self.may(scope));
        if self.person.is_some() { Section::ALL.into_iter().filter(is_visible).collect() } else { Vec::new() }
    }

    pub fn is_current(&self, section: &Section) -> bool {
        self.current == Some(*section)
    }

    /// What the form before this page has done.
    pub fn message(&self) -> Option<&'static str> {
        self.done.map(Done::text)
    }

    /// Whether the person has the scope: a button without it is not shown. The API refuses its request as well.
    pub fn may(&self, scope: Scope) -> bool {
        self.person.as_ref().is_some_and(|person| person.scopes.contains(&scope))
    }

    /// A key for [`Client::post`], different for each form.
    pub fn once(&self) -> Uuid {
        self.clock.new_id()
    }
}

/// A page that shows a problem.
#[derive(Template)]
#[template(path = "console/problem.html")]
struct ProblemPage {
    layout: Layout,
    problem: ApiProblem,
}

/// A page.
///
/// # Errors
/// A 500 if the template fails.
pub fn page(page: &impl Template) -> Result<Response, ApiProblem> {
    page_with(StatusCode::OK, page)
}

/// A page with this status, such as 422 for a form with faults.
///
/// # Errors
/// A 500 if the template fails.
pub fn page_with(status: StatusCode, page: &impl Template) -> Result<Response, ApiProblem> {
    Ok((status, Html(page.render()?)).into_response())
}

/// The page for a problem that no other page shows.
pub fn problem_page(problem: ApiProblem, layout: Layout) -> Response {
    let (status, retry_after) = (problem.status(), problem.retry_after());
    let page = page_with(status, &ProblemPage { layout, problem });
    let mut response = page.unwrap_or_else(|_| status.into_response());
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Leads to a page after a form was carried out, with a message there.
pub fn done(path: &str, done: Done) -> Response {
    Redirect::to(&with_query(path, [(DONE, done.code())])).into_response()
}
