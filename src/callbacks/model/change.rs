//! Changes of callbacks whose contact CXone has.

use jiff::Timestamp;
use strum::{AsRefStr, EnumString, VariantArray};

use crate::types::TimeWindow;

/// A change that is stored, and is to be carried out by CXone.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub kind: ChangeKind,
    /// The new window. Set if and only if the callback is to be rescheduled.
    pub window: Option<TimeWindow>,
    /// The time to which the contact is moved, once it is chosen.
    pub dispatch_time: Option<Timestamp>,
    /// When it was first sent to CXone, which may have carried it out since then.
    pub sent_at: Option<Timestamp>,
    /// The request that asked for it.
    pub request_id: Option<String>,
}

/// The kind of a [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, AsRefStr, EnumString, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum ChangeKind {
    /// A client cancels the callback.
    Cancel,
    /// A client gives it another window.
    Reschedule,
    /// Its campaign may not call at its time: it gets another time in its window.
    Move,
    /// Its campaign may not call in the rest of its window, as far as is known: CXone must not have its contact.
    Withdraw,
}

impl Change {
    /// A change that is requested.
    pub fn new(kind: ChangeKind, window: Option<TimeWindow>, request_id: Option<String>) -> Self {
        Self { kind, window, dispatch_time: None, sent_at: None, request_id }
    }

    /// Whether it asks for the same as this one.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.kind, self.window) == (other.kind, other.window)
    }

    /// Whether a client asked for it.
    pub fn is_requested(&self) -> bool {
        matches!(self.kind, ChangeKind::Cancel | ChangeKind::Reschedule)
    }
}
