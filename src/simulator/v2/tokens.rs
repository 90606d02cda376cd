//! `POST /oauth/token`: the client-credentials grant.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};

use crate::simulator::fields::{basic, has_type, only, pairs};
use crate::simulator::model::Simulator;
use crate::simulator::model::settings::Settings;
use crate::simulator::refusal::{Answer, Refusal};

pub(super) async fn issue(State(simulator): State<Simulator>, headers: HeaderMap, body: Bytes) -> Answer {
    let model = simulator.model();
    if !has_type(&headers, "application/x-www-form-urlencoded") {
        return Err(Refusal::bad_request("the content type must be application/x-www-form-urlencoded"));
    }
    let form = std::str::from_utf8(&body).map_err(|_| Refusal::bad_request("the form is not UTF-8"))?;
    let form = pairs(form)?;
    authenticate(&model.settings, &headers, &form)?;
    match only(&form, "grant_type")? {
        Some("client_credentials") => {}
        Some(_) => return Err(oauth("unsupported_grant_type", "grant_type must be client_credentials")),
        None => return Err(Refusal::bad_request("grant_type is missing")),
    }
    let scopes = granted(&model.settings.scopes, only(&form, "scope")?)?;
    let token = format!("{}{:032x}", model.new_id().simple(), model.random());
    let answer = model.tokens.lock().issue(token, &model.settings.client_id, scopes);
    Ok((StatusCode::OK, Json(answer)))
}

/// Checks the client's id and secret, which are sent as HTTP Basic or in the form, never as both.
fn authenticate(settings: &Settings, headers: &HeaderMap, form: &[(String, String)]) -> Result<(), Refusal> {
    let in_form = (only(form, "client_id")?, only(form, "client_secret")?);
    let is_valid = match (headers.contains_key(header::AUTHORIZATION), in_form) {
        (true, (_, Some(_))) => return Err(Refusal::bad_request("client credentials in the header and in the form")),
        (true, (_, None)) => basic_is_valid(settings, headers),
        (false, (Some(id), Some(secret))) => id == settings.client_id && secret == settings.client_secret,
        (false, _) => return Err(Refusal::client("client credentials are missing")),
    };
    if is_valid { Ok(()) } else { Err(Refusal::client("the client is not known, or its secret is wrong")) }
}

/// Clients disagree whether id and secret are form-encoded inside Basic (RFC 6749, 2.3.1); both are accepted.
fn basic_is_valid(settings: &Settings, headers: &HeaderMap) -> bool {
    let Some((id, secret)) = basic(headers) else {
        return false;
    };
    let is = |sent: &str, wanted: &str| sent == wanted || form_decoded(sent).is_some_and(|decoded| decoded == wanted);
    is(&id, &settings.client_id) && is(&secret, &settings.client_secret)
}

fn form_decoded(text: &str) -> Option<String> {
    let pair = pairs(&format!("value={text}")).ok()?;
    pair.into_iter().next().map(|(_, value)| value)
}

/// The scopes of a token: all that the client has, or those of them that were requested.
fn granted(granted: &[String], requested: Option<&str>) -> Result<Vec<String>, Refusal> {
    let Some(requested) = requested else {
        return Ok(granted.to_vec());
    };
    let scopes: Vec<_> =
        granted.iter().filter(|scope| requested.split(' ').any(|word| word == *scope)).cloned().collect();
    if scopes.is_empty() {
        return Err(oauth("invalid_scope", "none of the scopes asked for is granted to this client"));
    }
    Ok(scopes)
}

fn oauth(error: &'static str, description: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, error, description)
}
