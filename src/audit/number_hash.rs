//! Keyed hashes of phone numbers. Without the key a number cannot be tried out.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;

use crate::types::PhoneNumber;

/// In bytes, as `AUDIT_HASH_KEY` has it.
const KEY: usize = 32;
/// In bytes. So many are kept of a hash of 32 bytes.
const KEPT: usize = 16;

/// Hashes phone numbers with `AUDIT_HASH_KEY`: HMAC-SHA-256 of the number in E.164. Without a key there are no hashes.
#[derive(Clone, Debug, Default)]
pub struct NumberHasher {
    /// The key of new hashes, then earlier ones.
    keys: Vec<hmac::Key>,
}

impl NumberHasher {
    /// Reads keys of 32 bytes in base64, with commas between them.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let keys = text.split(',').map(|key| {
            let bytes = STANDARD.decode(key.trim()).ok().filter(|bytes| bytes.len() == KEY)?;
            Some(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
        });
        let keys = keys.collect::<Option<_>>().ok_or("must be 32 bytes in base64, or several with commas between")?;
        Ok(Self { keys })
    }

    /// The hash that new entries have: 16 bytes in base64url.
    pub fn hash(&self, number: &PhoneNumber) -> Option<String> {
        self.keys.first().map(|key| hash(key, number))
    }

    /// The hashes that entries may have, the newest first.
    pub fn hashes(&self, number: &PhoneNumber) -> Vec<String> {
        self.keys.iter().map(|key| hash(key, number)).collect()
    }
}

fn hash(key: &hmac::Key, number: &PhoneNumber) -> String {
    let tag = hmac::sign(key, number.as_str().as_bytes());
    URL_SAFE_NO_PAD.encode(tag.as_ref().get(..KEPT).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_first_half_of_the_hmac_of_the_number() {
        // printf %s +12025550198 | openssl dgst -sha256 -mac HMAC -macopt hexkey:0001…1f -binary | head -c 16 | basenc --base64url
        let number = PhoneNumber::from_stored("+12025550198".to_owned()).unwrap();
        let key = STANDARD.encode((0..32).collect::<Vec<u8>>());
        let hasher = NumberHasher::parse(&key).unwrap();
        assert_eq!(hasher.hash(&number).as_deref(), Some("FfrPiQTRZddn-3xPR01H6g"));
        assert_eq!(NumberHasher::default().hash(&number), None);
    }

    #[test]
    fn the_first_of_several_keys_hashes_and_all_of_them_find() {
        let number = PhoneNumber::from_stored("+12025550198".to_owned()).unwrap();
        let [new, old] = [[1; 32], [2; 32]].map(|key| STANDARD.encode(key));
        let hash = |keys: &str| NumberHasher::parse(keys).unwrap().hash(&number).unwrap();
        let both = NumberHasher::parse(&format!("{new}, {old}")).unwrap();
        assert_eq!(both.hash(&number), Some(hash(&new)));
        assert_eq!(both.hashes(&number), [hash(&new), hash(&old)]);
        assert_ne!(hash(&new), hash(&old));
    }

    #[test]
    fn a_key_has_32_bytes_and_is_not_shown() {
        let key = STANDARD.encode([7; 32]);
        for wrong in ["", "key", &STANDARD.encode([7; 31]), &format!("{key},")] {
            assert!(NumberHasher::parse(wrong).is_err(), "{wrong}");
        }
        let shown = |byte| format!("{:?}", NumberHasher::parse(&STANDARD.encode([byte; 32])).unwrap());
        assert_eq!(shown(7), shown(8));
    }
}
