use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::claims::token_of;
use super::jwt::{header_of, verified};
use super::key_set::KeySet;
use super::provider::Description;
use super::scope_mapping::ScopeMapping;
use super::settings::Issuer;
use super::signature::ALGORITHMS;
use super::testing::{SigningKey, key_set, settings};
use crate::fuzz_test::{fuzz, fuzz_bytes};

#[test]
fn a_changed_token_is_never_accepted_with_other_claims() {
    let key = SigningKey::es256();
    let claims =
        json!({"iss": "https://id.example", "aud": "ringback", "sub": "ivr", "exp": 1_800_000_000, "scope": "ivr"});
    let (token, keys) = (key.token(&claims), key_set(&[key.jwk()]));
    fuzz(&[&token, "e30.e30.e30"], |text| {
        let Ok(header) = header_of(text) else { return };
        assert!(ALGORITHMS.contains(&header.algorithm));
        if let Ok(found) = verified(text, &header, &keys, &settings("https://id.example")) {
            assert_eq!((&*found.name, found.scopes.len()), ("ivr", 2), "{text}");
        }
    });
}

#[test]
fn claims_give_a_bounded_name_and_mapped_scopes_or_are_refused() {
    let samples = [
        r#"{"sub": "ivr", "exp": 1800000000, "nbf": 1.5, "scope": "ivr", "ringback_campaigns": ["a", "b-1"]}"#,
        r#"{"sub": "sms|+12025550198", "exp": -1, "scope": ["ivr", "x"]}"#,
    ];
    fuzz_bytes(&samples, |bytes| {
        let Ok(Value::Object(claims)) = serde_json::from_slice(bytes) else { return };
        if let Ok(token) = token_of(claims, &settings("https://id.example")) {
            assert!((1..=100).contains(&token.name.chars().count()) && token.scopes.len() <= 2);
            assert!(!token.name.contains(char::is_control) && !token.name.contains("2025550198"));
        }
    });
}

#[test]
fn keys_and_descriptions_of_a_provider_are_read_or_refused() {
    let jwk = SigningKey::es256().jwk();
    let keys =
        json!({"keys": [jwk, {"kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "sig", "alg": "RS256"}]}).to_string();
    fuzz_bytes(&[&keys], |bytes| {
        if let Ok(received) = serde_json::from_slice(bytes) {
            let keys = KeySet::new(received);
            assert!(keys.len() <= 100 && keys.find(None, Algorithm::HS256).is_none());
        }
    });
    let description = r#"{"issuer": "https://id.example", "jwks_uri": "https://id.example/keys", "x": []}"#;
    fuzz_bytes(&[description], |bytes| drop(serde_json::from_slice::<Description>(bytes)));
}

#[test]
fn an_issuer_and_a_mapping_of_scopes_are_parsed_or_refused() {
    fuzz(&["https://id.example/realms/a", "http://[::1]:8081/", "http://localhost"], |text| {
        if let Ok(issuer) = Issuer::parse(text) {
            assert!(!issuer.as_str().contains(['?', '#']), "{text}");
        }
    });
    fuzz(&[r#"{"ivr": "callbacks:write callbacks:read"}"#], |text| {
        if let Ok(mapping) = ScopeMapping::parse(text) {
            assert_eq!(mapping.scopes_of(&json!("no such value")), []);
        }
    });
}
