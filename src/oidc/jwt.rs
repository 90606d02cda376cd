//! Reads a signed JWT (RFC 7519) and verifies it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, Validation, decode};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::claims::{Claims, token_of};
use super::key_set::KeySet;
use super::settings::OidcSettings;
use super::signature::{ALGORITHMS, use_ring};
use super::token::{Token, TokenError};

/// The longest token, in bytes.
const MAX_LENGTH: usize = 8192;

/// What the header of a token says about its signature.
#[derive(Debug)]
pub struct Header {
    pub algorithm: Algorithm,
    pub key_id: Option<String>,
}

#[derive(Deserialize)]
struct ReceivedHeader {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

/// The header of a token whose algorithm is accepted.
pub fn header_of(text: &str) -> Result<Header, TokenError> {
    if text.len() > MAX_LENGTH {
        return Err(TokenError::Malformed);
    }
    let header = text.split_once('.').and_then(|(header, _)| URL_SAFE_NO_PAD.decode(header).ok());
    let header: Option<ReceivedHeader> = header.and_then(|header| serde_json::from_slice(&header).ok());
    // `crit` names extensions that must be understood (RFC 7515, section 4.1.11). There are none here.
    let header = header.filter(|header| header.crit.is_none()).ok_or(TokenError::Malformed)?;
    let algorithm = header.alg.parse().ok().filter(|algorithm| ALGORITHMS.contains(algorithm));
    Ok(Header { algorithm: algorithm.ok_or(TokenError::Algorithm)?, key_id: header.kid })
}

/// Verifies the signature, the issuer and the audience. The time is not checked.
pub fn verified(text: &str, header: &Header, keys: &KeySet, settings: &OidcSettings) -> Result<Token, TokenError> {
    use_ring();
    let key = keys.find(header.key_id.as_deref(), header.algorithm).ok_or(TokenError::UnknownKey)?;
    let decoded =
        decode::<Claims>(text, key, &validation(header.algorithm, settings)).map_err(|error| refusal(&error))?;
    token_of(decoded.claims, settings)
}

/// The claim `nonce` of a token that was verified.
pub fn nonce_of(verified: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Nonce {
        nonce: String,
    }
    let claims = URL_SAFE_NO_PAD.decode(verified.split('.').nth(1)?).ok()?;
    Some(serde_json::from_slice::<Nonce>(&claims).ok()?.nonce)
}

/// `exp` and `nbf` are left out: the library compares them with the machine's clock, and a copy of a token is checked again.
fn validation(algorithm: Algorithm, settings: &OidcSettings) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    validation.set_issuer(&[settings.issuer.as_str()]);
    validation.set_audience(&[&settings.audience]);
    validation.validate_exp = false;
    validation
}

fn refusal(error: &Error) -> TokenError {
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::InvalidAudience => TokenError::Audience,
        ErrorKind::MissingRequiredClaim(_) => TokenError::MissingClaim,
        ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
        _ => TokenError::Malformed,
    }
}
