//! Authentication of every request under `/v1`, and the record of those that are refused.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum_extra::TypedHeader;
use axum_extra::headers::Authorization;
use axum_extra::headers::authorization::Bearer;
use axum_extra::typed_header::TypedHeaderRejection;

use super::store::{KeyRecord, KeyStore};
use crate::clock::Clock;
use crate::http::{Caller, Problem, ProblemKind, Received, RefusalLog};

/// Longer than any key that Ringback creates, in bytes.
const MAX_KEY_LENGTH: usize = 200;

type AuthorizationHeader = Result<TypedHeader<Authorization<Bearer>>, TypedHeaderRejection>;

/// What authentication works with.
pub struct Authentication {
    pub keys: KeyStore,
    pub refusals: Arc<dyn RefusalLog>,
    pub clock: Clock,
}

/// Rejects requests without a valid key, and adds the [`Caller`] to the others. A request that is refused, here or later,
/// is recorded before it is answered.
pub async fn authenticate(
    State(state): State<Arc<Authentication>>,
    authorization: AuthorizationHeader,
    mut request: Request,
    next: Next,
) -> Response {
    let mut received = Received::of(&request);
    let response = match state.find(authorization).await {
        Ok(key) if key.is_valid(state.clock.now()) => {
            let (name, scopes) = (Arc::clone(&key.name), Arc::clone(&key.scopes));
            let caller = received.caller.insert(Caller { key_id: key.id, name, scopes });
            request.extensions_mut().insert(caller.clone());
            next.run(request).await
        }
        Ok(key) => {
            received.ended_key = Some(key.id);
            no_such_key().into_response()
        }
        Err(problem) => problem.into_response(),
    };
    received.recorded(response, &*state.refusals).await
}

impl Authentication {
    async fn find(&self, authorization: AuthorizationHeader) -> Result<Arc<KeyRecord>, Problem> {
        let authorization = authorization.ok().filter(|header| (1..=MAX_KEY_LENGTH).contains(&header.token().len()));
        let authorization = authorization.ok_or_else(|| {
            Problem::new(ProblemKind::Unauthorized, "the Authorization header must be `Bearer` and an API key")
        })?;
        self.keys.find(authorization.token()).await?.ok_or_else(no_such_key)
    }
}

fn no_such_key() -> Problem {
    Problem::new(ProblemKind::Unauthorized, "this API key is unknown, revoked or expired")
}
