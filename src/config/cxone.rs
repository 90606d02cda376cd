//! The settings for CXone.

use std::ffi::OsString;
use std::time::Duration;

use secrecy::SecretString;

use super::errors::{BadSetting, SettingErrors};
use super::given::{Given, choice, number, optional_text, secret_text, switch, text};
use super::http_url::http_url;
use super::nice::{Client, NiceArgs};
use super::secret::secret;
use crate::cxone::{self, Api, AuthStyle, V2Settings};

/// The name of an API of CXone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ApiName {
    V2,
    Nice,
}

/// The settings for CXone, as given.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints these lines as they are")]
pub struct CxoneArgs {
    /// Which API CXone has: the contract v2, or the one that NICE publishes for tenants
    #[arg(long, env, default_value = "v2", value_parser = choice::<ApiName>())]
    cxone_api: Given<ApiName>,
    #[command(flatten)]
    nice: NiceArgs,
    /// CXone's OAuth client. For CXONE_API=nice: a registered client, if there is one
    #[arg(long, env, value_parser = text(), value_name = "ID")]
    cxone_client_id: Option<Given<String>>,
    /// The OAuth client's secret
    #[arg(long, env, hide_env_values = true, value_parser = secret_text(), value_name = "SECRET")]
    cxone_client_secret: Option<Given<SecretString>>,
    /// A file that contains CXONE_CLIENT_SECRET
    #[arg(long, env, value_name = "FILE")]
    cxone_client_secret_file: Option<OsString>,
    /// URL of CXone: scheme and host. Plain http only for loopback addresses, or with CXONE_ALLOW_HTTP
    #[arg(long, env, value_parser = text(), value_name = "URL")]
    cxone_base_url: Option<Given<String>>,
    /// Region of CXone (`us`), or its host (a name with a dot), in place of CXONE_BASE_URL
    #[arg(long, env, value_parser = text(), value_name = "REGION")]
    cxone_region: Option<Given<String>>,
    /// Allow plain http in CXONE_BASE_URL for any host
    #[arg(long, env, default_value = "false", value_parser = switch(), action = clap::ArgAction::Set,
        num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    cxone_allow_http: Given<bool>,
    /// How to send the OAuth client's id and secret
    #[arg(long, env, default_value = "basic", value_parser = choice::<AuthStyle>())]
    cxone_auth: Given<AuthStyle>,
    /// The OAuth client's quota, shared by all replicas of one database
    #[arg(long, env, default_value = "100", value_parser = number(1..=u32::MAX), value_name = "N")]
    cxone_requests_per_minute: Given<u32>,
    /// Time limit of one request to CXone, in milliseconds
    #[arg(long, env, default_value = "10000", value_parser = number(100_u64..=60_000), value_name = "MS")]
    cxone_timeout_ms: Given<u64>,
}

impl CxoneArgs {
    /// The settings, or none after adding errors.
    pub fn read(self, errors: &mut SettingErrors) -> Option<cxone::Settings> {
        let api = errors.take(self.cxone_api);
        let client_secret =
            secret("CXONE_CLIENT_SECRET", self.cxone_client_secret, self.cxone_client_secret_file.as_deref());
        let client = Client { id: optional_text(self.cxone_client_id), secret: client_secret };
        let client = if api == Some(ApiName::V2) { client.required(errors) } else { client };
        let allow_http = errors.take(self.cxone_allow_http);
        // If it is unknown whether http is allowed, no URL is refused because of it.
        let may_be_http = allow_http.unwrap_or(true);
        let api = match api {
            None => None,
            Some(ApiName::V2) => {
                let base_url = errors.take(address(self.cxone_base_url, self.cxone_region, may_be_http));
                v2(client, base_url, errors.take(self.cxone_auth))
            }
            Some(ApiName::Nice) => self.nice.read(client, self.cxone_base_url, may_be_http, errors).map(Api::Nice),
        };
        let requests_per_minute = errors.take(self.cxone_requests_per_minute);
        let timeout = errors.take(self.cxone_timeout_ms).map(Duration::from_millis);
        allow_http?;
        Some(cxone::Settings { api: api?, timeout: timeout?, requests_per_minute: requests_per_minute? })
    }
}

fn v2(client: Client, base_url: Option<String>, auth: Option<AuthStyle>) -> Option<Api> {
    Some(Api::V2(V2Settings {
        base_url: base_url?,
        client_id: client.id.ok()??,
        client_secret: client.secret.ok()??,
        auth: auth?,
    }))
}

fn address(url: Option<Given<String>>, region: Option<Given<String>>, allow_http: bool) -> Result<String, BadSetting> {
    if let Some(url) = optional_text(url)? {
        return base_url(&url, allow_http);
    }
    match optional_text(region)? {
        Some(region) => region_url(&region),
        None => Err(BadSetting::missing_both("CXONE_BASE_URL", "CXONE_REGION")),
    }
}

pub(super) fn base_url(text: &str, allow_http: bool) -> Result<String, BadSetting> {
    http_url("CXONE_BASE_URL", text, allow_http)
}

/// A value with a dot is a host, one without is a region.
pub(super) fn region_url(region: &str) -> Result<String, BadSetting> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if !region.bytes().all(plain) || region.len() > 200 {
        return Err(BadSetting::new("CXONE_REGION", "must be a region such as `us`, or a host"));
    }
    let region = region.to_ascii_lowercase();
    let host = if region.contains('.') { region } else { format!("api.{region}.conversationalcloud.com") };
    Ok(format!("https://{host}"))
}
