//! Which call belongs to which callback, and what it says (pure).

use std::collections::HashMap;

use jiff::SignedDuration;
use uuid::Uuid;

use crate::callbacks::model::{CallOutcome, CallStatus, Callback};
use crate::cxone::{Disposition, ReportedCall};

/// A call may start this much before its time.
const EARLY: SignedDuration = SignedDuration::from_mins(1);
/// A call that starts this long after the window is not the one that was promised.
pub const MISSING_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// Which dispositions say that the person was reached.
#[derive(Clone, Debug, Default)]
pub struct ReachedDispositions {
    /// Ids, or names in lower case. Empty: CXone's classification decides.
    listed: Vec<String>,
}

impl ReachedDispositions {
    /// From a list that is separated by commas.
    pub fn parse(text: &str) -> Self {
        let names = text.split(',').map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty());
        Self { listed: names.collect() }
    }

    fn status(&self, id: i64, known: Option<&Disposition>) -> CallStatus {
        let says_reached = if self.listed.is_empty() {
            known.and_then(|disposition| disposition.is_success)
        } else {
            let name = known.map(|disposition| disposition.name.to_lowercase());
            Some(self.listed.iter().any(|listed| *listed == id.to_string() || Some(listed) == name.as_ref()))
        };
        match says_reached {
            Some(true) => CallStatus::Reached,
            Some(false) => CallStatus::NotReached,
            None => CallStatus::Called,
        }
    }
}

/// What a call says.
pub fn outcome_of(call: &ReportedCall, dispositions: &[Disposition], reached: &ReachedDispositions) -> CallOutcome {
    let disposition = call.disposition.map(|id| (id, dispositions.iter().find(|known| known.id == id)));
    let status = match disposition {
        Some((id, known)) => reached.status(id, known),
        None if call.is_refused && call.has_agent => CallStatus::AgentOnly,
        None => CallStatus::Called,
    };
    let name = |(id, known): (i64, Option<&Disposition>)| {
        let name = known.map(|known| known.name.clone()).filter(|name| !name.is_empty());
        name.unwrap_or_else(|| id.to_string())
    };
    CallOutcome {
        status,
        contact_id: Some(call.contact.to_string()),
        called_at: Some(call.started_at),
        agent_seconds: call.agent_seconds,
        disposition: disposition.map(name),
    }
}

/// The callback that the call belongs to: of those with its number and skill, the one whose time is nearest.
fn callback_of<'a>(call: &ReportedCall, callbacks: &'a [Callback]) -> Option<&'a Callback> {
    let is_possible = |callback: &&Callback| {
        let digits = callback.phone_number.as_str().trim_start_matches('+');
        let same_skill = callback.skill.zip(call.skill).is_none_or(|(planned, made)| planned == made);
        let in_time = callback.dispatch_time.is_some_and(|at| call.started_at >= at - EARLY)
            && call.started_at <= callback.window.end() + MISSING_AFTER;
        digits == call.to_digits && same_skill && in_time && callback.outcome.is_some()
    };
    callbacks.iter().filter(is_possible).max_by_key(|callback| (callback.dispatch_time, callback.id))
}

/// The new outcomes of these callbacks. Of several calls for one callback, the one that says most counts.
pub fn settled<'a>(
    calls: &[ReportedCall],
    callbacks: &'a [Callback],
    outcome: impl Fn(&ReportedCall) -> CallOutcome,
) -> Vec<(&'a Callback, CallOutcome)> {
    let mut best: HashMap<Uuid, (&Callback, CallOutcome)> = HashMap::new();
    for call in calls {
        let Some(callback) = callback_of(call, callbacks) else { continue };
        let new = outcome(call);
        let known = best.get(&callback.id).map(|(_, outcome)| outcome).or(callback.outcome.as_ref());
        if known.is_none_or(|known| says_more(&new, known)) {
            best.insert(callback.id, (callback, new));
        }
    }
    best.into_values().collect()
}

/// Whether an outcome replaces another one: by another call if it says more, by the same call if it has changed and does not
/// say less.
fn says_more(new: &CallOutcome, known: &CallOutcome) -> bool {
    let is_same_call = new.contact_id == known.contact_id;
    let (new_rank, known_rank) = (rank(new.status), rank(known.status));
    new_rank > known_rank || (is_same_call && new_rank == known_rank && new != known)
}

