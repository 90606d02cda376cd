//! The OpenAPI document's frame; the routes bring their own parts.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::problem::{FieldFault, ProblemSchema};

const ABOUT: &str = "Callbacks and campaign control between a contact centre's systems and NICE CXone.

Every `/v1` route takes `Authorization: Bearer <key>`. Errors are RFC 9457 problems; bad input is answered with every \
fault at once. Every POST takes an `Idempotency-Key`: the same key and body within 7 days is answered as the first \
time, with `Idempotency-Replayed: true`. Instants are RFC 3339.";

/// The document before the routes are added.
pub fn describe() -> utoipa::openapi::OpenApi {
    Frame::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Ringback", description = ABOUT),
    modifiers(&BearerKey),
    components(schemas(ProblemSchema, FieldFault)),
    tags(
        (name = "Callbacks", description = "A caller's wish to be called back"),
        (name = "Audit", description = "What happened, who did it, how it ended"),
        (name = "Operations", description = "For those who run the service; none needs a key"),
    )
)]
struct Frame;

struct BearerKey;

impl Modify for BearerKey {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        api.components.get_or_insert_default().add_security_scheme("key", scheme);
    }
}
