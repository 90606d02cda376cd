//! The audit log: what was done, by whom, and the result. Entries are written by the statement that makes the change
//! (`audit_record()` in the migrations) and never changed.

mod action;
mod api;
mod model;
mod refusals;
mod store;
#[cfg(test)]
mod tests;

pub use action::Action;
pub use api::routes;
pub use model::{Actor, Entry, EntryEvent, Outcome};
pub use refusals::{Refusals, record};
pub use store::AuditStore;
