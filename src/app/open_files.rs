//! The limit on open files. Each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than the connections of clients, of Postgres and to CXone together.
const WANTED: u64 = 16_384;

/// Raises the limit on open files as far as the system allows: many systems start programs with 1,024.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit on open files cannot be raised");
    }
}
