//! The contacts created so far.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::ring::Ring;

/// Enough for a long benchmark; at most some hundred megabytes.
const KEPT: usize = 100_000;

/// The contacts created.
pub(in crate::simulator) struct Contacts {
    created: Ring<Contact>,
    /// The number of each contact in `created`.
    by_id: HashMap<Uuid, u64>,
}

/// One contact.
#[derive(Serialize)]
pub(in crate::simulator) struct Contact {
    at: Timestamp,
    #[serde(skip)]
    id: Uuid,
    /// As the client sent it.
    contact: Value,
    /// How often the same id was sent again.
    repeats: u64,
}

impl Default for Contacts {
    fn default() -> Self {
        Self { created: Ring::new(KEPT), by_id: HashMap::new() }
    }
}

impl Contacts {
    pub(in crate::simulator) fn iter(&self) -> impl Iterator<Item = &Contact> {
        self.created.iter()
    }

    pub(in crate::simulator) fn clear(&mut self) {
        self.created.clear();
        self.by_id.clear();
    }

    /// Counts a repeat of an existing contact. Returns false if there is no contact with this id.
    pub(in crate::simulator) fn repeat(&mut self, id: Uuid) -> bool {
        let contact = self.by_id.get(&id).and_then(|&number| self.created.get_mut(number));
        contact.map(|contact| contact.repeats += 1).is_some()
    }

    pub(in crate::simulator) fn add(&mut self, id: Uuid, contact: Value, at: Timestamp) {
        let (number, removed) = self.created.push(Contact { at, id, contact, repeats: 0 });
        self.by_id.insert(id, number);
        if let Some(removed) = removed {
            self.by_id.remove(&removed.id);
        }
    }
}
