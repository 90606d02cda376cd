//! The limits in the OpenAPI document are those of the service.
//!
//! For each keyword of each schema of a request (`maxLength`, `minimum`, `enum`, `required`, …) the test makes values at
//! both sides of the limit. The schema decides which of them are valid. The service must refuse the others with a 422 that
//! has the pointer of the value, and no valid one.

use reqwest::header::HeaderValue;
use reqwest::{RequestBuilder, Url};
use serde_json::{Value, json};

use crate::support::{Answer, Document, Operation, World, moved_to_now, pause, text};

/// The codes of faults that depend on another member or on the time, which a schema cannot say.
const RELATIONS: [&str; 3] = ["daily-window-empty", "needs-regulatory-window", "over-carrier-limit"];

/// Texts that a pattern may or may not allow.
const TEXTS: [&str; 14] =
    ["", " ", "a b", "a\u{0}b", "a\nb", "a\"b", "ä", "0:05", "08:05", "8:5", "24:00", "08:60", "+8:05", "a1b2-C3_d4"];

/// A value in the place of a part of the body, and whether the document allows it.
struct Probe {
    pointer: String,
    value: Value,
    is_valid: bool,
}

#[tokio::test]
async fn the_limits_of_bodies_in_the_openapi_document_are_those_of_the_service() {
    let world = World::of_webhooks(&[]).await;
    let document = Document::new(world.get("/openapi.json").await);
    // A pause may leave out what the settings have.
    world.set(&pause_settings()).await;
    let (mut count, mut differences) = (0, Vec::new());
    for operation in document.operations() {
        let (Some(schema), Some(example)) = (operation.body_schema(), longest_example(&operation)) else { continue };
        let mut probes = Vec::new();
        add_probes(&operation, schema, "", &example, &mut probes);
        for probe in &probes {
            let mut body = example.clone();
            set(&mut body, &probe.pointer, probe.value.clone());
            let request = world.request(operation.method.clone(), &path_of(&operation));
            let answer = Answer::to(request.header("prefer", "respond-async").json(&body)).await;
            differences.extend(difference(&operation, &probe.pointer, &probe.value, probe.is_valid, &answer));
        }
        count += probes.len();
    }
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(count > 150, "{count}");
    world.end().await;
}

