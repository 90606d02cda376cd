//! Ids in queries.

use uuid::Uuid;

use super::Fault;

/// Parses an id that Ringback has created.
///
/// # Errors
/// `not-an-id` if it is not a UUID.
pub fn parse_uuid(text: &str) -> Result<Uuid, Fault> {
    text.parse().map_err(|_| Fault::new("not-an-id", "must be a UUID"))
}
