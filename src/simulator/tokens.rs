//! The OAuth token endpoint, client-credentials grant only.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::Simulator;
use super::answer::{Answer, Refusal};
use super::fields::{has_type, only, pairs};
use super::settings::Settings;
use super::state::lock;

/// A client that asks for more tokens than this does not need its oldest one.
const KEPT: usize = 10_000;

/// The client that a token was issued to.
#[derive(Clone)]
pub(super) struct Caller(pub(super) Arc<str>);

/// The tokens that are good, and how the next ones will be.
pub(super) struct Tokens {
    /// How long the next tokens are accepted.
    pub(super) lifetime: Duration,
    /// What the next answers say about that.
    pub(super) expires_in: ExpiresIn,
    issued: HashMap<String, Token>,
    oldest_first: VecDeque<String>,
}

/// What a token answer says about the token's life.
pub(super) enum ExpiresIn {
    /// The truth.
    Lifetime,
    /// Nothing.
    Omitted,
    /// This.
    Raw(Value),
}

struct Token {
    client: Arc<str>,
    scopes: Vec<String>,
    /// `None` where that is beyond all reckoning.
    expires: Option<Instant>,
}

impl Tokens {
    pub(super) fn new(lifetime: Duration, omit_expires_in: bool) -> Self {
        let expires_in = if omit_expires_in { ExpiresIn::Omitted } else { ExpiresIn::Lifetime };
        Self { lifetime, expires_in, issued: HashMap::new(), oldest_first: VecDeque::new() }
    }

    /// Who calls, where the bearer token is good for `scope`.
    pub(super) fn caller(&self, headers: &HeaderMap, scope: &str) -> Result<Caller, Refusal> {
        let bearer = credentials(headers, "bearer").ok_or_else(|| Refusal::token("a bearer token is required"))?;
        let token = self.issued.get(bearer).ok_or_else(|| Refusal::token("the token is not valid"))?;
        if token.expires.is_some_and(|moment| moment <= Instant::now()) {
            return Err(Refusal::token("the token has expired"));
        }
        if !token.scopes.iter().any(|granted| granted == scope) {
            let words = format!("the token lacks the scope {scope}");
            return Err(Refusal::new(StatusCode::FORBIDDEN, "insufficient_scope", words));
        }
        Ok(Caller(token.client.clone()))
    }

    /// Every token issued so far is unknown from now on.
    pub(super) fn revoke(&mut self) {
        self.issued.clear();
        self.oldest_first.clear();
    }

    /// Every token issued so far is past its life from now on.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        self.issued.values_mut().for_each(|token| token.expires = Some(now));
    }

    /// Takes a new token in; says what to answer.
    fn issue(&mut self, name: String, client: &str, scopes: Vec<String>) -> Value {
        if self.oldest_first.len() >= KEPT
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.issued.remove(&oldest);
        }
        let expires = Instant::now().checked_add(self.lifetime);
        self.issued.insert(name.clone(), Token { client: client.into(), scopes, expires });
        self.oldest_first.push_back(name.clone());

        let mut body = Map::new();
        body.insert("access_token".to_owned(), name.into());
        body.insert("token_type".to_owned(), "Bearer".into());
        let expires_in = match &self.expires_in {
            ExpiresIn::Lifetime => Some(self.lifetime.as_secs().into()),
            ExpiresIn::Omitted => None,
            ExpiresIn::Raw(raw) => Some(raw.clone()),
        };
        body.extend(expires_in.map(|value| ("expires_in".to_owned(), value)));
        Value::Object(body)
    }
}

/// `POST /oauth/token`
pub(super) async fn issue(State(simulator): State<Simulator>, headers: HeaderMap, body: Bytes) -> Answer {
    let state = simulator.state();
    if !has_type(&headers, "application/x-www-form-urlencoded") {
        return Err(Refusal::bad("the content type must be application/x-www-form-urlencoded"));
    }
    let form = std::str::from_utf8(&body).map_err(|_| Refusal::bad("the form is not UTF-8"))?;
    let form = pairs(form)?;
    authenticate(&state.settings, &headers, &form)?;
    match only(&form, "grant_type")? {
        Some("client_credentials") => {}
        Some(_) => return Err(oauth("unsupported_grant_type", "grant_type must be client_credentials")),
        None => return Err(Refusal::bad("grant_type is missing")),
    }
    let scopes = granted(&state.settings.scopes, only(&form, "scope")?)?;
    let name = format!("{}{:032x}", state.new_id().simple(), state.random());
    let answer = lock(&state.tokens).issue(name, &state.settings.client_id, scopes);
    Ok((StatusCode::OK, Json(answer)))
}

/// Checks the client's id and secret, which come as HTTP Basic or in the form, never as both.
fn authenticate(settings: &Settings, headers: &HeaderMap, form: &[(String, String)]) -> Result<(), Refusal> {
    let in_form = (only(form, "client_id")?, only(form, "client_secret")?);
    let good = match (headers.contains_key(header::AUTHORIZATION), in_form) {
        (true, (_, Some(_))) => return Err(Refusal::bad("client credentials in the header and in the form")),
        (true, (_, None)) => basic_is_good(settings, headers),
        (false, (Some(id), Some(secret))) => id == settings.client_id && secret == settings.client_secret,
        (false, _) => return Err(Refusal::client("client credentials are missing")),
    };
    if good { Ok(()) } else { Err(Refusal::client("the client is not known, or its secret is wrong")) }
}

/// Clients disagree whether id and secret are form-encoded inside Basic (RFC 6749, 2.3.1); both are good.
fn basic_is_good(settings: &Settings, headers: &HeaderMap) -> bool {
    let Some((id, secret)) = basic(headers) else {
        return false;
    };
    let is = |sent: &str, wanted: &str| sent == wanted || form_decoded(sent).is_some_and(|decoded| decoded == wanted);
    is(&id, &settings.client_id) && is(&secret, &settings.client_secret)
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let decoded = STANDARD.decode(credentials(headers, "basic")?).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    decoded.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned()))
}

fn form_decoded(text: &str) -> Option<String> {
    let pair = pairs(&format!("value={text}")).ok()?;
    pair.into_iter().next().map(|(_, value)| value)
}

/// What a token may do: everything granted, or as much of it as was asked for.
fn granted(granted: &[String], asked: Option<&str>) -> Result<Vec<String>, Refusal> {
    let Some(asked) = asked else {
        return Ok(granted.to_vec());
    };
    let scopes: Vec<_> = granted.iter().filter(|scope| asked.split(' ').any(|word| word == *scope)).cloned().collect();
    if scopes.is_empty() {
        return Err(oauth("invalid_scope", "none of the scopes asked for is granted to this client"));
    }
    Ok(scopes)
}

/// What follows the scheme in `Authorization`, where it is this scheme.
fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (sent, credentials) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    sent.eq_ignore_ascii_case(scheme).then_some(credentials)
}

fn oauth(error: &'static str, description: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, error, description)
}
