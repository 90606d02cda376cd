//! Which addresses webhooks may be sent to: no loopback, private, link-local or other special address, in any notation.
//! Checked for the URL, and again for each address that its host resolves to when a connection is made. With a proxy only
//! the URL is checked: the proxy resolves the names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Host;

use crate::types::Fault;

const LONGEST_URL: usize = 2048;

/// The addresses that are allowed besides public ones.
#[derive(Clone, Copy, Debug)]
pub struct AddressPolicy {
    /// Allows loopback addresses, and http to them: for development.
    pub allow_loopback: bool,
}

impl AddressPolicy {
    /// Parses the URL of an endpoint.
    ///
    /// # Errors
    /// `not-a-webhook-url` or `forbidden-address`.
    pub fn parse(self, text: &str) -> Result<Url, Fault> {
        let url = Url::parse(text).map_err(|_| bad_url("must be a URL such as https://wfo.example.com/hooks"))?;
        if url.as_str().len() > LONGEST_URL {
            return Err(bad_url("must be at most 2048 characters"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad_url("must not hold credentials"));
        }
        if url.fragment().is_some() {
            return Err(bad_url("must not have a fragment"));
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(bad_url("must name a host")),
        };
        if let Some(address) = address
            && !self.allows(address)
        {
            return Err(Fault::new("forbidden-address", "must not be an address of a private or special network"));
        }
        let is_loopback = address.is_some_and(|address| address.to_canonical().is_loopback())
            || matches!(url.host(), Some(Host::Domain("localhost")));
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.allow_loopback && is_loopback => Ok(url),
            _ => Err(bad_url("must be https")),
        }
    }

    /// Whether a connection to this address may be made.
    pub fn allows(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        (self.allow_loopback && address.is_loopback())
            || match address {
                IpAddr::V4(address) => is_public_v4(address),
                IpAddr::V6(address) => is_public_v6(address),
            }
    }
}

fn bad_url(detail: &str) -> Fault {
    Fault::new("not-a-webhook-url", detail)
}

/// By IANA's registry of special-purpose addresses (RFC 6890 and its successors).
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

/// Only global unicast (`2000::/3`), without the blocks that embed another address or serve documentation.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let is_global = first & 0xe000 == 0x2000;
    let is_special = match first {
        // Teredo, benchmarking, ORCHID and other IETF assignments; documentation.
        0x2001 => second < 0x0200 || second == 0x0db8,
        // 6to4 embeds an IPv4 address.
        0x2002 => true,
        // Documentation.
        0x3fff => second < 0x1000,
        _ => false,
    };
    is_global && !is_special
}

/// Resolves names to allowed addresses only. It runs for each connection, so a name that resolves to another address later
/// does not get past the check of the URL.
#[derive(Clone, Copy, Debug)]
pub struct GuardedResolver(pub AddressPolicy);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| policy.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err("the name has no address that webhooks may go to".into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: AddressPolicy = AddressPolicy { allow_loopback: false };

    /// Private, loopback, link-local, multicast, reserved and translated addresses.
    const SPECIAL: &[&str] = &[
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.8.9.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "::a9fe:a9fe",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "4000::1",
        "e000::1",
    ];

    /// Public addresses, among them the neighbours of the special ranges.
    const PUBLIC_ADDRESSES: &[&str] = &[
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.0.1",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "192.167.0.1",
        "198.17.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2a00::1",
    ];

    #[test]
    fn only_public_addresses_are_allowed_in_any_notation() {
        for address in SPECIAL {
            assert!(!PUBLIC.allows(address.parse().unwrap()), "{address}");
        }
        for address in PUBLIC_ADDRESSES {
            assert!(PUBLIC.allows(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn loopback_is_allowed_only_by_its_setting() {
        let with_loopback = AddressPolicy { allow_loopback: true };
        for (address, allowed) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.1", false),
            ("169.254.169.254", false),
        ] {
            assert_eq!(with_loopback.allows(address.parse().unwrap()), allowed, "{address}");
        }
    }

    #[test]
    fn a_url_is_https_to_a_public_host_without_credentials() {
        for url in ["https://wfo.example.com/hooks?tenant=1", "https://8.8.8.8/", "https://[2606:4700::1111]:8443/x"] {
            assert!(PUBLIC.parse(url).is_ok(), "{url}");
        }
        for (url, code) in [
            ("", "not-a-webhook-url"),
            ("wfo.example.com", "not-a-webhook-url"),
            ("http://wfo.example.com", "not-a-webhook-url"),
            ("ftp://wfo.example.com", "not-a-webhook-url"),
            ("https://user:secret@wfo.example.com", "not-a-webhook-url"),
            ("https://user@wfo.example.com", "not-a-webhook-url"),
            ("https://wfo.example.com/#part", "not-a-webhook-url"),
            ("https://127.0.0.1/", "forbidden-address"),
            ("https://127.1/", "forbidden-address"),
            ("https://2130706433/", "forbidden-address"),
            ("https://0x7f000001/", "forbidden-address"),
            ("https://0177.0.0.1/", "forbidden-address"),
            ("https://[::1]/", "forbidden-address"),
            ("https://[::ffff:169.254.169.254]/", "forbidden-address"),
            ("https://169.254.169.254/latest/meta-data", "forbidden-address"),
            ("http://localhost:9000/", "not-a-webhook-url"),
        ] {
            assert_eq!(PUBLIC.parse(url).unwrap_err().code, code, "{url}");
        }
        let with_loopback = AddressPolicy { allow_loopback: true };
        for url in ["http://127.0.0.1:9000/hooks", "http://localhost:9000/", "http://[::1]:9000/"] {
            assert!(with_loopback.parse(url).is_ok(), "{url}");
        }
        assert!(with_loopback.parse("http://wfo.example.com/").is_err());
        assert!(with_loopback.parse("http://10.0.0.1/").is_err());
    }

    #[tokio::test]
    async fn no_connection_is_made_to_a_name_that_resolves_to_loopback() {
        let client = |policy| {
            crate::tls::client_builder().dns_resolver(std::sync::Arc::new(GuardedResolver(policy))).build().unwrap()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());

        let refused = client(PUBLIC).get(&url).send().await.unwrap_err();
        let asked = client(AddressPolicy { allow_loopback: true }).get(&url).send();
        let accepted = tokio::select! {
            _ = asked => false,
            accepted = listener.accept() => accepted.is_ok(),
        };

        assert!(format!("{refused:?}").contains("no address that webhooks may go to"), "{refused:?}");
        assert!(accepted);
    }
}
