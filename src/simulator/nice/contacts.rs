//! What became of callbacks: completed and active contacts, and their dispositions.

use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::answer::{Reply, list, nothing, ok, unknown};
use super::params::{Id, Params, no_dates};
use crate::simulator::clock::now;
use crate::simulator::model::Simulator;
use crate::simulator::model::nice::Nice;
use crate::simulator::model::nice::calls::{Call, DISPOSITIONS};
use crate::simulator::model::nice::skills::PHONE;
use crate::simulator::refusal::Refusal;

const LARGEST_PAGE: u64 = 10_000;
const FROM: &str = "+18005551234";

/// `GET contacts/completed`
pub(super) async fn completed(State(simulator): State<Simulator>, params: Params) -> Reply {
    let page = params.page(LARGEST_PAGE)?;
    let filter = Filter::read(&params)?;
    let now = now();
    let nice = simulator.model().nice();
    let calls = nice.calls.list(now, true).filter(|call| filter.matches(call));
    let rows: Vec<Value> = calls.map(|call| completed_row(&nice, call)).collect();
    let total = rows.len();
    let mut rows = page.of(rows);
    rows.truncate(nice.behaviour.largest_page);
    if rows.is_empty() {
        return Ok(nothing());
    }
    ok(json!({ "totalRecords": total, "lastPollTime": format!("{now:.3}"), "completedContacts": rows }))
}

struct Filter {
    range: Option<(Timestamp, Timestamp)>,
    updated_since: Option<Timestamp>,
    skill_id: Option<u64>,
    media_type_id: Option<u64>,
    /// The digits.
    to: Option<String>,
}

impl Filter {
    fn read(params: &Params) -> Result<Self, Refusal> {
        let filter = Self {
            range: params.optional_range()?,
            updated_since: params.instant("updatedSince")?,
            skill_id: params.number("skillId")?,
            media_type_id: params.number("mediaTypeId")?,
            to: params.text("toAddress").map(digits),
        };
        if filter.range.is_none() && filter.updated_since.is_none() { Err(no_dates()) } else { Ok(filter) }
    }

    fn matches(&self, call: &Call) -> bool {
        self.range.is_none_or(|(start, end)| start <= call.start && call.start < end)
            && self.updated_since.is_none_or(|since| since <= call.completed_at)
            && self.skill_id.is_none_or(|skill| skill == call.skill_id)
            && self.media_type_id.is_none_or(|media| media == PHONE)
            && self.to.as_ref().is_none_or(|to| *to == digits(&call.phone))
    }
}

fn digits(phone: &str) -> String {
    phone.chars().filter(char::is_ascii_digit).collect()
}

fn completed_row(nice: &Nice, call: &Call) -> Value {
    let mut row = row(nice, call);
    let more = json!({
        "agentSeconds": call.agent_seconds,
        "totalDurationSeconds": call.total_seconds,
        "abandoned": false,
        "endReason": "Contact Ended",
        "primaryDispositionId": call.disposition,
        "dispositionNotes": "",
        "isRefused": call.refuse_reason.is_some(),
        "refuseReason": call.refuse_reason.unwrap_or_default(),
        "lastUpdateTime": format!("{:.3}", call.completed_at),
    });
    if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
        row.extend(more);
    }
    row
}

fn row(nice: &Nice, call: &Call) -> Value {
    let campaign = nice.skills.campaign_of(call.skill_id).and_then(|campaign| nice.skills.link_of(campaign));
    json!({
        "contactId": call.id,
        "masterContactId": call.id,
        "contactStartDate": format!("{:.3}", call.start),
        "skillId": call.skill_id,
        "campaignId": campaign.map(|link| link.number),
        "agentId": call.agent_id,
        "isOutbound": true,
        "mediaTypeId": PHONE,
        "toAddress": call.phone,
        "fromAddress": FROM,
    })
}

/// `GET contacts/active`
pub(super) async fn active(State(simulator): State<Simulator>) -> Reply {
    let nice = simulator.model().nice();
    list("activeContacts", nice.calls.list(now(), false).map(|call| row(&nice, call)).collect())
}

/// `GET contacts/{contactId}`
pub(super) async fn one(State(simulator): State<Simulator>, Id(id): Id) -> Reply {
    let nice = simulator.model().nice();
    let call = nice.calls.get(id).ok_or_else(no_contact)?;
    ok(if call.completed_at <= now() { completed_row(&nice, call) } else { row(&nice, call) })
}

/// `GET contacts/{contactId}/state-history`
pub(super) async fn state_history(State(simulator): State<Simulator>, Id(id): Id) -> Reply {
    let nice = simulator.model().nice();
    let call = nice.calls.get(id).ok_or_else(no_contact)?;
    let ringing = call.total_seconds - call.agent_seconds;
    let states = [(1, "Routing", ringing), (4, "Active", call.agent_seconds)];
    let mut start = call.start;
    let mut rows = Vec::new();
    for (index, (state, name, seconds)) in states.into_iter().enumerate() {
        let duration = SignedDuration::from_secs(seconds.into());
        rows.push(json!({
            "stateIndex": index, "contactStateId": state, "contactStateName": name,
            "startDate": format!("{start:.3}"), "duration": duration.to_string(),
            "agentId": call.agent_id, "skillId": call.skill_id,
        }));
        start = start.checked_add(duration).unwrap_or(start);
    }
    list("contactStateHistory", rows)
}

fn no_contact() -> Refusal {
    unknown("InvalidContactId")
}

/// `GET dispositions`
pub(super) async fn dispositions() -> Reply {
    let rows: Vec<Value> = DISPOSITIONS.map(shown).into();
    ok(json!({ "totalRecords": rows.len(), "dispositions": rows }))
}

/// `GET dispositions/{dispositionId}`
pub(super) async fn disposition(Id(id): Id) -> Reply {
    let found = DISPOSITIONS.into_iter().find(|(other, _, _)| *other == id);
    ok(shown(found.ok_or_else(|| unknown("InvalidDispositionId"))?))
}

fn shown((id, name, reached): (u64, &str, bool)) -> Value {
    let classification = if reached { "Positive" } else { "Negative" };
    json!({
        "dispositionId": id, "dispositionName": name, "classificationName": classification, "systemOutcome": name,
        "isActive": true,
    })
}
