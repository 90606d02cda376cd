//! Which contacts in CXone must not be called (pure).

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::callbacks::model::Status;
use crate::callbacks::store::Marked;
use crate::cxone::WaitingContact;

/// A contact that is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surplus {
    pub number: i64,
    /// The callback for which it was created.
    pub callback_id: Uuid,
    pub reason: Reason,
}

/// Why it must not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// The callback has another contact.
    Duplicate,
    /// The callback has ended in Ringback.
    Ended,
}

impl Reason {
    /// What CXone records.
    pub fn description(self) -> &'static str {
        match self {
            Self::Duplicate => "it was created twice",
            Self::Ended => "the callback has ended",
        }
    }
}

/// The contacts that must not be called: all of a callback that has ended, and of one that is open all but one. That is the
/// confirmed one, or the oldest while none is confirmed. A marker that is not known here belongs to somebody else.
pub fn surplus(waiting: &[WaitingContact], marked: &HashMap<Uuid, Marked>, now: Timestamp) -> Vec<Surplus> {
    let mut found = Vec::new();
    for contact in waiting {
        let Some(callback) = marked.get(&contact.callback_id) else { continue };
        let reason = match callback.status {
            Status::Cancelled | Status::Failed | Status::Expired => Some(Reason::Ended),
            Status::Accepted | Status::Scheduled => {
                (kept(contact.callback_id, callback, waiting, now) != Some(contact.number)).then_some(Reason::Duplicate)
            }
        };
        found.extend(reason.map(|reason| Surplus { number: contact.number, callback_id: contact.callback_id, reason }));
    }
    found
}

/// The contact of an open callback that is called. None if it has been called.
fn kept(id: Uuid, callback: &Marked, waiting: &[WaitingContact], now: Timestamp) -> Option<i64> {
    let numbers = || waiting.iter().filter(|contact| contact.callback_id == id).map(|contact| contact.number);
    let Some(confirmed) = callback.number else { return numbers().min() };
    let is_listed = numbers().any(|number| number == confirmed);
    let is_still_to_come = callback.dispatch_time.is_some_and(|at| at > now);
    if is_listed { Some(confirmed) } else { numbers().min().filter(|_| is_still_to_come) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_contact_of_an_open_callback_is_kept_and_none_of_one_that_has_ended() {
        let now: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
        let (later, earlier) = ("2026-11-20T15:10:00Z".parse().ok(), "2026-11-20T14:50:00Z".parse().ok());
        for (status, number, dispatch_time, listed, expected) in [
            (Status::Accepted, None, later, vec![12, 11], vec![12]),
            (Status::Scheduled, Some(11), later, vec![11], vec![]),
            (Status::Scheduled, Some(11), later, vec![11, 12], vec![12]),
            (Status::Scheduled, Some(12), later, vec![11, 12], vec![11]),
            (Status::Scheduled, Some(11), later, vec![12, 13], vec![13]),
            (Status::Scheduled, Some(11), earlier, vec![12], vec![12]),
            (Status::Expired, None, later, vec![11, 12], vec![11, 12]),
            (Status::Cancelled, None, None, vec![11], vec![11]),
            (Status::Failed, None, None, vec![11], vec![11]),
        ] {
            let id = Uuid::from_u128(1);
            let waiting: Vec<_> =
                listed.iter().map(|number| WaitingContact { number: *number, callback_id: id }).collect();
            let marked = HashMap::from([(id, Marked { status, number, dispatch_time })]);
            let numbers: Vec<_> = surplus(&waiting, &marked, now).iter().map(|surplus| surplus.number).collect();
            assert_eq!(numbers, expected, "{status:?} {number:?} {listed:?}");
            assert_eq!(surplus(&waiting, &HashMap::new(), now), [], "somebody else's");
        }
    }
}
