//! The scheduled callbacks.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::simulator::model::ring::Ring;

/// Enough for a long benchmark.
const KEPT: usize = 100_000;

/// Above 2^32, so that clients need 64 bits.
const FIRST_ID: u64 = 9_000_000_001;

/// What precedes the id of a client's callback in the notes.
const MARKER: &str = "ringback:";

/// The last callbacks created.
pub(in crate::simulator) struct Callbacks {
    /// The id of a callback is `FIRST_ID` and its number here.
    created: Ring<Callback>,
    /// Those that wait, by their time.
    waiting: BTreeSet<(Timestamp, u64)>,
    /// The first callback of each marker.
    by_marker: HashMap<Uuid, u64>,
}

/// What a client wants.
#[derive(Clone)]
pub(in crate::simulator) struct WantedCallback {
    pub(in crate::simulator) first_name: String,
    pub(in crate::simulator) last_name: String,
    pub(in crate::simulator) phone: String,
    pub(in crate::simulator) skill_id: u64,
    /// `None` for any agent of the skill.
    pub(in crate::simulator) agent_id: Option<u64>,
    /// As the client sent it.
    pub(in crate::simulator) schedule_date: String,
    /// What the tenant takes it for.
    pub(in crate::simulator) time: Timestamp,
    pub(in crate::simulator) notes: String,
}

/// One scheduled callback.
pub(in crate::simulator) struct Callback {
    pub(in crate::simulator) id: u64,
    at: Timestamp,
    pub(in crate::simulator) wanted: WantedCallback,
    marker: Option<Uuid>,
    /// How many callbacks with the same marker were created after this one.
    repeats: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    /// Its time has come, and its skill does not run.
    Held,
    Deleted,
    Dialled,
}

/// A callback whose time has come.
pub(super) struct Dialled {
    pub(super) wanted: WantedCallback,
    pub(super) start: Timestamp,
}

impl Default for Callbacks {
    fn default() -> Self {
        Self { created: Ring::new(KEPT), waiting: BTreeSet::new(), by_marker: HashMap::new() }
    }
}

impl Callbacks {
    /// Creates a callback. Returns its id.
    pub(in crate::simulator) fn add(&mut self, wanted: WantedCallback, at: Timestamp) -> u64 {
        let id = FIRST_ID + self.created.next();
        let marker = marker(&wanted.notes);
        if let Some(marker) = marker {
            let first = *self.by_marker.entry(marker).or_insert(id);
            // The new one itself is not stored yet.
            if let Some(first) = self.find_mut(first) {
                first.repeats += 1;
            }
        }
        self.waiting.insert((wanted.time, id));
        let callback = Callback { id, at, wanted, marker, repeats: 0, state: State::Waiting };
        let (_, removed) = self.created.push(callback);
        if let Some(removed) = removed {
            self.waiting.remove(&(removed.wanted.time, removed.id));
            if let Some(marker) = removed.marker {
                self.by_marker.remove(&marker);
            }
        }
        id
    }

    pub(in crate::simulator) fn get(&self, id: u64) -> Option<&Callback> {
        self.created.get(id.checked_sub(FIRST_ID)?)
    }

    fn find_mut(&mut self, id: u64) -> Option<&mut Callback> {
        self.created.get_mut(id.checked_sub(FIRST_ID)?)
    }

    fn waiting_mut(&mut self, id: u64) -> Option<&mut Callback> {
        self.find_mut(id).filter(|callback| callback.is_waiting())
    }

    /// Changes a waiting callback. Returns false if it is not waiting.
    pub(in crate::simulator) fn update(&mut self, id: u64, wanted: WantedCallback) -> bool {
        let Some(callback) = self.waiting_mut(id) else {
            return false;
        };
        let time = wanted.time;
        callback.state = State::Waiting;
        let before = std::mem::replace(&mut callback.wanted, wanted);
        self.waiting.remove(&(before.time, id));
        self.waiting.insert((time, id));
        true
    }

    /// Deletes a waiting callback. Returns false if it is not waiting.
    pub(in crate::simulator) fn delete(&mut self, id: u64) -> bool {
        self.end(id, State::Deleted).is_some()
    }

    fn end(&mut self, id: u64, state: State) -> Option<&Callback> {
        let callback = self.waiting_mut(id)?;
        callback.state = state;
        let time = callback.wanted.time;
        self.waiting.remove(&(time, id));
        self.get(id)
    }

    /// The waiting callbacks whose time has come, the earliest first.
    pub(super) fn due(&self, now: Timestamp) -> Vec<u64> {
        self.waiting.range(..=(now, u64::MAX)).map(|&(_, id)| id).collect()
    }

    /// Leaves a callback waiting although its time has come.
    pub(super) fn hold(&mut self, id: u64) {
        if let Some(callback) = self.waiting_mut(id) {
            callback.state = State::Held;
        }
    }

    /// Calls back. One that was held is called now, any other was called at its time.
    pub(super) fn dial(&mut self, id: u64, now: Timestamp) -> Option<Dialled> {
        let was_held = self.get(id)?.state == State::Held;
        let callback = self.end(id, State::Dialled)?;
        // A time in the past is called at once.
        let start = if was_held { now } else { callback.wanted.time.max(callback.at) };
        Some(Dialled { wanted: callback.wanted.clone(), start })
    }

    /// The waiting callbacks, the earliest first.
    pub(in crate::simulator) fn waiting(&self) -> impl Iterator<Item = &Callback> {
        self.waiting.iter().filter_map(|&(_, id)| self.get(id))
    }

    pub(in crate::simulator) fn iter(&self) -> impl Iterator<Item = &Callback> {
        self.created.iter()
    }

    pub(super) fn clear(&mut self) {
        self.created.clear();
        self.waiting.clear();
        self.by_marker.clear();
    }
}

impl Callback {
    fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting | State::Held)
    }

    /// The callback as the control API shows it, like a contact of the `v2` API.
    pub(in crate::simulator) fn shown(&self, campaign: Option<&str>) -> Value {
        let wanted = &self.wanted;
        let mut shown = json!({
            "at": self.at,
            "contact": {
                "contactId": self.marker,
                "callbackId": self.id,
                "campaignId": campaign,
                "phone": wanted.phone,
                "scheduledStartDateTime": wanted.time,
                "scheduleDate": wanted.schedule_date,
                "skillId": wanted.skill_id,
                "notes": wanted.notes,
            },
            "repeats": self.repeats,
        });
        match self.state {
            State::Waiting | State::Held => {}
            State::Deleted => shown["deleted"] = true.into(),
            State::Dialled => shown["dialled"] = true.into(),
        }
        shown
    }
}

/// The UUID after the last `ringback:` in the notes.
fn marker(notes: &str) -> Option<Uuid> {
    let (_, after) = notes.rsplit_once(MARKER)?;
    Uuid::try_parse(after.get(..36)?).ok()
}
