//! Ids in queries.

use uuid::Uuid;

use super::Fault;

/// Reads an id that Ringback gave.
///
/// # Errors
/// `not-an-id` where it is no UUID.
pub fn parse_uuid(text: &str) -> Result<Uuid, Fault> {
    text.parse().map_err(|_| Fault::new("not-an-id", "must be a UUID"))
}
