//! The secrets that sign: made, sealed at rest, and used.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use standardwebhooks::Webhook;
use uuid::Uuid;

/// What receivers know a secret by.
const PREFIX: &str = "whsec_";
/// As long as the hash that it keys.
const LENGTH: usize = 32;

/// A secret that signs what is sent to one endpoint.
#[derive(Clone, Debug)]
pub struct SigningSecret(SecretSlice<u8>);

/// A secret cannot be made, opened or used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    #[error("it was sealed under another ENCRYPTION_KEY")]
    SealedOtherwise,
    #[error("there is no ENCRYPTION_KEY to open it with")]
    NoKey,
    #[error("the event cannot be signed")]
    Unsignable,
}

impl SigningSecret {
    /// A new one, from the operating system's randomness.
    ///
    /// # Errors
    /// Where it has none.
    pub fn new() -> Result<Self, SecretError> {
        let mut bytes = vec![0; LENGTH];
        getrandom::fill(&mut bytes).map_err(|_| SecretError::NoRandomness)?;
        Ok(Self(bytes.into()))
    }

    /// Reads one from the configuration: base64, with `whsec_` or without, as the published libraries do. Other text
    /// without `whsec_` is taken as it is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &SecretString) -> Result<Self, &'static str> {
        let text = text.expose_secret();
        let bytes = match text.strip_prefix(PREFIX) {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| "must be base64 after whsec_")?,
            None => STANDARD.decode(text).unwrap_or_else(|_| text.as_bytes().to_vec()),
        };
        if bytes.is_empty() {
            return Err("must not be empty after whsec_");
        }
        Ok(Self(bytes.into()))
    }

    /// As it is shown, once.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(self.0.expose_secret()))
    }

    /// The signature of an event: `v1,` and base64.
    ///
    /// # Errors
    /// Where the library refuses.
    pub fn sign(&self, event: Uuid, timestamp: i64, body: &str) -> Result<String, SecretError> {
        let webhook = Webhook::from_bytes(self.0.expose_secret().to_vec()).map_err(|_| SecretError::Unsignable)?;
        webhook.sign(&event.to_string(), timestamp, body.as_bytes()).map_err(|_| SecretError::Unsignable)
    }
}

/// What seals secrets at rest.
#[derive(Clone)]
pub struct Seal(LessSafeKey);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// With a key of 32 bytes; none for any other.
    pub fn new(key: &[u8]) -> Option<Self> {
        UnboundKey::new(&CHACHA20_POLY1305, key).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// Seals an endpoint's secret; another endpoint's row cannot hold it. A nonce, then what is sealed.
    ///
    /// # Errors
    /// Where the operating system has no randomness.
    pub fn close(&self, endpoint: Uuid, secret: &SigningSecret) -> Result<Vec<u8>, SecretError> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| SecretError::NoRandomness)?;
        let mut sealed = secret.0.expose_secret().to_vec();
        let (unique, aad) = (Nonce::assume_unique_for_key(nonce), Aad::from(*endpoint.as_bytes()));
        self.0.seal_in_place_append_tag(unique, aad, &mut sealed).map_err(|_| SecretError::Unsignable)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed for this endpoint.
    ///
    /// # Errors
    /// Where it was sealed under another key, or for another endpoint.
    pub fn open(&self, endpoint: Uuid, sealed: &[u8]) -> Result<SigningSecret, SecretError> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(SecretError::SealedOtherwise)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SecretError::SealedOtherwise)?;
        let mut bytes = sealed.to_vec();
        let aad = Aad::from(*endpoint.as_bytes());
        let opened = self.0.open_in_place(nonce, aad, &mut bytes).map_err(|_| SecretError::SealedOtherwise)?;
        Ok(SigningSecret(opened.to_vec().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_opened_only_with_its_key_and_for_its_endpoint() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (seal, other) = (Seal::new(&[7; 32]).unwrap(), Seal::new(&[8; 32]).unwrap());
        let secret = SigningSecret::new().unwrap();
        let sealed = seal.close(one, &secret).unwrap();

        assert_eq!(seal.open(one, &sealed).unwrap().reveal(), secret.reveal());
        assert!(seal.open(two, &sealed).is_err() && other.open(one, &sealed).is_err());
        assert!(seal.open(one, &[]).is_err() && seal.open(one, &sealed[1..]).is_err());
        assert!(!sealed.windows(8).any(|part| secret.0.expose_secret().starts_with(part)));
        assert!(Seal::new(&[7; 31]).is_none());
    }

    #[test]
    fn a_secret_is_shown_with_its_prefix_and_never_in_debug() {
        let secret = SigningSecret::parse(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap();
        assert_eq!(secret.reveal(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert!(!format!("{secret:?}").contains("MfKQ"));
        let bare = SigningSecret::parse(&"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap();
        assert_eq!(bare.reveal(), secret.reveal());
        assert!(SigningSecret::parse(&"whsec_!".into()).is_err() && SigningSecret::parse(&"whsec_".into()).is_err());
        assert_eq!(SigningSecret::new().unwrap().reveal().len(), PREFIX.len() + 44);
    }
}
