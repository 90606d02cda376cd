//! Authentication of every request under `/v1`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum_extra::TypedHeader;
use axum_extra::headers::Authorization;
use axum_extra::headers::authorization::Bearer;
use axum_extra::typed_header::TypedHeaderRejection;

use super::store::KeyStore;
use crate::clock::Clock;
use crate::http::{Caller, Problem, ProblemKind};

/// Longer than any key that Ringback creates, in bytes.
const MAX_KEY_LENGTH: usize = 200;

/// Rejects requests without a valid key, and adds the [`Caller`] to the others.
///
/// # Errors
/// 401 without a key that is valid now.
pub async fn authenticate(
    State(state): State<Arc<(KeyStore, Clock)>>,
    authorization: Result<TypedHeader<Authorization<Bearer>>, TypedHeaderRejection>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let authorization = authorization.ok().filter(|header| (1..=MAX_KEY_LENGTH).contains(&header.token().len()));
    let authorization = authorization.ok_or_else(|| {
        Problem::new(ProblemKind::Unauthorized, "the Authorization header must be `Bearer` and an API key")
    })?;
    let (keys, clock) = &*state;
    let key = keys
        .find_valid(authorization.token(), clock.now())
        .await?
        .ok_or_else(|| Problem::new(ProblemKind::Unauthorized, "this API key is unknown, revoked or expired"))?;
    request.extensions_mut().insert(Caller {
        key_id: key.id,
        name: Arc::clone(&key.name),
        scopes: Arc::clone(&key.scopes),
    });
    Ok(next.run(request).await)
}
