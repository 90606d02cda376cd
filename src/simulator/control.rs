//! The control API; the module's documentation lists its calls.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Simulator;
use super::answer::{Answer, Refusal};
use super::campaigns::{CampaignState, with_revision};
use super::faults::Fault;
use super::fields::present;
use super::forecast::Forecast;
use super::route::Route;
use super::state::lock;
use super::tokens::ExpiresIn;

/// The routes under `/_control`.
pub(super) fn router() -> Router<Simulator> {
    Router::new()
        .route("/received", get(received).delete(forget_received))
        .route("/counts", get(counts))
        .route("/contacts", get(contacts))
        .route("/messages", get(messages))
        .route("/campaigns", get(campaigns))
        .route("/campaigns/{id}", put(put_campaign))
        .route("/changes", get(changes))
        .route("/behaviour", put(put_behaviour))
        .route("/campaigns/{id}/forecast", put(put_forecast).delete(delete_forecast))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/tokens", put(put_tokens))
        .route("/tokens/revoke", post(revoke_tokens))
        .route("/tokens/expire", post(expire_tokens))
        .route("/limits", put(put_limits))
        .route("/reset", post(reset))
        // Its own, so that a mistyped control path is not recorded as a CXone request.
        .fallback(async || Refusal::new(StatusCode::NOT_FOUND, "not_found", "the control API has no such path"))
}

/// Reads a body whatever content type it claims, so that a bare `curl -d` works.
fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad(error.to_string()))
}

#[derive(Deserialize)]
struct Filter {
    route: Option<Route>,
    campaign: Option<String>,
}

async fn received(State(simulator): State<Simulator>, Query(filter): Query<Filter>) -> Json<Vec<Value>> {
    let state = simulator.state();
    Json(lock(&state.journal).list(filter.route, filter.campaign.as_deref(), &state.settings.client_secret))
}

async fn forget_received(State(simulator): State<Simulator>) -> StatusCode {
    lock(&simulator.state().journal).clear();
    StatusCode::NO_CONTENT
}

async fn counts(State(simulator): State<Simulator>) -> Json<Value> {
    Json(lock(&simulator.state().journal).counts())
}

async fn contacts(State(simulator): State<Simulator>) -> Json<Vec<Value>> {
    Json(lock(&simulator.state().contacts).iter().map(|made| json!(made)).collect())
}

async fn messages(State(simulator): State<Simulator>) -> Json<Vec<Value>> {
    Json(lock(&simulator.state().messages).0.iter().map(|sent| json!(sent)).collect())
}

async fn campaigns(State(simulator): State<Simulator>) -> Json<Vec<Value>> {
    Json(lock(&simulator.state().campaigns).list())
}

#[derive(Deserialize)]
struct OfCampaign {
    campaign: Option<String>,
}

