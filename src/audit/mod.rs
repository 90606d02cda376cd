//! The audit log: what was done, by whom, and the result. Entries are written by the statement that makes the change
//! (`audit_record()` in the migrations) and never changed.

mod action;
mod model;
mod routes;
mod store;

pub use action::Action;
pub use model::{Actor, Entry, EntryEvent, Outcome};
pub use routes::routes;
pub use store::AuditStore;
