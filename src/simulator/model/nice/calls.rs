//! The contacts that came of callbacks.

use std::time::Duration;

use jiff::Timestamp;

use super::callbacks::Dialled;
use super::tenant::{Behaviour, Outcome};
use crate::simulator::model::ring::Ring;

/// Enough for a long benchmark.
const KEPT: usize = 100_000;

/// Above 2^32, so that clients need 64 bits.
const FIRST_ID: u64 = 500_000_000_001;

/// The agent of callbacks that have no other.
const AGENT: u64 = 7001;

/// The dispositions that calls get: id, name, and whether the person was reached.
pub(in crate::simulator) const DISPOSITIONS: [(u64, &str, bool); 3] =
    [(1, "Reached", true), (2, "No answer", false), (3, "Wrong number", false)];

/// One call.
pub(in crate::simulator) struct Call {
    pub(in crate::simulator) id: u64,
    pub(in crate::simulator) skill_id: u64,
    pub(in crate::simulator) phone: String,
    pub(in crate::simulator) start: Timestamp,
    /// When it is shown as completed.
    pub(in crate::simulator) completed_at: Timestamp,
    pub(in crate::simulator) agent_id: u64,
    pub(in crate::simulator) agent_seconds: u32,
    pub(in crate::simulator) total_seconds: u32,
    pub(in crate::simulator) disposition: Option<u64>,
    pub(in crate::simulator) refuse_reason: Option<&'static str>,
}

impl Call {
    /// Whether the customer was dialled, and not only the agent.
    pub(super) fn was_dialled(&self) -> bool {
        self.refuse_reason.is_none()
    }

    /// Whether the customer answered.
    pub(super) fn was_answered(&self) -> bool {
        DISPOSITIONS.iter().any(|(id, _, reached)| *reached && self.disposition == Some(*id))
    }
}

/// The last calls.
pub(in crate::simulator) struct Calls(Ring<Call>);

impl Default for Calls {
    fn default() -> Self {
        Self(Ring::new(KEPT))
    }
}

impl Calls {
    /// The call of a callback, unless its outcome is that there is none.
    pub(super) fn add(&mut self, dialled: &Dialled, behaviour: &Behaviour) {
        let wanted = &dialled.wanted;
        let (agent_seconds, total_seconds, disposition, refuse_reason) = match behaviour.outcome_of(&wanted.phone) {
            Outcome::Reached => (120, 135, Some(1), None),
            Outcome::NotReached => (4, 34, Some(2), None),
            Outcome::AgentOnly => (20, 20, None, Some("Customer was not dialed")),
            Outcome::Missing => return,
        };
        let delay = Duration::from_millis(behaviour.completed_delay_ms.into());
        self.0.push(Call {
            id: FIRST_ID + self.0.next(),
            skill_id: wanted.skill_id,
            phone: wanted.phone.clone(),
            start: dialled.start,
            completed_at: dialled.start.checked_add(delay).unwrap_or(dialled.start),
            agent_id: wanted.agent_id.unwrap_or(AGENT),
            agent_seconds,
            total_seconds,
            disposition,
            refuse_reason,
        });
    }

    pub(in crate::simulator) fn get(&self, id: u64) -> Option<&Call> {
        self.0.get(id.checked_sub(FIRST_ID)?)
    }

    /// The calls that are completed, or those that are not.
    pub(in crate::simulator) fn list(&self, now: Timestamp, completed: bool) -> impl Iterator<Item = &Call> {
        self.0.iter().filter(move |call| (call.completed_at <= now) == completed)
    }

    /// All of them, the oldest first.
    pub(in crate::simulator) fn iter(&self) -> impl Iterator<Item = &Call> {
        self.0.iter()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
