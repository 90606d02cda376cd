//! What skills do now, and what they handled.

use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::answer::{Reply, invalid, list, unknown};
use super::params::{Id, Params};
use crate::simulator::clock::now;
use crate::simulator::model::nice::dialer::Dialed;
use crate::simulator::model::nice::history::{History, Interval};
use crate::simulator::model::nice::skills::Skill;
use crate::simulator::model::{Model, Simulator};
use crate::simulator::refusal::Refusal;

/// The ids of a skill's agents begin after this.
const FIRST_AGENT: u32 = 7000;
const MOST_AGENTS: u32 = 10_000;
const LARGEST_PAGE: u64 = 100;
const DIALER_STATISTICS: &str = "wfM_OB_StatsV9";

/// `GET skills/activity`
pub(super) async fn activity(State(simulator): State<Simulator>, params: Params) -> Reply {
    let model = simulator.model();
    let skills = chosen(model, &params)?;
    list("skillActivity", skills.iter().map(|skill| activity_row(model, skill)).collect())
}

/// `GET skills/{skillId}/activity`
pub(super) async fn activity_of_skill(State(simulator): State<Simulator>, Id(id): Id) -> Reply {
    let model = simulator.model();
    list("skillActivity", vec![activity_row(model, &skill(model, id)?)])
}

/// The skills that the parameters of a report choose.
fn chosen(model: &Model, params: &Params) -> Result<Vec<Skill>, Refusal> {
    let (media, is_outbound) = (params.number("mediaTypeId")?, params.flag("isOutbound")?);
    let is_wanted = |skill: &Skill| {
        media.is_none_or(|media| media == skill.media_type_id)
            && is_outbound.is_none_or(|is_outbound| is_outbound == skill.is_outbound)
    };
    Ok(model.skills().into_iter().filter(is_wanted).collect())
}

fn skill(model: &Model, id: u64) -> Result<Skill, Refusal> {
    model.skill(id).ok_or_else(|| unknown("InvalidSkillId"))
}

fn activity_row(model: &Model, skill: &Skill) -> Value {
    let now = now();
    let nice = model.nice();
    let active = nice.calls.list(now, false).filter(|call| call.skill_id == skill.skill_id).count();
    let zone = nice.behaviour.zone();
    let logged_in = nice.histories.get(skill.skill_id).agents_at(&zone, now);
    let working = u32::try_from(active).unwrap_or(u32::MAX).min(logged_in);
    json!({
        "serverTime": format!("{now:.3}"),
        "skillId": skill.skill_id,
        "skillName": skill.skill_name,
        "isOutbound": skill.is_outbound,
        "isActive": skill.is_active,
        "agentsLoggedIn": logged_in,
        "agentsAvailable": logged_in - working,
        "agentsWorking": working,
        "agentsIdle": logged_in - working,
        "agentsACW": 0,
        "agentsUnavailable": 0,
        "contactsActive": active,
        "queueCount": 0,
        "earliestQueueTime": Value::Null,
        "serviceLevel": 100,
    })
}

/// What the default histories are computed from.
fn history(model: &Model, skill: u64, range: (Timestamp, Timestamp)) -> (History, Vec<Interval>) {
    let nice = model.nice();
    let history = nice.histories.get(skill);
    let seed = model.settings.seed.wrapping_add(skill);
    let intervals = history.intervals(seed, &nice.behaviour.zone(), range, now());
    (history, intervals)
}

/// `GET skills/summary`
pub(super) async fn summary(State(simulator): State<Simulator>, params: Params) -> Reply {
    let model = simulator.model();
    let range = params.range()?;
    let skills = chosen(model, &params)?;
    list("skillSummaries", skills.iter().map(|skill| summary_row(model, skill, range)).collect())
}

/// `GET skills/{skillId}/summary`
pub(super) async fn summary_of_skill(State(simulator): State<Simulator>, Id(id): Id, params: Params) -> Reply {
    let model = simulator.model();
    let range = params.range()?;
    list("skillSummaries", vec![summary_row(model, &skill(model, id)?, range)])
}

/// All values are strings; times are ISO 8601 durations.
fn summary_row(model: &Model, skill: &Skill, range: (Timestamp, Timestamp)) -> Value {
    let (_, intervals) = history(model, skill.skill_id, range);
    let sum = |value: fn(&Interval) -> u32| intervals.iter().map(|interval| u64::from(value(interval))).sum::<u64>();
    let (contacts, handled) = (sum(|interval| interval.contacts), sum(|interval| interval.handled));
    let seconds = sum(|interval| interval.handled * interval.handle_time).checked_div(handled).unwrap_or(0);
    let average = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0)).to_string();
    json!({
        "skillId": skill.skill_id.to_string(),
        "skillName": skill.skill_name,
        "contactsOffered": contacts.to_string(),
        "contactsHandled": handled.to_string(),
        "contactsQueued": contacts.to_string(),
        "abandonCount": (contacts - handled).to_string(),
        "abandonRate": format!("{}", (contacts - handled) * 100 / contacts.max(1)),
        "averageHandleTime": average,
        "dials": sum(|interval| interval.dials).to_string(),
        "connects": contacts.to_string(),
        "connectsAHT": average,
        "rightPartyConnects": handled.to_string(),
    })
}

