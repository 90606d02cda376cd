//! Examples in the OpenAPI document: of the parameters of paths, and of successful responses.

use serde_json::{Map, Value, json};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

use super::operations;

const ID: &str = "01a1fcff-84aa-720d-83ca-60abacb44d8c";
const INSTANT: &str = "2026-11-20T14:00:00Z";

/// Adds the examples. Those of requests are in the annotations of their routes.
pub fn complete(api: &mut OpenApi) {
    let schemas = json!(api.components)["schemas"].take();
    for operation in api.paths.paths.values_mut().flat_map(operations) {
        for parameter in operation.parameters.iter_mut().flatten() {
            let RefOr::T(parameter) = parameter else { continue };
            if parameter.parameter_in == ParameterIn::Path {
                let example = of_path_parameter(&parameter.name).map(Value::from);
                *parameter = ParameterBuilder::from(parameter.clone()).example(example).build();
            }
        }
        add_to_responses(operation, &schemas);
    }
}

fn of_path_parameter(name: &str) -> Option<&'static str> {
    match name {
        "campaignId" => Some("0192f0c4-1111-7000-8000-000000000001"),
        "id" => Some(ID),
        "slug" => Some("not-found"),
        // The first hash of the audit log's tree.
        "path" => Some("0/000.p/1"),
        _ => None,
    }
}

fn add_to_responses(operation: &mut Operation, schemas: &Value) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let content = response.content.get_mut("application/json").filter(|_| status.starts_with('2'));
        if let Some(RefOr::T(content)) = content {
            content.example = Some(of_schema(&json!(content.schema), schemas));
        }
    }
}

/// The schema's own example, or one that is made of the examples of its members.
fn of_schema(schema: &Value, schemas: &Value) -> Value {
    if let Some(example) = schema.get("example").or_else(|| schema["enum"].get(0)) {
        return example.clone();
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return of_schema(&schemas[name], schemas);
    }
    // The other one is null.
    if let Some(first) = schema["oneOf"].get(0) {
        return of_schema(first, schemas);
    }
    match schema["type"].as_str() {
        Some("object") => {
            let members = schema["properties"].as_object().into_iter().flatten();
            members.map(|(name, member)| (name.clone(), of_schema(member, schemas))).collect::<Map<_, _>>().into()
        }
        Some("array") => json!([of_schema(&schema["items"], schemas)]),
        Some("string") => match schema["format"].as_str() {
            Some("uuid") => ID.into(),
            Some("date-time") => INSTANT.into(),
            _ => "text".into(),
        },
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| 1.into()),
        Some("boolean") => false.into(),
        // It may be null.
        _ => Value::Null,
    }
}
