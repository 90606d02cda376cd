//! The sender of a request.

use std::sync::Arc;

use uuid::Uuid;

use super::scope::Scope;

/// The API key of a request, cheap to clone. The authentication layer adds it to the request's extensions.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The key's id.
    pub key_id: Uuid,
    /// Its name.
    pub name: Arc<str>,
    /// What it allows.
    pub scopes: Arc<[Scope]>,
}
