//! Signing secrets: generation, encryption at rest, signatures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use standardwebhooks::Webhook;
use uuid::Uuid;

/// The prefix of a secret, as Standard Webhooks defines it.
const PREFIX: &str = "whsec_";
/// In bytes: the size of the hash that it keys.
const LENGTH: usize = 32;

/// The secret that signs the events of one endpoint.
#[derive(Clone, Debug)]
pub struct SigningSecret(SecretSlice<u8>);

/// A secret cannot be generated, decrypted or used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("the operating system provides no random bytes")]
    NoRandomness,
    #[error("the secret was encrypted with another ENCRYPTION_KEY")]
    WrongKey,
    #[error("there is no ENCRYPTION_KEY to decrypt the secret with")]
    NoKey,
    #[error("the event cannot be signed")]
    Unsignable,
}

impl SigningSecret {
    /// Generates a secret.
    ///
    /// # Errors
    /// Where the operating system provides no random bytes.
    pub fn new() -> Result<Self, SecretError> {
        let mut bytes = vec![0; LENGTH];
        getrandom::fill(&mut bytes).map_err(|_| SecretError::NoRandomness)?;
        Ok(Self(bytes.into()))
    }

    /// Parses a secret of the configuration: base64, with or without `whsec_`, as the published libraries do. Text without
    /// `whsec_` that is not base64 is used as it is.
    ///
    /// # Errors
    /// The rule that the text breaks.
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

    /// The text that the API shows once.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(self.0.expose_secret()))
    }

    /// The signature of an event: `v1,` and base64.
    ///
    /// # Errors
    /// Where the secret cannot be used as a key.
    pub fn sign(&self, event: Uuid, timestamp: i64, body: &str) -> Result<String, SecretError> {
        let webhook = Webhook::from_bytes(self.0.expose_secret().to_vec()).map_err(|_| SecretError::Unsignable)?;
        webhook.sign(&event.to_string(), timestamp, body.as_bytes()).map_err(|_| SecretError::Unsignable)
    }
}

/// Encrypts secrets at rest, with ChaCha20-Poly1305 (RFC 8439).
#[derive(Clone)]
pub struct SecretCipher(LessSafeKey);

impl std::fmt::Debug for SecretCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretCipher")
    }
}

impl SecretCipher {
    /// With a key of 32 bytes; none for a key of another length.
    pub fn new(key: &[u8]) -> Option<Self> {
        UnboundKey::new(&CHACHA20_POLY1305, key).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// Encrypts the secret of an endpoint: 12 bytes of nonce, then the ciphertext with its tag. The endpoint's id is
    /// authenticated, so that the result is of no use in the row of another endpoint.
    ///
    /// # Errors
    /// Where the operating system provides no random bytes.
    pub fn encrypt(&self, endpoint: Uuid, secret: &SigningSecret) -> Result<Vec<u8>, SecretError> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| SecretError::NoRandomness)?;
        let mut encrypted = secret.0.expose_secret().to_vec();
        let (unique, aad) = (Nonce::assume_unique_for_key(nonce), Aad::from(*endpoint.as_bytes()));
        self.0.seal_in_place_append_tag(unique, aad, &mut encrypted).map_err(|_| SecretError::Unsignable)?;
        Ok([nonce.as_slice(), &encrypted].concat())
    }

    /// Decrypts the secret of an endpoint.
    ///
    /// # Errors
    /// Where it was encrypted with another key, or for another endpoint.
    pub fn decrypt(&self, endpoint: Uuid, encrypted: &[u8]) -> Result<SigningSecret, SecretError> {
        let (nonce, ciphertext) = encrypted.split_at_checked(NONCE_LEN).ok_or(SecretError::WrongKey)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SecretError::WrongKey)?;
        let mut bytes = ciphertext.to_vec();
        let aad = Aad::from(*endpoint.as_bytes());
        let decrypted = self.0.open_in_place(nonce, aad, &mut bytes).map_err(|_| SecretError::WrongKey)?;
        Ok(SigningSecret(decrypted.to_vec().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_decrypted_only_with_its_key_and_for_its_endpoint() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (cipher, other) = (SecretCipher::new(&[7; 32]).unwrap(), SecretCipher::new(&[8; 32]).unwrap());
        let secret = SigningSecret::new().unwrap();
        let encrypted = cipher.encrypt(one, &secret).unwrap();

        assert_eq!(cipher.decrypt(one, &encrypted).unwrap().reveal(), secret.reveal());
        assert!(cipher.decrypt(two, &encrypted).is_err() && other.decrypt(one, &encrypted).is_err());
        assert!(cipher.decrypt(one, &[]).is_err() && cipher.decrypt(one, &encrypted[1..]).is_err());
        assert!(!encrypted.windows(8).any(|part| secret.0.expose_secret().starts_with(part)));
        assert!(SecretCipher::new(&[7; 31]).is_none());
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
