//! The settings for CXone.

use std::ffi::OsString;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;

use super::errors::{BadSetting, SettingErrors};
use super::given::{Given, choice, number, optional_text, secret_text, switch, text};
use super::secret::secret;
use crate::cxone::{self, AuthStyle};

/// The settings for CXone, as given.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints these lines as they are")]
pub struct CxoneArgs {
    /// CXone's OAuth client
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
        let client_id = errors.require("CXONE_CLIENT_ID", optional_text(self.cxone_client_id));
        let client_secret =
            secret("CXONE_CLIENT_SECRET", self.cxone_client_secret, self.cxone_client_secret_file.as_deref());
        let client_secret = errors.require("CXONE_CLIENT_SECRET", client_secret);
        let allow_http = errors.take(self.cxone_allow_http);
        // If it is unknown whether http is allowed, the URL is not refused because of it.
        let base_url = errors.take(address(self.cxone_base_url, self.cxone_region, allow_http.unwrap_or(true)));
        let auth = errors.take(self.cxone_auth);
        let requests_per_minute = errors.take(self.cxone_requests_per_minute);
        let timeout = errors.take(self.cxone_timeout_ms).map(Duration::from_millis);
        Some(cxone::Settings {
            base_url: base_url?,
            client_id: client_id?,
            client_secret: client_secret?,
            auth: auth?,
            timeout: timeout?,
            requests_per_minute: requests_per_minute?,
        })
    }
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
    let bad = |fault: &str| BadSetting::new("CXONE_BASE_URL", fault);
    let url = Url::parse(text).map_err(|_| bad("must be a URL such as https://api.us.conversationalcloud.com"))?;
    let host = url.host_str().ok_or_else(|| bad("must name a host"))?;
    let is_loopback = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if is_loopback || allow_http => {}
        "http" => return Err(bad("must be https; for plain http on another host, set CXONE_ALLOW_HTTP=true")),
        _ => return Err(bad("must be an https URL")),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(bad("must be a scheme and a host, without credentials or query"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
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
