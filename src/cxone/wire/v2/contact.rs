//! What CXone's answers show about a contact. A contact exists only where an answer names its id; texts in an answer decide
//! nothing.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cxone::error::{CxoneError, Failed};
use crate::cxone::model::{ContactAnswer, ContactId, NewContact};

/// The body of the request. The contact has the id of its callback.
pub fn body(contact: &NewContact<'_>) -> Value {
    json!({"contact": {
        "contactId": contact.callback_id,
        "campaignId": contact.campaign_id,
        "phone": contact.phone_number.as_str(),
        "scheduledStartDateTime": contact.at,
        "attributes": {
            "callback_requested_by": "ivr",
            "callback_language": contact.language,
            "callback_window_start": contact.window.start(),
            "callback_window_end": contact.window.end(),
        },
        "retry": {"retryCount": 3, "retryInterval": "PT15M"},
    }})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactCreated {
    contact_id: Uuid,
}

impl ContactCreated {
    /// Checks that CXone created this contact.
    pub fn confirm(self, contact_id: Uuid) -> Result<ContactAnswer, CxoneError> {
        if self.contact_id == contact_id {
            return Ok(ContactAnswer::Created { contact: ContactId::Own(contact_id) });
        }
        Err(CxoneError::UnexpectedAnswer { reason: "the created contact has another contactId".into() })
    }
}

/// The outcome where the answer is not a success.
pub fn not_created(failed: Failed, contact_id: Uuid) -> Result<ContactAnswer, CxoneError> {
    let Failed { error, body } = failed;
    match error {
        CxoneError::Conflict { reason } => match about(&body, contact_id) {
            Some(answer) => {
                let contact = ContactId::Own(contact_id);
                Ok(ContactAnswer::Exists { contact, at: start_in(&answer), deleted: Vec::new() })
            }
            None => {
                let reason = format!("status 409, which does not name this contact: {reason}");
                Err(CxoneError::OutcomeUnknown { reason })
            }
        },
        CxoneError::Rejected { status, reason } if about(&body, contact_id).is_some() => {
            Err(CxoneError::ContactRefused { status, reason })
        }
        error => Err(error),
    }
}

/// The answer, where it is JSON that contains the id of the contact.
fn about(body: &[u8], contact: Uuid) -> Option<Value> {
    let id = contact.hyphenated().to_string();
    serde_json::from_slice(body).ok().filter(|answer| names(answer, &id))
}

/// Whether one of the values is the id. A text that merely contains it does not count.
fn names(json: &Value, id: &str) -> bool {
    match json {
        Value::String(text) => text.eq_ignore_ascii_case(id),
        Value::Array(items) => items.iter().any(|item| names(item, id)),
        Value::Object(members) => members.values().any(|member| names(member, id)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// When CXone will call, where the answer gives exactly one time.
fn start_in(answer: &Value) -> Option<Timestamp> {
    let mut starts = Vec::new();
    collect_starts(answer, &mut starts);
    starts.sort_unstable();
    starts.dedup();
    if let [start] = starts[..] { Some(start) } else { None }
}

fn collect_starts(json: &Value, starts: &mut Vec<Timestamp>) {
    match json {
        Value::Array(items) => items.iter().for_each(|item| collect_starts(item, starts)),
        Value::Object(members) => {
            let given = members.get("scheduledStartDateTime").and_then(Value::as_str);
            starts.extend(given.and_then(|text| text.parse::<Timestamp>().ok()));
            members.values().for_each(|member| collect_starts(member, starts));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01936b5e-84aa-720d-83ca-60abacb44d8c";

    fn failed(status: u16, body: &str) -> Failed {
        let reason = String::from("a reason");
        let error = match status {
            409 => CxoneError::Conflict { reason },
            _ => CxoneError::Rejected { status, reason },
        };
        Failed { error, body: body.to_owned().into() }
    }

    fn judged(status: u16, body: &str) -> Result<ContactAnswer, CxoneError> {
        not_created(failed(status, body), ID.parse().unwrap())
    }

    fn exists(at: Option<Timestamp>) -> ContactAnswer {
        ContactAnswer::Exists { contact: ContactId::Own(ID.parse().unwrap()), at, deleted: Vec::new() }
    }

    /// Answers that do not name the contact, whatever they say.
    fn about_nothing() -> [String; 10] {
        [
            String::new(),
            "<html>Conflict</html>".into(),
            format!("<html>{ID} exists</html>"),
            "{}".into(),
            format!(r#"{{"message": "a contact {ID} already exists"}}"#),
            format!(r#"{{"{ID}": "exists"}}"#),
            format!(r#"{{"contactId": " {ID}"}}"#),
            r#"{"contactId": "01936b5e-84aa-720d-83ca-60abacb44d8d"}"#.into(),
            r#"{"error": "duplicate contact", "message": "it already exists"}"#.into(),
            format!(r#"{{"contactId": "{ID}""#),
        ]
    }

    #[test]
    fn only_a_409_that_names_the_contact_says_that_it_exists() {
        for body in about_nothing() {
            assert!(matches!(judged(409, &body), Err(CxoneError::OutcomeUnknown { .. })), "{body}");
        }
        let named = [
            format!(r#"{{"contactId": "{ID}"}}"#),
            format!(r#"{{"contactId": "{}", "message": "no"}}"#, ID.to_uppercase()),
            format!(r#"{{"errors": [{{"code": 7}}, {{"details": {{"existing": "{ID}"}}}}]}}"#),
        ];
        for body in named {
            assert_eq!(judged(409, &body), Ok(exists(None)), "{body}");
        }
    }

    #[test]
    fn a_refusal_is_of_this_contact_only_where_it_names_it() {
        for status in [400, 422] {
            for body in about_nothing() {
                let refused = judged(status, &body);
                assert!(matches!(refused, Err(CxoneError::Rejected { status: said, .. }) if said == status), "{body}");
            }
            let refused = judged(status, &format!(r#"{{"errors": [{{"id": "{ID}"}}]}}"#));
            assert!(matches!(refused, Err(CxoneError::ContactRefused { status: said, .. }) if said == status));
        }
    }

    #[test]
    fn the_time_of_an_existing_contact_is_taken_where_it_is_clear() {
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let start = |text: &str| format!(r#"{{"scheduledStartDateTime": "{text}"}}"#);
        let (one, other) = (start("2026-11-20T15:00:00Z"), start("2026-11-20T16:00:00Z"));
        for (contacts, expected) in [
            (one.clone(), at("2026-11-20T15:00:00Z")),
            (format!("[{one}, {one}]"), at("2026-11-20T15:00:00Z")),
            (format!("[{one}, {other}]"), None),
            (start("soon"), None),
        ] {
            let body = format!(r#"{{"contactId": "{ID}", "existing": {contacts}}}"#);
            assert_eq!(judged(409, &body), Ok(exists(expected)), "{body}");
        }
    }
}
