//! What a handler needs to know of its request: who sent it, under which id, and when.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jiff::Timestamp;

use super::caller::Caller;
use super::idempotency_store::ResourceId;
use super::layers::RequestInfo;
use super::problem::{Problem, ProblemKind};
use super::scope::{RequiredScope, Scope};
use crate::clock::Clock;
use crate::trace::Traceparent;

/// The context of an authenticated request.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The API key that sent it.
    pub caller: Caller,
    /// The sender's `X-Request-Id`, or a generated one.
    pub request_id: String,
    /// The sender's trace, or a new one.
    pub traceparent: Traceparent,
    /// When it arrived.
    pub arrived_at: Timestamp,
    /// The id for the resource that a POST creates.
    pub resource: ResourceId,
    /// The service's clock.
    pub clock: Clock,
}

impl RequestContext {
    /// Whether the API key has this scope as well.
    pub fn has_scope(&self, scope: Scope) -> bool {
        self.caller.scopes.contains(&scope)
    }
}

/// Extracts the context of a request whose API key has the scope `S`. A handler that takes one cannot be reached without
/// that scope: `Authorized(context, _): Authorized<required::CallbacksWrite>`.
pub struct Authorized<S>(pub RequestContext, pub PhantomData<S>);

impl<S: RequiredScope, State: Send + Sync> FromRequestParts<State> for Authorized<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Problem> {
        let extensions = &parts.extensions;
        let (Some(caller), Some(info)) = (extensions.get::<Caller>(), extensions.get::<Arc<RequestInfo>>()) else {
            return Err(Problem::new(ProblemKind::Unauthorized, "an API key is required"));
        };
        if !caller.scopes.contains(&S::SCOPE) {
            return Err(Problem::new(ProblemKind::Forbidden, format!("this API key lacks the scope {}", S::SCOPE))
                .with("scope", S::SCOPE.as_str()));
        }
        let context = RequestContext {
            caller: caller.clone(),
            request_id: info.request_id.clone(),
            traceparent: info.traceparent.clone(),
            arrived_at: info.arrived_at,
            resource: extensions.get::<ResourceId>().copied().unwrap_or(info.resource),
            clock: info.clock.clone(),
        };
        Ok(Self(context, PhantomData))
    }
}
