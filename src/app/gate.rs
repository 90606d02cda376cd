//! What each request of the API passes through before its route.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::http::{Idempotency, idempotent};
use crate::keys::{Authentication, AuthorizationHeader, authenticate};

/// What requests are checked with.
pub struct Gate {
    pub authentication: Authentication,
    pub idempotency: Arc<Idempotency>,
}

/// Authenticates a request, and runs it once for its `Idempotency-Key`. One layer for both: each layer allocates and copies
/// what is below it, for each request.
pub async fn pass(
    State(gate): State<Arc<Gate>>,
    authorization: AuthorizationHeader,
    request: Request,
    next: Next,
) -> Response {
    let run = |request| async { idempotent(&gate.idempotency, request, next).await.into_response() };
    authenticate(&gate.authentication, authorization, request, run).await
}
