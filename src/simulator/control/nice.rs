//! The part of the control API that concerns the `nice` API only.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::parsed;
use crate::simulator::clock::now;
use crate::simulator::model::campaign::{Campaign, CampaignState};
use crate::simulator::model::nice::dialer::Dialed;
use crate::simulator::model::nice::digital::CHANNEL;
use crate::simulator::model::nice::do_not_call::Record;
use crate::simulator::model::nice::history::History;
use crate::simulator::model::nice::skills::SkillChange;
use crate::simulator::model::nice::tenant::Behaviour;
use crate::simulator::model::nice::zones::zone;
use crate::simulator::model::{Model, Simulator};
use crate::simulator::refusal::{Answer, Refusal};

pub(super) fn router() -> Router<Simulator> {
    Router::new()
        .route("/nice", get(behaviour).put(put_behaviour))
        .route("/skills", get(skills))
        .route("/skills/{id}", put(put_skill))
        .route("/skills/{id}/history", put(put_history).delete(delete_history))
        .route("/skills/{id}/dialer", put(put_dialer).delete(delete_dialer))
        .route("/do-not-call", put(put_do_not_call))
}

/// The scheduled callbacks, in the form of contacts.
pub(super) fn callbacks(model: &Model) -> Vec<Value> {
    let nice = model.nice();
    let shown = nice.callbacks.iter().map(|callback| {
        let campaign = nice.skills.campaign_of(callback.wanted.skill_id);
        callback.shown(campaign)
    });
    shown.collect()
}

/// The Digital messages, in the form of `v2` messages.
pub(super) fn messages(model: &Model) -> Vec<Value> {
    let nice = model.nice();
    let shown = nice.digital.iter().map(|message| {
        json!({
            "at": message.at, "sessionId": message.id, "to": message.to, "from": CHANNEL, "message": message.text,
        })
    });
    shown.collect()
}

async fn behaviour(State(simulator): State<Simulator>) -> Json<Value> {
    Json(json!(simulator.model().nice().behaviour))
}

/// Absent members are not changed.
async fn put_behaviour(State(simulator): State<Simulator>, body: Bytes) -> Answer {
    let changes: serde_json::Map<String, Value> = parsed(&body)?;
    let mut nice = simulator.model().nice();
    let mut members = json!(nice.behaviour);
    for (name, value) in changes {
        members[name] = value;
    }
    let wanted: Behaviour = serde_json::from_value(members).map_err(|error| Refusal::bad_request(error.to_string()))?;
    if zone(&wanted.time_zone).is_none() {
        return Err(Refusal::bad_request(format!("no time zone {:?} is known here", wanted.time_zone)));
    }
    nice.behaviour = wanted;
    Ok((StatusCode::OK, Json(json!(nice.behaviour))))
}

async fn skills(State(simulator): State<Simulator>) -> Json<Value> {
    Json(json!(simulator.model().skills()))
}

async fn put_skill(State(simulator): State<Simulator>, Path(id): Path<u64>, body: Bytes) -> Answer {
    let model = simulator.model();
    let change: SkillChange = parsed(&body)?;
    let exists = |campaign: &String| model.campaigns.lock().get(campaign).is_some();
    if id == 0 || !change.campaign.as_ref().is_none_or(exists) {
        return Err(Refusal::bad_request("the id must be at least 1, and the campaign must exist"));
    }
    let started = model.nice().skills.campaign_started_by(id).map(str::to_owned);
    if let (Some(is_running), Some(campaign)) = (change.is_running, started) {
        run_campaign(model, &campaign, is_running);
    }
    model.nice().skills.put(id, change);
    let skill = model.skill(id).ok_or_else(|| Refusal::bad_request("there is no such skill"))?;
    Ok((StatusCode::OK, Json(json!(skill))))
}

/// Starts or pauses the campaign of a skill as another user would.
fn run_campaign(model: &Model, id: &str, is_running: bool) {
    let state = if is_running { CampaignState::Active } else { CampaignState::Paused };
    model.change_campaign(id, |campaign| Campaign {
        state,
        pause_reason: None,
        scheduled_resume_time: None,
        ..campaign
    });
}

async fn put_history(
    State(simulator): State<Simulator>,
    Path(id): Path<u64>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let history: History = parsed(&body)?;
    simulator.model().nice().histories.put(id, history);
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_history(State(simulator): State<Simulator>, Path(id): Path<u64>) -> StatusCode {
    simulator.model().nice().histories.remove(id);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DialerIntervals {
    intervals: Vec<Dialed>,
}

async fn put_dialer(
    State(simulator): State<Simulator>,
    Path(id): Path<u64>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let DialerIntervals { intervals } = parsed(&body)?;
    simulator.model().nice().dialers.put(id, intervals);
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_dialer(State(simulator): State<Simulator>, Path(id): Path<u64>) -> StatusCode {
    simulator.model().nice().dialers.remove(id);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Numbers {
    numbers: Vec<String>,
}

/// Replaces the numbers of the do-not-call group.
async fn put_do_not_call(State(simulator): State<Simulator>, body: Bytes) -> Result<StatusCode, Refusal> {
    let Numbers { numbers } = parsed(&body)?;
    let mut nice = simulator.model().nice();
    nice.do_not_call.clear();
    for number in &numbers {
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        let added = nice.do_not_call.add(&digits, Record { collected: now(), expires: None });
        added.map_err(|error| Refusal::bad_request(format!("{number}: {error}")))?;
    }
    Ok(StatusCode::NO_CONTENT)
}
