//! A campaign, its holds and its commands, and what follows from them. Pure: time and randomness are passed in.

mod campaign;
mod command;
mod entries;
mod hold;
mod last_sent;
mod plan;
#[cfg(test)]
mod plan_test;
mod report;
mod schedule;

pub use campaign::{Campaign, Changes, Failure, Pace};
pub use command::{Command, Order, Refusal};
pub use hold::{Hold, PauseReason, Trigger};
pub use plan::{NotDone, Request};
pub use report::{Report, Status};
