//! `/console/audit`: search in the audit log.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use serde::Deserialize;
use strum::VariantArray as _;
use uuid::Uuid;

use super::audit_filter::{Filter, PATH};
use super::audit_verification::{Checkpoint, newest_checkpoint};
use crate::audit::Action;
use crate::console::extract::Query;
use crate::console::page::{Layout, Section, Visit, page, page_with};
use crate::console::problem::ApiProblem;
use crate::console::state::Console;
use crate::console::view::List;

/// The outcomes that the form offers.
const OUTCOMES: [&str; 6] = ["succeeded", "failed", "refused", "unchanged", "pending", "unknown"];

/// The routes of the page.
pub fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route(PATH, get(show))
        .route("/console/audit.csv", get(csv))
        .route("/console/fragments/audit", get(fragment))
}

/// The members of an entry that the list shows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    id: Uuid,
    timestamp: Timestamp,
    action: String,
    actor: Actor,
    outcome: String,
    campaign_id: Option<String>,
    callback_id: Option<Uuid>,
    previous_state: Option<String>,
    new_state: Option<String>,
}

#[derive(Deserialize)]
struct Actor {
    #[serde(rename = "type")]
    kind: String,
    name: String,
}

/// A part of the log.
#[derive(Default)]
struct Entries {
    data: Vec<Entry>,
    /// The address of the older ones.
    next: Option<String>,
}

impl Entries {
    async fn read(visit: &Visit, filter: &Filter) -> Result<Self, ApiProblem> {
        let List { data, next_cursor } = visit.api.get::<List<Entry>>(&filter.of_page()).await?;
        Ok(Self { data, next: next_cursor.map(|cursor| filter.next(&cursor)) })
    }
}

#[derive(Template)]
#[template(path = "console/audit.html")]
struct AuditPage {
    layout: Layout,
    filter: Filter,
    entries: Entries,
    /// What is wrong with the filter.
    problem: Option<ApiProblem>,
    /// Whether the person may see the checkpoint, if there is one.
    is_whole_log: bool,
    checkpoint: Option<Checkpoint>,
}

impl AuditPage {
    fn fault_of(&self, pointer: &str) -> Option<&str> {
        self.problem.as_ref()?.fault_of(pointer)
    }

    /// The actions that the form offers, by the noun of their slice.
    fn actions() -> Vec<(&'static str, Vec<&'static str>)> {
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for action in Action::VARIANTS.iter().map(|action| action.as_str()) {
            let noun = action.split('.').next().unwrap_or(action);
            match groups.last_mut() {
                Some((last, actions)) if *last == noun => actions.push(action),
                _ => groups.push((noun, vec![action])),
            }
        }
        groups
    }

    /// An action of the address that this version does not know.
    fn unknown_action(&self) -> Option<&str> {
        let is_known = self.filter.action.is_empty() || self.filter.action.parse::<Action>().is_ok();
        (!is_known).then_some(self.filter.action.as_str())
    }
}

#[derive(Template)]
#[template(path = "console/audit.html", block = "entries")]
struct EntriesFragment {
    filter: Filter,
    entries: Entries,
}

async fn show(visit: Visit, Query(filter): Query<Filter>) -> Result<Response, ApiProblem> {
    let (entries, problem) = match Entries::read(&visit, &filter).await {
        Ok(entries) => (entries, None),
        Err(problem) if problem.is_of_form() => (Entries::default(), Some(problem)),
        Err(problem) => return Err(problem),
    };
    // Others are refused the state of the whole log, and each refusal would be recorded.
    let is_whole_log = !visit.session.credentials.caller().campaigns.is_restricted();
    let checkpoint = if is_whole_log { newest_checkpoint(&visit).await? } else { None };
    let layout = visit.layout(Section::Audit);
    let status = problem.as_ref().map_or(StatusCode::OK, ApiProblem::status);
    page_with(status, &AuditPage { layout, filter, entries, problem, is_whole_log, checkpoint })
}

async fn fragment(visit: Visit, Query(filter): Query<Filter>) -> Result<Response, ApiProblem> {
    let entries = Entries::read(&visit, &filter).await?;
    page(&EntriesFragment { filter, entries })
}

/// The export of the API, as it comes.
async fn csv(visit: Visit, Query(filter): Query<Filter>) -> Result<Response, ApiProblem> {
    let accept = [(header::ACCEPT, "text/csv")];
    let answer = visit.api.stream(Method::GET, &filter.of_export(), None, &accept).await?;
    let (parts, body) = answer.into_parts();
    let mut response = Response::new(body);
    for name in [header::CONTENT_TYPE, header::CONTENT_DISPOSITION] {
        response.headers_mut().extend(parts.headers.get(&name).map(|value| (name, value.clone())));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;
    use crate::audit::Outcome;

    #[test]
    fn the_form_offers_every_action_once_and_every_outcome() {
        let offered: Vec<_> = AuditPage::actions().into_iter().flat_map(|(_, actions)| actions).collect();
        assert_eq!(offered, Action::VARIANTS.iter().map(|action| action.as_str()).collect::<Vec<_>>());
        assert!(OUTCOMES.iter().all(|outcome| outcome.parse::<Outcome>().is_ok()));
        assert_eq!(OUTCOMES, *<Outcome as strum::VariantNames>::VARIANTS);
    }
}
