//! Audit entries and webhook events about a callback.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::call_outcome::CallStatus;
use super::callback::Callback;
use super::status::{Failure, FailureCode, SkipReason, Status};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::cxone::ContactId;
use crate::types::TimeWindow;
use crate::webhooks::{CallbackEvent, Event, EventFailure, EventOutcome};

/// The detail of each audit entry about a callback.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Detail<'a> {
    /// Masked.
    phone_number: String,
    /// In the entries that say when a callback begins and when it is erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number_hash: Option<String>,
    requested_start: Timestamp,
    requested_end: Timestamp,
    /// The window before this change.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_start: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_end: Option<Timestamp>,
    /// A change that is to be carried out, or that is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<ChangeDetail>,
    attempts: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    dispatch_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmation_skipped: Option<SkipReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact_id: Option<ContactId>,
    /// Why that contact was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sms_session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<OutcomeDetail<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangeDetail {
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_start: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_end: Option<Timestamp>,
}

/// Without the disposition, which is a text of CXone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutcomeDetail<'a> {
    status: CallStatus,
    contact_id: Option<&'a str>,
    called_at: Option<Timestamp>,
    agent_seconds: Option<u32>,
}

/// Without the text of the failure, which has what CXone said.
#[derive(Serialize)]
struct FailureDetail {
    code: FailureCode,
}

impl Callback {
    /// An audit entry about the callback as it is now. The actor is the worker, the request the one that created the
    /// callback.
    pub fn entry(&self, id: Uuid, now: Timestamp, action: Action, outcome: Outcome, previous: Status) -> Entry {
        self.bare_entry(id, now, action, outcome, previous).with_detail(&self.audit_detail())
    }

    fn bare_entry(&self, id: Uuid, now: Timestamp, action: Action, outcome: Outcome, previous: Status) -> Entry {
        Entry {
            campaign_id: Some(self.campaign_id.to_string()),
            callback_id: Some(self.id),
            previous_state: Some(previous.as_ref().into()),
            new_state: Some(self.status.as_ref().into()),
            latency_ms: Some(milliseconds(now.duration_since(self.created_at))),
            request_id: Some(self.request_id.clone()),
            ..Entry::new(id, now, action, Actor::system("callbacks"), outcome)
        }
    }

    /// The same, with the keyed hash of the phone number.
    pub fn entry_with_hash(
        &self,
        id: Uuid,
        now: Timestamp,
        action: Action,
        previous: Status,
        hash: Option<String>,
    ) -> Entry {
        let detail = Detail { phone_number_hash: hash, ..self.audit_detail() };
        self.bare_entry(id, now, action, Outcome::Succeeded, previous).with_detail(&detail)
    }

    /// The entry of a callback that has got another window.
    pub fn rescheduled_entry(&self, id: Uuid, now: Timestamp, previous: TimeWindow, status: Status) -> Entry {
        let detail = Detail {
            previous_start: Some(previous.start()),
            previous_end: Some(previous.end()),
            ..self.audit_detail()
        };
        self.bare_entry(id, now, Action::CallbackRescheduled, Outcome::Succeeded, status).with_detail(&detail)
    }

    /// The entry of a contact that was deleted in CXone because it must not be called. The id follows from the contact, so that
    /// replicas that delete the same one record it once.
    pub fn contact_deleted_entry(&self, now: Timestamp, number: i64, reason: &'static str) -> Entry {
        let id = Uuid::new_v5(&self.id, format!("contact {number} deleted").as_bytes());
        let detail =
            Detail { contact_id: Some(ContactId::Number(number)), reason: Some(reason), ..self.audit_detail() };
        let entry = self.bare_entry(id, now, Action::CallbackContactDeleted, Outcome::Succeeded, self.status);
        Entry { latency_ms: None, ..entry }.with_detail(&detail)
    }

    /// The webhook event of a change of the callback.
    pub fn event(&self) -> Event {
        let failure = self.failure.as_ref();
        Event::Callback(CallbackEvent {
            window: self.window,
            dispatch_time: self.shown_dispatch_time(),
            contact_id: self.contact_id.map(|id| id.to_string()),
            failure: failure.map(|Failure { code, detail }| EventFailure {
                code: code.as_ref().to_owned(),
                detail: detail.clone(),
            }),
            outcome: self.outcome.as_ref().map(|outcome| {
                Box::new(EventOutcome {
                    status: outcome.status.as_ref().to_owned(),
                    contact_id: outcome.contact_id.clone(),
                    called_at: outcome.called_at,
                    agent_seconds: outcome.agent_seconds,
                    disposition: outcome.disposition.clone(),
                })
            }),
            external_id: self.external_id.clone(),
            metadata: self.metadata.clone(),
        })
    }

    fn audit_detail(&self) -> Detail<'_> {
        Detail {
            phone_number: self.phone_number.masked(),
            phone_number_hash: None,
            requested_start: self.window.start(),
            requested_end: self.window.end(),
            previous_start: None,
            previous_end: None,
            change: self.change.as_ref().map(|change| ChangeDetail {
                r#type: change.kind.as_ref().to_owned(),
                requested_start: change.window.map(|window| window.start()),
                requested_end: change.window.map(|window| window.end()),
            }),
            attempts: self.attempts,
            dispatch_time: self.shown_dispatch_time(),
            confirmation_skipped: self.skip_reason,
            contact_id: self.contact_id,
            reason: None,
            sms_session_id: self.sms_session_id.as_deref(),
            failure: self.failure.as_ref().map(|failure| FailureDetail { code: failure.code }),
            outcome: self.outcome.as_ref().filter(|outcome| outcome.status != CallStatus::Pending).map(|outcome| {
                OutcomeDetail {
                    status: outcome.status,
                    contact_id: outcome.contact_id.as_deref(),
                    called_at: outcome.called_at,
                    agent_seconds: outcome.agent_seconds,
                }
            }),
        }
    }
}

/// Whole milliseconds, never negative.
fn milliseconds(duration: SignedDuration) -> i64 {
    i64::try_from(Duration::try_from(duration).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
