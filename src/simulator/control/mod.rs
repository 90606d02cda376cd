//! The control API; the module's documentation lists its calls.

mod nice;

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::fields::present;
use super::model::Simulator;
use super::model::campaign::{Campaign, CampaignState, with_revision};
use super::model::faults::Fault;
use super::model::forecast::Forecast;
use super::model::nice::skills::Link;
use super::model::tokens::ExpiresIn;
use super::refusal::{Answer, Refusal};
use super::route::Route;

/// The routes under `/_control`.
pub(super) fn router() -> Router<Simulator> {
    Router::new()
        .route("/received", get(received).delete(clear_received))
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
        .merge(nice::router())
        // A separate fallback, so that a mistyped control path is not logged as a CXone request.
        .fallback(async || Refusal::new(StatusCode::NOT_FOUND, "not_found", "the control API has no such path"))
}

/// Reads a body of any content type, so that a plain `curl -d` works.
fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(error.to_string()))
}

#[derive(Deserialize)]
struct Filter {
    route: Option<Route>,
    campaign: Option<String>,
}

async fn received(State(simulator): State<Simulator>, Query(filter): Query<Filter>) -> Json<Vec<Value>> {
    let model = simulator.model();
    Json(model.request_log.lock().list(filter.route, filter.campaign.as_deref(), &model.settings.client_secret))
}

async fn clear_received(State(simulator): State<Simulator>) -> StatusCode {
    simulator.model().request_log.lock().clear();
    StatusCode::NO_CONTENT
}

async fn counts(State(simulator): State<Simulator>) -> Json<Value> {
    Json(simulator.model().request_log.lock().counts())
}

async fn contacts(State(simulator): State<Simulator>) -> Json<Vec<Value>> {
    let model = simulator.model();
    let mut contacts: Vec<Value> = model.contacts.lock().iter().map(|contact| json!(contact)).collect();
    contacts.extend(nice::callbacks(model));
    Json(contacts)
}

async fn messages(State(simulator): State<Simulator>) -> Json<Vec<Value>> {
    let model = simulator.model();
    let mut messages: Vec<Value> = model.messages.lock().iter().map(|message| json!(message)).collect();
    messages.extend(nice::messages(model));
    Json(messages)
}

async fn campaigns(State(simulator): State<Simulator>) -> Json<Vec<Value>> {
    let model = simulator.model();
    let nice = model.nice();
    let mut campaigns = model.campaigns.lock().list();
    for campaign in &mut campaigns {
        let link = campaign["id"].as_str().and_then(|id| nice.skills.link_of(id));
        add_link(campaign, link);
    }
    Json(campaigns)
}

/// Adds what the campaign is called in the `nice` API.
fn add_link(campaign: &mut Value, link: Option<Link>) {
    if let Some(Link { number, skill_id }) = link {
        campaign["niceCampaignId"] = number.into();
        campaign["skillId"] = skill_id.into();
    }
}

#[derive(Deserialize)]
struct CampaignFilter {
    campaign: Option<String>,
}

async fn changes(State(simulator): State<Simulator>, Query(filter): Query<CampaignFilter>) -> Json<Vec<Value>> {
    Json(simulator.model().campaigns.lock().changes(filter.campaign.as_deref()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Behaviour {
    resumes_itself: bool,
}

async fn put_behaviour(State(simulator): State<Simulator>, body: Bytes) -> Result<StatusCode, Refusal> {
    let behaviour: Behaviour = parsed(&body)?;
    simulator.model().campaigns.lock().resume_themselves = behaviour.resumes_itself;
    Ok(StatusCode::NO_CONTENT)
}

/// Absent members are not changed.
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

impl CampaignChange {
    fn apply(self, campaign: Campaign) -> Campaign {
        Campaign {
            state: self.state.unwrap_or(campaign.state),
            max_agents: self.max_agents.unwrap_or(campaign.max_agents),
            dialing_mode: self.dialing_mode.unwrap_or(campaign.dialing_mode),
            pause_reason: self.pause_reason.unwrap_or(campaign.pause_reason),
            scheduled_resume_time: self.scheduled_resume_time.unwrap_or(campaign.scheduled_resume_time),
        }
    }
}

async fn put_campaign(State(simulator): State<Simulator>, Path(id): Path<String>, body: Bytes) -> Answer {
    let change: CampaignChange = parsed(&body)?;
    let model = simulator.model();
    let (campaign, revision) = model.change_campaign(&id, |campaign| change.apply(campaign));
    let mut shown = with_revision(&id, &campaign, revision);
    add_link(&mut shown, model.nice().skills.link_of(&id));
    Ok((StatusCode::OK, Json(shown)))
}

async fn put_forecast(
    State(simulator): State<Simulator>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let forecast: Forecast = parsed(&body)?;
    simulator.model().forecasts.lock().insert(id, forecast);
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_forecast(State(simulator): State<Simulator>, Path(id): Path<String>) -> StatusCode {
    simulator.model().forecasts.lock().remove(&id);
    StatusCode::NO_CONTENT
}

async fn faults(State(simulator): State<Simulator>) -> Json<Vec<Value>> {
    Json(simulator.model().faults.lock().list())
}

async fn add_fault(State(simulator): State<Simulator>, body: Bytes) -> Answer {
    let fault: Fault = parsed(&body)?;
    fault.check()?;
    let id = simulator.model().faults.lock().add(fault);
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

async fn clear_faults(State(simulator): State<Simulator>) -> StatusCode {
    simulator.model().faults.lock().clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(simulator): State<Simulator>, Path(id): Path<u64>) -> Result<StatusCode, Refusal> {
    if !simulator.model().faults.lock().remove(id) {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "not_found", format!("there is no fault {id}")));
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
    let mut tokens = simulator.model().tokens.lock();
    match change.lifetime_seconds {
        Some(Some(seconds)) => {
            let lifetime = Duration::try_from_secs_f64(seconds);
            tokens.lifetime = lifetime.map_err(|error| Refusal::bad_request(format!("lifetimeSeconds: {error}")))?;
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
    simulator.model().tokens.lock().revoke();
    StatusCode::NO_CONTENT
}

async fn expire_tokens(State(simulator): State<Simulator>) -> StatusCode {
    simulator.model().tokens.lock().expire();
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
    let model = simulator.model();
    let change: LimitChange = parsed(&body)?;
    if let Some(limit) = change.requests_per_minute {
        model.quota.lock().limit = limit;
    }
    if let Some(latency) = change.latency_ms {
        *model.latency.lock() = Duration::from_millis(latency);
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn reset(State(simulator): State<Simulator>) -> StatusCode {
    simulator.model().reset();
    StatusCode::NO_CONTENT
}
