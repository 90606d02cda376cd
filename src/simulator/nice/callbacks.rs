//! The scheduled callbacks, which NICE also calls commitments.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::answer::{Reply, invalid, list, ok, unknown};
use super::params::{Id, Params};
use crate::simulator::clock::now;
use crate::simulator::fields::{Fields, JsonBody, is_e164};
use crate::simulator::model::nice::callbacks::{Callback, WantedCallback};
use crate::simulator::model::{Model, Simulator};
use crate::simulator::refusal::Refusal;

/// In characters.
const LONGEST_NOTES: usize = 250;

const MEMBERS: [&str; 7] =
    ["firstName", "lastName", "phoneNumber", "skillId", "targetAgentId", "scheduleDate", "notes"];

/// `POST scheduled-callbacks`
pub(super) async fn create(State(simulator): State<Simulator>, JsonBody(body): JsonBody) -> Reply {
    let model = simulator.model();
    let wanted = parse(model, &body)?;
    let id = model.nice().callbacks.add(wanted, now());
    ok(json!({ "callbackId": id }))
}

/// `PUT scheduled-callbacks/{callbackId}`, with the whole body again.
pub(super) async fn update(State(simulator): State<Simulator>, Id(id): Id, JsonBody(body): JsonBody) -> Reply {
    let model = simulator.model();
    let wanted = parse(model, &body)?;
    if !model.nice().callbacks.update(id, wanted) {
        return Err(no_callback());
    }
    ok(json!({}))
}

/// `DELETE scheduled-callbacks/{callbackId}`. Which description counts is not known, so that both are required.
pub(super) async fn remove(
    State(simulator): State<Simulator>,
    Id(id): Id,
    params: Params,
    JsonBody(body): JsonBody,
) -> Reply {
    let in_body = Fields::known(&body, "", &["description"])?.non_empty_text("description")?;
    if params.text("description") != Some(in_body) {
        return Err(invalid("description"));
    }
    if !simulator.model().nice().callbacks.delete(id) {
        return Err(no_callback());
    }
    ok(json!({}))
}

fn no_callback() -> Refusal {
    unknown("InvalidCallbackId")
}

/// `GET skills/{skillId}/scheduled-callbacks`
pub(super) async fn of_skill(State(simulator): State<Simulator>, Id(id): Id) -> Reply {
    if simulator.model().skill(id).is_none() {
        return Err(unknown("InvalidSkillId"));
    }
    waiting(&simulator, |callback| callback.wanted.skill_id == id)
}

/// `GET agents/{agentId}/scheduled-callbacks`
pub(super) async fn of_agent(State(simulator): State<Simulator>, Id(id): Id) -> Reply {
    waiting(&simulator, |callback| callback.wanted.agent_id == Some(id))
}

fn waiting(simulator: &Simulator, is_wanted: impl Fn(&Callback) -> bool) -> Result<Response, Refusal> {
    let nice = simulator.model().nice();
    list("callbacks", nice.callbacks.waiting().filter(|callback| is_wanted(callback)).map(shown).collect())
}

fn shown(callback: &Callback) -> Value {
    let wanted = &callback.wanted;
    json!({
        "callbackId": callback.id,
        "target": if wanted.agent_id.is_some() { "A" } else { "S" },
        "agentId": wanted.agent_id.map_or(json!(-1), Value::from),
        "skillId": wanted.skill_id,
        "dialNumber": wanted.phone,
        "origNumber": "",
        "firstName": wanted.first_name,
        "lastName": wanted.last_name,
        "notes": wanted.notes,
        "callbackTime": without_zone(wanted.time),
    })
}

/// UTC, without saying so.
fn without_zone(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

fn parse(model: &Model, body: &Value) -> Result<WantedCallback, Refusal> {
    let fields = Fields::known(body, "", &MEMBERS)?;
    let phone = fields.text("phoneNumber")?;
    if !is_e164(phone) {
        return Err(Refusal::bad_request("Phone Number is not valid."));
    }
    let skill_id = number(fields.value("skillId")?).ok_or_else(|| Refusal::bad_request("InvalidSkillId"))?;
    let skill = model.skill(skill_id).ok_or_else(|| Refusal::bad_request("InvalidSkillId"))?;
    if !skill.takes_callbacks() {
        return Err(Refusal::bad_request("Skill is not valid."));
    }
    let agent_id = match fields.optional("targetAgentId") {
        Some(agent) if agent != "" => Some(number(agent).ok_or_else(|| invalid("targetAgentId"))?),
        _ => None,
    };
    let notes = fields.optional_text("notes")?.unwrap_or_default();
    if notes.chars().count() > LONGEST_NOTES {
        return Err(invalid("notes"));
    }
    let schedule_date = fields.text("scheduleDate")?;
    let time = model.nice().behaviour.moment(schedule_date).ok_or_else(|| invalid("scheduleDate"))?;
    Ok(WantedCallback {
        first_name: fields.non_empty_text("firstName")?.to_owned(),
        last_name: fields.non_empty_text("lastName")?.to_owned(),
        phone: phone.to_owned(),
        skill_id,
        agent_id,
        schedule_date: schedule_date.to_owned(),
        time,
        notes: notes.to_owned(),
    })
}

/// A whole number from 1, also as a string.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).filter(|number| *number > 0)
}
