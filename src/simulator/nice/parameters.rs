//! `GET` and `PUT skills/{skillId}/parameters/{group}`

use axum::extract::{Path, State};
use serde_json::{Map, Value, json};

use super::answer::{Reply, ok, unknown};
use super::params::Id;
use crate::simulator::fields::{Fields, JsonBody};
use crate::simulator::model::nice::parameters::Group;
use crate::simulator::model::{Model, Simulator};
use crate::simulator::refusal::Refusal;

pub(super) async fn read(
    State(simulator): State<Simulator>,
    Path((_, name)): Path<(String, String)>,
    Id(id): Id,
) -> Reply {
    let model = simulator.model();
    let group = group(model, id, &name)?;
    let members = model.nice().parameters.get(id, group);
    ok(if group == Group::TimeZones { json!({ group.member(): members }) } else { members })
}

/// Replaces the group: what is left out has its default again.
pub(super) async fn update(
    State(simulator): State<Simulator>,
    Path((_, name)): Path<(String, String)>,
    Id(id): Id,
    JsonBody(body): JsonBody,
) -> Reply {
    let model = simulator.model();
    let group = group(model, id, &name)?;
    let wanted = Fields::known(&body, "", &[group.member()])?.value(group.member())?;
    let members = match (group, wanted) {
        (Group::TimeZones, Value::Array(zones)) => {
            zones.iter().map(|zone| checked(group, zone)).collect::<Result<Vec<_>, _>>()?.into()
        }
        (Group::TimeZones, _) => return Err(Refusal::bad_request("InvalidParameter: timeZoneSettings must be a list")),
        _ => checked(group, wanted)?,
    };
    model.nice().parameters.put(id, group, members);
    ok(json!({}))
}

fn group(model: &Model, skill: u64, name: &str) -> Result<Group, Refusal> {
    let group = Group::named(name).ok_or_else(|| unknown("there are no such parameters"))?;
    model.skill(skill).map(|_| group).ok_or_else(|| unknown("InvalidSkillId"))
}

/// The members that were sent, over the defaults. Each must be known and have the type of its default.
fn checked(group: Group, sent: &Value) -> Result<Value, Refusal> {
    let defaults = group.defaults();
    let known: Map<String, Value> = defaults.as_object().cloned().unwrap_or_default();
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    let fields = Fields::known(sent, "", &names)?;
    let mut members = known.clone();
    for (name, default) in &known {
        if let Some(value) = fields.optional(name) {
            if std::mem::discriminant(value) != std::mem::discriminant(default) {
                return Err(Refusal::bad_request(format!("InvalidParameter: {name}")));
            }
            members.insert(name.clone(), value.clone());
        }
    }
    Ok(members.into())
}
