use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use super::Fault;

/// The networks of proxies whose word about the client's address is believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Networks in CIDR notation and single addresses, separated by commas. An empty text is no proxy.
    ///
    /// # Errors
    /// `not-a-network` if one is neither.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let networks = text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(network);
        Ok(Self(networks.collect::<Option<_>>().ok_or_else(not_a_network)?))
    }

    /// The address of the client. `hops` are the addresses that proxies reported, the nearest first. Each is believed if the
    /// one that reported it is trusted.
    pub fn client<'a>(&self, peer: IpAddr, hops: impl Iterator<Item = &'a str>) -> IpAddr {
        let mut client = peer.to_canonical();
        for hop in hops {
            let Some(address) = address(hop).filter(|_| self.trusts(client)) else { break };
            client = address;
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn not_a_network() -> Fault {
    Fault::new("not-a-network", "must be networks separated by commas, such as 10.0.0.0/8, fd00::/8")
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_first_address_from_the_right_that_is_no_trusted_proxy() {
        let proxies = TrustedProxies::parse("10.0.0.0/8, 192.0.2.7,fd00::/8").unwrap();
        for (peer, hops, client) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1", "198.51.100.99"], "198.51.100.1"),
            ("10.0.0.1", &["192.0.2.7", "198.51.100.1:4711"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["\"[2001:db8::1]:443\""], "2001:db8::1"),
            ("fd00::1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["unknown", "198.51.100.1"], "10.0.0.1"),
        ] {
            let found = proxies.client(peer.parse().unwrap(), hops.iter().copied());
            assert_eq!(found.to_string(), client, "{peer} {hops:?}");
        }
    }

    #[test]
    fn a_setting_that_is_no_list_of_networks_is_refused() {
        assert!(TrustedProxies::parse(" ").is_ok());
        for text in ["10.0.0.0/33", "proxy.example", "10.0.0.1-10.0.0.9"] {
            assert_eq!(TrustedProxies::parse(text).unwrap_err().code, "not-a-network", "{text}");
        }
    }
}
