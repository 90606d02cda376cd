//! A campaign, its holds and its commands, and the rules about them. Pure: time and randomness are passed in.

mod campaign;
mod changes;
mod command;
mod entries;
mod hold;
mod holding;
mod last_sent;
mod observe;
mod plan;
#[cfg(test)]
mod plan_test;
mod report;
mod schedule;

pub use campaign::{Campaign, Timing};
pub use changes::Changes;
pub use command::{Command, CommandKind, Refusal};
pub use hold::{Hold, PauseReason, Trigger};
pub use observe::NotApplied;
pub use plan::Request;
pub use report::{Failure, Report, Status};
