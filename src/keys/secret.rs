//! The secrets of keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// Lets scanners for leaked secrets recognise a key, and tells keys from tokens of an identity provider.
pub(super) const PREFIX: &str = "rbk_";

/// The secret of a key: `rbk_` and 256 random bits. It is shown once; only its hash is stored.
#[derive(Debug)]
pub struct KeySecret(SecretString);

impl KeySecret {
    /// Generates a secret.
    ///
    /// # Errors
    /// Where the operating system provides no random bytes.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)).into()))
    }

    /// The text that a caller sends as its bearer token.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// The hash that is stored.
    pub fn hash(&self) -> [u8; 32] {
        hash(self.reveal())
    }
}

/// SHA-256 of a key's text. The text has 256 random bits, so that no slow hash is needed, and the timing of a look-up by the
/// hash reveals nothing.
pub(super) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}
