//! What happened to a callback, from its entries in the audit log.

use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::model::skip_reason;
use crate::console::client::with_query;
use crate::console::page::Visit;
use crate::console::problem::ApiProblem;
use crate::console::view::List;
use crate::console::words::{self, Word};

/// One page of the API. Few callbacks have more entries.
const MOST: &str = "200";

/// Oldest first.
pub struct Timeline {
    pub steps: Vec<Step>,
    /// Whether there are older entries.
    pub is_cut: bool,
}

/// An entry of the audit log.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    pub id: Uuid,
    pub timestamp: Timestamp,
    action: String,
    pub actor: Actor,
    outcome: String,
    latency_ms: Option<i64>,
    pub request_id: Option<String>,
    pub detail: StepDetail,
}

#[derive(Debug, Deserialize)]
pub struct Actor {
    r#type: String,
    pub name: String,
}

/// The particulars, as far as an entry has them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepDetail {
    pub requested_start: Option<Timestamp>,
    pub requested_end: Option<Timestamp>,
    pub previous_start: Option<Timestamp>,
    pub previous_end: Option<Timestamp>,
    pub dispatch_time: Option<Timestamp>,
    contact_id: Option<serde_json::Value>,
    confirmation_skipped: Option<String>,
    pub failure: Option<StepFailure>,
    outcome: Option<StepOutcome>,
    pub problem: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct StepFailure {
    pub code: String,
}

#[derive(Debug, Deserialize)]
struct StepOutcome {
    status: String,
}

impl Timeline {
    /// Reads it.
    ///
    /// # Errors
    /// The problem that the API answers.
    pub async fn read(visit: &Visit, id: Uuid) -> Result<Self, ApiProblem> {
        let id = id.to_string();
        let path = with_query("/v1/audit", [("callbackId", id.as_str()), ("limit", MOST)]);
        let mut entries: List<Step> = visit.api.get(&path).await?;
        entries.data.reverse();
        Ok(Self { steps: entries.data, is_cut: entries.next_cursor.is_some() })
    }
}

impl Step {
    /// What happened.
    pub fn what(&self) -> &str {
        match self.action.as_str() {
            "callback.accepted" => "Accepted and stored",
            "callback.scheduled" => "CXone has the contact",
            "callback.confirmed" => "SMS accepted by CXone",
            "callback.confirmation_failed" => "SMS not sent, or not known to be",
            "callback.failed" => "Failed",
            "callback.expired" => "Window ended without a contact",
            "callback.cancelled" => "Cancelled",
            "callback.rescheduled" => "Moved to another window",
            "callback.change_requested" => "CXone is asked for a change",
            "callback.change_refused" => "CXone did not make the change",
            "callback.withdrawn" => "Contact withdrawn because of a hold",
            "callback.called" => "CXone called",
            "callback.missed" => "CXone did not call the person",
            "callback.contact_deleted" => "Contact deleted in CXone",
            "callback.at_risk" => "At risk: a hold covers its time",
            "callback.no_longer_at_risk" => "No longer at risk",
            "callback.erased" => "Number and texts erased",
            "callback.number_revealed" => "Number shown in the console",
            "request.refused" => "Request refused",
            other => other,
        }
    }

    /// Its result, where that is not simply a success.
    pub fn result(&self) -> Option<Word<'_>> {
        (self.outcome != "succeeded").then(|| words::audit_outcome(&self.outcome))
    }

    /// Who did it, where that is not Ringback itself.
    pub fn person(&self) -> Option<&str> {
        (self.actor.r#type != "system").then_some(self.actor.name.as_str())
    }

    /// The dispatch time, where this step is about it.
    pub fn dispatch_time(&self) -> Option<Timestamp> {
        let is_about = matches!(
            self.action.as_str(),
            "callback.scheduled" | "callback.rescheduled" | "callback.at_risk" | "callback.no_longer_at_risk"
        );
        self.detail.dispatch_time.filter(|_| is_about)
    }

    /// The window that was asked for, where this step is about it.
    pub fn window(&self) -> Option<(Timestamp, Timestamp)> {
        let is_about = matches!(self.action.as_str(), "callback.accepted" | "callback.rescheduled");
        self.detail.requested_start.zip(self.detail.requested_end).filter(|_| is_about)
    }

    /// The window before.
    pub fn previous_window(&self) -> Option<(Timestamp, Timestamp)> {
        self.detail.previous_start.zip(self.detail.previous_end)
    }

    /// The id of the contact, where this step is about it.
    pub fn contact(&self) -> Option<String> {
        let is_about = matches!(self.action.as_str(), "callback.scheduled" | "callback.contact_deleted");
        let id = self.detail.contact_id.as_ref().filter(|_| is_about)?;
        Some(id.as_str().map_or_else(|| id.to_string(), str::to_owned))
    }

    /// Why there is no SMS.
    pub fn without_sms(&self) -> Option<&str> {
        let reason = self.detail.confirmation_skipped.as_deref().filter(|_| self.action == "callback.scheduled");
        reason.map(skip_reason)
    }

    /// The code of the failure, where this step is one.
    pub fn failure(&self) -> Option<&str> {
        let is_about = matches!(
            self.action.as_str(),
            "callback.failed" | "callback.expired" | "callback.confirmation_failed" | "callback.change_refused"
        );
        self.detail.failure.as_ref().filter(|_| is_about).map(|failure| failure.code.as_str())
    }

    /// What became of the call.
    pub fn call(&self) -> Option<Word<'_>> {
        let is_about = matches!(self.action.as_str(), "callback.called" | "callback.missed");
        self.detail.outcome.as_ref().filter(|_| is_about).map(|outcome| words::call_outcome(&outcome.status))
    }

    /// How long after the request, such as `41 ms`, where that is of interest.
    pub fn latency(&self) -> Option<String> {
        let is_about = matches!(self.action.as_str(), "callback.scheduled" | "callback.confirmed");
        let latency = self.latency_ms.filter(|_| is_about)?;
        Some(if latency < 10_000 { format!("{latency} ms") } else { format!("{} s", latency / 1000) })
    }
}
