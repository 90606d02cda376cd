//! Which provider is believed, and what its tokens allow.

use reqwest::Url;

use super::scope_mapping::ScopeMapping;
use crate::types::Fault;

/// The identity provider.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// Who must have issued a token.
    pub issuer: Issuer,
    /// Whom a token must be for.
    pub audience: String,
    /// The claim that is mapped to scopes: its name, or a JSON Pointer.
    pub claim: String,
    /// The scopes of each value of the claim.
    pub scopes: ScopeMapping,
}

/// The URL of a provider, exactly as its tokens have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer(String);

impl Issuer {
    /// An https URL without credentials, query and fragment; http only for this machine.
    ///
    /// # Errors
    /// `bad-issuer` for anything else.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let is_plain = |url: &Url| {
            let has_credentials = !url.username().is_empty() || url.password().is_some();
            !has_credentials && url.query().is_none() && url.fragment().is_none()
        };
        let url = Url::parse(text).ok().filter(|url| is_plain(url) && is_safe(url));
        url.map(|_| Self(text.to_owned())).ok_or_else(|| {
            Fault::new("bad-issuer", "must be an https URL without query; http only for loopback addresses")
        })
    }

    /// As tokens have it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its host.
    pub(super) fn host(&self) -> &str {
        let after_scheme = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        after_scheme.split('/').next().unwrap_or_default()
    }

    /// Where the provider describes itself (OpenID Connect Discovery 1.0).
    pub(super) fn discovery_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.0.trim_end_matches('/'))
    }

    /// A URL of the provider, if it is as safe as that of the issuer must be.
    pub(super) fn safe_url(text: &str) -> Option<Url> {
        Url::parse(text).ok().filter(is_safe)
    }
}

fn is_safe(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => return false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_an_https_url_or_on_this_machine_and_is_kept_as_it_is_written() {
        for (issuer, discovery) in [
            ("https://id.example/realms/a", "https://id.example/realms/a/.well-known/openid-configuration"),
            ("https://a.auth0.com/", "https://a.auth0.com/.well-known/openid-configuration"),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081/.well-known/openid-configuration"),
        ] {
            let parsed = Issuer::parse(issuer).unwrap();
            assert_eq!((parsed.as_str(), parsed.discovery_url().as_str()), (issuer, discovery));
        }
        for bad in [
            "id.example",
            "http://id.example",
            "ftp://id.example",
            "https://id.example/?a=b",
            "https://id.example/#a",
            "https://user:pass@id.example",
        ] {
            assert!(Issuer::parse(bad).is_err(), "{bad}");
        }
    }
}
