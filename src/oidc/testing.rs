//! Keys and tokens of a provider, for tests.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};

use super::key_set::KeySet;
use super::scope_mapping::ScopeMapping;
use super::settings::{Issuer, OidcSettings};

/// `ivr` in `scope` gives the scopes of callbacks.
pub fn settings(issuer: &str) -> OidcSettings {
    OidcSettings {
        issuer: Issuer::parse(issuer).unwrap(),
        audience: "ringback".to_owned(),
        claim: "scope".to_owned(),
        scopes: ScopeMapping::parse(r#"{"ivr": "callbacks:write callbacks:read"}"#).unwrap(),
    }
}

/// A key of a provider. Its id is the name of its algorithm.
pub enum SigningKey {
    Es256(Box<EcdsaKeyPair>),
    EdDsa(Ed25519KeyPair),
    Rs256(Box<RsaKeyPair>),
    Ps256(Box<RsaKeyPair>),
}

impl SigningKey {
    /// One key for each algorithm.
    pub fn all() -> [Self; 4] {
        [Self::es256(), Self::ed_dsa(), Self::Rs256(Box::new(rsa())), Self::Ps256(Box::new(rsa()))]
    }

    pub fn es256() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::Es256(Box::new(EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).unwrap()))
    }

    fn ed_dsa() -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::EdDsa(Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap())
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::EdDsa(_) => "EdDSA",
            Self::Rs256(_) => "RS256",
            Self::Ps256(_) => "PS256",
        }
    }

    /// The public key.
    pub fn jwk(&self) -> Value {
        let mut key = match self {
            Self::Es256(key) => {
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..])})
            }
            Self::EdDsa(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().as_ref())}),
            Self::Rs256(key) | Self::Ps256(key) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
                // Some providers put a zero in front.
                json!({"kty": "RSA", "n": encode([&[0], &public.n[..]].concat()), "e": encode(&public.e)})
            }
        };
        key["kid"] = json!(self.name());
        key
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let (random, bytes) = (SystemRandom::new(), message.as_bytes());
        let signature = match self {
            Self::Es256(key) => key.sign(&random, bytes).unwrap().as_ref().to_vec(),
            Self::EdDsa(key) => key.sign(bytes).as_ref().to_vec(),
            Self::Rs256(key) | Self::Ps256(key) => {
                let padding =
                    if matches!(self, Self::Rs256(_)) { &RSA_PKCS1_SHA256 as _ } else { &RSA_PSS_SHA256 as _ };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(padding, &random, bytes, &mut signature).unwrap();
                signature
            }
        };
        format!("{message}.{}", encode(signature))
    }

    /// A token with the usual header.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": self.name(), "kid": self.name(), "typ": "at+jwt"}), claims)
    }
}

pub fn key_set(keys: &[Value]) -> KeySet {
    KeySet::new(serde_json::from_value(json!({"keys": keys})).unwrap())
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa() -> RsaKeyPair {
    RsaKeyPair::from_der(&STANDARD.decode(RSA.concat()).unwrap()).unwrap()
}

/// PKCS #1 in base64. ring makes no RSA keys. Nothing but tests uses it.
const RSA: [&str; 15] = [
    "MIIEowIBAAKCAQEAwYlhQDcgzIE/1Hh+Ci9yjGDAPC7UM3iNt0pTAqgJyFldD4ZxjYFTvTOiYBnZv39eOfuGM1kc2sywAZQgsXMZlmQxyAPOYv",
    "4Qi3ZzGzFQSOq0FXt5JvCWJ2Fq9BO5WDEdJE/DNSBl2gGyZP8SV5QiZwRf8MNqxFkaGZ0NJb/BvM3x8+z/3UdlWzFFfZY/16ZdyHW+7eKAeZ4Q",
    "yhKJb/1MVa6sJOLWih+LM5pinkjaLnuLrnTEno00FlsFfv5G7tsJ9D8ZGqApsTtrv6ifnA/UHnyEljGWJ3f13Xvz9uYIORZMP5XDaSVWEKODf5",
    "8zN0dZxdK/ModlykF0r9Yj5EI8qwIDAQABAoIBADT4Nb7Ol9KBGYg8hjqha9eR72tJYdjIiPj+haO3fB3yn27NXCzflZy2Eh39VUR9RrvV5JAP",
    "Nr+HwDBea2hF2V35BEr7B7S+Vqbk/3IU2CVs32b1yV3oASC8H/q3n0XNA23ZytKykE3PoxTTXyDLMXNClkOeKI2e2W7jNiL7zbmvpU4qIPkBDP",
    "NlW5JyuXpj2WEi2GZ3yXhzrxgc2d2z/e+zSDIwqGU94nWq/gzEj+2mEiYwKH4mKsO0xkJdgMdGafR2hhlBe57AmepSWPjNlGbEsLoKnT6DPkUq",
    "Doli3ZujmfQtP8v9R8WTZqrVWxASKO84tRfLx91VlscIjYcoofkCgYEA/P8Q87WO7QBMXxYVbYXEDvxrvuNPBEFCw3e/82DhVkWoRNPkAY/by1",
    "L5zAI19Cw9ryguqQ9OU7fwIo/aTzWHs9+9jzTpZ6FGfoY9lkaw1hpcHPZcSHZqk6YcOyANdYXqX+Dmc9UtyrytSlbgAjTNov3vj3cHJdLDyVQf",
    "GatCgs8CgYEAw9WY6MId3D1YqX5R95GP0WM8OwYT5JMrFTTO+5VXT140cnTKyYhiChIS7T7Ek72tmeX24ypyM05lffiFTUZGWGTZ/VV07BrUOD",
    "YeE6LGhQpKdTN1sKrWQNs+C0E19Lpu4UFH/rVc3ablG4M0HE8V1lTF8DMle9KXQf3/yp2dj2UCgYBk3wXRRahw0leg6dstSdI772S+PT86ARMv",
    "gEVmMlBl52wJ1TnpbYRC8xhpwM/mROVrOugvu8yNEJ+MCDMQtdUfYKvht0UAbor+02Mm0ZScKPJlEc0Fj0E7EVXcNRFotDYYeEEqGesiFEw7gZ",
    "vbBVagEAM9/kU5TWmGkiW8RE5GfQKBgGXISFcBPR/QypodS2DOyN7dItrSh9hPHR9CeSmNLvnTTpMGXLduKPZu+mNQMj9PYEESosTitMQxxNI6",
    "Lp5BHiKnGB1xIvnr38zvY6Z0/ZT8CkLr4glWYVEIIjEbTX3KwAJXOaIKhR+2tHEeOiFUgVcKbG4xRxQaGf90klOuo8t5AoGBANGJigxux7vrq9",
    "j+Xp51q7F6hHL1Aosu/4lyWDLcoU/0J9GKyIO5JyGF9MmGYXHn59wa05Sjy6+emk6f2xijHs69puiDvXYsrVzq/Mz0EVmSVOWFEw8S/zpqYY28",
    "uNBrFkCPgZX0MLNHv9vulQQ7ugjhA9KWvjT1Ijvdo3m7x00y",
];
