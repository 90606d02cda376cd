//! Every CXone call passes through here: the request log, the quota, the latency, the faults, the token.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::campaigns::{Effect, ReceivedAt};
use super::fault_response;
use crate::simulator::clock::now;
use crate::simulator::fields::credentials;
use crate::simulator::model::faults::{Call, Fault, Kind};
use crate::simulator::model::{Model, Simulator};
use crate::simulator::refusal::Refusal;
use crate::simulator::route::{self, Route};

/// More than any call needs.
const BODY_LIMIT: usize = 1 << 20;

/// One request on its way to its handler.
struct PendingRequest {
    route: Route,
    parts: Parts,
    body: Bytes,
    next: Next,
    effect: Effect,
}

/// Logs the request, answers it, logs the answer.
pub(super) async fn handle(State(simulator): State<Simulator>, request: Request, next: Next) -> Response {
    let model = simulator.model();
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(ReceivedAt(now()));
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is over 1 MiB").into_response();
    };
    let route = Route::of(&parts);
    let number = model.request_log.lock().received(route, &parts, &body);
    let Some(response) =
        answer(model, number, PendingRequest { route, parts, body, next, effect: Effect::Immediate }).await
    else {
        return broken_connection();
    };
    model.request_log.lock().answered(number, response.status());
    response
}

/// The answer, or `None` for a connection that breaks without one.
async fn answer(model: &Model, number: u64, request: PendingRequest) -> Option<Response> {
    let admitted = model.quota.lock().admit();
    let latency = *model.latency.lock();
    pause(latency).await;
    if let Err(seconds) = admitted {
        return Some(over_quota(seconds));
    }
    let route = request.route;
    if route == Route::Unknown {
        return Some(unknown(&request.parts).into_response());
    }
    let call = request.call(model);
    let fault = model.faults.lock().next(&call, || model.random_share());
    let Some(fault) = fault else {
        return Some(request.run(model).await);
    };
    model.request_log.lock().faulty(number, fault.kind);
    apply_fault(model, &fault, request).await
}

/// The answer to a request that a fault applies to.
async fn apply_fault(model: &Model, fault: &Fault, mut request: PendingRequest) -> Option<Response> {
    let route = request.route;
    let mut delay = Duration::from_millis(fault.latency_ms.unwrap_or(0));
    match fault.kind {
        // The effect is delayed, not the answer.
        Kind::Late => request.effect = Effect::Delayed(std::mem::take(&mut delay)),
        Kind::Ignore => request.effect = Effect::None,
        _ => {}
    }
    if !fault.after_work {
        pause(delay).await;
    }
    let runs = fault.after_work || matches!(fault.kind, Kind::Latency | Kind::Late | Kind::Ignore);
    let response = if runs { Some(request.run(model).await) } else { None };
    if fault.after_work {
        pause(delay).await;
    }
    match fault.kind {
        Kind::Latency | Kind::Ignore => response,
        Kind::Late if fault.status.is_none() => std::future::pending().await,
        Kind::Status | Kind::Body | Kind::Late | Kind::RefuseAttribute => Some(fault_response::response(fault, route)),
        Kind::Hang => std::future::pending().await,
        Kind::Drop => None,
    }
}

impl PendingRequest {
    fn call(&self, model: &Model) -> Call<'_> {
        let campaign = self.parts.uri.path().strip_prefix(route::CAMPAIGNS);
        let changed = |id| model.campaigns.lock().attributes_changed_by(id, &self.body);
        let changes = campaign.filter(|_| self.route == Route::CampaignUpdate).map(changed).unwrap_or_default();
        Call { route: self.route, campaign, changes }
    }

    /// Checks the token and runs the handler.
    async fn run(mut self, model: &Model) -> Response {
        if let Some(scope) = self.route.scope() {
            let client = model.tokens.lock().client(credentials(&self.parts.headers, "bearer"), scope);
            match client {
                Ok(client) => self.parts.extensions.insert(client),
                Err(refusal) => return refusal.into_response(),
            };
        }
        self.parts.extensions.insert(self.effect);
        self.next.run(Request::from_parts(self.parts, Body::from(self.body))).await
    }
}

/// A response that breaks the connection: the body fails before the head is sent, so that nothing is sent at all.
pub(in crate::simulator) fn broken_connection() -> Response {
    let broken = io::Error::new(io::ErrorKind::ConnectionAborted, "dropped on purpose");
    Response::new(Body::from_stream(futures::stream::iter([Err::<Bytes, _>(broken)])))
}

/// Does not yield if there is nothing to wait for.
async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

fn over_quota(seconds: u64) -> Response {
    let description = format!("over the quota of requests a minute: wait {seconds} s");
    let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", description);
    ([(header::RETRY_AFTER, seconds.to_string())], refusal).into_response()
}

fn unknown(parts: &Parts) -> Refusal {
    let (method, path) = (&parts.method, parts.uri.path());
    if parts.extensions.get::<MatchedPath>().is_some() {
        return Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("{path} has no {method}"));
    }
    Refusal::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {path}"))
}
