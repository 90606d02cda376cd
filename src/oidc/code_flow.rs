//! The sign-in of a person at the provider in their browser: the authorization code flow with PKCE (RFC 6749, RFC 7636, OpenID
//! Connect Core 1.0).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::jwt::nonce_of;
use super::provider::{Endpoints, Provider, ProviderError};
use super::settings::OidcSettings;
use super::token::{Token, TokenError};
use super::verifier::TokenVerifier;

/// How long the description of the provider is used.
const FRESH_FOR: Duration = Duration::from_mins(10);
/// Sign-ins do not cause more requests than one in this time while the provider fails.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Who the service is for the provider.
#[derive(Clone, Debug)]
pub struct OidcClient {
    pub id: String,
    /// Without one it is a public client, which PKCE alone protects.
    pub secret: Option<SecretString>,
    /// Where the provider leads the browser back to.
    pub redirect: Url,
}

/// What the browser keeps of a sign-in that has begun: random texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingSignIn {
    pub state: String,
    pub nonce: String,
    /// The proof of PKCE that the answer is for who has asked.
    pub verifier: String,
}

/// Why somebody is not signed in. Shows nothing of a token.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error("the identity provider: {0}")]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the answer belongs to another sign-in")]
    OtherSignIn,
    #[error("the operating system gives no random numbers")]
    Random(#[from] getrandom::Error),
}

/// Signs people in.
pub struct CodeFlow {
    client: OidcClient,
    provider: Provider,
    /// The claim with the roles. Asked for as a scope where the provider has one of this name.
    claim: String,
    host: String,
    tokens: TokenVerifier,
    known: Mutex<Option<(Instant, Option<Arc<Endpoints>>)>>,
}

impl CodeFlow {
    /// At this provider, whose keys `tokens` follows. The tokens of a sign-in are for the client itself.
    ///
    /// # Errors
    /// If an HTTP client cannot be created.
    pub fn new(
        client: OidcClient,
        settings: &OidcSettings,
        proxy: Option<&SecretString>,
        tokens: &TokenVerifier,
    ) -> Result<Self, reqwest::Error> {
        let provider = Provider::new(settings.issuer.clone(), proxy)?;
        let (claim, tokens) = (settings.claim.clone(), tokens.for_audience(client.id.clone()));
        let host = settings.issuer.host().to_owned();
        Ok(Self { client, provider, claim, host, tokens, known: Mutex::default() })
    }

    /// The host of the provider, for people.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where the browser is led to, and what it keeps.
    ///
    /// # Errors
    /// If the provider does not describe itself.
    pub async fn begin(&self) -> Result<(Url, PendingSignIn), SignInError> {
        let endpoints = self.endpoints().await?;
        let pending = PendingSignIn { state: random()?, nonce: random()?, verifier: random()? };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&pending.verifier));
        let scope =
            if endpoints.scopes.contains(&self.claim) { format!("openid {}", self.claim) } else { "openid".into() };
        let mut url = endpoints.authorization.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client.id)
            .append_pair("redirect_uri", self.client.redirect.as_str())
            .append_pair("scope", &scope)
            .append_pair("state", &pending.state)
            .append_pair("nonce", &pending.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok((url, pending))
    }

    /// Who the person is, by the code with which the provider has led the browser back.
    ///
    /// # Errors
    /// Why somebody is not signed in.
    pub async fn finish(&self, pending: &PendingSignIn, state: &str, code: &str) -> Result<Arc<Token>, SignInError> {
        if state != pending.state {
            return Err(SignInError::OtherSignIn);
        }
        let endpoints = self.endpoints().await?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.client.redirect.as_str()),
            ("code_verifier", &pending.verifier),
        ];
        let secret = self.client.secret.as_ref();
        let text = self.provider.id_token(&endpoints.token, &self.client.id, secret, &form).await?;
        let token = self.tokens.verify(&text).await?;
        if nonce_of(&text).as_deref() != Some(&pending.nonce) {
            return Err(SignInError::OtherSignIn);
        }
        Ok(token)
    }

    async fn endpoints(&self) -> Result<Arc<Endpoints>, ProviderError> {
        // One caller reads, the others wait for what it finds.
        let mut known = self.known.lock().await;
        match &*known {
            Some((at, Some(endpoints))) if at.elapsed() < FRESH_FOR => return Ok(Arc::clone(endpoints)),
            Some((at, None)) if at.elapsed() < RETRY_AFTER => return Err(ProviderError::Timeout),
            _ => *known = Some((Instant::now(), None)),
        }
        let endpoints = Arc::new(self.provider.endpoints().await?);
        *known = Some((Instant::now(), Some(Arc::clone(&endpoints))));
        Ok(endpoints)
    }
}

fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
