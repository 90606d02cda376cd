//! The members of a callback that the pages show.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use crate::console::page::Visit;
use crate::console::problem::ApiProblem;
use crate::console::view::MaskedNumber;
use crate::console::words::{self, Word};
use crate::types::mask_phone_numbers;

/// `GET /v1/callbacks/{id}`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Callback {
    pub id: Uuid,
    status: String,
    /// None if it is erased.
    pub phone_number: Option<MaskedNumber>,
    pub campaign_id: String,
    pub requested_start: Timestamp,
    pub requested_end: Timestamp,
    pub language: String,
    pub timezone: Option<String>,
    pub dispatch_time: Option<Timestamp>,
    pub contact_id: Option<String>,
    pub confirmation: Confirmation,
    pub at_risk: bool,
    pub failure: Option<Failure>,
    pub outcome: Option<CallOutcome>,
    pub external_id: Option<String>,
    pub metadata: Option<BTreeMap<String, MaskedText>>,
    pub attempts: i32,
    pub next_attempt_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub erased_at: Option<Timestamp>,
}

/// The SMS.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Confirmation {
    pub status: String,
    reason: Option<String>,
    pub sms_session_id: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Failure {
    pub code: String,
    /// With the words of CXone.
    pub detail: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallOutcome {
    status: String,
    pub called_at: Option<Timestamp>,
    pub agent_seconds: Option<u32>,
    pub disposition: Option<String>,
}

/// A text of a client, which may have phone numbers, with these masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskedText(String);

impl<'de> Deserialize<'de> for MaskedText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(mask_phone_numbers(&String::deserialize(deserializer)?)))
    }
}

impl std::fmt::Display for MaskedText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Callback {
    /// Reads one.
    ///
    /// # Errors
    /// The problem that the API answers.
    pub async fn read(visit: &Visit, id: Uuid) -> Result<Self, ApiProblem> {
        visit.api.get(&format!("/v1/callbacks/{id}")).await
    }

    /// The address of its page.
    pub fn path(&self) -> String {
        format!("/console/callbacks/{}", self.id)
    }

    pub fn status_word(&self) -> Word<'_> {
        words::callback_status(&self.status)
    }

    pub fn confirmation_word(&self) -> Word<'_> {
        words::confirmation_status(&self.confirmation.status)
    }

    /// Whether a call may still be made, so that it can be cancelled.
    pub fn is_open(&self) -> bool {
        let is_called = self.outcome.as_ref().is_some_and(|outcome| outcome.status != "pending");
        matches!(self.status.as_str(), "accepted" | "scheduled") && !is_called
    }

    /// Whether CXone has its contact.
    pub fn is_scheduled(&self) -> bool {
        self.status == "scheduled"
    }

    /// Whether it has ended without a call.
    pub fn has_failed(&self) -> bool {
        matches!(self.status.as_str(), "failed" | "expired")
    }
}

impl Confirmation {
    /// Whether the person has got it, or may have.
    pub fn may_be_sent(&self) -> bool {
        matches!(self.status.as_str(), "sent" | "unknown")
    }

    /// Why there is none.
    pub fn reason_text(&self) -> Option<&str> {
        self.reason.as_deref().map(skip_reason)
    }
}

impl CallOutcome {
    pub fn word(&self) -> Word<'_> {
        words::call_outcome(&self.status)
    }
}

/// Why no SMS is sent.
pub fn skip_reason(reason: &str) -> &str {
    match reason {
        "landline" => "the number is a fixed line",
        "no-channel" => "no SMS channel is set",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn phone_numbers_in_the_texts_of_clients_are_masked() {
        let shown = |text: &str| serde_json::from_value::<MaskedText>(json!(text)).unwrap().to_string();
        assert_eq!(shown("call 202-555-0198"), "call •••");
        assert_eq!(shown("ticket-4711"), "ticket-4711");
    }
}
