//! The sign-in of a person at the provider in their browser: the authorization code flow with PKCE (RFC 6749, RFC 7636, OpenID
//! Connect Core 1.0).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use super::jwt::nonce_of;
use super::provider::{Endpoints, Provider, ProviderError};
use super::provider_keys::MAX_WAITING;
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

/// When the provider last described itself, or failed to, and what it answered. None where it failed.
type LastAnswer = (Instant, Option<Arc<Endpoints>>);

/// Signs people in.
pub struct CodeFlow {
    client: OidcClient,
    provider: Arc<Provider>,
    /// The claim with the roles. Asked for as a scope where the provider has one of this name.
    claim: String,
    host: String,
    tokens: TokenVerifier,
    known: Arc<Mutex<Option<LastAnswer>>>,
    waiting: Semaphore,
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
        let provider = Arc::new(Provider::new(settings.issuer.clone(), proxy)?);
        let (claim, tokens) = (settings.claim.clone(), tokens.for_audience(client.id.clone()));
        let host = settings.issuer.host().to_owned();
        let (known, waiting) = (Arc::default(), Semaphore::new(MAX_WAITING));
        Ok(Self { client, provider, claim, host, tokens, known, waiting })
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
        let _waiting = self.waiting.try_acquire().map_err(|_| ProviderError::Timeout)?;
        // One caller reads, the others wait for what it finds.
        let mut known = Arc::clone(&self.known).lock_owned().await;
        match &*known {
            Some((at, Some(endpoints))) if at.elapsed() < FRESH_FOR => return Ok(Arc::clone(endpoints)),
            Some((at, None)) if at.elapsed() < RETRY_AFTER => return Err(ProviderError::Timeout),
            _ => {}
        }
        let provider = Arc::clone(&self.provider);
        // In a task of its own: what it finds counts also if the client disconnects meanwhile.
        let reading = tokio::spawn(async move {
            let read = provider.endpoints().await.map(Arc::new);
            // From now on, not from before the request: those who waited for it do not send another one each.
            *known = Some((Instant::now(), read.as_ref().ok().cloned()));
            read
        });
        reading.await.unwrap_or(Err(ProviderError::Timeout))
    }
}

fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::join_all;
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::clock::Clock;
    use crate::oidc::testing;

    const SHORT: Duration = Duration::from_millis(100);
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A provider that answers nothing by itself, and the sign-ins there.
    async fn provider() -> (TcpListener, String, CodeFlow) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let settings = testing::settings(&issuer);
        let tokens = TokenVerifier::new(settings.clone(), None, Clock::system()).unwrap();
        let redirect = Url::parse("http://localhost/console/oidc/callback").unwrap();
        let client = OidcClient { id: "console".into(), secret: None, redirect };
        let flow = CodeFlow::new(client, &settings, None, &tokens).unwrap();
        (listener, issuer, flow)
    }

    #[tokio::test]
    async fn those_who_wait_for_a_provider_that_fails_do_not_ask_it_again_and_only_so_many_wait() {
        let (listener, _, flow) = provider().await;
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(flow.begin())).collect();
        for begun in &mut waiting {
            assert!(begun.as_mut().now_or_never().is_none());
        }
        assert!(flow.begin().now_or_never().is_some_and(|begun| begun.is_err()));
        let fail = async {
            let (connection, _) = listener.accept().await.unwrap();
            // A failure that counted from the beginning of the request would be forgotten.
            sleep(RETRY_AFTER + SHORT).await;
            drop(connection);
        };
        let both = async { tokio::join!(join_all(waiting), fail) };
        let (begun, ()) = timeout(PATIENCE, both).await.expect("they ask one after another");
        assert!(begun.iter().all(Result::is_err));
        assert!(timeout(SHORT, listener.accept()).await.is_err(), "a second request");
    }

    #[tokio::test]
    async fn what_the_provider_answers_counts_also_if_the_client_that_caused_the_request_has_disconnected() {
        let (listener, issuer, flow) = provider().await;
        assert!(flow.begin().now_or_never().is_none());
        let (mut connection, _) = timeout(PATIENCE, listener.accept()).await.expect("no request").unwrap();
        assert!(connection.read(&mut [0; 4096]).await.unwrap() > 0);
        let endpoint = format!("{issuer}/authorize");
        let description = json!({"issuer": issuer, "jwks_uri": issuer, "authorization_endpoint": endpoint,
            "token_endpoint": issuer});
        let body = description.to_string();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        connection.write_all(answer.as_bytes()).await.unwrap();
        let (url, _) = flow.begin().await.unwrap();
        assert!(url.as_str().starts_with(&endpoint), "{url}");
        assert!(timeout(SHORT, listener.accept()).await.is_err(), "a second request");
    }
}
