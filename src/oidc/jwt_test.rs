use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::jwt::{header_of, verified};
use super::key_set::KeySet;
use super::testing::{SigningKey, encode, key_set, settings};
use super::token::{Token, TokenError};

const ISSUER: &str = "https://id.example/realms/a";
const EXPIRES: i64 = 1_800_000_000;

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": ["account", "ringback"], "sub": "ivr", "exp": EXPIRES, "scope": "openid ivr"})
}

fn claims_with(members: Value) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    claims
}

fn verify(token: &str, keys: &KeySet) -> Result<Token, TokenError> {
    verified(token, &header_of(token)?, keys, &settings(ISSUER))
}

#[test]
fn a_token_with_an_accepted_algorithm_is_verified_by_the_key_that_it_names() {
    let keys = SigningKey::all();
    let jwks: Vec<Value> = keys.iter().map(SigningKey::jwk).collect();
    let all = key_set(&jwks);
    for key in &keys {
        let token = verify(&key.token(&claims()), &all).unwrap();
        assert_eq!((&*token.name, token.scopes.len()), ("ivr", 2), "{}", key.name());
        // Without an id, the only key for the algorithm is taken.
        let unnamed = key.sign(&json!({"alg": key.name()}), &claims());
        assert!(verify(&unnamed, &key_set(&[key.jwk()])).is_ok());
        let other_key = key.sign(&json!({"alg": key.name(), "kid": "other"}), &claims());
        assert_eq!(verify(&other_key, &all).unwrap_err(), TokenError::UnknownKey);
        let mut changed = key.token(&claims());
        changed.pop();
        assert!(matches!(verify(&changed, &all), Err(TokenError::Signature | TokenError::Malformed)));
        let swapped = key.token(&claims()).replacen(
            &encode(claims().to_string()),
            &encode(claims_with(json!({"sub": "x"})).to_string()),
            1,
        );
        assert_eq!(verify(&swapped, &all).unwrap_err(), TokenError::Signature);
    }
    let ambiguous = keys[2].sign(&json!({"alg": "RS256"}), &claims());
    assert_eq!(verify(&ambiguous, &all).unwrap_err(), TokenError::UnknownKey);
}

#[test]
fn a_key_is_only_used_for_signatures_with_its_own_algorithm() {
    let [elliptic, _, rsa, _] = SigningKey::all();
    let with = |key: &SigningKey, members: Value| {
        let mut jwk = key.jwk();
        jwk.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        jwk
    };
    for (key, jwk) in [
        (&rsa, with(&rsa, json!({"use": "enc"}))),
        (&rsa, with(&rsa, json!({"alg": "PS256"}))),
        (&rsa, with(&rsa, json!({"alg": "RSA-OAEP"}))),
        (&elliptic, with(&elliptic, json!({"crv": "P-384"}))),
        (&elliptic, with(&elliptic, json!({"crv": "secp256k1"}))),
        (&elliptic, json!({"kty": "oct", "k": encode("secret"), "kid": "ES256"})),
        (&elliptic, json!("no key")),
    ] {
        let keys = key_set(std::slice::from_ref(&jwk));
        assert_eq!(verify(&key.token(&claims()), &keys).unwrap_err(), TokenError::UnknownKey, "{jwk}");
    }
    assert!(verify(&rsa.token(&claims()), &key_set(&[with(&rsa, json!({"use": "sig", "alg": "RS256"}))])).is_ok());
}

#[test]
fn a_token_that_is_not_signed_or_not_meant_for_this_service_is_refused() {
    let key = SigningKey::es256();
    let keys = key_set(&[key.jwk()]);
    let refused = |token: &str| verify(token, &keys).err();
    for (header, error) in [
        (json!({"alg": "none"}), TokenError::Algorithm),
        (json!({"alg": "HS256", "kid": "ES256"}), TokenError::Algorithm),
        (json!({"alg": "ES384", "kid": "ES256"}), TokenError::Algorithm),
        (json!({"alg": "EdDSA", "kid": "ES256"}), TokenError::UnknownKey),
        (json!({"alg": "ES256", "kid": "ES256", "crit": ["exp"]}), TokenError::Malformed),
        (json!({"kid": "ES256"}), TokenError::Malformed),
    ] {
        assert_eq!(refused(&key.sign(&header, &claims())), Some(error), "{header}");
    }
    for (members, error) in [
        (json!({"iss": "https://id.example/realms/b"}), TokenError::Issuer),
        (json!({"aud": "other"}), TokenError::Audience),
        (json!({"aud": []}), TokenError::Audience),
        (json!({"aud": null}), TokenError::MissingClaim),
        (json!({"sub": null}), TokenError::MissingClaim),
        (json!({"exp": null}), TokenError::MissingClaim),
        (json!({"exp": "soon"}), TokenError::MissingClaim),
        (json!({"nbf": "soon"}), TokenError::Malformed),
    ] {
        assert_eq!(refused(&key.token(&claims_with(members.clone()))), Some(error), "{members}");
    }
    let unsigned = format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(claims().to_string()));
    assert_eq!(refused(&unsigned), Some(TokenError::Algorithm));
    for text in ["", ".", "a.b.c", "e30.e30", &key.token(&claims_with(json!({"more": "x".repeat(8192)})))] {
        assert_eq!(refused(text), Some(TokenError::Malformed), "{text}");
    }
}

#[test]
fn a_token_is_valid_from_nbf_to_exp_and_thirty_seconds_around() {
    let key = SigningKey::es256();
    let claims = claims_with(json!({"nbf": EXPIRES - 300}));
    let token = verify(&key.token(&claims), &key_set(&[key.jwk()])).unwrap();
    let at =
        |seconds: i64| token.check_time(Timestamp::from_second(EXPIRES).unwrap() + SignedDuration::from_secs(seconds));
    assert_eq!((at(-331), at(-330)), (Err(TokenError::NotYetValid), Ok(())));
    assert_eq!((at(29), at(30)), (Ok(()), Err(TokenError::Expired)));
}
