//! Contacts: who is to be called back, and when.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use jiff::fmt::temporal::SpanParser;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Simulator;
use super::answer::{Answer, Refusal};
use super::campaigns::Campaigns;
use super::fields::{Fields, Sent, is_e164};
use super::ring::Ring;
use super::state::{lock, now};

/// Enough for a long benchmark, and still only some hundred megabytes.
const KEPT: usize = 100_000;

const ATTRIBUTES: [&str; 4] =
    ["callback_requested_by", "callback_language", "callback_window_start", "callback_window_end"];

/// The contacts made.
pub(super) struct Contacts {
    made: Ring<Made>,
    /// Where in `made` a contact is.
    by_id: HashMap<Uuid, u64>,
}

/// One contact.
#[derive(Serialize)]
pub(super) struct Made {
    at: Timestamp,
    #[serde(skip)]
    id: Uuid,
    /// As the client sent it.
    contact: Value,
    /// How often the same id came again.
    repeats: u64,
}

impl Default for Contacts {
    fn default() -> Self {
        Self { made: Ring::new(KEPT), by_id: HashMap::new() }
    }
}

impl Contacts {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Made> {
        self.made.iter()
    }

    pub(super) fn clear(&mut self) {
        self.made.clear();
        self.by_id.clear();
    }

    /// Counts one more try at a contact that is there already.
    fn repeat(&mut self, id: Uuid) -> bool {
        let made = self.by_id.get(&id).and_then(|&number| self.made.get_mut(number));
        made.map(|made| made.repeats += 1).is_some()
    }

    fn add(&mut self, id: Uuid, contact: Value) {
        let (number, gone) = self.made.push(Made { at: now(), id, contact, repeats: 0 });
        self.by_id.insert(id, number);
        if let Some(gone) = gone {
            self.by_id.remove(&gone.id);
        }
    }
}

/// What a contact says, its shape being right.
struct Asked<'a> {
    id: Uuid,
    campaign: &'a str,
    phone: &'a str,
    start: &'a str,
}

/// `POST /api/v2/outbound/contacts`
pub(super) async fn create(State(simulator): State<Simulator>, Sent(body): Sent) -> Answer {
    let state = simulator.state();
    let asked = shape(&body)?;
    let id = asked.id;
    let good = check(&asked, &lock(&state.campaigns));
    let mut contacts = lock(&state.contacts);
    // Before the rest of the refusals: a repeat that comes after its start is still a repeat.
    if contacts.repeat(id) {
        let words = format!("there is a contact {id} already");
        let body = json!({ "error": "contact_already_exists", "error_description": words, "contactId": id });
        return Ok((StatusCode::CONFLICT, Json(body)));
    }
    good?;
    contacts.add(id, body["contact"].clone());
    Ok((StatusCode::CREATED, Json(json!({ "contactId": id }))))
}

/// Whether everything is there, as what it should be.
fn shape(body: &Value) -> Result<Asked<'_>, Refusal> {
    let body = Fields::known(body, "", &["contact"])?;
    let members = ["contactId", "campaignId", "phone", "scheduledStartDateTime", "attributes", "retry"];
    let contact = Fields::known(body.value("contact")?, "contact.", &members)?;
    let attributes = Fields::any(contact.value("attributes")?, "contact.attributes.")?;
    for name in ATTRIBUTES {
        attributes.words(name)?;
    }
    let retry = Fields::known(contact.value("retry")?, "contact.retry.", &["retryCount", "retryInterval"])?;
    // A contact's refusals are all 400, a number that is no count included.
    retry.count("retryCount").map_err(Refusal::into_bad)?;
    if !SpanParser::new().parse_span(retry.text("retryInterval")?).is_ok_and(|span| span.is_positive()) {
        return Err(Refusal::bad("contact.retry.retryInterval must be an ISO 8601 duration such as PT15M"));
    }
    Ok(Asked {
        id: id(contact.text("contactId")?)?,
        campaign: contact.text("campaignId")?,
        phone: contact.text("phone")?,
        start: contact.text("scheduledStartDateTime")?,
    })
}

/// A UUID in its usual form, with hyphens.
fn id(text: &str) -> Result<Uuid, Refusal> {
    let id = Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
    id.ok_or_else(|| Refusal::bad("contact.contactId must be a UUID"))
}

/// Whether it can be called then, in that campaign.
fn check(asked: &Asked<'_>, campaigns: &Campaigns) -> Result<(), Refusal> {
    if !is_e164(asked.phone) {
        return Err(Refusal::bad("contact.phone must be an E.164 number"));
    }
    let start = asked.start.parse::<Timestamp>();
    let start = start.map_err(|_| Refusal::bad("contact.scheduledStartDateTime must be an ISO 8601 instant"))?;
    if start <= now() {
        return Err(Refusal::bad("contact.scheduledStartDateTime must be in the future"));
    }
    match campaigns.get(asked.campaign) {
        None => Err(Refusal::bad(format!("unknown campaign {:?}", asked.campaign))),
        Some(campaign) if !campaign.state.is_open() => {
            Err(Refusal::bad(format!("inactive campaign {:?}", asked.campaign)))
        }
        Some(_) => Ok(()),
    }
}
