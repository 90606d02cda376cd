//! The access tokens issued so far.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Map, Value};

use crate::simulator::refusal::Refusal;

/// The oldest tokens are removed when there are more.
const KEPT: usize = 10_000;

/// The client that a token was issued to.
#[derive(Clone)]
pub(in crate::simulator) struct Client(pub(in crate::simulator) Arc<str>);

/// The tokens issued, and the settings of the next ones.
pub(in crate::simulator) struct Tokens {
    /// How long the next tokens are accepted.
    pub(in crate::simulator) lifetime: Duration,
    /// The `expires_in` of the next answers.
    pub(in crate::simulator) expires_in: ExpiresIn,
    issued: HashMap<String, Token>,
    oldest_first: VecDeque<String>,
}

/// The `expires_in` of a token answer.
pub(in crate::simulator) enum ExpiresIn {
    /// The lifetime, in seconds.
    Lifetime,
    /// Left out.
    Omitted,
    /// This value.
    Raw(Value),
}

struct Token {
    client: Arc<str>,
    scopes: Vec<String>,
    /// `None` if that is beyond what an `Instant` can hold.
    expires: Option<Instant>,
}

impl Tokens {
    pub(in crate::simulator) fn new(lifetime: Duration, omit_expires_in: bool) -> Self {
        let expires_in = if omit_expires_in { ExpiresIn::Omitted } else { ExpiresIn::Lifetime };
        Self { lifetime, expires_in, issued: HashMap::new(), oldest_first: VecDeque::new() }
    }

    /// The client of this bearer token, if the token is valid for `scope`.
    pub(in crate::simulator) fn client(&self, bearer: Option<&str>, scope: &str) -> Result<Client, Refusal> {
        let bearer = bearer.ok_or_else(|| Refusal::token("a bearer token is required"))?;
        let token = self.issued.get(bearer).ok_or_else(|| Refusal::token("the token is not valid"))?;
        if token.expires.is_some_and(|moment| moment <= Instant::now()) {
            return Err(Refusal::token("the token has expired"));
        }
        if !token.scopes.iter().any(|granted| granted == scope) {
            let description = format!("the token lacks the scope {scope}");
            return Err(Refusal::new(StatusCode::FORBIDDEN, "insufficient_scope", description));
        }
        Ok(Client(token.client.clone()))
    }

    /// Removes every token issued so far.
    pub(in crate::simulator) fn revoke(&mut self) {
        self.issued.clear();
        self.oldest_first.clear();
    }

    /// Expires every token issued so far.
    pub(in crate::simulator) fn expire(&mut self) {
        let now = Instant::now();
        self.issued.values_mut().for_each(|token| token.expires = Some(now));
    }

    /// Issues a token. Returns the body of the answer.
    pub(in crate::simulator) fn issue(&mut self, token: String, client: &str, scopes: Vec<String>) -> Value {
        if self.oldest_first.len() >= KEPT
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.issued.remove(&oldest);
        }
        let expires = Instant::now().checked_add(self.lifetime);
        self.issued.insert(token.clone(), Token { client: client.into(), scopes, expires });
        self.oldest_first.push_back(token.clone());

        let mut body = Map::new();
        body.insert("access_token".to_owned(), token.into());
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
