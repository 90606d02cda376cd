//! A row of `callbacks`, and its conversion to a callback. A stored value that Ringback does not know is an error.

use serde_json::Value;
use uuid::Uuid;

use crate::callbacks::model::{CallOutcome, Callback, Change, Failure};
use crate::cxone::ContactId;
use crate::db::decode;
use crate::trace::Traceparent;
use crate::types::{CampaignId, ExternalId, Language, Metadata, PhoneNumber, TimeWindow, TimeZone};

pub(super) struct Row {
    pub id: Uuid,
    pub status: String,
    pub phone_number: Option<String>,
    pub campaign_id: String,
    pub requested_start: jiff_sqlx::Timestamp,
    pub requested_end: jiff_sqlx::Timestamp,
    pub language: String,
    pub timezone: Option<String>,
    pub dispatch_time: Option<jiff_sqlx::Timestamp>,
    pub earlier_dispatch_time: Option<jiff_sqlx::Timestamp>,
    pub contact_id: Option<Uuid>,
    pub contact_number: Option<i64>,
    pub confirmation: String,
    pub skip_reason: Option<String>,
    pub confirmation_started_at: Option<jiff_sqlx::Timestamp>,
    pub sms_session_id: Option<String>,
    pub failure_code: Option<String>,
    pub failure_detail: Option<String>,
    pub attempts: i32,
    pub due_at: Option<jiff_sqlx::Timestamp>,
    pub request_id: String,
    pub traceparent: Option<String>,
    pub created_at: jiff_sqlx::Timestamp,
    pub updated_at: jiff_sqlx::Timestamp,
    pub at_risk: bool,
    pub external_id: Option<String>,
    pub metadata: Option<Value>,
    pub created_by: Option<Uuid>,
    pub in_batch: bool,
    pub erased_at: Option<jiff_sqlx::Timestamp>,
    #[expect(dead_code, reason = "only to find an erased callback")]
    pub phone_number_hash: Option<String>,
    pub outcome_status: Option<String>,
    pub outcome_contact_id: Option<String>,
    pub called_at: Option<jiff_sqlx::Timestamp>,
    pub agent_seconds: Option<i32>,
    pub disposition: Option<String>,
    pub skill_id: Option<i64>,
    #[expect(dead_code, reason = "only to find callbacks that are due")]
    pub recheck_at: Option<jiff_sqlx::Timestamp>,
    pub change: Option<String>,
    pub change_start: Option<jiff_sqlx::Timestamp>,
    pub change_end: Option<jiff_sqlx::Timestamp>,
    pub change_dispatch_time: Option<jiff_sqlx::Timestamp>,
    pub change_sent_at: Option<jiff_sqlx::Timestamp>,
    pub change_request_id: Option<String>,
    pub moves: i32,
    #[expect(dead_code, reason = "only for the constraints on open callbacks")]
    pub among_open: String,
}

impl Row {
    /// The change that waits for CXone.
    fn change(&self) -> Option<Result<Box<Change>, sqlx::Error>> {
        let at = |at: Option<jiff_sqlx::Timestamp>| at.map(jiff_sqlx::Timestamp::to_jiff);
        let kind = self.change.as_deref()?;
        let window = at(self.change_start).zip(at(self.change_end));
        let window = window.map(|(start, end)| TimeWindow::parse(start, end)).transpose();
        Some(window.map_err(|_| unknown("change_end")).and_then(|window| {
            Ok(Box::new(Change {
                kind: decode(kind)?,
                window,
                dispatch_time: at(self.change_dispatch_time),
                sent_at: at(self.change_sent_at),
                request_id: self.change_request_id.clone(),
            }))
        }))
    }
}

impl TryFrom<Row> for Callback {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let at = |at: Option<jiff_sqlx::Timestamp>| at.map(jiff_sqlx::Timestamp::to_jiff);
        let change = row.change().transpose()?;
        let window = TimeWindow::parse(row.requested_start.to_jiff(), row.requested_end.to_jiff());
        let zone = row.timezone.as_deref().map(TimeZone::parse).transpose();
        let external_id = row.external_id.as_deref().map(ExternalId::parse).transpose();
        let metadata = row.metadata.map(|value| stored_metadata(&value)).transpose();
        let outcome = row.outcome_status.map(|status| {
            Ok::<_, sqlx::Error>(CallOutcome {
                status: decode(&status)?,
                contact_id: row.outcome_contact_id,
                called_at: at(row.called_at),
                agent_seconds: row.agent_seconds.and_then(|seconds| u32::try_from(seconds).ok()),
                disposition: row.disposition,
            })
        });
        let skip_reason = row.skip_reason.map(|text| decode(&text)).transpose();
        let failure = row.failure_code.zip(row.failure_detail);
        let phone_number = row.phone_number.map_or(Ok(PhoneNumber::erased()), PhoneNumber::from_stored);
        let failure = failure.map(|(code, detail)| Ok::<_, sqlx::Error>(Failure { code: decode(&code)?, detail }));
        Ok(Self {
            id: row.id,
            status: decode(&row.status)?,
            phone_number: phone_number.map_err(|_| unknown("phone_number"))?,
            campaign_id: CampaignId::parse(&row.campaign_id).map_err(|_| unknown("campaign_id"))?,
            window: window.map_err(|_| unknown("requested_end"))?,
            language: Language::parse(&row.language).map_err(|_| unknown("language"))?,
            timezone: zone.map_err(|_| unknown("timezone"))?,
            external_id: external_id.map_err(|_| unknown("external_id"))?,
            metadata: metadata?,
            created_by: row.created_by,
            in_batch: row.in_batch,
            dispatch_time: at(row.dispatch_time),
            earlier_dispatch_time: at(row.earlier_dispatch_time),
            contact_id: row.contact_number.map(ContactId::Number).or(row.contact_id.map(ContactId::Own)),
            confirmation: decode(&row.confirmation)?,
            skip_reason: skip_reason?,
            confirmation_started_at: at(row.confirmation_started_at),
            sms_session_id: row.sms_session_id,
            outcome: outcome.transpose()?,
            skill: row.skill_id,
            change,
            moves: row.moves,
            at_risk: row.at_risk,
            failure: failure.transpose()?,
            attempts: row.attempts,
            due_at: at(row.due_at),
            trace: row.traceparent.as_deref().and_then(Traceparent::parse).unwrap_or(Traceparent::root(row.id)),
            request_id: row.request_id,
            created_at: row.created_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
            erased_at: at(row.erased_at),
        })
    }
}

fn stored_metadata(value: &Value) -> Result<Metadata, sqlx::Error> {
    value.as_object().and_then(|object| Metadata::parse(object).ok()).ok_or_else(|| unknown("metadata"))
}

fn unknown(column: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("callbacks.{column} has an unknown value").into())
}
