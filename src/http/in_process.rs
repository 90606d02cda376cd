//! Requests that the process sends to its own routes while it answers another request.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{Extensions, HeaderValue};

use super::client_address::Peer;
use super::request_info::{RequestInfo, X_REQUEST_ID};
use super::server_span::TRACEPARENT;

/// The request that is being answered. Those that it causes have its id, its trace and the address of its client.
#[derive(Clone, Debug)]
pub struct Cause(Arc<RequestInfo>);

impl Cause {
    /// None outside of the layers of [`wrap`](super::wrap).
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Arc<RequestInfo>>().cloned().map(Self)
    }

    /// The id of the request.
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// Adds them to a request.
    #[must_use]
    pub fn added_to(&self, mut request: Request) -> Request {
        let headers = [(X_REQUEST_ID, self.0.request_id.as_str()), (TRACEPARENT, self.0.traceparent.as_str())];
        let headers = headers.map(|(name, text)| Some((name, HeaderValue::from_str(text).ok()?)));
        request.headers_mut().extend(headers.into_iter().flatten());
        if let Some(client) = self.0.client {
            request.extensions_mut().insert(Peer(client));
        }
        request
    }
}
