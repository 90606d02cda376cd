//! What was wrong with a run: pure, from what was acknowledged, what the service says at the end, and what CXone has.
//! `tests/chaos_verdict.rs` tests it.

mod callbacks;
mod campaigns;
mod evidence;
pub mod history;
mod holds;
mod messages;

use std::fmt;

use serde_json::Value;

pub use evidence::{Ack, AckedHold, Activation, By, CampaignEnd, Change, Evidence, Intent, SentResume};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It was acknowledged, and does not exist or never reached a final state.
    Lost,
    /// It was done more than once.
    Duplicated,
    /// What the service says is not so, or what it did was not allowed.
    Wrong,
}

/// One thing that is wrong, with all that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    pub kind: Kind,
    /// The rule that was broken; the same text for every case of it.
    pub what: String,
    pub details: Value,
}

impl Violation {
    pub fn new(kind: Kind, what: impl Into<String>, details: Value) -> Self {
        Self { kind, what: what.into(), details }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Lost => "lost",
            Self::Duplicated => "duplicated",
            Self::Wrong => "wrong",
        })
    }
}

/// Everything that is wrong.
pub fn judge(evidence: &Evidence) -> Vec<Violation> {
    let known = callbacks::Known::of(evidence);
    let mut violations = callbacks::judge(&known);
    violations.extend(messages::judge(&known));
    violations.extend(campaigns::judge(evidence));
    violations.extend(holds::judge(evidence));
    violations
}