fn rank(status: CallStatus) -> u8 {
    match status {
        CallStatus::Pending => 0,
        CallStatus::Missing => 1,
        CallStatus::AgentOnly => 2,
        CallStatus::Called => 3,
        CallStatus::NotReached => 4,
        CallStatus::Reached => 5,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::callbacks::model::testing;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-20T{time}Z").parse().unwrap()
    }

    /// Callback number `n`, all to the number of the first, planned for that time.
    fn planned(n: u16, time: &str, skill: i64) -> Callback {
        let mut callback = testing::accepted(n, at("15:00:00"), at("14:00:00"));
        callback.phone_number = testing::accepted(0, at("15:00:00"), at("14:00:00")).phone_number;
        callback.dispatch_time = Some(at(time));
        callback.skill = Some(skill);
        callback.outcome = Some(CallOutcome::PENDING);
        callback
    }

    fn call(contact: i64, time: &str) -> ReportedCall {
        ReportedCall {
            contact,
            skill: Some(1),
            to_digits: "12025500000".into(),
            started_at: at(time),
            has_agent: true,
            agent_seconds: Some(60),
            is_refused: false,
            disposition: None,
        }
    }

    #[test]
    fn a_call_belongs_to_the_callback_of_its_number_and_skill_whose_time_is_nearest() {
        let callbacks = [planned(0, "15:10:00", 1), planned(1, "16:00:00", 1), planned(2, "15:10:30", 2)];
        let to_other = ReportedCall { to_digits: "12025500001".into(), ..call(1, "15:11:00") };
        let without_skill = ReportedCall { skill: None, ..call(1, "15:20:00") };
        for (call, expected) in [
            (call(1, "15:09:00"), Some(0)),
            (call(1, "15:08:59"), None),
            (call(1, "15:50:00"), Some(0)),
            (call(1, "15:59:30"), Some(1)),
            (call(1, "18:00:00"), Some(1)),
            (call(1, "18:00:01"), None),
            (ReportedCall { skill: Some(2), ..call(1, "15:20:00") }, Some(2)),
            (ReportedCall { skill: Some(3), ..call(1, "15:20:00") }, None),
            (without_skill, Some(2)),
            (to_other, None),
        ] {
            let found = callback_of(&call, &callbacks).map(|callback| callback.id);
            assert_eq!(found, expected.map(|index: usize| callbacks[index].id), "{call:?}");
        }
    }

    #[test]
    fn a_call_says_what_its_disposition_or_its_refusal_says() {
        let known = |id, name: &str, is_success| Disposition { id, name: name.into(), is_success };
        let dispositions = [known(1, "Sale", Some(true)), known(2, "No answer", Some(false)), known(3, "Other", None)];
        let refused = ReportedCall { is_refused: true, ..call(1, "15:10:00") };
        let with = |id| ReportedCall { disposition: Some(id), ..call(1, "15:10:00") };
        for (call, setting, status, disposition) in [
            (with(1), "", CallStatus::Reached, Some("Sale")),
            (with(2), "", CallStatus::NotReached, Some("No answer")),
            (with(3), "", CallStatus::Called, Some("Other")),
            (with(9), "", CallStatus::Called, Some("9")),
            (with(3), " other , 9", CallStatus::Reached, Some("Other")),
            (with(9), "other,9", CallStatus::Reached, Some("9")),
            (with(1), "other,9", CallStatus::NotReached, Some("Sale")),
            (call(1, "15:10:00"), "", CallStatus::Called, None),
            (refused.clone(), "", CallStatus::AgentOnly, None),
            (ReportedCall { has_agent: false, ..refused }, "", CallStatus::Called, None),
        ] {
            let outcome = outcome_of(&call, &dispositions, &ReachedDispositions::parse(setting));
            assert_eq!((outcome.status, outcome.disposition.as_deref()), (status, disposition), "{call:?} {setting}");
        }
    }

    #[test]
    fn of_several_calls_the_one_that_says_most_counts_and_nothing_is_taken_back() {
        let outcome = |call: &ReportedCall| {
            let status = match call.disposition {
                Some(1) => CallStatus::Reached,
                Some(_) => CallStatus::NotReached,
                None => CallStatus::Called,
            };
            CallOutcome { status, ..outcome_of(call, &[], &ReachedDispositions::default()) }
        };
        let with = |contact, disposition| ReportedCall { disposition, ..call(contact, "15:12:00") };
        let settle = |callback: &Callback, calls: &[ReportedCall]| {
            let settled = settled(calls, std::slice::from_ref(callback), outcome);
            settled.into_iter().next().map(|(_, outcome)| outcome)
        };
        let mut callback = planned(0, "15:10:00", 1);
        let calls = [with(1, Some(2)), with(2, Some(1)), with(3, None)];
        let reached = settle(&callback, &calls).unwrap();
        assert_eq!((reached.status, reached.contact_id.as_deref()), (CallStatus::Reached, Some("2")));
        callback.outcome = Some(CallOutcome { status: CallStatus::Missing, ..CallOutcome::PENDING });
        callback.outcome = settle(&callback, &[with(3, None)]);
        assert_eq!(callback.outcome.as_ref().unwrap().status, CallStatus::Called, "it was reported late");
        assert_eq!(settle(&callback, &[with(3, None)]), None, "nothing is new");
        callback.outcome = Some(reached);
        assert_eq!(settle(&callback, &[with(2, Some(2)), with(3, None)]), None);
    }
}
