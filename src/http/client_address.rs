//! The address of the client that sent a request, for its log line.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, header};

use crate::types::TrustedProxies;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// An extension of requests: the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub IpAddr);

/// The address of the client, as far as trusted proxies report it. None if the connection is not known.
pub(super) fn client_address(request: &Request, proxies: &TrustedProxies) -> Option<IpAddr> {
    let Peer(peer) = *request.extensions().get::<Peer>()?;
    Some(reported(proxies, peer, request.headers()))
}

/// A proxy that sets one of the two headers passes the other on as the client sent it. Where both are there, only what both
/// report is believed.
fn reported(proxies: &TrustedProxies, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let by_list = proxies.client(peer, from_the_right(headers, &X_FORWARDED_FOR));
    let standard = from_the_right(headers, &header::FORWARDED).map(|element| node(element).unwrap_or_default());
    let by_standard = proxies.client(peer, standard);
    match (headers.contains_key(&X_FORWARDED_FOR), headers.contains_key(header::FORWARDED)) {
        (true, true) if by_list != by_standard => peer,
        (false, true) => by_standard,
        (_, _) => by_list,
    }
}

/// The elements of a list header, the last one first. One that is not text ends the list.
fn from_the_right<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values: Vec<_> = headers.get_all(name).iter().collect();
    values.into_iter().rev().flat_map(|value| value.to_str().unwrap_or_default().rsplit(','))
}

/// What an element of `Forwarded` (RFC 7239) says after `for=`.
fn node(element: &str) -> Option<&str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for")).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_choose_its_address_behind_a_proxy_that_sets_one_of_the_headers() {
        let proxies = TrustedProxies::parse("10.0.0.0/8").unwrap();
        let (list, standard) = ("x-forwarded-for", "forwarded");
        for (sent, client) in [
            (&[(list, "198.51.100.9, 198.51.100.1")][..], "198.51.100.1"),
            (&[(list, "198.51.100.9"), (list, "198.51.100.1, 10.0.0.2")], "198.51.100.1"),
            (&[(standard, "for=198.51.100.9, For=\"[2001:db8::1]:80\";proto=https")], "2001:db8::1"),
            (&[(list, "198.51.100.1"), (standard, "for=198.51.100.1")], "198.51.100.1"),
            (&[(list, "198.51.100.1"), (standard, "for=198.51.100.9")], "10.0.0.1"),
            (&[(standard, "proto=https")], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in sent {
                headers.append(*name, value.parse().unwrap());
            }
            assert_eq!(reported(&proxies, "10.0.0.1".parse().unwrap(), &headers).to_string(), client, "{sent:?}");
        }
    }
}
