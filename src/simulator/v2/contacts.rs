//! `POST /api/v2/outbound/contacts`: a person to be called back, and when.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use jiff::fmt::temporal::SpanParser;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::simulator::clock::now;
use crate::simulator::fields::{Fields, JsonBody, is_e164};
use crate::simulator::model::Simulator;
use crate::simulator::model::campaigns::Campaigns;
use crate::simulator::refusal::{Answer, Refusal};

const ATTRIBUTES: [&str; 4] =
    ["callback_requested_by", "callback_language", "callback_window_start", "callback_window_end"];

/// A contact of the right shape, whose values are not checked yet.
struct NewContact<'a> {
    id: Uuid,
    campaign: &'a str,
    phone: &'a str,
    start: &'a str,
}

pub(super) async fn create(State(simulator): State<Simulator>, JsonBody(body): JsonBody) -> Answer {
    let model = simulator.model();
    let new_contact = parse(&body)?;
    let id = new_contact.id;
    let checked = check(&new_contact, &model.campaigns.lock());
    let mut contacts = model.contacts.lock();
    // Checked before the values: a repeat that is received after its start time is still a repeat.
    if contacts.repeat(id) {
        let description = format!("there is a contact {id} already");
        let body = json!({ "error": "contact_already_exists", "error_description": description, "contactId": id });
        return Ok((StatusCode::CONFLICT, Json(body)));
    }
    checked?;
    contacts.add(id, body["contact"].clone(), now());
    Ok((StatusCode::CREATED, Json(json!({ "contactId": id }))))
}

/// Checks that every member is present and has the right type.
fn parse(body: &Value) -> Result<NewContact<'_>, Refusal> {
    let body = Fields::known(body, "", &["contact"])?;
    let members = ["contactId", "campaignId", "phone", "scheduledStartDateTime", "attributes", "retry"];
    let contact = Fields::known(body.value("contact")?, "contact.", &members)?;
    let attributes = Fields::any(contact.value("attributes")?, "contact.attributes.")?;
    for name in ATTRIBUTES {
        attributes.non_empty_text(name)?;
    }
    let retry = Fields::known(contact.value("retry")?, "contact.retry.", &["retryCount", "retryInterval"])?;
    // Every refusal of a contact is a 400, also for a number that is not a count.
    retry.count("retryCount").map_err(Refusal::into_bad_request)?;
    if !SpanParser::new().parse_span(retry.text("retryInterval")?).is_ok_and(|span| span.is_positive()) {
        return Err(Refusal::bad_request("contact.retry.retryInterval must be an ISO 8601 duration such as PT15M"));
    }
    Ok(NewContact {
        id: parse_id(contact.text("contactId")?)?,
        campaign: contact.text("campaignId")?,
        phone: contact.text("phone")?,
        start: contact.text("scheduledStartDateTime")?,
    })
}

/// A UUID in its usual form, with hyphens.
fn parse_id(text: &str) -> Result<Uuid, Refusal> {
    let id = Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
    id.ok_or_else(|| Refusal::bad_request("contact.contactId must be a UUID"))
}

/// Whether the contact can be called at that time, in that campaign.
fn check(contact: &NewContact<'_>, campaigns: &Campaigns) -> Result<(), Refusal> {
    if !is_e164(contact.phone) {
        return Err(Refusal::bad_request("contact.phone must be an E.164 number"));
    }
    let start = contact.start.parse::<Timestamp>();
    let start =
        start.map_err(|_| Refusal::bad_request("contact.scheduledStartDateTime must be an ISO 8601 instant"))?;
    if start <= now() {
        return Err(Refusal::bad_request("contact.scheduledStartDateTime must be in the future"));
    }
    match campaigns.get(contact.campaign) {
        None => Err(Refusal::bad_request(format!("unknown campaign {:?}", contact.campaign))),
        Some(campaign) if !campaign.state.is_open() => {
            Err(Refusal::bad_request(format!("inactive campaign {:?}", contact.campaign)))
        }
        Some(_) => Ok(()),
    }
}
