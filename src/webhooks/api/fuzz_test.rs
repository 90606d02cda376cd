use std::net::IpAddr;

use secrecy::SecretString;
use url::Host;
use uuid::Uuid;
use validator::{Validate as _, ValidateArgs as _};

use super::create::WebhookRequest;
use super::redeliver::SinceRequest;
use crate::fuzz_test::{fuzz, fuzz_bytes};
use crate::http::validation::valid;
use crate::http::{ProblemKind, parse_json};
use crate::webhooks::address_policy::AddressPolicy;
use crate::webhooks::signing::SigningSecret;

#[test]
fn a_webhook_request_is_read_or_a_fault_of_the_client() {
    let samples = [
        r#"{"url": "https://wfo.example.com/hooks", "events": ["campaign.paused", 7], "description": "WFO"}"#,
        r#"{"since": "2026-11-20T15:00:00Z"}"#,
    ];
    let policy = AddressPolicy { allow_loopback: false };
    fuzz_bytes(&samples, |body| {
        let created = parse_json::<WebhookRequest>(body).and_then(|request| valid(request.validate_with_args(&policy)));
        let since = parse_json::<SinceRequest>(body).and_then(|request| valid(request.validate()));
        for problem in [created.err(), since.err()].into_iter().flatten() {
            let kinds = [ProblemKind::MalformedJson, ProblemKind::InvalidRequest];
            assert!(kinds.contains(&problem.kind), "{problem:?}");
        }
    });
}

#[test]
fn an_accepted_url_is_public_and_parses_to_itself() {
    let policy = AddressPolicy { allow_loopback: false };
    let samples =
        ["https://wfo.example.com:8443/hooks?a=b", "https://[::ffff:7f00:1]/", "https://0x7f.1/", "https://8.8.8.8/"];
    fuzz(&samples, |text| {
        let Ok(url) = policy.parse(text) else { return };
        assert_eq!(url.scheme(), "https");
        let address = match url.host().unwrap() {
            Host::Ipv4(address) => Some(IpAddr::from(address)),
            Host::Ipv6(address) => Some(address.to_canonical()),
            Host::Domain(_) => None,
        };
        assert!(address.is_none_or(|address| !address.is_loopback() && !address.is_unspecified()), "{url}");
        assert_eq!(policy.parse(url.as_str()), Ok(url));
    });
}

#[test]
fn a_secret_is_the_same_after_it_is_shown() {
    fuzz(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "plain text", "c2VjcmV0"], |text| {
        let Ok(secret) = SigningSecret::parse(&SecretString::from(text)) else { return };
        let shown = SigningSecret::parse(&secret.reveal().into()).unwrap();
        let signature = |secret: &SigningSecret| secret.sign(Uuid::nil(), 7, "body").unwrap();
        assert_eq!(signature(&secret), signature(&shown));
    });
}
