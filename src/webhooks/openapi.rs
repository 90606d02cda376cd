//! The events in the OpenAPI document.

use strum::VariantArray as _;
use utoipa::OpenApi;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Paths};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{Content, PathItem, Ref, ResponseBuilder};

use super::event::{CallbackBody, CampaignBody, CheckpointBody, EventType, TEST, TestBody};

#[derive(OpenApi)]
#[openapi(components(schemas(CallbackBody, CampaignBody, CheckpointBody, TestBody)))]
struct Bodies;

/// Adds each event, and the schemas of their bodies.
pub fn describe_events(api: &mut utoipa::openapi::OpenApi) {
    api.merge(Bodies::openapi());
    let mut events = Paths::new();
    for event in EventType::VARIANTS {
        events.paths.insert(event.as_str().to_owned(), received(event.as_str(), event.body_schema()));
    }
    events.paths.insert(TEST.to_owned(), received(TEST, "TestEvent"));
    api.webhooks = Some(events);
}

fn received(event: &str, body: &str) -> PathItem {
    let content = Content::new(Some(Ref::from_schema_name(body)));
    let accepted = ResponseBuilder::new().description("The event was received. Any other status is retried.").build();
    let operation = OperationBuilder::new()
        .tag("Webhooks")
        .operation_id(Some(event.replace('.', "_")))
        .summary(Some(format!("The event `{event}`")))
        .request_body(Some(RequestBodyBuilder::new().content("application/json", content).build()))
        .response("2XX", accepted)
        .security(utoipa::openapi::security::SecurityRequirement::default());
    PathItem::new(HttpMethod::Post, operation)
}