/// `GET wfm-data/skills/contacts`
pub(super) async fn contacts(State(simulator): State<Simulator>, params: Params) -> Reply {
    let rows = intervals(simulator.model(), &params, |skill, interval| {
        json!({
            "intervalStartDate": interval.start, "skillId": skill.skill_id, "isOutbound": skill.is_outbound,
            "totalContacts": interval.contacts, "totalHandled": interval.handled,
            "averageHandleTime": interval.handle_time, "abandonCount": interval.contacts - interval.handled,
        })
    });
    list("contactStats", rows?)
}

/// `GET wfm-data/skills/dialer-contacts`: the calls that were made, or what was set; its numbers are strings.
pub(super) async fn dialer_contacts(State(simulator): State<Simulator>, params: Params) -> Reply {
    let model = simulator.model();
    let range = wfm_range(&params)?;
    let skills = chosen(model, &params)?;
    let nice = model.nice();
    let of_skill = |skill: &Skill| nice.dialers.intervals(skill.skill_id, range, nice.calls.iter());
    let rows = skills.iter().flat_map(|skill| of_skill(skill).into_iter().map(|dialed| dialer_row(skill, &dialed)));
    list(DIALER_STATISTICS, rows.collect())
}

fn dialer_row(skill: &Skill, dialed: &Dialed) -> Value {
    json!({
        "intervalStartDate": dialed.start, "skillId": skill.skill_id.to_string(), "dials": dialed.dials.to_string(),
        "connects": dialed.connects.to_string(), "connectsAHT": "120",
        "rightPartyConnects": dialed.connects.to_string(), "rightPartyConnectsAHT": "120", "abandons": "0",
    })
}

/// The range of WFM data, which also need a media type.
fn wfm_range(params: &Params) -> Result<(Timestamp, Timestamp), Refusal> {
    let range = params.range()?;
    if params.number("mediaTypeId")?.is_some_and(|media| matches!(media, 1 | 3..=8)) {
        return Ok(range);
    }
    Err(invalid("mediaTypeId"))
}

/// A row for every skill and interval; the raw rows of a skill are answered unchanged.
fn intervals(model: &Model, params: &Params, row: fn(&Skill, &Interval) -> Value) -> Result<Vec<Value>, Refusal> {
    let range = wfm_range(params)?;
    let mut rows = Vec::new();
    for skill in chosen(model, params)? {
        let (history, intervals) = history(model, skill.skill_id, range);
        match history.raw {
            Some(raw) => rows.extend(raw),
            None => rows.extend(intervals.iter().map(|interval| row(&skill, interval))),
        }
    }
    Ok(rows)
}

/// `GET skills/agents?skills=1,2,3`
pub(super) async fn agents(State(simulator): State<Simulator>, params: Params) -> Reply {
    let model = simulator.model();
    let ids = params.text("skills").ok_or_else(|| invalid("skills"))?;
    let ids: Result<Vec<u64>, _> = ids.split(',').map(|id| id.trim().parse()).collect();
    let ids = ids.map_err(|_| invalid("skills"))?;
    let skills = model.skills();
    let wanted = skills.iter().filter(|skill| ids.contains(&skill.skill_id));
    list("agentSkillAssignments", wanted.flat_map(|skill| assignments(model, skill)).collect())
}

/// `GET skills/{skillId}/agents`
pub(super) async fn agents_of_skill(State(simulator): State<Simulator>, Id(id): Id, params: Params) -> Reply {
    let model = simulator.model();
    let page = params.page(LARGEST_PAGE)?;
    list("agentSkillAssignments", page.of(assignments(model, &skill(model, id)?)))
}

fn assignments(model: &Model, skill: &Skill) -> Vec<Value> {
    let agents = model.nice().histories.get(skill.skill_id).agents().min(MOST_AGENTS);
    let assignment = |number| {
        json!({
            "agentId": FIRST_AGENT + number, "skillId": skill.skill_id, "isActive": true,
            "isSkillActive": skill.is_active, "isOutbound": skill.is_outbound,
            "isNaturalCallingRunning": skill.is_running,
        })
    };
    (1..=agents).map(assignment).collect()
}
