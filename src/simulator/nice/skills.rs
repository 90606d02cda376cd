//! Skills and campaigns.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Reply, invalid, nothing, ok, unknown};
use super::params::{Id, Page, Params};
use super::tenant::BUSINESS_UNIT;
use crate::simulator::clock::now;
use crate::simulator::effect::{Effect, ReceivedAt};
use crate::simulator::model::nice::skills::{PHONE, Skill};
use crate::simulator::model::{Model, Simulator};
use crate::simulator::refusal::Refusal;

const LARGEST_PAGE: u64 = 100;

/// `GET skills`
pub(super) async fn list(State(simulator): State<Simulator>, params: Params) -> Reply {
    let page = params.page(LARGEST_PAGE)?;
    let (media, is_active) = (params.number("mediaTypeId")?, params.flag("isActive")?);
    let (strategy, search) = (params.text("outboundStrategy"), params.text("searchString"));
    params.instant("updatedSince")?;
    let is_wanted = |skill: &&Skill| {
        media.is_none_or(|media| media == skill.media_type_id)
            && is_active.is_none_or(|is_active| is_active == skill.is_active)
            && strategy.is_none_or(|strategy| strategy == skill.outbound_strategy)
            && search.is_none_or(|text| skill.skill_name.to_lowercase().contains(&text.to_lowercase()))
    };
    let model = simulator.model();
    let shows_running = model.nice().behaviour.skill_lists_show_running;
    let rows: Vec<_> = model.skills().iter().filter(is_wanted).map(|skill| shown(skill, shows_running)).collect();
    paged("skills", rows, &page)
}

/// `GET skills/{skillId}`
pub(super) async fn one(State(simulator): State<Simulator>, Id(id): Id) -> Reply {
    let skill = simulator.model().skill(id).ok_or_else(no_skill)?;
    ok(shown(&skill, true))
}

fn no_skill() -> Refusal {
    unknown("InvalidSkillId")
}

fn shown(skill: &Skill, shows_running: bool) -> Value {
    let campaign_name = skill.nice_campaign_id.map(name_of);
    let mut shown = json!({
        "skillId": skill.skill_id,
        "skillName": skill.skill_name,
        "mediaTypeId": skill.media_type_id,
        "isActive": skill.is_active,
        "campaignId": skill.nice_campaign_id,
        "campaignName": campaign_name,
        "isOutbound": skill.is_outbound,
        "outboundStrategy": skill.outbound_strategy,
        "agentless": false,
    });
    if shows_running {
        shown["isRunning"] = skill.is_running.into();
    }
    shown
}

fn name_of(campaign: u64) -> String {
    format!("Campaign {campaign}")
}

/// The page of a list with its total, or 204.
fn paged(member: &str, rows: Vec<Value>, page: &Page) -> Reply {
    let total = rows.len();
    let rows = page.of(rows);
    if rows.is_empty() {
        return Ok(nothing());
    }
    ok(json!({ "totalRecords": total, "businessUnitId": BUSINESS_UNIT, member: rows }))
}

/// `POST skills/{skillId}/start`: 202, and it runs a little later.
pub(super) async fn start(
    State(simulator): State<Simulator>,
    Extension(ReceivedAt(received_at)): Extension<ReceivedAt>,
    Extension(effect): Extension<Effect>,
    Id(id): Id,
    body: Bytes,
) -> Reply {
    let model = simulator.model();
    check_command(model, id, &body)?;
    if effect != Effect::None {
        let mut nice = model.nice();
        let due = after(nice.behaviour.start_delay_ms);
        match nice.skills.campaign_started_by(id) {
            Some(campaign) => model.campaigns.lock().start_at(campaign, due, received_at),
            None => nice.skills.start_at(id, due),
        }
    }
    Ok(StatusCode::ACCEPTED.into_response())
}

