//! The bytes of an entry that the log covers.

use tlog_tiles::tlog::{Hash, record_hash};

use crate::audit::Entry;

/// The hash of an entry's leaf. The leaf is the entry as the API shows it, in the canonical form of RFC 8785.
///
/// This never changes for an entry that exists: a member that entries get later must be left out where it is null.
///
/// # Errors
/// If the entry cannot be written as JSON.
pub fn leaf_hash(entry: &Entry) -> Result<Hash, serde_json::Error> {
    Ok(record_hash(&serde_json_canonicalizer::to_vec(entry)?))
}
