//! What the handlers share.

use serde::Serialize;
use uuid::Uuid;

use crate::audit::{Action, Actor, Entry, Outcome};
use crate::http::{Problem, ProblemKind, RequestContext};
use crate::webhooks::address_policy::AddressPolicy;
use crate::webhooks::model::Endpoint;
use crate::webhooks::signing::{SecretCipher, SecretError, SigningSecret};
use crate::webhooks::store::WebhookStore;

/// The state of the routes.
#[derive(Clone)]
pub struct Webhooks {
    pub store: WebhookStore,
    pub address_policy: AddressPolicy,
    /// None where the service runs without an `ENCRYPTION_KEY`.
    pub cipher: Option<SecretCipher>,
}

impl Webhooks {
    /// The endpoint with this id, or a 404.
    pub(super) async fn find(&self, id: Uuid) -> Result<Endpoint, Problem> {
        self.store.find(id).await?.ok_or_else(|| Problem::not_found("webhook"))
    }

    /// The endpoint with this id; a 409 for that of the configuration.
    pub(super) async fn find_created_by_api(&self, id: Uuid) -> Result<Endpoint, Problem> {
        let endpoint = self.find(id).await?;
        if endpoint.is_configured {
            return Err(Problem::new(ProblemKind::WebhookConfigured, "it is the endpoint of WFO_WEBHOOK_URL"));
        }
        Ok(endpoint)
    }

    pub(super) fn encrypt(&self, endpoint: Uuid, secret: &SigningSecret) -> Result<Vec<u8>, Problem> {
        let no_key = || Problem::new(ProblemKind::NoEncryptionKey, "the service runs without an ENCRYPTION_KEY");
        let cipher = self.cipher.as_ref().ok_or_else(no_key)?;
        cipher.encrypt(endpoint, secret).map_err(|error| secret_problem(&error))
    }

    pub(super) fn decrypt(&self, endpoint: &Endpoint) -> Result<SigningSecret, Problem> {
        let decrypted = match (&self.cipher, &endpoint.secret) {
            (Some(cipher), Some(encrypted)) => cipher.decrypt(endpoint.id, encrypted),
            (None, _) | (_, None) => Err(SecretError::NoKey),
        };
        decrypted.map_err(|error| secret_problem(&error))
    }
}

/// The audit entry of a request that succeeded.
pub(super) fn entry(context: &RequestContext, action: Action, detail: &impl Serialize) -> Entry {
    let (id, now) = (context.clock.new_id(), context.clock.now());
    Entry {
        request_id: Some(context.request_id.clone()),
        ..Entry::new(id, now, action, Actor::caller(&context.caller), Outcome::Succeeded).with_detail(detail)
    }
}

pub(super) fn secret_problem(error: &SecretError) -> Problem {
    tracing::error!(error = %error, "a webhook secret cannot be generated, encrypted or decrypted");
    Problem::new(ProblemKind::Internal, "the secret could not be created")
}
