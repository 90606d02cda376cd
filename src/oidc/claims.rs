//! What a token says, once its signature is verified.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::settings::OidcSettings;
use super::token::{Token, TokenError};
use crate::types::{AllowedCampaigns, CampaignId, mask_phone_numbers};

/// The claim that restricts a token to campaigns.
const CAMPAIGNS: &str = "ringback_campaigns";
/// The most campaigns of a token.
const MAX_CAMPAIGNS: usize = 1000;
/// The longest `sub`, in characters (OpenID Connect Core 1.0, section 2).
const MAX_SUBJECT: usize = 255;
/// The longest name of a subject in the audit log, in characters.
const MAX_NAME: usize = 100;

/// The claims of a token.
pub type Claims = Map<String, Value>;

/// What the claims allow, and to whom.
pub fn token_of(claims: Claims, settings: &OidcSettings) -> Result<Token, TokenError> {
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    if !(1..=MAX_SUBJECT).contains(&subject.chars().count()) {
        return Err(TokenError::MissingClaim);
    }
    // The issuer has no `#`.
    let full_name = format!("{}#{subject}", settings.issuer.as_str());
    let (id, name) = (Uuid::new_v5(&Uuid::NAMESPACE_URL, full_name.as_bytes()), display_name(subject));
    let expires_at = claims.get("exp").and_then(instant).ok_or(TokenError::MissingClaim)?;
    let valid_from = claims.get("nbf").map(|at| instant(at).ok_or(TokenError::Malformed)).transpose()?;
    let campaigns = claims.get(CAMPAIGNS).map_or(Ok(AllowedCampaigns::all()), campaigns)?;
    let claims = Value::Object(claims);
    let mapped =
        if settings.claim.starts_with('/') { claims.pointer(&settings.claim) } else { claims.get(&settings.claim) };
    let scopes = mapped.map(|claim| settings.scopes.scopes_of(claim)).unwrap_or_default().into();
    Ok(Token { id, name: name.into(), scopes, campaigns, expires_at, valid_from })
}

/// Seconds since 1970, with or without a fraction.
fn instant(value: &Value) -> Option<Timestamp> {
    let since_1970 = SignedDuration::try_from_secs_f64(value.as_f64()?).ok()?;
    Timestamp::from_duration(since_1970).ok()
}

/// A list that cannot be read must not allow everything.
fn campaigns(claim: &Value) -> Result<AllowedCampaigns, TokenError> {
    let list = claim.as_array().filter(|list| list.len() <= MAX_CAMPAIGNS).ok_or(TokenError::Malformed)?;
    let parse = |id: &Value| id.as_str().and_then(|id| CampaignId::parse(id).ok()).ok_or(TokenError::Malformed);
    list.iter().map(parse).collect::<Result<Vec<_>, _>>().map(AllowedCampaigns::only)
}

/// The subject as it is shown: without control characters, and with phone numbers masked.
fn display_name(subject: &str) -> String {
    let printable: String = subject.chars().filter(|character| !character.is_control()).collect();
    let name: String = mask_phone_numbers(printable.trim()).chars().take(MAX_NAME).collect();
    if name.trim().is_empty() { "unnamed subject".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::Scope;
    use crate::oidc::testing::settings;

    fn read(members: Value) -> Result<Token, TokenError> {
        let mut claims = json!({"sub": "ivr", "exp": 1_800_000_000});
        claims.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        token_of(claims.as_object().unwrap().clone(), &settings("https://id.example"))
    }

    #[test]
    fn the_name_of_a_subject_is_bounded_and_has_no_phone_number_and_its_id_is_always_the_same() {
        let name = |subject: &str| read(json!({"sub": subject})).unwrap().name.to_string();
        for (subject, shown) in [
            ("8c2f9a52-1e9b-4f0e-8d3e-5a3f1c1e2b4d", "8c2f9a52-1e9b-4f0e-8d3e-5a3f1c1e2b4d"),
            ("sms|+1 202-555-0198", "sms|+•••"),
            ("a\u{0}b\n", "ab"),
            ("\n", "unnamed subject"),
        ] {
            assert_eq!(name(subject), shown);
        }
        assert_eq!(name(&"é".repeat(255)).chars().count(), 100);
        let id = |subject: &str| read(json!({"sub": subject})).unwrap().id;
        assert!(id("ivr") == id("ivr") && id("ivr") != id("ivr2"));
        for bad in [json!({"sub": ""}), json!({"sub": "x".repeat(256)}), json!({"sub": 7}), json!({"exp": null})] {
            assert_eq!(read(bad.clone()).unwrap_err(), TokenError::MissingClaim, "{bad}");
        }
    }

    #[test]
    fn a_token_is_restricted_to_its_campaigns_and_not_accepted_if_they_cannot_be_read() {
        let allowed = |list: Value| read(json!({"ringback_campaigns": list})).map(|token| token.campaigns.texts());
        assert_eq!(read(json!({})).unwrap().campaigns, AllowedCampaigns::all());
        assert_eq!(allowed(json!(["b", "a"])), Ok(Some(vec!["a".to_owned(), "b".to_owned()])));
        assert_eq!(allowed(json!([])), Ok(Some(Vec::new())));
        for bad in [json!(null), json!("a"), json!(["a b"]), json!([7])] {
            assert_eq!(allowed(bad.clone()), Err(TokenError::Malformed), "{bad}");
        }
    }

    #[test]
    fn the_mapped_claim_may_be_inside_another_one() {
        let mut settings = settings("https://id.example");
        let claims = json!({"sub": "ivr", "exp": 1.8e9, "realm_access": {"roles": ["ivr"]}, "a/b": "ivr"});
        for (claim, scopes) in [
            ("/realm_access/roles", &[Scope::CallbacksWrite, Scope::CallbacksRead][..]),
            ("realm_access", &[]),
            ("scope", &[]),
        ] {
            claim.clone_into(&mut settings.claim);
            assert_eq!(*token_of(claims.as_object().unwrap().clone(), &settings).unwrap().scopes, *scopes, "{claim}");
        }
        "a/b".clone_into(&mut settings.claim);
        assert_eq!(token_of(claims.as_object().unwrap().clone(), &settings).unwrap().scopes.len(), 2);
    }
}
