//! Text messages.

use serde_json::Value;

use super::callbacks::{Known, instant, text};
use super::{Kind, Violation};

pub fn judge(known: &Known) -> Vec<Violation> {
    let mut found = Vec::new();
    for (reference, messages) in &known.messages {
        if !known.callbacks.contains_key(reference) {
            let what = "a text message names no callback";
            found.extend(messages.iter().map(|message| Violation::new(Kind::Wrong, what, (*message).clone())));
        }
    }
    for callback in &known.evidence.callbacks {
        let broken = [confirmation(known, callback), sent(known, callback)].into_iter().flatten();
        found.extend(broken.map(|(kind, what)| known.violation(kind, what, callback)));
    }
    found
}

/// What the callback says about its message.
fn confirmation(known: &Known, callback: &Value) -> Option<(Kind, &'static str)> {
    let is_sent = !known.messages_of(callback).is_empty();
    match text(&callback["confirmation"], "status") {
        "sent" if !is_sent => Some((Kind::Wrong, "a confirmation is sent and CXone has no message")),
        "failed" | "skipped" | "pending" if is_sent => {
            Some((Kind::Wrong, "a confirmation is failed, skipped or pending and CXone has the message"))
        }
        "pending" if text(callback, "status") == "scheduled" && callback["nextAttemptAt"].is_null() => {
            Some((Kind::Lost, "a confirmation never reached a final state"))
        }
        "skipped" if !is_landline(known, callback) => {
            Some((Kind::Wrong, "a confirmation is skipped and the number is no fixed line"))
        }
        _ => None,
    }
}

fn is_landline(known: &Known, callback: &Value) -> bool {
    known.intents.get(text(callback, "phoneNumber")).is_some_and(|intent| intent.landline)
}

/// What CXone was sent.
fn sent(known: &Known, callback: &Value) -> Option<(Kind, &'static str)> {
    let messages = known.messages_of(callback);
    let message = messages.first()?;
    if messages.len() > 1 {
        return Some((Kind::Duplicated, "a callback has more than one text message"));
    }
    if text(message, "to") != text(callback, "phoneNumber") {
        return Some((Kind::Wrong, "a text message went to another number"));
    }
    let contact_at = known.contacts_of(callback).iter().filter_map(|made| instant(made, "at")).min();
    if contact_at.is_none() || contact_at > instant(message, "at") {
        return Some((Kind::Wrong, "a text message was sent before, or without, its contact"));
    }
    None
}
