//! Authentication of every request under `/v1` by an API key or a token, the rate of its key, and the record of those that are
//! refused.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::response::{IntoResponse as _, Response};
use axum_extra::TypedHeader;
use axum_extra::headers::Authorization;
use axum_extra::headers::authorization::Bearer;
use axum_extra::typed_header::TypedHeaderRejection;

use super::bucket::Allowance;
use super::record::KeyRecord;
use super::secret::PREFIX;
use super::store::KeyStore;
use super::usage::Usage;
use crate::clock::Clock;
use crate::http::{Caller, Credential, Problem, ProblemKind, RATE_LIMIT, RATE_LIMIT_POLICY, Received, RefusalLog};
use crate::oidc::{Token, TokenError, TokenVerifier};
use crate::types::Rate;

/// Longer than any key that Ringback creates, in bytes.
pub const MAX_KEY_LENGTH: usize = 200;
/// The `Retry-After` while the keys of the identity provider cannot be read, in seconds.
const KEYS_RETRY_AFTER: u64 = 5;

/// The `Authorization` header of a request.
pub type AuthorizationHeader = Result<TypedHeader<Authorization<Bearer>>, TypedHeaderRejection>;

/// What authentication works with.
pub struct Authentication {
    pub keys: KeyStore,
    pub usage: Arc<Usage>,
    /// Without it, only API keys are accepted.
    pub tokens: Option<Arc<TokenVerifier>>,
    pub refusals: Arc<dyn RefusalLog>,
    pub clock: Clock,
}

/// What was sent. As an extension of a request, it stands for the `Authorization` header: only the process itself can add it.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// An API key that exists, valid or not.
    Key(Arc<KeyRecord>),
    /// A token that is valid.
    Token(Arc<Token>),
}

impl Credentials {
    /// Who sends a request with them.
    pub fn caller(&self) -> Caller {
        match self {
            Self::Key(key) => with_key(key),
            Self::Token(token) => with_token(token),
        }
    }
}

/// Rejects requests without a valid key or token and those beyond the rate of their key, adds the [`Caller`] to the others, and
/// runs `next` with them. A request that is refused, here or later, is recorded before it is answered.
pub async fn authenticate<Answer: Future<Output = Response>>(
    state: &Authentication,
    authorization: AuthorizationHeader,
    mut request: Request,
    next: impl FnOnce(Request) -> Answer,
) -> Response {
    let mut received = Received::of(&request);
    let now = state.clock.now();
    let given = request.extensions_mut().remove::<Credentials>();
    let found = if let Some(given) = given { Ok(given) } else { state.find(authorization).await };
    let response = match found {
        Ok(Credentials::Key(key)) if key.is_valid(now) => {
            received.log_key(key.id);
            let allowance = key.grant.rate.zip(state.usage.count(&key, now));
            return answer(state, received, with_key(&key), allowance, request, next).await;
        }
        Ok(Credentials::Token(token)) => {
            received.log_key(token.id);
            return answer(state, received, with_token(&token), None, request, next).await;
        }
        Ok(Credentials::Key(key)) => {
            received.log_key(key.id);
            received.ended_key = Some(key.id);
            no_such_key().into_response()
        }
        Err(problem) => problem.into_response(),
    };
    received.recorded(response, &*state.refusals).await
}

fn with_key(key: &KeyRecord) -> Caller {
    Caller {
        credential: Credential::ApiKey,
        key_id: key.id,
        name: Arc::clone(&key.name),
        scopes: Arc::clone(&key.grant.scopes),
        campaigns: key.grant.campaigns.clone(),
    }
}

fn with_token(token: &Token) -> Caller {
    Caller {
        credential: Credential::Token { expires_at: token.expires_at },
        key_id: token.id,
        name: Arc::clone(&token.name),
        scopes: Arc::clone(&token.scopes),
        campaigns: token.campaigns.clone(),
    }
}

async fn answer<Answer: Future<Output = Response>>(
    state: &Authentication,
    mut received: Received,
    caller: Caller,
    allowance: Option<(Rate, Allowance)>,
    mut request: Request,
    next: impl FnOnce(Request) -> Answer,
) -> Response {
    let refused = allowance.filter(|(_, allowance)| !allowance.accepted);
    let mut response = if let Some((rate, allowance)) = refused {
        too_many(rate, allowance).into_response()
    } else {
        let caller = received.caller.insert(caller);
        request.extensions_mut().insert(caller.clone());
        let response = next(request).await;
        received.recorded(response, &*state.refusals).await
    };
    if let Some((rate, allowance)) = allowance {
        add_headers(&mut response, rate, allowance);
    }
    response
}

/// Not recorded: a client that sends too much must not cause writes.
fn too_many(rate: Rate, allowance: Allowance) -> Problem {
    Problem::new(ProblemKind::RateLimitExceeded, format!("this API key may send {rate}"))
        .retry_after(allowance.retry_in)
        .recorded()
}

/// The headers of draft-ietf-httpapi-ratelimit-headers-10, as structured fields.
fn add_headers(response: &mut Response, rate: Rate, allowance: Allowance) {
    let policy = format!("\"key\";q={};w={}", rate.requests(), rate.seconds());
    let limit = format!("\"key\";r={};t={}", allowance.remaining, allowance.full_in);
    for (name, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, limit)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
}

impl Authentication {
    async fn find(&self, authorization: AuthorizationHeader) -> Result<Credentials, Problem> {
        let authorization = authorization.ok();
        let sent = authorization.as_ref().map(|header| header.token()).unwrap_or_default();
        match &self.tokens {
            Some(tokens) if !sent.is_empty() && !sent.starts_with(PREFIX) => {
                tokens.verify(sent).await.map(Credentials::Token).map_err(invalid_token)
            }
            _ if (1..=MAX_KEY_LENGTH).contains(&sent.len()) => {
                self.keys.find(sent).await?.map(Credentials::Key).ok_or_else(no_such_key)
            }
            _ => {
                Err(Problem::new(ProblemKind::Unauthorized, "the Authorization header must be `Bearer` and an API key"))
            }
        }
    }
}

fn no_such_key() -> Problem {
    Problem::new(ProblemKind::Unauthorized, "this API key is unknown, revoked or expired")
}

fn invalid_token(error: TokenError) -> Problem {
    match error {
        TokenError::NoKeys => Problem::new(ProblemKind::Unavailable, error.to_string()).retry_after(KEYS_RETRY_AFTER),
        _ => Problem::new(ProblemKind::Unauthorized, error.to_string()).of_invalid_token(),
    }
}
