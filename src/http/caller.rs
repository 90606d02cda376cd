//! The sender of a request.

use uuid::Uuid;

use super::scope::Scope;

/// The API key of a request. The authentication layer adds it to the request's extensions.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The key's id.
    pub key_id: Uuid,
    /// Its name.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
}
