//! What a handler needs to know of its request: who sent it, under which id, and when.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jiff::Timestamp;

use super::caller::Caller;
use super::idempotency_store::ResourceId;
use super::problem::{Problem, ProblemKind};
use super::request_info::RequestInfo;
use super::scope::{RequiredScope, Scope};
use crate::clock::Clock;
use crate::trace::Traceparent;
use crate::types::CampaignId;

/// The context of an authenticated request.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The API key or the token that sent it.
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

    /// Checks that the API key may use the campaign.
    ///
    /// # Errors
    /// A 403.
    pub fn require_campaign(&self, campaign: &CampaignId) -> Result<(), Problem> {
        if self.caller.campaigns.contains(campaign) {
            return Ok(());
        }
        let noun = self.caller.credential.noun();
        let detail = format!("this {noun} is restricted to campaigns, and {campaign} is not one of them");
        Err(Problem::new(ProblemKind::CampaignNotAllowed, detail).with("campaignId", campaign.as_str()))
    }
}

/// Extracts the context of a request whose API key has the scope `S`. A handler that takes one cannot be reached without
/// that scope: `Authorized(context, _): Authorized<required::CallbacksWrite>`. Nor can it be reached with a key that is
/// restricted to campaigns.
pub struct Authorized<S>(pub RequestContext, pub PhantomData<S>);

/// Like [`Authorized`], and a key that is restricted to campaigns is accepted. The handler must use only the campaigns that
/// the key allows: see [`RequestContext::require_campaign`] and [`Caller::campaigns`].
pub struct AuthorizedForCampaigns<S>(pub RequestContext, pub PhantomData<S>);

impl<S: RequiredScope, State: Send + Sync> FromRequestParts<State> for Authorized<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Problem> {
        let context = context(parts, S::SCOPE)?;
        if context.caller.campaigns.is_restricted() {
            let noun = context.caller.credential.noun();
            let detail = format!("this {noun} is restricted to campaigns, and the route is not about one campaign");
            return Err(Problem::new(ProblemKind::CampaignNotAllowed, detail));
        }
        Ok(Self(context, PhantomData))
    }
}

impl<S: RequiredScope, State: Send + Sync> FromRequestParts<State> for AuthorizedForCampaigns<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Problem> {
        Ok(Self(context(parts, S::SCOPE)?, PhantomData))
    }
}

/// The context of a request whose API key has the scope.
fn context(parts: &Parts, scope: Scope) -> Result<RequestContext, Problem> {
    let extensions = &parts.extensions;
    let (Some(caller), Some(info)) = (extensions.get::<Caller>(), extensions.get::<Arc<RequestInfo>>()) else {
        return Err(Problem::new(ProblemKind::Unauthorized, "an API key is required"));
    };
    if !caller.scopes.contains(&scope) {
        let detail = format!("this {} lacks the scope {scope}", caller.credential.noun());
        return Err(Problem::new(ProblemKind::Forbidden, detail).with("scope", scope.as_str()));
    }
    Ok(RequestContext {
        caller: caller.clone(),
        request_id: info.request_id.clone(),
        traceparent: info.traceparent.clone(),
        arrived_at: info.arrived_at,
        resource: extensions.get::<ResourceId>().copied().unwrap_or(info.resource),
        clock: info.clock.clone(),
    })
}
