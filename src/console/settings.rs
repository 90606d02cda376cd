//! The settings of the console.

use url::{Host, Url};

use crate::oidc::OidcClient;
use crate::types::Fault;

/// The settings of the console.
#[derive(Clone, Debug, Default)]
pub struct ConsoleSettings {
    /// Where browsers reach the service.
    pub address: Option<Url>,
    /// How people sign in at the identity provider, if they do.
    pub oidc_client: Option<OidcClient>,
}

/// Where browsers reach the service: an https URL with nothing after the host; http only for this machine.
///
/// # Errors
/// `bad-address` for anything else.
pub fn parse_address(text: &str) -> Result<Url, Fault> {
    let bad = || {
        Fault::new(
            "bad-address",
            "must be an https URL such as https://ringback.example.com; http only for loopback addresses",
        )
    };
    let url = Url::parse(text).map_err(|_| bad())?;
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(bad()),
    };
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback);
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    let is_plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && !has_credentials;
    if is_safe && is_plain { Ok(url) } else { Err(bad()) }
}

/// Where the identity provider leads browsers back to.
pub fn oidc_redirect(address: &Url) -> Url {
    let mut redirect = address.clone();
    redirect.set_path("/console/oidc/callback");
    redirect
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_https_url_or_on_this_machine() {
        for address in [
            "https://ringback.example.com",
            "https://ringback.example.com:8443/",
            "http://localhost:8080",
            "http://[::1]:80",
        ] {
            assert!(parse_address(address).is_ok(), "{address}");
        }
        for address in [
            "ringback.example.com",
            "http://ringback.example.com",
            "https://a.example/console",
            "https://u:p@a.example",
            "ftp://localhost",
        ] {
            assert!(parse_address(address).is_err(), "{address}");
        }
    }
}
