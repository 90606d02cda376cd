//! Work that is kept as rows of a table. Each row is a job: a worker claims one that is due, works on it under a lease
//! without an open transaction, and releases what it does not finish.
//!
//! A slice implements [`Queue`] for its table; [`Worker`] is the loop around it, the same for all.

mod due;
mod periodic;
mod queue;
mod tasks;
#[cfg(test)]
mod tests;
mod worker;

pub use due::{DueJobs, age_seconds};
pub use periodic::{PURGE, Periodic};
pub use queue::{Next, Queue};
#[cfg(test)]
pub use worker::Step;
pub use worker::{Slot, Worker};
