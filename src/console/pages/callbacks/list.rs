//! `/console/callbacks`, with filters in the address. A phone number is never there: `search` takes it.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::model::Callback;
use crate::console::client::with_query;
use crate::console::extract::Query;
use crate::console::local_time::{DEFAULT_ZONE, parse_local_time};
use crate::console::page::{Layout, Section, Visit, page, page_with};
use crate::console::problem::ApiProblem;
use crate::console::state::Console;
use crate::console::view::List;
use crate::console::words::{self, Word};
use crate::http::Problem;

const FRAGMENT: &str = "/console/fragments/callbacks";
const STATUSES: [&str; 5] = ["accepted", "scheduled", "failed", "expired", "cancelled"];

/// The routes of the list.
pub fn routes() -> Router<Arc<Console>> {
    Router::new().route(Section::Callbacks.path(), get(show)).route(FRAGMENT, get(fragment))
}

/// The filters. The names are those of the fields.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filters {
    status: String,
    campaign_id: String,
    external_id: String,
    /// Local times, as `to`.
    from: String,
    to: String,
    zone: String,
    cursor: String,
}

impl Filters {
    /// The address of this list at `path`, from this cursor on.
    fn address(&self, path: &str, cursor: &str) -> String {
        let parameters = [
            ("status", self.status.as_str()),
            ("campaignId", &self.campaign_id),
            ("externalId", &self.external_id),
            ("from", &self.from),
            ("to", &self.to),
            ("zone", if self.has_times() { &self.zone } else { "" }),
            ("cursor", cursor),
        ];
        with_query(path, parameters)
    }

    fn has_times(&self) -> bool {
        !self.from.is_empty() || !self.to.is_empty()
    }

    fn is_filtered(&self) -> bool {
        let filters = [&self.status, &self.campaign_id, &self.external_id, &self.from, &self.to];
        filters.into_iter().any(|filter| !filter.is_empty())
    }

    fn zone_or_default(&self) -> &str {
        if self.zone.is_empty() { DEFAULT_ZONE } else { &self.zone }
    }

    /// The request for this list.
    fn request(&self) -> Result<String, ApiProblem> {
        let time = |name: &str, text: &str| {
            let at = parse_local_time(text, &self.zone).map_err(|fault| Problem::fault(name, fault))?;
            Ok::<_, ApiProblem>(at.map(|at| at.to_string()).unwrap_or_default())
        };
        let (from, to) = (time("/from", &self.from)?, time("/to", &self.to)?);
        let parameters = [
            ("status", self.status.as_str()),
            ("campaignId", self.campaign_id.trim()),
            ("externalId", self.external_id.trim()),
            ("from", &from),
            ("to", &to),
            ("cursor", &self.cursor),
        ];
        Ok(with_query("/v1/callbacks", parameters))
    }
}

/// What changes while somebody looks.
#[derive(Default)]
pub struct CallbackList {
    pub callbacks: Vec<Callback>,
    /// The address of the first page, if this is a later one.
    pub first: Option<String>,
    /// The address of the next page.
    pub next: Option<String>,
    /// Whether an empty list means that nothing matches.
    pub is_filtered: bool,
}

#[derive(Template)]
#[template(path = "console/callbacks.html")]
pub struct CallbacksPage {
    pub layout: Layout,
    pub filters: Filters,
    pub list: CallbackList,
    /// The address of the part that changes. None where it is not read again.
    pub source: Option<String>,
    pub problem: Option<ApiProblem>,
}

impl CallbacksPage {
    fn fault(&self, pointer: &str) -> Option<&str> {
        self.problem.as_ref()?.fault_of(pointer)
    }

    /// Each status in words, and whether it is the one of the filter.
    fn statuses(&self) -> [(&'static str, Word<'static>, bool); 5] {
        STATUSES.map(|status| (status, words::callback_status(status), self.filters.status == status))
    }
}

#[derive(Template)]
#[template(path = "console/callbacks.html", block = "list")]
struct CallbacksPart {
    list: CallbackList,
}

async fn show(visit: Visit, Query(filters): Query<Filters>) -> Result<Response, ApiProblem> {
    let layout = visit.layout(Section::Callbacks);
    let (list, problem) = match read(&visit, &filters).await {
        Ok(list) => (list, None),
        Err(problem) if problem.is_of_form() => (CallbackList::default(), Some(problem)),
        Err(problem) => return Err(problem),
    };
    let status = problem.as_ref().map_or(StatusCode::OK, ApiProblem::status);
    let source = problem.is_none().then(|| filters.address(FRAGMENT, &filters.cursor));
    page_with(status, &CallbacksPage { layout, filters, list, source, problem })
}

async fn fragment(visit: Visit, Query(filters): Query<Filters>) -> Result<Response, ApiProblem> {
    page(&CallbacksPart { list: read(&visit, &filters).await? })
}

async fn read(visit: &Visit, filters: &Filters) -> Result<CallbackList, ApiProblem> {
    let read: List<Callback> = visit.api.get(&filters.request()?).await?;
    let path = Section::Callbacks.path();
    Ok(CallbackList {
        callbacks: read.data,
        first: (!filters.cursor.is_empty()).then(|| filters.address(path, "")),
        next: read.next_cursor.map(|cursor| filters.address(path, &cursor)),
        is_filtered: filters.is_filtered(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times_of_the_filter_are_requested_as_instants() {
        let filters = Filters {
            status: "failed".into(),
            from: "2026-11-20T10:00".into(),
            zone: "America/New_York".into(),
            ..Filters::default()
        };
        assert_eq!(filters.request().unwrap(), "/v1/callbacks?status=failed&from=2026-11-20T15%3A00%3A00Z");
        let address = filters.address("/console/callbacks", "c");
        assert!(address.ends_with("&from=2026-11-20T10%3A00&zone=America%2FNew_York&cursor=c"), "{address}");
        let wrong = Filters { to: "later".into(), ..Filters::default() };
        assert!(wrong.request().unwrap_err().fault_of("/to").is_some());
    }
}