#[tokio::test]
async fn the_limits_of_parameters_in_the_openapi_document_are_those_of_the_service() {
    let world = World::of_webhooks(&[]).await;
    let document = Document::new(world.get("/openapi.json").await);
    let (mut count, mut differences) = (0, Vec::new());
    for operation in document.operations() {
        for place in ["path", "query", "header"] {
            for parameter in operation.parameters(place) {
                let name = text(parameter, "name");
                let validator = document.validator(&parameter["schema"]);
                for value in candidates(document.resolved(&parameter["schema"]), parameter.get("example")) {
                    let Some(request) = with_parameter(&world, &operation, place, &name, &value) else { continue };
                    let answer = Answer::to(request).await;
                    let is_valid = validator.accepts(&value);
                    // A path that names no resource is a 404.
                    if is_valid || place != "path" || answer.status != 404 {
                        let pointer = format!("/{name}");
                        differences.extend(difference(&operation, &pointer, &value, is_valid, &answer));
                    }
                    count += 1;
                }
            }
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(count > 30, "{count}");
    world.end().await;
}

/// The settings that a pause may leave out.
fn pause_settings() -> Value {
    let mut settings = pause();
    settings.as_object_mut().unwrap().retain(|name, _| !["pauseReason", "complianceHold"].contains(&name.as_str()));
    settings
}

/// Where the service decides otherwise than the document.
fn difference(
    operation: &Operation<'_>,
    pointer: &str,
    value: &Value,
    is_valid: bool,
    answer: &Answer,
) -> Option<String> {
    let faults = answer.body["errors"].as_array().into_iter().flatten();
    let mut faults = faults.filter(|fault| !RELATIONS.contains(&text(fault, "code").as_str()));
    let is_refused = answer.status == 422 && faults.any(|fault| text(fault, "pointer").starts_with(pointer));
    if answer.status != 400 && answer.status < 500 && is_refused != is_valid {
        return None;
    }
    let shown: String = value.to_string().chars().take(100).collect();
    let expected = if is_valid { "valid" } else { "invalid" };
    let (status, faults) = (answer.status, &answer.body["errors"]);
    Some(format!("{} {pointer} = {shown}, which is {expected}: {status} {faults}", operation.name()))
}

/// It has the most members.
fn longest_example(operation: &Operation<'_>) -> Option<Value> {
    let examples = operation.examples().into_iter().filter_map(|(_, body)| body);
    examples.max_by_key(|body| body.to_string().len()).map(moved_to_now)
}

fn path_of(operation: &Operation<'_>) -> String {
    operation.parameters("path").iter().fold(operation.path.to_owned(), |path, parameter| {
        path.replace(&format!("{{{}}}", text(parameter, "name")), &text(parameter, "example"))
    })
}

fn add_probes(operation: &Operation<'_>, schema: &Value, pointer: &str, example: &Value, probes: &mut Vec<Probe>) {
    let validator = operation.document.validator(schema);
    let keywords = operation.document.resolved(schema);
    let mut values = candidates(keywords, Some(example).filter(|example| !example.is_null()));
    if !pointer.is_empty() {
        let other_type = if keywords["type"] == "array" { json!("text") } else { json!([]) };
        // A deserializer may take an array for an object, member by member.
        let members = example.as_object().and_then(|members| members.values().next()).map(|first| json!([first]));
        values.extend([Value::Null, other_type].into_iter().chain(members));
    }
    probes.extend(values.into_iter().map(|value| {
        let is_valid = validator.accepts(&value);
        Probe { pointer: pointer.to_owned(), value, is_valid }
    }));
    for (name, member) in keywords["properties"].as_object().into_iter().flatten() {
        add_probes(operation, member, &format!("{pointer}/{name}"), &example[name], probes);
    }
    // The faults of an item of a batch are in its result.
    if let Some(items) = keywords.get("items").filter(|_| !operation.path.ends_with("/batch")) {
        let first = example.get(0).unwrap_or_else(|| panic!("{}: no example of {pointer}", operation.name()));
        add_probes(operation, items, &format!("{pointer}/0"), first, probes);
    }
}

/// Values at both sides of each limit of a schema.
fn candidates(schema: &Value, example: Option<&Value>) -> Vec<Value> {
    let limit = |keyword: &str| schema[keyword].as_i64();
    let size = |keyword: &str| limit(keyword).map(|limit| usize::try_from(limit).unwrap());
    let around = |keyword| size(keyword).into_iter().flat_map(|size| size.saturating_sub(1)..=size + 1);
    let mut values = Vec::new();
    if let Some(names) = schema["enum"].as_array() {
        values.extend(names.iter().cloned().chain([json!("no-such-name")]));
    }
    if schema.get("pattern").is_some() {
        values.extend(TEXTS.map(Value::from));
    }
    if ["uuid", "date-time"].iter().any(|format| schema["format"] == *format) {
        values.push(json!("2026-11-20"));
    }
    let start = example.and_then(Value::as_str).unwrap_or_default();
    values.extend(["minLength", "maxLength"].into_iter().flat_map(around).map(|size| json!(padded(start, size))));
    for number in ["minimum", "maximum"].into_iter().filter_map(limit) {
        values.extend((number - 1..=number + 1).map(Value::from));
    }
    if let Some(first) = example.and_then(|example| example.get(0)) {
        let sizes = ["minItems", "maxItems"].into_iter().flat_map(around);
        values.extend(sizes.map(|size| json!(vec![first; size])));
    }
    if let Some(object) = example.filter(|example| example.is_object()) {
        values.extend(objects(schema, object));
    }
    values
}

/// Objects at both sides of each limit of a schema.
fn objects(schema: &Value, example: &Value) -> Vec<Value> {
    let with = |name: &str, value: Value| {
        let mut object = example.clone();
        object[name] = value;
        object
    };
    let mut values = Vec::new();
    for name in schema["required"].as_array().into_iter().flatten() {
        let mut object = example.clone();
        object.as_object_mut().unwrap().remove(name.as_str().unwrap());
        values.push(object);
    }
    match &schema["additionalProperties"] {
        Value::Bool(false) => values.push(with("noSuchMember", json!(1))),
        Value::Object(_) => {
            let members = candidates(&schema["additionalProperties"], None).into_iter().chain([json!(1)]);
            values.extend(members.map(|value| with("key", value)));
        }
        _ => {}
    }
    let names = candidates(&schema["propertyNames"], None);
    values.extend(names.iter().filter_map(Value::as_str).map(|name| with(name, json!("text"))));
    if let Some(most) = schema["maxProperties"].as_u64() {
        values.extend((most - 1..=most + 1).map(|size| (0..size).map(|n| (n.to_string(), json!("text"))).collect()));
    }
    values
}

/// A text of this length that begins as another one.
fn padded(start: &str, length: usize) -> String {
    start.chars().chain(std::iter::repeat('x')).take(length).collect()
}

/// Puts a value at a JSON Pointer; the object or array that holds it exists.
fn set(body: &mut Value, pointer: &str, value: Value) {
    let Some((parent, name)) = pointer.rsplit_once('/') else {
        *body = value;
        return;
    };
    match body.pointer_mut(parent) {
        Some(Value::Object(members)) => _ = members.insert(name.to_owned(), value),
        Some(Value::Array(items)) => items[name.parse::<usize>().unwrap()] = value,
        _ => panic!("no example of {parent}"),
    }
}

/// A request with this value of a parameter; `None` for one that cannot be sent.
fn with_parameter(
    world: &World,
    operation: &Operation<'_>,
    place: &str,
    name: &str,
    value: &Value,
) -> Option<RequestBuilder> {
    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let path = path_of(operation);
    let with_body = |request: RequestBuilder| match longest_example(operation) {
        Some(body) => request.json(&body),
        None => request,
    };
    if place != "path" {
        let request = with_body(world.request(operation.method.clone(), &path));
        return match place {
            "query" => Some(request.query(&[(name, value)])),
            _ => Some(request.header(name, HeaderValue::from_str(&value).ok()?)),
        };
    }
    let mut url = Url::parse(&world.service.base_url).unwrap();
    let segments = operation.path.split('/').skip(1);
    let placeholder = format!("{{{name}}}");
    url.path_segments_mut().unwrap().extend(segments.map(|part| if part == placeholder { &value } else { part }));
    let target = &url.as_str()[world.service.base_url.len()..];
    // An empty segment is another route, and a URL has no line breaks.
    (!value.is_empty() && !value.contains('\n')).then(|| with_body(world.request(operation.method.clone(), target)))
}