async fn changes(State(simulator): State<Simulator>, Query(filter): Query<OfCampaign>) -> Json<Vec<Value>> {
    Json(lock(&simulator.state().campaigns).changes(filter.campaign.as_deref()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Behaviour {
    resumes_itself: bool,
}

async fn put_behaviour(State(simulator): State<Simulator>, body: Bytes) -> Result<StatusCode, Refusal> {
    let behaviour: Behaviour = parsed(&body)?;
    lock(&simulator.state().campaigns).resume_themselves = behaviour.resumes_itself;
    Ok(StatusCode::NO_CONTENT)
}

/// What is absent stays as it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CampaignChange {
    state: Option<CampaignState>,
    max_agents: Option<u32>,
    dialing_mode: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pause_reason: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    scheduled_resume_time: Option<Option<String>>,
}

async fn put_campaign(State(simulator): State<Simulator>, Path(id): Path<String>, body: Bytes) -> Answer {
    let change: CampaignChange = parsed(&body)?;
    let mut campaigns = lock(&simulator.state().campaigns);
    let mut campaign = campaigns.current(&id).unwrap_or_default();
    campaign.state = change.state.unwrap_or(campaign.state);
    campaign.max_agents = change.max_agents.unwrap_or(campaign.max_agents);
    campaign.dialing_mode = change.dialing_mode.unwrap_or(campaign.dialing_mode);
    campaign.pause_reason = change.pause_reason.unwrap_or(campaign.pause_reason);
    campaign.scheduled_resume_time = change.scheduled_resume_time.unwrap_or(campaign.scheduled_resume_time);
    let revision = campaigns.put(&id, campaign.clone());
    Ok((StatusCode::OK, Json(with_revision(&id, &campaign, revision))))
}

async fn put_forecast(
    State(simulator): State<Simulator>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let forecast: Forecast = parsed(&body)?;
    lock(&simulator.state().forecasts).insert(id, forecast);
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_forecast(State(simulator): State<Simulator>, Path(id): Path<String>) -> StatusCode {
    lock(&simulator.state().forecasts).remove(&id);
    StatusCode::NO_CONTENT
}

async fn faults(State(simulator): State<Simulator>) -> Json<Vec<Value>> {
    Json(lock(&simulator.state().faults).list())
}

async fn add_fault(State(simulator): State<Simulator>, body: Bytes) -> Answer {
    let fault: Fault = parsed(&body)?;
    fault.check()?;
    let id = lock(&simulator.state().faults).add(fault);
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

async fn clear_faults(State(simulator): State<Simulator>) -> StatusCode {
    lock(&simulator.state().faults).clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(simulator): State<Simulator>, Path(id): Path<u64>) -> Result<StatusCode, Refusal> {
    if !lock(&simulator.state().faults).remove(id) {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "not_found", format!("there is no fault {id} any more")));
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TokenChange {
    #[serde(default, deserialize_with = "present")]
    lifetime_seconds: Option<Option<f64>>,
    #[serde(default, deserialize_with = "present")]
    raw_expires_in: Option<Value>,
}

async fn put_tokens(State(simulator): State<Simulator>, body: Bytes) -> Result<StatusCode, Refusal> {
    let change: TokenChange = parsed(&body)?;
    let mut tokens = lock(&simulator.state().tokens);
    match change.lifetime_seconds {
        Some(Some(seconds)) => {
            let lifetime = Duration::try_from_secs_f64(seconds);
            tokens.lifetime = lifetime.map_err(|error| Refusal::bad(format!("lifetimeSeconds: {error}")))?;
            tokens.expires_in = ExpiresIn::Lifetime;
        }
        Some(None) => tokens.expires_in = ExpiresIn::Omitted,
        None => {}
    }
    if let Some(raw) = change.raw_expires_in {
        tokens.expires_in = ExpiresIn::Raw(raw);
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke_tokens(State(simulator): State<Simulator>) -> StatusCode {
    lock(&simulator.state().tokens).revoke();
    StatusCode::NO_CONTENT
}

async fn expire_tokens(State(simulator): State<Simulator>) -> StatusCode {
    lock(&simulator.state().tokens).expire();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LimitChange {
    #[serde(default, deserialize_with = "present")]
    requests_per_minute: Option<Option<u32>>,
    latency_ms: Option<u64>,
}

async fn put_limits(State(simulator): State<Simulator>, body: Bytes) -> Result<StatusCode, Refusal> {
    let state = simulator.state();
    let change: LimitChange = parsed(&body)?;
    if let Some(limit) = change.requests_per_minute {
        lock(&state.quota).limit = limit;
    }
    if let Some(latency) = change.latency_ms {
        *lock(&state.latency) = Duration::from_millis(latency);
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn reset(State(simulator): State<Simulator>) -> StatusCode {
    let state = simulator.state();
    lock(&state.journal).clear();
    lock(&state.faults).clear();
    lock(&state.contacts).clear();
    lock(&state.messages).0.clear();
    lock(&state.quota).clear();
    lock(&state.campaigns).forget_changes();
    StatusCode::NO_CONTENT
}
