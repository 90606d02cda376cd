//! Callbacks and their contacts.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::evidence::{Ack, Evidence, Intent};
use super::{Kind, Violation};

/// The evidence, by callback.
pub struct Known<'a> {
    pub evidence: &'a Evidence,
    pub callbacks: HashMap<&'a str, &'a Value>,
    pub contacts: HashMap<&'a str, Vec<&'a Value>>,
    /// By the reference in their text.
    pub messages: HashMap<&'a str, Vec<&'a Value>>,
    /// By phone number.
    pub intents: HashMap<&'a str, &'a Intent>,
}

impl<'a> Known<'a> {
    pub fn of(evidence: &'a Evidence) -> Self {
        let mut messages: HashMap<&str, Vec<&Value>> = HashMap::new();
        for message in &evidence.messages {
            messages.entry(reference(message)).or_default().push(message);
        }
        let mut contacts: HashMap<&str, Vec<&Value>> = HashMap::new();
        for made in &evidence.contacts {
            contacts.entry(text(&made["contact"], "contactId")).or_default().push(made);
        }
        Self {
            evidence,
            callbacks: evidence.callbacks.iter().map(|callback| (text(callback, "id"), callback)).collect(),
            contacts,
            messages,
            intents: evidence.intents.iter().map(|intent| (intent.phone.as_str(), intent)).collect(),
        }
    }

    /// The contacts of a callback.
    pub fn contacts_of(&self, callback: &Value) -> &[&'a Value] {
        let id = callback["contactId"].as_str().unwrap_or_else(|| text(callback, "id"));
        self.contacts.get(id).map_or(&[], Vec::as_slice)
    }

    pub fn messages_of(&self, callback: &Value) -> &[&'a Value] {
        self.messages.get(text(callback, "id")).map_or(&[], Vec::as_slice)
    }

    /// A violation by a callback, with all that belongs to it.
    pub fn violation(&self, kind: Kind, what: &str, callback: &Value) -> Violation {
        let details = json!({
            "callback": callback,
            "contacts": self.contacts_of(callback),
            "messages": self.messages_of(callback),
            "request": self.intents.get(text(callback, "phoneNumber")),
        });
        Violation::new(kind, what, details)
    }

    fn is_audited(&self, action: &str, callback: &Value) -> bool {
        self.evidence.audited.get(action).is_some_and(|ids| ids.contains(text(callback, "id")))
    }
}

/// A message ends with the callback's id.
fn reference(message: &Value) -> &str {
    let message = text(message, "message");
    message.get(message.len().saturating_sub(36)..).unwrap_or_default()
}

/// A member that is text, or nothing.
pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// A member that is an instant.
pub fn instant(value: &Value, name: &str) -> Option<Timestamp> {
    text(value, name).parse().ok()
}

pub fn judge(known: &Known) -> Vec<Violation> {
    let mut found = Vec::new();
    for intent in &known.evidence.intents {
        judge_intent(known, intent, &mut found);
    }
    for callback in &known.evidence.callbacks {
        let broken = [outcome(known, callback), contact(known, callback), audit(known, callback)];
        let broken = broken.into_iter().flatten();
        found.extend(broken.map(|(kind, what)| known.violation(kind, what, callback)));
    }
    judge_numbers(known, &mut found);
    let named =
        known.evidence.callbacks.iter().flat_map(|callback| [text(callback, "id"), text(callback, "contactId")]);
    let named: HashSet<&str> = named.collect();
    for made in &known.evidence.contacts {
        if !named.contains(text(&made["contact"], "contactId")) {
            found.push(Violation::new(Kind::Wrong, "CXone has a contact that belongs to no callback", made.clone()));
        }
    }
    found
}

/// Compares a client's answers with the final state.
fn judge_intent(known: &Known, intent: &Intent, found: &mut Vec<Violation>) {
    let Some(first) = intent.acks.first() else { return };
    if intent.acks.iter().any(|ack| ack.id != first.id) {
        found.push(Violation::new(Kind::Duplicated, "one request was acknowledged under two ids", json!(intent)));
    }
    for ack in &intent.acks {
        let broken = match known.callbacks.get(ack.id.as_str()) {
            None => Some((Kind::Lost, "an acknowledged callback does not exist")),
            Some(callback) => acknowledged(known, ack, intent, callback),
        };
        let Some((kind, what)) = broken else { continue };
        let callback = known.callbacks.get(ack.id.as_str());
        let details = json!({ "request": intent, "callback": callback });
        found.push(Violation::new(kind, what, details));
    }
}

