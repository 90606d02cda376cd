//! The examples of the OpenAPI document, each sent to the service.
//!
//! They are sent as they are, with the changes that the description of the API names: timestamps are moved from
//! `EXAMPLE_NOW` to now, and `id` and `campaignId` in paths and `holdId` are replaced by those of resources that the test
//! has created.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, Document, Operation, Receiver, World, moved_to_now, pause, payload_with, text};

#[test]
fn every_operation_has_examples_that_match_its_schemas() {
    let document = Document::published();
    for operation in document.operations() {
        let name = operation.name();
        for parameter in ["path", "query", "header"].iter().flat_map(|place| operation.parameters(place)) {
            let example = parameter.get("example");
            assert!(example.is_some() || parameter["required"] != true, "{name} has no example of {parameter}");
            if let Some(example) = example {
                document.validator(&parameter["schema"]).check(example, &format!("{name} {}", parameter["name"]));
            }
        }
        for (example, body) in operation.examples() {
            if let (Some(schema), Some(body)) = (operation.body_schema(), body) {
                document.strict_validator(schema).check(body, &format!("{name} {example}"));
            }
        }
        assert!(operation.successes().next().is_some(), "{name} has no successful response");
        for (status, response) in operation.successes() {
            let Some(content) = response["content"].get("application/json") else { continue };
            let example = content.get("example").unwrap_or_else(|| panic!("{name} {status} has no example"));
            document.strict_validator(&content["schema"]).check(example, &format!("{name} {status}"));
        }
    }
}

#[tokio::test]
async fn every_example_of_the_openapi_document_succeeds_when_it_is_sent() {
    let world = World::of_webhooks(&[("AUDIT_SIGNING_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")]).await;
    world.database.when("from audit_checkpoints where size > 0").await;
    let receiver = Receiver::start(&[]).await;
    let document = Document::new(world.get("/openapi.json").await);
    for operation in document.operations() {
        for (example, body) in operation.examples() {
            let answer = Answer::to(valid_request(&world, &receiver, &operation, body).await).await;
            check(&operation, example, &answer);
        }
    }
    world.end().await;
}

/// A request with this body that succeeds. Creates what it needs.
pub async fn valid_request(
    world: &World,
    receiver: &Receiver,
    operation: &Operation<'_>,
    body: Option<&Value>,
) -> RequestBuilder {
    let mut path = operation.path.to_owned();
    for parameter in operation.parameters("path") {
        let name = text(parameter, "name");
        let value = match name.as_str() {
            "campaignId" => new_campaign(world),
            "id" => new_resource(world, receiver, operation.path).await,
            _ => text(parameter, "example"),
        };
        path = path.replace(&format!("{{{name}}}"), &value);
    }
    let mut body = body.map(moved_to_now);
    if operation.path.ends_with("/resume") {
        let hold = place_hold(world, &path).await;
        if let Some(member) = body.as_mut().and_then(|body| body.get_mut("holdId")) {
            *member = hold;
        }
    }
    let mut request = world.request(operation.method.clone(), &path);
    for parameter in operation.parameters("query").into_iter().filter(|parameter| parameter["example"].is_string()) {
        request = request.query(&[(text(parameter, "name"), text(parameter, "example"))]);
    }
    if let Some(body) = body { request.json(&body) } else { request }
}

/// An active campaign of its own for each request: the one does not affect the other.
fn new_campaign(world: &World) -> String {
    let id = Uuid::now_v7().to_string();
    world.cxone.add_campaign(&id);
    id
}

/// The id of a resource for which the request of this path succeeds.
async fn new_resource(world: &World, receiver: &Receiver, path: &str) -> String {
    if path == "/v1/callbacks/{id}/placement" {
        let id = world.accept(&payload_with(json!({"campaignId": new_campaign(world)}))).await;
        world.callback_when(&id, |callback| !callback["dispatchTime"].is_null()).await;
        return id;
    }
    if path.starts_with("/v1/callbacks/{id}") {
        return waiting_callback(world).await;
    }
    if path.starts_with("/v1/audit/{id}") {
        // The first entry of a log that is sealed.
        return text(&world.get("/v1/audit?action=audit.keys_changed").await["data"][0], "id");
    }
    if path.starts_with("/v1/keys/{id}") {
        let key = json!({"name": "new", "scopes": ["callbacks:read"]});
        return text(&world.answer("/v1/keys", &key, &[]).await.body, "id");
    }
    assert!(path.starts_with("/v1/webhooks/"), "which resource has the id in {path}?");
    let hook = world.hook_at(receiver).await;
    if path.starts_with("/v1/webhooks/{id}") {
        return hook;
    }
    assert!(path.starts_with("/v1/webhooks/deliveries/{id}"), "which resource has the id in {path}?");
    assert_eq!(world.send(Method::POST, &format!("/v1/webhooks/{hook}/test")).await, 202);
    let deliveries = world.deliveries_when(&hook, |sent| sent.iter().any(|sent| sent["status"] == "succeeded")).await;
    text(&deliveries[0], "id")
}

/// A callback that is not sent to CXone, because its campaign has no forecast yet: it can be cancelled and rescheduled.
async fn waiting_callback(world: &World) -> String {
    let campaign = new_campaign(world);
    world.cxone.fault(json!({"route": "forecast", "kind": "status", "status": 503})).await;
    let id = world.accept(&payload_with(json!({"campaignId": campaign}))).await;
    world.callback_when(&id, |callback| !callback["failure"].is_null()).await;
    world.cxone.heal().await;
    id
}

/// Pauses the campaign of a request to resume it, in a window that is open now. Returns the id of the hold.
async fn place_hold(world: &World, path: &str) -> Value {
    let path = path.replace("/resume", "/pause");
    let (status, paused) = world.command_to(&world.service.base_url, &path, &pause()).await;
    assert_eq!(status, 200, "{paused}");
    paused["holds"][0]["id"].clone()
}

/// The answer is a documented success, with every header, the content type and a body of the schema that it documents.
fn check(operation: &Operation<'_>, example: &str, answer: &Answer) {
    let name = format!("{} ({example})", operation.name());
    let status = answer.status.to_string();
    let documented = operation.successes().find(|(documented, _)| *documented == status);
    let (_, documented) = documented.unwrap_or_else(|| panic!("{name}: {answer:#?}"));
    for header in documented["headers"].as_object().into_iter().flatten().map(|(header, _)| header) {
        assert!(answer.header(header).is_some(), "{name} has no {header}");
    }
    let Some(content) = documented["content"].as_object() else {
        return assert_eq!(answer.body, "", "{name}");
    };
    let kind = answer.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    let content = content.get(kind).unwrap_or_else(|| panic!("{name}: {kind}"));
    if kind == "application/json" {
        operation.document.strict_validator(&content["schema"]).check(&answer.body, &name);
    }
}
