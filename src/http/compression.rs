//! Compresses large responses. Small ones do not pass through the layer, which would wrap their bodies for nothing.

use std::convert::Infallible;
use std::future::ready;

use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderValue, Request, header};
use axum::response::Response;
use tower::{ServiceExt as _, service_fn};
use tower_http::compression::Compression;
use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};

/// Smaller responses are not compressed, in bytes.
const COMPRESS_FROM: u64 = 1024;

/// Compresses a response that is large, or whose size is not known. `accepted` are the values of `Accept-Encoding` in the
/// request.
pub async fn compressed(response: Response, accepted: Vec<HeaderValue>) -> Response {
    if response.body().size_hint().exact().is_some_and(|size| size < COMPRESS_FROM) {
        return response;
    }
    let status = response.status();
    // A compressed stream of events would be held back until a block is full.
    let is_compressed = SizeAbove::new(COMPRESS_FROM).and(NotForContentType::SSE);
    // The layer takes a request and calls a service. The body of this request is the response, which the service returns.
    let mut request = Request::new(response);
    request.headers_mut().extend(accepted.into_iter().map(|value| (header::ACCEPT_ENCODING, value)));
    let answer = service_fn(|request: Request<Response>| ready(Ok::<_, Infallible>(request.into_body())));
    match Compression::new(answer).compress_when(is_compressed).oneshot(request).await {
        Ok(response) => {
            let mut response = response.map(Body::new);
            // Not 406 where no encoding is accepted: what the request asked for is done.
            *response.status_mut() = status;
            response
        }
        Err(never) => match never {},
    }
}
