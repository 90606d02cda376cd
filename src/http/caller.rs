//! Who calls, and what they may do.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use uuid::Uuid;

use super::problem::{Problem, ProblemKind};
use super::scope::{RequiredScope, Scope};

/// The API key behind a request, put there by the gate in [`crate::keys`].
#[derive(Clone, Debug)]
pub struct Caller {
    /// The key's id.
    pub key_id: Uuid,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// A caller whose key has the scope `S`. A route that takes one cannot be reached without it.
pub struct Allowed<S> {
    /// Who it is.
    pub caller: Caller,
    scope: PhantomData<S>,
}

impl<S: RequiredScope, State: Send + Sync> FromRequestParts<State> for Allowed<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Problem::new(ProblemKind::Unauthorized, "an API key is needed"))?;
        if caller.scopes.contains(&S::SCOPE) {
            return Ok(Self { caller, scope: PhantomData });
        }
        Err(Problem::new(ProblemKind::Forbidden, format!("this API key lacks the scope {}", S::SCOPE))
            .with("scope", S::SCOPE.as_str()))
    }
}
