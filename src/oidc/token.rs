//! What a verified token says, and why a token is refused.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::http::Scope;
use crate::types::AllowedCampaigns;

/// How far the provider's clock may be from the one of this service.
pub const LEEWAY: SignedDuration = SignedDuration::from_secs(30);

/// What a verified token allows, and to whom. Has nothing of the token's text.
#[derive(Clone, Debug)]
pub struct Token {
    /// Of the subject: always the same for an issuer and a `sub`.
    pub id: Uuid,
    /// The subject, as it is shown.
    pub name: Arc<str>,
    /// What the mapping gives; may be nothing.
    pub scopes: Arc<[Scope]>,
    /// The campaigns that it may use.
    pub campaigns: AllowedCampaigns,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `nbf`.
    pub valid_from: Option<Timestamp>,
}

/// Why a token is refused. The texts are answered: they have nothing of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("this token is neither an API key nor a signed JWT that can be read")]
    Malformed,
    #[error("the algorithm of this token is not accepted; use RS256, PS256, ES256 or EdDSA")]
    Algorithm,
    #[error("this token is signed with a key that the identity provider does not have")]
    UnknownKey,
    #[error("the signature of this token is not valid")]
    Signature,
    #[error("this token is of another issuer")]
    Issuer,
    #[error("this token is for another audience")]
    Audience,
    #[error("this token must have the claims iss, aud, sub and exp")]
    MissingClaim,
    #[error("this token has expired")]
    Expired,
    #[error("this token is not valid yet")]
    NotYetValid,
    /// The token may be valid.
    #[error("the keys of the identity provider cannot be read")]
    NoKeys,
}

impl Token {
    /// Checks that the token is valid at this time.
    pub fn check_time(&self, now: Timestamp) -> Result<(), TokenError> {
        if self.expires_at.saturating_add(LEEWAY).is_ok_and(|end| now >= end) {
            return Err(TokenError::Expired);
        }
        if self.valid_from.is_some_and(|start| now.saturating_add(LEEWAY).is_ok_and(|now| now < start)) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}
