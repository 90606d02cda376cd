//! The transparency log over the audit entries: a Merkle tree whose root is signed, so that a change to an entry is found.

mod api;
mod files;
mod keys;
#[cfg(test)]
mod keys_test;
mod leaf;
#[cfg(test)]
mod numbers_test;
mod proof;
#[cfg(test)]
mod random_test;
#[cfg(test)]
mod retention_test;
mod round;
mod sequencer;
mod store;
#[cfg(test)]
mod tests;
mod tiles;
mod tree;
mod verify;
mod waiting;

pub use api::{AuditLog, routes};
pub use files::CheckpointFiles;
pub use keys::{LogKeys, PublicKey, is_origin, read_checkpoint};
pub use proof::Proof;
pub use sequencer::Sequencer;
pub use store::{LogStore, SignedRoot};
pub use verify::{Expected, Verification, verify};
