//! Where CXone is, which API it has, and how requests are authorized.

use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;

/// How the client's id and secret are sent to the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AuthStyle {
    /// HTTP Basic.
    Basic,
    /// As form fields.
    Form,
}

/// The settings of the client.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The API that CXone has.
    pub api: Api,
    /// The timeout of one request.
    pub timeout: Duration,
    /// The requests that CXone accepts in any minute, shared by all replicas of one database.
    pub requests_per_minute: u32,
}

/// An API of CXone, with its address and credentials.
#[derive(Clone, Debug)]
pub enum Api {
    /// The `v2` contract.
    V2(V2Settings),
    /// The API that NICE publishes.
    Nice(NiceSettings),
}

impl Api {
    /// The requests of the longest call, one after the other: with a token, and again with a new one.
    pub(super) fn longest_call(&self) -> u32 {
        match self {
            Self::V2(_) => 4,
            // A look-up, a create and its check, the correction of its time.
            Self::Nice(_) => 8,
        }
    }

    /// Whether its limit of requests is known.
    pub(super) fn publishes_quota(&self) -> bool {
        match self {
            Self::V2(_) => true,
            Self::Nice(_) => false,
        }
    }

    /// The settings that contain its credentials.
    pub(super) fn credentials(&self) -> &'static str {
        match self {
            Self::V2(_) => "CXONE_CLIENT_ID and CXONE_CLIENT_SECRET",
            Self::Nice(_) => "CXONE_ACCESS_KEY_ID and CXONE_ACCESS_KEY_SECRET",
        }
    }
}

/// The settings of the `v2` contract.
#[derive(Clone, Debug)]
pub struct V2Settings {
    /// Scheme and host, without a slash at the end.
    pub base_url: String,
    /// The id of the OAuth client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// How both are sent.
    pub auth: AuthStyle,
}

/// The issuer of tokens of tenants outside the clouds for governments.
pub const DEFAULT_ISSUER: &str = "https://cxone.niceincontact.com";
/// The domains of NICE.
const NICE_DOMAINS: [&str; 2] = ["niceincontact.com", "nice-incontact.com"];

/// The settings of the API that NICE publishes. URLs have no slash at the end.
#[derive(Clone, Debug)]
pub struct NiceSettings {
    /// The access key of a user of the tenant.
    pub access_key_id: String,
    /// Its secret.
    pub access_key_secret: SecretString,
    /// Where tokens come from.
    pub token_source: TokenSource,
    /// The issuer, where a token does not name one of NICE's.
    pub issuer: Option<String>,
    /// The host of the API, in place of the one that the tenant's configuration names.
    pub base_url: Option<String>,
    /// The version of the API.
    pub api_version: u32,
    /// The base of Digital, in place of the one of the tenant's area.
    pub digital_url: Option<String>,
    /// The form of the times of callbacks.
    pub callback_times: CallbackTimesSetting,
    /// Whether plain http is allowed for any host.
    pub allow_http: bool,
}

/// Where tokens come from.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// From the access key alone.
    AccessKey {
        /// The URL of the token endpoint.
        url: String,
    },
    /// From the access key and a registered client, by the grant `password`.
    Password {
        /// Names the token endpoint.
        issuer: String,
        /// The id of the client.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
}

/// The form in which the times of callbacks are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CallbackTimesSetting {
    /// In UTC.
    Utc,
    /// In local time of the business unit.
    BusinessUnit,
    /// As the first callback shows.
    Detect,
}

impl NiceSettings {
    /// Whether requests may be sent to this URL: https, or http where it is allowed.
    pub(super) fn allows(&self, url: &str) -> bool {
        Url::parse(url).is_ok_and(|url| match url.scheme() {
            "https" => url.host_str().is_some(),
            "http" => self.allow_http || is_loopback(&url),
            _ => false,
        })
    }

    /// Whether credentials may be sent to this URL, which CXone has named: a host of NICE, or a configured one.
    pub(super) fn trusts(&self, url: &str) -> bool {
        let Ok(parsed) = Url::parse(url) else { return false };
        let Some(host) = parsed.host_str() else { return false };
        let is_of_nice = NICE_DOMAINS
            .iter()
            .any(|domain| host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.')));
        let token_url = match &self.token_source {
            TokenSource::AccessKey { url } => url,
            TokenSource::Password { issuer, .. } => issuer,
        };
        let configured = [Some(token_url), self.issuer.as_ref(), self.base_url.as_ref()];
        let is_configured = configured.into_iter().flatten().any(|known| {
            Url::parse(known).is_ok_and(|known| known.host() == parsed.host() && known.port() == parsed.port())
        });
        self.allows(url) && (is_configured || (is_of_nice && parsed.scheme() == "https"))
    }
}

/// Whether the host of the URL is this machine.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost"
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
