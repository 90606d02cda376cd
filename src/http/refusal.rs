//! Which requests are refused changes, and what is known of them for the audit log.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use futures::future::BoxFuture;
use uuid::Uuid;

use super::caller::Caller;
use super::layers::{NO_ROUTE, method_label};
use super::problem::{MAX_AUDITED_FAULTS, Problem};
use super::request_info::RequestInfo;

/// Where refusals are recorded.
pub trait RefusalLog: Send + Sync {
    /// Returns once the refusal is committed, or left out. Waits no longer than a few seconds.
    fn record(&self, refusal: Refusal) -> BoxFuture<'_, ()>;
}

/// A request that was refused. No part of it was chosen freely by its sender, except the path.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// None without a valid API key.
    pub caller: Option<Caller>,
    /// The API key that was sent, if it exists and is revoked or expired.
    pub ended_key: Option<Uuid>,
    pub info: Arc<RequestInfo>,
    pub method: &'static str,
    /// The template of the path.
    pub route: String,
    pub status: u16,
    /// The slug of the problem; none if only items of the request were refused.
    pub problem: Option<&'static str>,
    /// The pointer and code of the first faults.
    pub faults: Vec<String>,
    /// The number of refused items by the slug of their problem.
    pub items: BTreeMap<&'static str, usize>,
}

/// An extension of responses: items of the request that were refused while others were accepted.
#[derive(Clone, Debug, Default)]
pub struct RefusedItems {
    by_problem: BTreeMap<&'static str, usize>,
    faults: Vec<String>,
}

impl RefusedItems {
    /// Counts one more.
    pub fn add(&mut self, problem: &Problem) {
        *self.by_problem.entry(problem.kind.slug()).or_default() += 1;
        for fault in problem.audited_faults() {
            if self.faults.len() < MAX_AUDITED_FAULTS && !self.faults.contains(&fault) {
                self.faults.push(fault);
            }
        }
    }
}

/// An extension of responses whose refusal is recorded, or was when the request was first sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recorded;

/// What is kept of a request in case it is refused.
#[derive(Clone, Debug)]
pub struct Received {
    pub caller: Option<Caller>,
    pub ended_key: Option<Uuid>,
    method: Method,
    route: Option<MatchedPath>,
    info: Option<Arc<RequestInfo>>,
}

impl Received {
    /// Of a request as it arrived.
    pub fn of(request: &Request) -> Self {
        let extensions = request.extensions();
        Self {
            caller: extensions.get::<Caller>().cloned(),
            ended_key: None,
            method: request.method().clone(),
            route: extensions.get::<MatchedPath>().cloned(),
            info: extensions.get::<Arc<RequestInfo>>().cloned(),
        }
    }

    /// Names the API key that was sent in the log line of the request.
    pub fn log_key(&self, id: Uuid) {
        if let Some(info) = &self.info {
            let _ = info.key_id.set(id);
        }
    }

    /// Records the request if its response is a refusal that is not recorded yet, and returns the response.
    pub async fn recorded(self, mut response: Response, log: &dyn RefusalLog) -> Response {
        if let Some(refusal) = self.refusal(&response) {
            log.record(refusal).await;
            response.extensions_mut().insert(Recorded);
        }
        response
    }

    fn refusal(self, response: &Response) -> Option<Refusal> {
        let (extensions, status) = (response.extensions(), response.status());
        let items = extensions.get::<RefusedItems>().filter(|items| !items.by_problem.is_empty());
        let is_refused = status.is_client_error() && (is_change(&self.method) || is_about_key(status));
        let problem = extensions.get::<Problem>();
        let is_recorded = extensions.get::<Recorded>().is_some() || problem.is_some_and(Problem::is_recorded);
        if is_recorded || !(is_refused || items.is_some()) {
            return None;
        }
        let RefusedItems { by_problem, faults } = items.cloned().unwrap_or_default();
        Some(Refusal {
            caller: self.caller,
            ended_key: self.ended_key,
            info: self.info?,
            method: method_label(&self.method),
            route: self.route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str).to_owned(),
            status: status.as_u16(),
            problem: problem.map(|problem| problem.kind.slug()),
            faults: problem.map_or(faults, Problem::audited_faults),
            items: by_problem,
        })
    }
}

fn is_change(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method)
}

/// Recorded for reads too: someone may be trying keys.
fn is_about_key(status: StatusCode) -> bool {
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status)
}
