//! Requests to the provider: its description and its keys, which are public, and the tokens of those who sign in.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{RequestBuilder, StatusCode, Url, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use super::key_set::{KeySet, ReceivedKeys};
use super::settings::Issuer;

/// For each request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer, in bytes.
const MAX_BODY: usize = 256 * 1024;

/// The members of the description that are used.
#[derive(Debug, Deserialize)]
pub struct Description {
    pub issuer: String,
    pub jwks_uri: String,
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    #[serde(default)]
    pub scopes_supported: Vec<String>,
}

/// Where people sign in.
#[derive(Debug)]
pub struct Endpoints {
    pub authorization: Url,
    pub token: Url,
    /// The names that a sign-in can ask for.
    pub scopes: Vec<String>,
}

/// The answer to a code.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

/// Why the keys could not be read. Shows no address.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("there was no answer within {} seconds", TIMEOUT.as_secs())]
    Timeout,
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("the answer had the status {0}")]
    Status(StatusCode),
    #[error("the answer is larger than {MAX_BODY} bytes")]
    TooLarge,
    #[error("the answer is not the expected JSON")]
    Json,
    #[error("its description names another issuer")]
    OtherIssuer,
    #[error("the URL of its keys must be https; http only for loopback addresses")]
    UnsafeKeys,
    #[error("its description has no https URLs for the authorization and for tokens; http only for loopback addresses")]
    NoSignIn,
    #[error("none of its keys can verify RS256, PS256, ES256 or EdDSA")]
    NoKeys,
}

impl From<reqwest::Error> for ProviderError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Self::Unreachable(cause.to_string().chars().take(200).collect())
    }
}

/// The client of a provider.
pub struct Provider {
    issuer: Issuer,
    http: reqwest::Client,
}

impl Provider {
    /// Sends requests through the proxy, if there is one.
    pub fn new(issuer: Issuer, proxy: Option<&SecretString>) -> Result<Self, reqwest::Error> {
        let http = crate::tls::client_builder_through(proxy)?
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("ringback/", env!("CARGO_PKG_VERSION")));
        Ok(Self { issuer, http: http.build()? })
    }

    /// Where the keys are.
    pub async fn key_url(&self) -> Result<Url, ProviderError> {
        Issuer::safe_url(&self.description().await?.jwks_uri).ok_or(ProviderError::UnsafeKeys)
    }

    /// Where people sign in.
    pub async fn endpoints(&self) -> Result<Endpoints, ProviderError> {
        let description = self.description().await?;
        let safe = |url: Option<String>| url.and_then(|url| Issuer::safe_url(&url)).ok_or(ProviderError::NoSignIn);
        Ok(Endpoints {
            authorization: safe(description.authorization_endpoint)?,
            token: safe(description.token_endpoint)?,
            scopes: description.scopes_supported,
        })
    }

    /// The token about the person for whom the provider has given a code.
    pub async fn id_token(
        &self,
        url: &Url,
        client: &str,
        secret: Option<&SecretString>,
        form: &[(&str, &str)],
    ) -> Result<String, ProviderError> {
        let request = self.http.post(url.clone());
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        // RFC 6749, section 2.3.1.
        let request = match secret {
            Some(secret) => request.basic_auth(encoded(client), Some(encoded(secret.expose_secret()))).form(form),
            None => request.form(&[form, &[("client_id", client)]].concat()),
        };
        Ok(Self::read::<Tokens>(request).await?.0.id_token)
    }

    async fn description(&self) -> Result<Description, ProviderError> {
        let description: Description = self.get(&self.issuer.discovery_url()).await?.0;
        if description.issuer == self.issuer.as_str() { Ok(description) } else { Err(ProviderError::OtherIssuer) }
    }

    /// The keys, and the time of the provider.
    pub async fn keys_at(&self, url: &Url) -> Result<(KeySet, Option<Timestamp>), ProviderError> {
        let (received, time) = self.get::<ReceivedKeys>(url.as_str()).await?;
        let keys = KeySet::new(received);
        if keys.len() == 0 { Err(ProviderError::NoKeys) } else { Ok((keys, time)) }
    }

    /// The keys.
    pub async fn keys(&self) -> Result<KeySet, ProviderError> {
        Ok(self.keys_at(&self.key_url().await?).await?.0)
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<(T, Option<Timestamp>), ProviderError> {
        Self::read(self.http.get(url)).await
    }

    async fn read<T: DeserializeOwned>(request: RequestBuilder) -> Result<(T, Option<Timestamp>), ProviderError> {
        let mut response = request.header(header::ACCEPT, "application/json").send().await?;
        if response.status() != StatusCode::OK {
            return Err(ProviderError::Status(response.status()));
        }
        let date =
            response.headers().get(header::DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(ProviderError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let parsed = serde_json::from_slice(&body).map_err(|_| ProviderError::Json)?;
        Ok((parsed, date.and_then(|date| Timestamp::try_from(date).ok())))
    }
}
