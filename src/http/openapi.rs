//! The frame of the OpenAPI document, and what all routes have in common.

use axum::http::StatusCode;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::ArrayItems;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Header, HeaderBuilder, Ref, RefOr, Required, ResponseBuilder, Schema, Server};
use utoipa::{Modify, OpenApi, PartialSchema as _};

use super::problem::{FieldFault, ProblemSchema};

mod examples;
mod forms;

const ABOUT: &str = "Callbacks and campaign control between a contact centre's systems and NICE CXone.

Every `/v1` route takes `Authorization: Bearer <key>`. Errors are RFC 9457 problems; an invalid request is answered \
with all its faults. Every POST takes an `Idempotency-Key`: the same key and body within 7 days return the first \
response, with `Idempotency-Replayed: true`. A key with a rate gets `RateLimit` and `RateLimit-Policy` headers, and a 429 beyond its \
rate; a batch counts as one request. A key that is restricted to campaigns gets a 403 for others, and lists show only its \
own. Timestamps are RFC 3339, in the years \
2000 to 2100.

Every example succeeds when it is sent, with two changes. Move its timestamps: they assume that it is now \
2026-11-20T14:00:00Z. Replace `id` and `campaignId` in paths and `holdId` by ids of your own.";

/// The document without routes.
pub fn describe() -> utoipa::openapi::OpenApi {
    Frame::openapi()
}

/// Adds what all routes have in common: the responses of errors, as problems, and headers.
pub fn complete(api: &mut utoipa::openapi::OpenApi) {
    api.servers = Some(vec![Server::new("/")]);
    // Axum marks a parameter that contains slashes; OpenAPI has no sign for it.
    let paths = std::mem::take(&mut api.paths.paths);
    api.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    for (path, item) in &mut api.paths.paths {
        let is_ours = path.starts_with("/v1/");
        if let Some(post) = item.post.as_mut().filter(|_| is_ours) {
            take_idempotency_key(post);
        }
        for operation in operations(item) {
            if is_ours {
                add_common_problems(operation);
            } else {
                operation.security = Some(Vec::new());
            }
            describe_responses(operation);
        }
    }
    forms::add_limits(api);
    refer_to_items(api);
    examples::complete(api);
}

/// A page refers to the schema of its items by name: utoipa copies the schema of a generic argument.
fn refer_to_items(api: &mut utoipa::openapi::OpenApi) {
    for (name, schema) in api.components.iter_mut().flat_map(|components| &mut components.schemas) {
        let (Some(item), RefOr::T(Schema::Object(page))) = (name.strip_prefix("Page_"), schema) else { continue };
        if let Some(RefOr::T(Schema::Array(data))) = page.properties.get_mut("data") {
            data.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(item).into()));
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().filter_map(Option::as_mut)
}

/// Every POST takes a key, and may be refused because of it.
fn take_idempotency_key(post: &mut Operation) {
    const NAME: &str = "Idempotency-Key";
    let parameters = post.parameters.get_or_insert_default();
    if !parameters.iter().any(|known| matches!(known, RefOr::T(known) if known.name == NAME)) {
        let parameter = ParameterBuilder::new().name(NAME).parameter_in(ParameterIn::Header).required(Required::False);
        parameters.push(parameter.schema(Some(String::schema())).build().into());
    }
    for status in
        [StatusCode::BAD_REQUEST, StatusCode::CONFLICT, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNPROCESSABLE_ENTITY]
    {
        add_response(post, status);
    }
}

fn add_response(operation: &mut Operation, status: StatusCode) {
    let responses = &mut operation.responses.responses;
    responses.entry(status.as_str().to_owned()).or_insert_with(|| ResponseBuilder::new().build().into());
}

fn add_common_problems(operation: &mut Operation) {
    let with_body = [StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNSUPPORTED_MEDIA_TYPE];
    let always = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    let has_body = operation.request_body.is_some();
    let with_body = with_body.into_iter().filter(|_| has_body);
    for status in always.into_iter().chain(with_body) {
        add_response(operation, status);
    }
}

fn describe_responses(operation: &mut Operation) {
    for (status, answer) in &mut operation.responses.responses {
        let Ok(status) = status.parse::<StatusCode>() else { continue };
        let RefOr::T(answer) = answer else { continue };
        if answer.description.is_empty() {
            status.canonical_reason().unwrap_or("Error").clone_into(&mut answer.description);
        }
        answer.headers.insert("X-Request-Id".to_owned(), header("The id of the request in logs and the audit log."));
        if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&status) {
            answer.headers.insert("Retry-After".to_owned(), header("When to send the request again, in seconds."));
        }
        if status.as_u16() >= 400 && answer.content.is_empty() {
            let content = Content::new(Some(Ref::from_schema_name("Problem")));
            answer.content.insert("application/problem+json".to_owned(), content.into());
        }
    }
}

fn header(description: &str) -> RefOr<Header> {
    HeaderBuilder::new().schema(Some(String::schema())).description(Some(description)).build().into()
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Ringback", description = ABOUT),
    modifiers(&BearerKey),
    components(schemas(ProblemSchema, FieldFault)),
    tags(
        (name = "Callbacks", description = "Requests for a callback"),
        (name = "Campaigns", description = "Pause, resume, settings and dialer events"),
        (name = "Webhooks", description = "Endpoints that receive events, and their deliveries"),
        (name = "Keys", description = "API keys"),
        (name = "Statistics", description = "Counts of what happened in a span"),
        (name = "Audit", description = "The log of all changes"),
        (name = "Operations", description = "Health, readiness and metrics, without an API key"),
    )
)]
struct Frame;

struct BearerKey;

impl Modify for BearerKey {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let description = "An API key (`rbk_…`). Where the service has `OIDC_ISSUER`, also a JWT of that identity provider, whose \
            claims are mapped to scopes.";
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build();
        api.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}
