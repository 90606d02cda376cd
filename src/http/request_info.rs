//! What is known of a request when it arrives: its id, its trace, its client and its time.

use std::net::IpAddr;
use std::sync::OnceLock;

use axum::extract::Request;
use axum::http::HeaderName;
use uuid::Uuid;

use super::client_address::client_address;
use super::idempotency_store::ResourceId;
use crate::clock::Clock;
use crate::trace::Traceparent;
use crate::types::TrustedProxies;

/// An id that is longer than this, or has other characters than [`is_safe_id`] allows, is replaced.
const MAX_REQUEST_ID: usize = 128;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is known of a request when it arrives.
#[derive(Clone, Debug)]
pub struct RequestInfo {
    /// The sender's `X-Request-Id`, or a generated one.
    pub request_id: String,
    /// The path of the request.
    pub path: String,
    /// The sender's trace, or a new one.
    pub traceparent: Traceparent,
    /// When it arrived.
    pub arrived_at: jiff::Timestamp,
    /// The id for the resource that a POST creates, unless an `Idempotency-Key` has one already. A new trace is made from it.
    pub resource: ResourceId,
    /// The service's clock.
    pub clock: Clock,
    /// The address of the client, as far as trusted proxies report it.
    pub client: Option<IpAddr>,
    /// The API key that was sent, once it is found.
    pub key_id: OnceLock<Uuid>,
}

impl RequestInfo {
    /// Of a request as it arrived. A request id that must not appear in logs is replaced. `id` is for the resource.
    pub fn of(request: &Request, id: Uuid, traceparent: Traceparent, clock: Clock, proxies: &TrustedProxies) -> Self {
        let request_id =
            request.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok()).filter(|id| is_safe_id(id));
        Self {
            request_id: request_id.map_or_else(|| clock.new_id().to_string(), str::to_owned),
            path: request.uri().path().to_owned(),
            traceparent,
            arrived_at: clock.now(),
            resource: ResourceId { id, repeated: false },
            clock,
            client: client_address(request, proxies),
            key_id: OnceLock::new(),
        }
    }
}

fn is_safe_id(id: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte);
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(is_safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_kept_only_if_it_is_safe_in_a_log() {
        assert!(is_safe_id("ivr-42/a.b:c") && is_safe_id(&"x".repeat(128)));
        assert!(!is_safe_id("") && !is_safe_id("with space") && !is_safe_id(&"x".repeat(129)));
    }
}
