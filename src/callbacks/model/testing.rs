//! Callbacks for tests.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Callback, Confirmation, Contact, Status};
use crate::cxone::ContactId;
use crate::trace::Traceparent;
use crate::types::{CampaignId, Language, PhoneNumber, TimeWindow};

/// CXone's contact for a callback, under the callback's own id.
pub fn contact(callback: &Callback, start: Timestamp) -> Contact {
    Contact { id: ContactId::Own(callback.id), start }
}

/// Callback number `n`, accepted and due `now`, to be called in the two hours from `start`. Each number has its own id and
/// phone number.
pub fn accepted(n: u16, start: Timestamp, now: Timestamp) -> Callback {
    let id = Uuid::from_u128(u128::from(n) + 1);
    Callback {
        id,
        status: Status::Accepted,
        phone_number: PhoneNumber::from_stored(format!("+120255{n:05}")).unwrap(),
        campaign_id: CampaignId::parse("c").unwrap(),
        window: TimeWindow::parse(start, start + SignedDuration::from_hours(2)).unwrap(),
        language: Language::parse("en").unwrap(),
        timezone: None,
        external_id: None,
        metadata: None,
        created_by: Some(Uuid::from_u128(7)),
        in_batch: false,
        erased_at: None,
        dispatch_time: None,
        earlier_dispatch_time: None,
        contact_id: None,
        confirmation: Confirmation::Pending,
        skip_reason: None,
        confirmation_started_at: None,
        sms_session_id: None,
        outcome: None,
        skill: None,
        change: None,
        moves: 0,
        at_risk: false,
        failure: None,
        attempts: 0,
        due_at: Some(now),
        request_id: "request".to_owned(),
        trace: Traceparent::root(id),
        created_at: now,
        updated_at: now,
    }
}
