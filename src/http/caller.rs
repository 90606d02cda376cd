//! The sender of a request.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::scope::Scope;
use crate::types::AllowedCampaigns;

/// The API key or the token of a request, cheap to clone. The authentication layer adds it to the request's extensions.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What was sent.
    pub credential: Credential,
    /// The key's id, or that of the subject of a token.
    pub key_id: Uuid,
    /// The name of the key or of the subject.
    pub name: Arc<str>,
    /// What it allows.
    pub scopes: Arc<[Scope]>,
    /// The campaigns that it allows.
    pub campaigns: AllowedCampaigns,
}

/// What authenticates a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// An API key.
    ApiKey,
    /// A token of the identity provider.
    Token {
        /// When it expires.
        expires_at: Timestamp,
    },
}

impl Credential {
    /// What it is called in problems.
    pub fn noun(self) -> &'static str {
        match self {
            Self::ApiKey => "API key",
            Self::Token { .. } => "token",
        }
    }
}
