//! Every CXone call passes through here: the request log, the quota, the latency, the faults, the token.

mod campaign;
mod fault_response;

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, OriginalUri, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::simulator::clock::now;
use crate::simulator::effect::{Effect, ReceivedAt};
use crate::simulator::fields::credentials;
use crate::simulator::model::faults::{Call, Fault, Kind};
use crate::simulator::model::{Model, Simulator};
use crate::simulator::refusal::{Description, Refusal};
use crate::simulator::route::{Endpoint, Route, Wire};

/// More than any call needs.
const BODY_LIMIT: usize = 1 << 20;

/// The reason of the answer, in the `nice` API.
const REASON: &str = "icstatusdescription";

/// One request on its way to its handler.
struct PendingRequest {
    endpoint: Endpoint,
    /// The campaign that it names.
    campaign: Option<String>,
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
    let endpoint = Endpoint::of(&parts);
    let campaign = campaign::named(model, endpoint, &parts, &body);
    let number = model.request_log.lock().received((endpoint.route, campaign.as_deref()), &parts, &body);
    let request = PendingRequest { endpoint, campaign, parts, body, next, effect: Effect::Immediate };
    let Some(mut response) = answer(&simulator, number, request).await else {
        return broken_connection();
    };
    model.request_log.lock().answered(number, response.status());
    if endpoint.is_service {
        add_reason(&mut response);
    }
    response
}

/// The answer, or `None` for a connection that breaks without one.
async fn answer(simulator: &Simulator, number: u64, request: PendingRequest) -> Option<Response> {
    let model = simulator.model();
    let admitted = model.quota.lock().admit();
    let latency = *model.latency.lock();
    pause(latency).await;
    if let Err(seconds) = admitted {
        return Some(over_quota(seconds, request.endpoint.wire));
    }
    if request.endpoint.route == Route::Unknown {
        return Some(unknown(&request.parts).into_response());
    }
    let call = request.call(model);
    let fault = model.faults.lock().next(&call, || model.random_share());
    let Some(fault) = fault else {
        return Some(request.run(model).await);
    };
    model.request_log.lock().faulty(number, fault.kind);
    apply_fault(simulator, &fault, request).await
}

/// The answer to a request that a fault applies to.
async fn apply_fault(simulator: &Simulator, fault: &Fault, mut request: PendingRequest) -> Option<Response> {
    let model = simulator.model();
    let endpoint = request.endpoint;
    let mut delay = Duration::from_millis(fault.latency_ms.unwrap_or(0));
    match fault.kind {
        // The change is checked now; its effect is delayed.
        Kind::Late if endpoint == CAMPAIGN_CHANGE => request.effect = Effect::Delayed(std::mem::take(&mut delay)),
        Kind::Late => {
            run_later(simulator.clone(), request, delay);
            return late_answer(fault, endpoint).await;
        }
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
        Kind::Late => late_answer(fault, endpoint).await,
        Kind::Status | Kind::Body | Kind::RefuseAttribute => Some(fault_response::response(fault, endpoint)),
        Kind::Hang => std::future::pending().await,
        Kind::Drop => None,
    }
}

/// The call whose handler delays its effect itself.
const CAMPAIGN_CHANGE: Endpoint = Endpoint { wire: Wire::V2, route: Route::CampaignUpdate, is_service: false };

/// Runs the whole call after this time. Nobody gets its answer.
fn run_later(simulator: Simulator, request: PendingRequest, delay: Duration) {
    tokio::spawn(async move {
        pause(delay).await;
        drop(request.run(simulator.model()).await);
    });
}

/// The answer to a call that takes effect later; without a status there is none.
async fn late_answer(fault: &Fault, endpoint: Endpoint) -> Option<Response> {
    if fault.status.is_none() {
        return std::future::pending().await;
    }
    Some(fault_response::response(fault, endpoint))
}

impl PendingRequest {
    fn call(&self, model: &Model) -> Call<'_> {
        let campaign = self.campaign.as_deref();
        let changed = |id| model.campaigns.lock().attributes_changed_by(id, &self.body);
        let changes = campaign.filter(|_| self.endpoint == CAMPAIGN_CHANGE).map(changed).unwrap_or_default();
        Call { route: self.endpoint.route, campaign, changes }
    }

    /// Checks the token and runs the handler.
    async fn run(mut self, model: &Model) -> Response {
        if let Some(scope) = self.endpoint.scope() {
            let client = model.tokens.lock().client(credentials(&self.parts.headers, "bearer"), scope);
            match client {
                Ok(client) => self.parts.extensions.insert(client),
                Err(refusal) => return refusal.into_response(),
            };
        }
        if self.endpoint.is_service && !accepts_json(&self.parts) {
            let description = "No known way to render data";
            return Refusal::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", description).into_response();
        }
        self.parts.extensions.insert(self.effect);
        self.next.run(Request::from_parts(self.parts, Body::from(self.body))).await
    }
}

/// Whether JSON is named in `Accept`. `*/*`, which HTTP clients send by themselves, is not enough.
fn accepts_json(parts: &Parts) -> bool {
    let accepted = parts.headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut types = accepted.flat_map(|value| value.split(',')).filter_map(|media| media.split(';').next());
    types.any(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

/// Repeats the reason of a refusal in a header, as the services do.
fn add_reason(response: &mut Response) {
    let refused = response.extensions().get::<Description>();
    let reason = match refused {
        Some(Description(text)) => HeaderValue::from_str(text).ok(),
        None => response.status().is_success().then(|| HeaderValue::from_static("Success")),
    };
    if let Some(reason) = reason {
        response.headers_mut().insert(REASON, reason);
    }
}

/// A response that breaks the connection: the body fails before the head is sent, so that nothing is sent at all.
pub(super) fn broken_connection() -> Response {
    let broken = io::Error::new(io::ErrorKind::ConnectionAborted, "dropped on purpose");
    Response::new(Body::from_stream(futures::stream::iter([Err::<Bytes, _>(broken)])))
}

/// Does not yield if there is nothing to wait for.
async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

/// Only the `v2` API says how long to wait.
fn over_quota(seconds: u64, wire: Wire) -> Response {
    let description = format!("over the quota of requests a minute: wait {seconds} s");
    let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", description);
    match wire {
        Wire::V2 => ([(header::RETRY_AFTER, seconds.to_string())], refusal).into_response(),
        Wire::Nice => refusal.into_response(),
    }
}

fn unknown(parts: &Parts) -> Refusal {
    let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri);
    let (method, path) = (&parts.method, uri.path());
    if parts.extensions.get::<MatchedPath>().is_some() {
        return Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("{path} has no {method}"));
    }
    Refusal::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {path}"))
}
