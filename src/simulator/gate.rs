//! What every CXone call passes through: the record, the quota, the latency, the faults, the token.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Simulator;
use super::answer::Refusal;
use super::campaigns::{Arrived, Manner};
use super::faults::{Call, Fault, Kind};
use super::route::{self, Route};
use super::state::{self, lock, now};

/// More than any call needs.
const BODY_LIMIT: usize = 1 << 20;

/// One request on its way to the resource that does the work.
struct Work {
    route: Route,
    parts: Parts,
    body: Bytes,
    next: Next,
    manner: Manner,
}

/// Records the request, answers it, records the answer.
pub(super) async fn pass(State(simulator): State<Simulator>, request: Request, next: Next) -> Response {
    let state = simulator.state();
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(Arrived(now()));
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is over 1 MiB").into_response();
    };
    let route = Route::of(&parts);
    let number = lock(&state.journal).received(route, &parts, &body);
    let Some(response) = answer(state, number, Work { route, parts, body, next, manner: Manner::AtOnce }).await else {
        return broken_connection();
    };
    lock(&state.journal).answered(number, response.status());
    response
}

/// The answer, or `None` for a connection that breaks without one.
async fn answer(state: &state::State, number: u64, work: Work) -> Option<Response> {
    let admitted = lock(&state.quota).admit();
    let latency = *lock(&state.latency);
    pause(latency).await;
    if let Err(seconds) = admitted {
        return Some(over_quota(seconds));
    }
    let route = work.route;
    if route == Route::Unknown {
        return Some(unknown(&work.parts).into_response());
    }
    let chance = || state.chance();
    let call = work.call(state);
    let fault = lock(&state.faults).next(&call, chance);
    let Some(fault) = fault else {
        return Some(work.done(state).await);
    };
    lock(&state.journal).faulty(number, fault.kind);
    gone_wrong(state, &fault, work).await
}

/// The answer to a request that meets a fault.
async fn gone_wrong(state: &state::State, fault: &Fault, mut work: Work) -> Option<Response> {
    let route = work.route;
    let mut delay = Duration::from_millis(fault.latency_ms.unwrap_or(0));
    match fault.kind {
        // The work alone is late, not the answer to the work.
        Kind::Late => work.manner = Manner::Late(std::mem::take(&mut delay)),
        Kind::Ignore => work.manner = Manner::Never,
        _ => {}
    }
    if !fault.after_work {
        pause(delay).await;
    }
    let works = fault.after_work || matches!(fault.kind, Kind::Latency | Kind::Late | Kind::Ignore);
    let done = if works { Some(work.done(state).await) } else { None };
    if fault.after_work {
        pause(delay).await;
    }
    match fault.kind {
        Kind::Latency | Kind::Ignore => done,
        Kind::Late if fault.status.is_none() => std::future::pending().await,
        Kind::Status | Kind::Body | Kind::Late | Kind::RefuseAttribute => Some(fault.answer(route)),
        Kind::Hang => std::future::pending().await,
        Kind::Drop => None,
    }
}

impl Work {
    fn call(&self, state: &state::State) -> Call<'_> {
        let campaign = self.parts.uri.path().strip_prefix(route::CAMPAIGNS);
        let changed = |id| lock(&state.campaigns).changed_by(id, &self.body);
        let changes = campaign.filter(|_| self.route == Route::CampaignUpdate).map(changed).unwrap_or_default();
        Call { route: self.route, campaign, changes }
    }

    /// Checks the token and lets the resource do the work.
    async fn done(mut self, state: &state::State) -> Response {
        if let Some(scope) = self.route.scope() {
            let caller = lock(&state.tokens).caller(&self.parts.headers, scope);
            match caller {
                Ok(caller) => self.parts.extensions.insert(caller),
                Err(refusal) => return refusal.into_response(),
            };
        }
        self.parts.extensions.insert(self.manner);
        self.next.run(Request::from_parts(self.parts, Body::from(self.body))).await
    }
}

/// An answer that breaks the connection: the body fails before its head has left, so that nothing is sent at all.
pub(super) fn broken_connection() -> Response {
    let broken = io::Error::new(io::ErrorKind::ConnectionAborted, "dropped on purpose");
    Response::new(Body::from_stream(futures::stream::iter([Err::<Bytes, _>(broken)])))
}

/// Does not even yield where there is nothing to wait for.
async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

fn over_quota(seconds: u64) -> Response {
    let words = format!("over the quota of requests a minute: wait {seconds} s");
    let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", words);
    ([(header::RETRY_AFTER, seconds.to_string())], refusal).into_response()
}

fn unknown(parts: &Parts) -> Refusal {
    let (method, path) = (&parts.method, parts.uri.path());
    if parts.extensions.get::<MatchedPath>().is_some() {
        return Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("{path} has no {method}"));
    }
    Refusal::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {path}"))
}
