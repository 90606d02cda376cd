//! The proxy for requests to CXone, to webhook receivers and to the identity provider.

use std::ffi::OsString;

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};

use super::errors::{BadSetting, SettingErrors};
use super::given::{Given, secret_text};
use super::secret::secret;

/// The proxy, as given.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints these lines as they are")]
pub struct OutboundProxyArgs {
    /// HTTP proxy for requests to CXone, to webhook receivers and to the identity provider, `http://user:password@host:port` or https. HTTP_PROXY,
    /// HTTPS_PROXY, ALL_PROXY and NO_PROXY are ignored
    #[arg(long, env, hide_env_values = true, value_parser = secret_text(), value_name = "URL")]
    outbound_proxy_url: Option<Given<SecretString>>,
    /// A file that contains OUTBOUND_PROXY_URL
    #[arg(long, env, value_name = "FILE")]
    outbound_proxy_url_file: Option<OsString>,
}

impl OutboundProxyArgs {
    /// The URL of the proxy, if there is one, or none after adding an error.
    pub fn read(self, errors: &mut SettingErrors) -> Option<Option<SecretString>> {
        let url = secret("OUTBOUND_PROXY_URL", self.outbound_proxy_url, self.outbound_proxy_url_file.as_deref());
        errors.take(url.and_then(|url| url.map(proxy_url).transpose()))
    }
}

fn proxy_url(text: SecretString) -> Result<SecretString, BadSetting> {
    let url = Url::parse(text.expose_secret()).ok().filter(|url| {
        let is_http = matches!(url.scheme(), "http" | "https");
        is_http && url.has_host() && url.path() == "/" && url.query().is_none() && url.fragment().is_none()
    });
    let is_usable = url.is_some_and(|url| reqwest::Proxy::all(url).is_ok());
    let fault = "must be an http or https URL without a path, such as http://proxy.example:3128";
    is_usable.then_some(text).ok_or_else(|| BadSetting::new("OUTBOUND_PROXY_URL", fault))
}
