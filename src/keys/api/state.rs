//! What the handlers share.

use uuid::Uuid;

use crate::audit::Actor;
use crate::http::{Credential, Problem, ProblemKind, RequestContext};
use crate::keys::entries::Author;
use crate::keys::record::{Grant, KeyRecord};
use crate::keys::secret::KeySecret;
use crate::keys::store::KeyStore;

/// The state of the routes.
#[derive(Clone)]
pub struct Keys {
    pub store: KeyStore,
}

impl Keys {
    /// The key with this id. A key that is restricted to campaigns sees only those that are restricted to some of them.
    pub(super) async fn find(&self, id: Uuid, context: &RequestContext) -> Result<KeyRecord, Problem> {
        let key = self.store.get(id).await?.ok_or_else(|| Problem::not_found("API key"))?;
        if context.caller.campaigns.covers(&key.grant.campaigns) {
            return Ok(key);
        }
        let noun = context.caller.credential.noun();
        let detail = format!("this {noun} is restricted to campaigns, and that key is not, or has others");
        Err(Problem::new(ProblemKind::CampaignNotAllowed, detail))
    }

    /// Checks that the key of the request, as it is stored now, or its token has all that the grant has.
    pub(super) async fn require(&self, context: &RequestContext, grant: &Grant) -> Result<(), Problem> {
        let exceeded = self.own_grant(context).await?.missing_for(grant);
        if exceeded.is_empty() {
            return Ok(());
        }
        let noun = context.caller.credential.noun();
        let detail = format!("this {noun} has less than that key: {}", exceeded.join(", "));
        Err(Problem::new(ProblemKind::KeyNotAllowed, detail).with("exceeded", exceeded))
    }

    /// A token counts as a key that ends when the token expires: no key may be what is left of a token that was stolen.
    async fn own_grant(&self, context: &RequestContext) -> Result<Grant, Problem> {
        let caller = &context.caller;
        if let Credential::Token { expires_at } = caller.credential {
            return Ok(Grant::new(caller.scopes.to_vec(), caller.campaigns.clone(), None, Some(expires_at)));
        }
        let own = self.store.get(caller.key_id).await?.filter(|own| own.is_valid(context.clock.now()));
        let refused = || Problem::new(ProblemKind::Unauthorized, "this API key is unknown, revoked or expired");
        own.map(|own| own.grant).ok_or_else(refused)
    }
}

pub(super) fn author(context: &RequestContext) -> Author<'_> {
    let actor = Actor::caller(&context.caller);
    Author { clock: &context.clock, actor, request_id: Some(context.request_id.clone()) }
}

pub(super) fn new_secret() -> Result<KeySecret, Problem> {
    KeySecret::generate().map_err(|error| {
        tracing::error!(error = %error, "the operating system gives no random bytes");
        Problem::new(ProblemKind::Internal, "the secret could not be created")
    })
}
