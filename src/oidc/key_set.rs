//! The public keys of a provider.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// The most keys that are kept.
const MAX_KEYS: usize = 100;

/// A JSON Web Key Set (RFC 7517), as it is received.
#[derive(Debug, Deserialize)]
pub struct ReceivedKeys {
    keys: Vec<Value>,
}

/// The keys that can verify tokens.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    /// How many of the provider's keys are for other uses or algorithms.
    pub ignored: usize,
}

#[derive(Debug)]
struct Key {
    jwk: Jwk,
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
}

impl KeySet {
    /// Of the first keys that a provider has. Others than RSA, P-256 and Ed25519, and those for encryption, are left out.
    pub fn new(received: ReceivedKeys) -> Self {
        let count = received.keys.len();
        let known = received.keys.into_iter().filter_map(|key| Key::new(serde_json::from_value(key).ok()?));
        let keys: Vec<_> = known.take(MAX_KEYS).collect();
        Self { ignored: count - keys.len(), keys }
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key with this id for this algorithm. A token without an id is only accepted if there is just one key for its algorithm.
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut found = self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        match id {
            Some(_) => found.find(|key| key.jwk.common.key_id.as_deref() == id),
            None => found.next().filter(|_| found.next().is_none()),
        }
        .map(|key| &key.decoding)
    }

    /// Whether both have the same keys.
    pub fn is_same(&self, other: &Self) -> bool {
        self.keys.iter().map(|key| &key.jwk).eq(other.keys.iter().map(|key| &key.jwk))
    }
}

impl Key {
    fn new(jwk: Jwk) -> Option<Self> {
        let of_kind: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => &[Algorithm::RS256, Algorithm::PS256],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[Algorithm::ES256],
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
            _ => return None,
        };
        let common = &jwk.common;
        let is_for =
            |algorithm: &Algorithm| common.key_algorithm.is_none_or(|own| own == KeyAlgorithm::from(*algorithm));
        let algorithms: Vec<_> = of_kind.iter().copied().filter(is_for).collect();
        let is_for_signatures = common.public_key_use.as_ref().is_none_or(|own| *own == PublicKeyUse::Signature);
        let decoding = DecodingKey::from_jwk(&jwk).ok()?;
        (is_for_signatures && !algorithms.is_empty()).then_some(Self { jwk, algorithms, decoding })
    }
}