/// `POST skills/{skillId}/stop`. What `force` does is not published; it must not be true.
pub(super) async fn stop(
    State(simulator): State<Simulator>,
    Extension(ReceivedAt(received_at)): Extension<ReceivedAt>,
    Extension(effect): Extension<Effect>,
    Id(id): Id,
    params: Params,
    body: Bytes,
) -> Reply {
    let model = simulator.model();
    check_command(model, id, &body)?;
    if params.flag("force")? == Some(true) {
        return Err(invalid("force"));
    }
    if effect != Effect::None {
        let mut nice = model.nice();
        match nice.skills.campaign_started_by(id) {
            Some(campaign) => model.campaigns.lock().stop(campaign, received_at),
            None => nice.skills.stop(id),
        }
    }
    Ok(StatusCode::OK.into_response())
}

fn after(milliseconds: u32) -> Timestamp {
    let now = now();
    now.checked_add(std::time::Duration::from_millis(milliseconds.into())).unwrap_or(now)
}

/// Only an active skill with a dialer can be started and stopped, by a request without a body.
fn check_command(model: &Model, id: u64, body: &[u8]) -> Result<(), Refusal> {
    if !body.is_empty() {
        return Err(Refusal::bad_request("this call has no body"));
    }
    let skill = model.skill(id).ok_or_else(no_skill)?;
    if skill.has_dialer() { Ok(()) } else { Err(Refusal::bad_request("Skill is not valid.")) }
}

/// `GET campaigns`
pub(super) async fn campaigns(State(simulator): State<Simulator>, params: Params) -> Reply {
    let page = params.page(LARGEST_PAGE)?;
    let (is_active, search) = (params.flag("isActive")?, params.text("searchString").map(str::to_lowercase));
    let is_wanted = |campaign: &NumberedCampaign| {
        is_active.is_none_or(|is_active| is_active == campaign.is_active)
            && search.as_ref().is_none_or(|text| name_of(campaign.number).to_lowercase().contains(text))
    };
    let rows = all_campaigns(simulator.model()).into_iter().filter(is_wanted).map(|campaign| {
        let NumberedCampaign { number, id, is_active } = campaign;
        json!({ "id": number, "name": name_of(number), "isActive": is_active, "description": id })
    });
    paged("campaigns", rows.collect(), &page)
}

/// `GET campaigns/{campaignId}`, with the older names of the members.
pub(super) async fn campaign(State(simulator): State<Simulator>, Id(wanted): Id) -> Reply {
    let found = all_campaigns(simulator.model()).into_iter().find(|campaign| campaign.number == wanted);
    let NumberedCampaign { number, id, is_active } = found.ok_or_else(no_campaign)?;
    ok(json!({ "campaignId": number, "campaignName": name_of(number), "isActive": is_active, "description": id }))
}

fn no_campaign() -> Refusal {
    unknown("InvalidCampaignId")
}

struct NumberedCampaign {
    number: u64,
    id: String,
    is_active: bool,
}

/// All campaigns by number.
fn all_campaigns(model: &Model) -> Vec<NumberedCampaign> {
    let nice = model.nice();
    let campaigns = model.campaigns.lock();
    let is_open = |id: &str| campaigns.get(id).is_some_and(|campaign| campaign.state.is_open());
    let numbers = nice.skills.numbers().into_iter();
    numbers.map(|(number, id)| NumberedCampaign { number, id: id.to_owned(), is_active: is_open(id) }).collect()
}

/// `GET campaigns/{campaignId}/skills`: without `isRunning`, and with ids as strings.
pub(super) async fn members(State(simulator): State<Simulator>, Id(id): Id, params: Params) -> Reply {
    let page = params.page(LARGEST_PAGE)?;
    let model = simulator.model();
    if model.campaign_of_number(id).is_none() {
        return Err(no_campaign());
    }
    let skills = model.skills();
    let members = skills.iter().filter(|skill| skill.nice_campaign_id == Some(id)).map(|skill| {
        let media = if skill.media_type_id == PHONE { "Phone Call" } else { "Other" };
        json!({
            "skillId": skill.skill_id.to_string(), "skillName": skill.skill_name,
            "mediaType": skill.media_type_id, "mediaName": media,
        })
    });
    paged("skills", members.collect(), &page)
}
