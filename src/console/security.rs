//! The layers against other sites: which requests they may cause, and what a page may load.

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use tower_http::csrf::{CsrfLayer, ProtectionError};
use tower_http::set_header::SetResponseHeaderLayer;
use url::Url;

/// Only what this host serves, and no inline script or style.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Nothing for other sites. With `no-referrer` browsers would send forms of this site without their `Origin`, which
/// [`CsrfLayer`] needs in older ones.
const REFERRER: &str = "same-origin";
/// The largest form, in bytes.
pub const MAX_FORM: usize = 64 * 1024;
const REFUSAL: &str = "This request was refused because another site has caused it. Open the console and try again.";

/// Adds the layers. `address` is where browsers reach the service: a proxy may send another `Host`.
pub fn secured<S: Clone + Send + Sync + 'static>(routes: Router<S>, address: Option<&Url>) -> Router<S> {
    let origin = address.map(|address| address.origin().ascii_serialization());
    let csrf = origin.map_or_else(CsrfLayer::new, trusting);
    let header = |name, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    routes
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(csrf.with_rejection_response(refusal))
        .layer(header(header::CONTENT_SECURITY_POLICY, POLICY))
        .layer(header(header::REFERRER_POLICY, REFERRER))
}

/// Also forms that have this `Origin`.
fn trusting(origin: String) -> CsrfLayer {
    // An address is parsed before: it always has an origin. Without one nobody else is trusted.
    CsrfLayer::new().add_trusted_origin(origin).unwrap_or_default()
}

fn refusal(_: ProtectionError) -> Response<Body> {
    (StatusCode::FORBIDDEN, REFUSAL).into_response()
}
