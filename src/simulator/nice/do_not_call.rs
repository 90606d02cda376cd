//! The do-not-call group.

use axum::extract::State;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Reply, invalid, list, ok, unknown};
use super::params::{Id, Params};
use crate::simulator::clock::now;
use crate::simulator::fields::{Fields, JsonBody};
use crate::simulator::model::Simulator;
use crate::simulator::model::nice::do_not_call::{DoNotCall, GROUP_ID, GROUP_NAME, Record, is_number};
use crate::simulator::refusal::Refusal;

/// In one request.
const MOST_RECORDS: usize = 100;

/// `GET dnc-groups`
pub(super) async fn groups() -> Reply {
    let group = json!({ "dncGroupId": GROUP_ID, "dncGroupName": GROUP_NAME, "isActive": true });
    ok(json!({ "resultSet": { "totalGroups": 1, "dncGroups": [group] } }))
}

/// `POST dnc-groups/search?phoneNumber=`, with digits only.
pub(super) async fn search(State(simulator): State<Simulator>, params: Params) -> Reply {
    let digits = params.text("phoneNumber").filter(|digits| is_number(digits)).ok_or_else(|| invalid("phoneNumber"))?;
    let nice = simulator.model().nice();
    let results: Vec<Value> = nice.do_not_call.get(digits).into_iter().map(|record| shown(digits, record)).collect();
    ok(json!({ "searchResults": results }))
}

fn shown(digits: &str, record: &Record) -> Value {
    json!({
        "dncGroupId": GROUP_ID, "dncGroupName": GROUP_NAME, "formattedPhone": digits,
        "expiredDate": record.expires, "dateCollected": format!("{:.3}", record.collected),
    })
}

/// `POST dnc-groups/{id}/records`: numbers are numbers.
pub(super) async fn add(State(simulator): State<Simulator>, Id(id): Id, JsonBody(body): JsonBody) -> Reply {
    let at = now();
    let add = |list: &mut DoNotCall, record: &Value| {
        let fields = Fields::known(record, "dncGroupRecords.", &["phoneNumber", "expiredDate"])?;
        let digits = fields.value("phoneNumber")?.as_u64().ok_or_else(|| invalid("phoneNumber"))?.to_string();
        let expires = fields.optional_text("expiredDate")?;
        if expires.is_some_and(|date| date.parse::<Timestamp>().is_err()) {
            return Err(invalid("expiredDate"));
        }
        let added = list.add(&digits, Record { collected: at, expires: expires.map(str::to_owned) });
        Ok(result(&digits, added))
    };
    ok(json!({ "resultSet": batch(&simulator, id, &body, add)? }))
}

/// `DELETE dnc-groups/{id}/records`: numbers are strings, and the answer has no `resultSet`.
pub(super) async fn remove(State(simulator): State<Simulator>, Id(id): Id, JsonBody(body): JsonBody) -> Reply {
    let remove = |list: &mut DoNotCall, record: &Value| {
        let fields = Fields::known(record, "dncGroupRecords.", &["phoneNumber"])?;
        let digits = fields.text("phoneNumber")?;
        let removed = list.remove(digits);
        Ok(result(digits, removed))
    };
    ok(batch(&simulator, id, &body, remove)?)
}

/// Every record gets its own result, unless one has the wrong form.
fn batch(
    simulator: &Simulator,
    group: u64,
    body: &Value,
    apply: impl Fn(&mut DoNotCall, &Value) -> Result<Value, Refusal>,
) -> Result<Value, Refusal> {
    check_group(group)?;
    let records = Fields::known(body, "", &["dncGroupRecords"])?.value("dncGroupRecords")?.as_array();
    let records = records.filter(|records| (1..=MOST_RECORDS).contains(&records.len()));
    let records = records.ok_or_else(|| invalid("dncGroupRecords"))?;
    let mut nice = simulator.model().nice();
    let results: Vec<Value> =
        records.iter().map(|record| apply(&mut nice.do_not_call, record)).collect::<Result<_, _>>()?;
    let errors = results.iter().filter(|result| result["success"] == false).count();
    Ok(json!({ "errorCount": errors, "recordResults": results }))
}

fn result(digits: &str, outcome: Result<(), &'static str>) -> Value {
    json!({ "success": outcome.is_ok(), "error": outcome.err().unwrap_or_default(), "formattedPhone": digits })
}

/// `GET dnc-groups/{id}/scrubbed-skills`: all outbound skills.
pub(super) async fn scrubbed_skills(State(simulator): State<Simulator>, Id(id): Id) -> Reply {
    check_group(id)?;
    let skills = simulator.model().skills();
    let shown = skills.iter().filter(|skill| skill.is_outbound);
    let shown = shown.map(|skill| json!({ "skillId": skill.skill_id, "skillName": skill.skill_name }));
    list("scrubbedSkills", shown.collect())
}

fn check_group(id: u64) -> Result<(), Refusal> {
    if id == GROUP_ID { Ok(()) } else { Err(unknown("InvalidDncGroupId")) }
}
