//! Reads requests as strictly as CXone does.

use axum::extract::{FromRequest, Query, Request};
use axum::http::{HeaderMap, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::refusal::Refusal;

/// A JSON body whose content type is JSON.
pub(super) struct JsonBody(pub(super) Value);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        if !has_type(request.headers(), "application/json") {
            return Err(Refusal::bad_request("the content type must be application/json"));
        }
        let body = axum::body::Bytes::from_request(request, state).await;
        let body = body.map_err(|error| Refusal::bad_request(format!("the body cannot be read: {error}")))?;
        let value = serde_json::from_slice(&body);
        value.map(Self).map_err(|error| Refusal::bad_request(format!("the body is not JSON: {error}")))
    }
}

/// Whether the content type is this one, with any parameters.
pub(super) fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    sent.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
}

/// The credentials in `Authorization`, if they are of this scheme.
pub(super) fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (sent, credentials) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    sent.eq_ignore_ascii_case(scheme).then_some(credentials)
}

/// The name and the password in `Authorization`.
pub(super) fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let decoded = STANDARD.decode(credentials(headers, "basic")?).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    decoded.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
}

/// The names and values of a query or of a form, which are written the same way.
pub(super) fn pairs(encoded: &str) -> Result<Vec<(String, String)>, Refusal> {
    let refused = || Refusal::bad_request("the parameters are not percent-encoded");
    let uri: Uri = format!("/?{encoded}").parse().map_err(|_| refused())?;
    Query::try_from_uri(&uri).map(|Query(pairs)| pairs).map_err(|_| refused())
}

/// The value of a parameter, which must not be given twice.
pub(super) fn only<'a>(pairs: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let first = values.next();
    match values.next() {
        Some(_) => Err(Refusal::bad_request(format!("{name} is given more than once"))),
        None => Ok(first),
    }
}

/// The members of one JSON object; errors name them by their full path.
pub(super) struct Fields<'a> {
    members: &'a Map<String, Value>,
    at: &'static str,
}

impl<'a> Fields<'a> {
    /// An object of any members, none of them null. `at` is its path with a dot at the end, empty for the body.
    pub(super) fn any(value: &'a Value, at: &'static str) -> Result<Self, Refusal> {
        let name = if at.is_empty() { "the body" } else { at.trim_end_matches('.') };
        let members = value.as_object().ok_or_else(|| Refusal::bad_request(format!("{name} must be an object")))?;
        match members.iter().find(|(_, value)| value.is_null()) {
            Some((null, _)) => Err(Refusal::bad_request(format!("{at}{null} is null: leave it out instead"))),
            None => Ok(Self { members, at }),
        }
    }

    /// An object of known members only, none of them null.
    pub(super) fn known(value: &'a Value, at: &'static str, known: &[&str]) -> Result<Self, Refusal> {
        let fields = Self::any(value, at)?;
        match fields.members.keys().find(|key| !known.contains(&key.as_str())) {
            Some(unknown) => Err(Refusal::bad_request(format!("{at}{unknown} is not known here"))),
            None => Ok(fields),
        }
    }

    /// A required member.
    pub(super) fn value(&self, name: &str) -> Result<&'a Value, Refusal> {
        self.members.get(name).ok_or_else(|| Refusal::bad_request(format!("{}{name} is missing", self.at)))
    }

    /// A required string.
    pub(super) fn text(&self, name: &str) -> Result<&'a str, Refusal> {
        let text = self.value(name)?.as_str();
        text.ok_or_else(|| Refusal::bad_request(format!("{}{name} must be a string", self.at)))
    }

    /// A required string that is not blank.
    pub(super) fn non_empty_text(&self, name: &str) -> Result<&'a str, Refusal> {
        let text = self.text(name)?;
        if text.trim().is_empty() {
            return Err(Refusal::bad_request(format!("{}{name} is empty", self.at)));
        }
        Ok(text)
    }

    /// An optional string.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        if self.members.contains_key(name) { self.text(name).map(Some) } else { Ok(None) }
    }

    /// An optional member.
    pub(super) fn optional(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name)
    }

    /// A required whole number from 0: a 400 if it is not a number, a 422 if it is another number.
    pub(super) fn count(&self, name: &str) -> Result<u32, Refusal> {
        let value = self.value(name)?;
        if !value.is_number() {
            return Err(Refusal::bad_request(format!("{}{name} must be a number", self.at)));
        }
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
        count.ok_or_else(|| Refusal::unprocessable(format!("{}{name} must be a whole number from 0", self.at)))
    }
}

/// Whether this is a phone number in E.164: a plus, then 7 to 15 digits of which the first is not 0.
pub(super) fn is_e164(phone: &str) -> bool {
    let Some(digits) = phone.strip_prefix('+') else {
        return false;
    };
    (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Deserializes a member so that null (`Some(None)`) differs from absent (`None`).
pub(super) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}
