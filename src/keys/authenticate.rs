//! The authentication of requests under `/v1`.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use super::store::KeyStore;
use crate::clock::Clock;
use crate::http::{Caller, Problem, ProblemKind};

/// Rejects requests without a valid key, and adds the [`Caller`] to the others.
///
/// # Errors
/// 401 without a key that is valid now.
pub async fn authenticate(
    State((keys, clock)): State<(KeyStore, Clock)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let secret = bearer(request.headers()).ok_or_else(|| {
        Problem::new(ProblemKind::Unauthorized, "the Authorization header must be `Bearer` and an API key")
    })?;
    // Looked up each time, so that a key that is revoked is refused from that moment on.
    let key = keys
        .find_valid(secret, clock.now())
        .await?
        .ok_or_else(|| Problem::new(ProblemKind::Unauthorized, "this API key is not known here, or no longer valid"))?;
    request.extensions_mut().insert(Caller { key_id: key.id, name: key.name, scopes: key.scopes });
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let secret = secret.trim();
    (scheme.eq_ignore_ascii_case("bearer") && (1..=200).contains(&secret.len())).then_some(secret)
}
