//! Audit entries and webhook events about a callback.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::callback::Callback;
use super::status::{Failure, FailureCode, SkipReason, Status};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::webhooks::{CallbackEvent, Event, EventFailure};

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
    attempts: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    dispatch_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmation_skipped: Option<SkipReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sms_session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureDetail>,
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

    /// The webhook event of a change of the callback.
    pub fn event(&self) -> Event {
        let failure = self.failure.as_ref();
        Event::Callback(CallbackEvent {
            dispatch_time: self.shown_dispatch_time(),
            contact_id: self.contact_id,
            failure: failure.map(|Failure { code, detail }| EventFailure {
                code: code.as_ref().to_owned(),
                detail: detail.clone(),
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
            attempts: self.attempts,
            dispatch_time: self.shown_dispatch_time(),
            confirmation_skipped: self.skip_reason,
            contact_id: self.contact_id,
            sms_session_id: self.sms_session_id.as_deref(),
            failure: self.failure.as_ref().map(|failure| FailureDetail { code: failure.code }),
        }
    }
}

/// Whole milliseconds, never negative.
fn milliseconds(duration: SignedDuration) -> i64 {
    i64::try_from(Duration::try_from(duration).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
