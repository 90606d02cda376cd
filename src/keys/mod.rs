//! API keys: what a key is, what it may do, and where its hash is kept.

mod authenticate;
mod store;

pub use authenticate::authenticate;
pub use store::{KeyRecord, KeyStore, NewKey};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// Marks a Ringback key where it turns up, so that scanners for leaked secrets can know it.
const PREFIX: &str = "rbk_";

/// The secret half of a key: `rbk_` and 256 random bits. Shown once, then only its hash is kept.
#[derive(Debug)]
pub struct KeySecret(SecretString);

impl KeySecret {
    /// A new one.
    ///
    /// # Errors
    /// Where the operating system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)).into()))
    }

    /// The text that a caller sends as its bearer token.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is kept of it.
    pub fn hash(&self) -> [u8; 32] {
        hash(self.reveal())
    }
}

/// SHA-256 of a key's text. The text has 256 bits of chance, so that no slow hash is needed and a look-up by the hash
/// tells an attacker nothing by its timing.
fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}
