//! Verifies tokens, and remembers those that are valid.

use std::sync::{Arc, Weak};

use quick_cache::sync::Cache;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::jwt::{Header, header_of, verified};
use super::key_set::KeySet;
use super::provider::Provider;
use super::provider_keys::ProviderKeys;
use super::settings::OidcSettings;
use super::token::{Token, TokenError};
use crate::clock::Clock;

/// The verified tokens that are remembered, by the hash of their text.
const REMEMBERED: usize = 4096;

/// Verifies the tokens of one provider.
pub struct TokenVerifier {
    settings: OidcSettings,
    keys: Arc<ProviderKeys>,
    clock: Clock,
    verified: Cache<[u8; 32], Verified>,
}

/// A token, and the keys that it was verified with. With others it is verified again.
#[derive(Clone)]
struct Verified {
    token: Arc<Token>,
    keys: Weak<KeySet>,
}

impl TokenVerifier {
    /// Nothing is requested yet: see [`TokenVerifier::follow_keys`].
    ///
    /// # Errors
    /// If an HTTP client cannot be created.
    pub fn new(settings: OidcSettings, proxy: Option<&SecretString>, clock: Clock) -> Result<Self, reqwest::Error> {
        let keys = Arc::new(ProviderKeys::of(Provider::new(settings.issuer.clone(), proxy)?));
        Ok(Self { settings, keys, clock, verified: Cache::new(REMEMBERED) })
    }

    /// For tokens of the same provider with another audience. They share the keys.
    pub(super) fn for_audience(&self, audience: String) -> Self {
        let settings = OidcSettings { audience, ..self.settings.clone() };
        Self { settings, keys: Arc::clone(&self.keys), clock: self.clock.clone(), verified: Cache::new(REMEMBERED) }
    }

    /// Reads the provider's keys regularly, until `stop`.
    pub async fn follow_keys(self: Arc<Self>, stop: CancellationToken) {
        self.keys.follow(&stop).await;
    }

    /// The token with this text, if it is valid now.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn verify(&self, text: &str) -> Result<Arc<Token>, TokenError> {
        let (hash, keys) = (Sha256::digest(text.as_bytes()).into(), self.keys.current());
        let known = self.verified.get(&hash).filter(|known| std::ptr::eq(known.keys.as_ptr(), Arc::as_ptr(&keys)));
        if let Some(known) = known {
            known.token.check_time(self.clock.now())?;
            return Ok(known.token);
        }
        let header = header_of(text)?;
        let keys = self.keys_for(&header, keys).await?;
        let token = Arc::new(verified(text, &header, &keys, &self.settings)?);
        token.check_time(self.clock.now())?;
        self.verified.insert(hash, Verified { token: Arc::clone(&token), keys: Arc::downgrade(&keys) });
        Ok(token)
    }

    /// Keys that have the one of the token, if the provider has it.
    async fn keys_for(&self, header: &Header, known: Arc<KeySet>) -> Result<Arc<KeySet>, TokenError> {
        if known.find(header.key_id.as_deref(), header.algorithm).is_some() {
            return Ok(known);
        }
        // Seldom, and larger than all the rest of a request.
        Box::pin(self.keys.newest()).await.ok_or(TokenError::NoKeys)
    }
}
