//! The audit log: what was done, by whom, and the result. Entries are written by the statement that makes the change
//! (`audit_record()` in the migrations) and never changed.

mod action;
mod api;
mod export;
mod model;
mod store;
#[cfg(test)]
mod tests;

pub use action::Action;
pub use api::{parse_filter_text, parse_outcome, routes};
pub use export::{EXPORT_STEP, Format};
pub use model::{Actor, Entry, EntryEvent, Outcome};
pub use store::{AuditStore, Filter};