fn acknowledged(known: &Known, ack: &Ack, intent: &Intent, callback: &Value) -> Option<(Kind, &'static str)> {
    if (text(callback, "phoneNumber"), text(callback, "campaignId")) != (&intent.phone, &intent.campaign) {
        return Some((Kind::Wrong, "an acknowledged callback is another caller's"));
    }
    let made_by_then = |made: &&Value| instant(made, "at").is_some_and(|at| at <= ack.at);
    if ack.status == 201 && !known.contacts_of(callback).iter().any(made_by_then) {
        return Some((Kind::Wrong, "a POST was answered 201 and CXone had no contact"));
    }
    let status = text(callback, "status");
    if intent.cancelled && status != "cancelled" {
        return Some((Kind::Wrong, "a cancellation was acknowledged and the callback is not cancelled"));
    }
    if !intent.cancel_sent && status == "cancelled" {
        return Some((Kind::Wrong, "a callback is cancelled that nobody cancelled"));
    }
    None
}

/// The final state, and what it says about CXone.
fn outcome(known: &Known, callback: &Value) -> Option<(Kind, &'static str)> {
    let has_contact = !known.contacts_of(callback).is_empty();
    if !callback["nextAttemptAt"].is_null() {
        return Some((Kind::Lost, "a callback never reached a final state"));
    }
    match text(callback, "status") {
        "scheduled" if !has_contact => Some((Kind::Wrong, "a callback is scheduled and CXone has no contact")),
        "failed" if has_contact => Some((Kind::Wrong, "a callback is failed and CXone has the contact")),
        "failed" => Some((Kind::Wrong, "a callback is failed although CXone refuses nothing and has a forecast")),
        "cancelled" if has_contact => Some((Kind::Wrong, "a callback is cancelled and CXone has the contact")),
        "expired" if has_contact && !says_that_cxone_may_have_it(callback) => {
            Some((Kind::Wrong, "a callback is expired, CXone has the contact, and failure does not say that it may"))
        }
        "scheduled" | "cancelled" | "expired" => None,
        _ => Some((Kind::Lost, "a callback never reached a final state")),
    }
}

fn says_that_cxone_may_have_it(callback: &Value) -> bool {
    let detail = text(&callback["failure"], "detail").to_ascii_lowercase();
    detail.contains("cxone") && ["may ", "might ", "whether it has"].iter().any(|words| detail.contains(words))
}

/// A scheduled callback's contact says the same as the callback.
fn contact(known: &Known, callback: &Value) -> Option<(Kind, &'static str)> {
    if text(callback, "status") != "scheduled" {
        return None;
    }
    let contact = &known.contacts_of(callback).first()?["contact"];
    let at = instant(callback, "dispatchTime");
    if at.is_none() || instant(contact, "scheduledStartDateTime") != at {
        return Some((Kind::Wrong, "dispatchTime differs from the contact's scheduledStartDateTime"));
    }
    if text(contact, "phone") != text(callback, "phoneNumber")
        || !text(contact, "campaignId").eq_ignore_ascii_case(text(callback, "campaignId"))
    {
        return Some((Kind::Wrong, "a contact has another number or campaign than its callback"));
    }
    let (start, end) = (instant(callback, "requestedStart"), instant(callback, "requestedEnd"));
    if at < start || at > end {
        return Some((Kind::Wrong, "dispatchTime lies outside of the requested window"));
    }
    None
}

fn audit(known: &Known, callback: &Value) -> Option<(Kind, &'static str)> {
    if !known.is_audited("callback.accepted", callback) {
        return Some((Kind::Wrong, "the audit log has no callback.accepted for a callback"));
    }
    if text(callback, "status") == "scheduled" && !known.is_audited("callback.scheduled", callback) {
        return Some((Kind::Wrong, "the audit log has no callback.scheduled for a scheduled callback"));
    }
    None
}

/// Each number was wanted once.
fn judge_numbers(known: &Known, found: &mut Vec<Violation>) {
    let mut contacts: HashMap<(&str, &str), Vec<&Value>> = HashMap::new();
    for made in &known.evidence.contacts {
        let contact = &made["contact"];
        contacts.entry((text(contact, "campaignId"), text(contact, "phone"))).or_default().push(made);
    }
    let mut callbacks: HashMap<&str, Vec<&Value>> = HashMap::new();
    for callback in &known.evidence.callbacks {
        callbacks.entry(text(callback, "phoneNumber")).or_default().push(callback);
    }
    for ((_, phone), made) in contacts {
        if made.len() > 1 {
            let details = json!({
                "contacts": made, "callbacks": callbacks.get(phone), "request": known.intents.get(phone),
            });
            found.push(Violation::new(Kind::Duplicated, "a caller has more than one contact", details));
        }
    }
    for (phone, of_number) in callbacks {
        let intent = known.intents.get(phone);
        if of_number.len() > 1 && intent.is_some_and(|intent| intent.key.is_some()) {
            let details = json!({ "callbacks": of_number, "request": intent });
            found.push(Violation::new(Kind::Duplicated, "one idempotency key made two callbacks", details));
        }
    }
}
