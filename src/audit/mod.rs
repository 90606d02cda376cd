//! The audit log: what happened, who did it, how it ended. Entries are written inside the statement that makes the
//! change (`audit_record()` in the migrations) and never again.

mod model;
mod routes;
mod store;

pub use model::{Actor, Entry, Outcome};
pub use routes::routes;
pub use store::AuditStore;
