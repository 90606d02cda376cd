//! Requests to the provider: its description and its keys. Both are public.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{StatusCode, Url, header};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::key_set::{KeySet, ReceivedKeys};
use super::settings::Issuer;

/// For each of the two requests.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer, in bytes.
const MAX_BODY: usize = 256 * 1024;

/// The members of the description that are used.
#[derive(Debug, Deserialize)]
pub struct Description {
    pub issuer: String,
    pub jwks_uri: String,
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
        let description: Description = self.get(&self.issuer.discovery_url()).await?.0;
        if description.issuer != self.issuer.as_str() {
            return Err(ProviderError::OtherIssuer);
        }
        Issuer::key_url(&description.jwks_uri).ok_or(ProviderError::UnsafeKeys)
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
        let mut response = self.http.get(url).header(header::ACCEPT, "application/json").send().await?;
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
