//! What is stored together with a changed campaign.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::hold::Hold;
use super::report::Report;
use crate::audit::{Actor, Entry};

/// Everything that one transaction stores besides the campaign itself.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub placed: Vec<Hold>,
    /// Holds whose pause was requested again.
    pub refreshed: Vec<Hold>,
    pub lifted: Vec<Lifted>,
    pub entries: Vec<Entry>,
    /// The entry of a change of the campaign that CXone has confirmed; the last, where there are several. It is among
    /// `entries`.
    pub applied: Option<Uuid>,
    /// The command that is executed, and the report that a repetition of it is answered with.
    pub command: Option<(Uuid, Report)>,
    /// Earlier commands that CXone has now confirmed.
    pub confirmed: Vec<Confirmed>,
}

impl Changes {
    /// Whether any hold is placed, refreshed or lifted.
    pub fn has_holds(&self) -> bool {
        !(self.placed.is_empty() && self.refreshed.is_empty() && self.lifted.is_empty())
    }
}

/// A command that CXone has confirmed.
#[derive(Clone, Debug, Serialize)]
pub struct Confirmed {
    pub command_id: Uuid,
    /// The members of the command's stored report that change.
    pub report: serde_json::Value,
}

/// A lifted hold.
#[derive(Clone, Debug, Serialize)]
pub struct Lifted {
    pub id: Uuid,
    pub at: Timestamp,
    pub by: Actor,
}
