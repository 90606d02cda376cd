//! The audit log: what was done, by whom, and the result. Entries are written by the statement that makes the change
//! (`audit_record()` in the migrations) and never changed.

mod action;
mod api;
mod export;
mod log;
mod model;
mod number_hash;
mod refusals;
mod retention;
mod store;
#[cfg(test)]
mod tests;

pub use action::{Action, RecordedAction};
pub use api::{parse_filter_text, parse_outcome, routes};
pub use export::{EXPORT_STEP, Format};
pub use log::{
    AuditLog, CheckpointFiles, Expected, LogKeys, LogStore, Proof, PublicKey, Sequencer, SignedRoot, Verification,
    is_origin, read_checkpoint, routes as log_routes, verify,
};
pub use model::{Actor, ActorType, Entry, EntryEvent, Outcome};
pub use number_hash::NumberHasher;
pub use refusals::{Refusals, record};
pub use retention::{Retention, retention, set_retention};
pub use store::{AuditStore, Filter};
