//! The random texts of sessions and of links. Only their hashes are stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// The length of 256 bits in base64.
const LENGTH: usize = 43;

/// 256 random bits as text. A hash of so many bits needs to be neither slow nor salted.
#[derive(Clone)]
pub struct RandomToken(String);

impl RandomToken {
    /// A new one.
    ///
    /// # Errors
    /// If the operating system provides no random bytes.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// A text that may be one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_possible =
            text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        is_possible.then(|| Self(text.to_owned()))
    }

    /// The text, which is a secret.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_again_and_other_texts_are_none() {
        let token = RandomToken::generate().unwrap();
        assert_eq!(RandomToken::parse(token.reveal()).map(|parsed| parsed.hash()), Some(token.hash()));
        for text in ["", "short", &"a".repeat(44), &format!("{}=", "a".repeat(42)), &"é".repeat(22)] {
            assert!(RandomToken::parse(text).is_none(), "{text}");
        }
    }
}
